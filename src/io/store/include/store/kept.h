#ifndef STORE_KEPT_H
#define STORE_KEPT_H

#include "store/verifications.h"

/* Answers that weren't drawn for a check, the last ones of each worker, to be checked after all if it is
 * convicted. Sealed by the caller; wiped as checks are (verifications.h). Writes survive the death of the
 * process when answered. */
typedef struct store_kept_answer {
    uint8_t id[STORE_VERIFICATION_ID_SIZE]; /* of its check, if it comes to one */
    uint8_t job_id[STORE_JOB_ID_SIZE];
    uint8_t worker_id[STORE_WORKER_ID_SIZE]; /* who answered */
    uint64_t user_id;
    uint64_t created_ms; /* of the answer */
    slice model;         /* at most STORE_MODEL_MAX bytes of UTF-8 */
    slice mode;          /* VERIFY_MODE's name: "spot" */
    slice payload;       /* 1 to STORE_PAYLOAD_MAX bytes */
} store_kept_answer;

/* Of this worker the newest `keep` (at least 1) are kept, this one among them; older ones are deleted.
 * ERROR_INVALID: no such user or worker, or a mode that isn't one. */
MUST_CHECK bool store_kept_add(store *s, const store_kept_answer *answer, size_t keep, store_done *done,
                               void *context, error *err);

/* Makes checks of the newest that are kept of this worker, at most `limit` (1..STORE_LIST_MAX) and
 * STORE_PAGE_BYTES: gives them, newest first and with payloads, as verifications in the state waiting that
 * are marked `recheck`. Call again until it gives none. ERROR_CONFLICT: an id is a check's already. */
MUST_CHECK bool store_kept_take(store *s, const uint8_t worker_id[STORE_WORKER_ID_SIZE], size_t limit,
                                store_verifications_listed *done, void *context, error *err);

/* Deletes, oldest first, what is beyond the newest `keep` of its worker, is from before `from_ms`, or from
 * after `to_ms`, as a clock that went wrong leaves it. At most STORE_LIST_MAX are deleted: call again while
 * it gives that many. */
typedef void store_kept_expired(void *context, size_t count, const error *failure);
MUST_CHECK bool store_kept_expire(store *s, size_t keep, uint64_t from_ms, uint64_t to_ms,
                                  store_kept_expired *done, void *context, error *err);

#endif
