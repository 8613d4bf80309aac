#ifndef POOL_PROOF_PLACE_H
#define POOL_PROOF_PLACE_H

#include "proof/check.h"

/* Gives checks that wait to workers with an idle slot, as many at once as the settings allow; those that have
 * waited for check_patience_ms have a slot kept from the queue. */
void place_due(proof *f);
/* Sets the timer for the next one. After everything that adds a check or ends one. */
void place_arm(proof *f);
/* Says when it may begin: at a random time up to check_delay_ms from now. */
void place_delay(check *c);
/* Who is to check it now, or to judge. NULL: nobody is free. */
MUST_CHECK session *place_choose(check *c, verify_choice *choice, error *err);
/* The queue may have the slot that was kept for it. */
void place_release_claim(check *c);
/* The worker that had it has it no more: for a result, or because it lost it. */
void place_released(check *c);

#endif
