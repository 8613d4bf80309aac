#ifndef POOL_PROOF_BAIT_H
#define POOL_PROOF_BAIT_H

#include "proof/proof_internal.h"
#include "store/honeytokens.h"

/* Honeytokens: prompts of the pool's own, with a marker that only one worker has ever seen. */

/* After an answer of this worker: now and then, as drawn, it gets a prompt with a marker a while later. */
void bait_consider(proof *f, const fleet_worker *worker, const signed_receipt *entry, slice model);
/* Looks for markers of other workers in what this one says; what is found is noted and told loudly. */
void bait_search_answer(proof *f, const fleet_worker *worker, const uint8_t job_id[STORE_JOB_ID_SIZE],
                        slice text);
/* Ends all that is under way. */
void bait_stop(proof *f);

#endif
