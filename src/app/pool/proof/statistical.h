#ifndef POOL_PROOF_STATISTICAL_H
#define POOL_PROOF_STATISTICAL_H

#include "proof/proof_internal.h"

/* Checks of runtimes, whose answers can't be computed again to the bit: the same prompt at temperature 0 on
 * another worker with the same runtime and model, and how alike the two answers are. Where they differ more
 * than honest ones do, a third answers too. That proves nothing; several times put a worker into quarantine
 * (verify/standing.h), never more. */
MUST_CHECK statistical *statistical_new(proof *f, error *err);
/* Ends all that is under way. Before the dispatcher is freed. NULL is allowed. */
void statistical_free(statistical *all);

/* Of how many runtimes too little is known yet. */
size_t statistical_learning(const statistical *all);

/* It is of a runtime, so this is how it is checked. */
bool statistical_applies(const receipt *fields);
/* Checks this answer, a while later. An answer at temperature 0 is compared as it is; for any other both
 * workers are asked at temperature 0. If there is no room or nobody is found, nothing comes of it but a
 * count. */
void statistical_check(statistical *all, const job *j, const fleet_worker *worker,
                       const signed_receipt *entry);

#endif
