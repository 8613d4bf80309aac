#ifndef POOL_PROOF_NOTICES_H
#define POOL_PROOF_NOTICES_H

#include "proof/proof_internal.h"
#include "store/notices.h"

/* Users whose answer was wrong are told with their next request. */

MUST_CHECK bool notices_add_stored(proof *f, const store_notice *stored, error *err);
/* Puts one down, in the store first: it is told once it is there. */
void notices_add(proof *f, uint64_t user_id, const uint8_t job_id[STORE_JOB_ID_SIZE],
                 const uint8_t worker_id[STORE_WORKER_ID_SIZE]);
void notices_free(proof *f);

#endif
