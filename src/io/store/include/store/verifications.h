#ifndef STORE_VERIFICATIONS_H
#define STORE_VERIFICATIONS_H

#include "store/receipts.h"

/* Checks of answers, from the draw to the verdict (verify/verification.h). Those that are merely kept are in
 * store/kept.h.
 * What is needed to check is the payload: sealed by the caller, wiped here when it isn't needed any more. A
 * wiped payload leaves the file at once and the write-ahead log within a minute.
 * Writes survive the death of the process when answered. Operations run in the order of the calls: a check
 * that is added before its answer's receipt is there whenever the receipt is. */
enum {
    STORE_VERIFICATION_ID_SIZE = 16,
    STORE_PAYLOAD_MAX = 8 * 1024 * 1024,
    STORE_FINDINGS_MAX = 65536,
    STORE_MODEL_MAX = 256,
    STORE_PAGE_BYTES =
        32 * 1024 * 1024 /* of payloads and findings that one call gives, unless one has more */
};

typedef struct store_verification {
    uint64_t number; /* counts up as they are added; given by the store */
    uint8_t id[STORE_VERIFICATION_ID_SIZE];
    uint8_t job_id[STORE_JOB_ID_SIZE]; /* whose answer it is about */
    uint64_t user_id;
    uint8_t worker_id[STORE_WORKER_ID_SIZE]; /* who answered */
    slice model;                             /* at most STORE_MODEL_MAX bytes of UTF-8 */
    slice mode;                              /* VERIFY_MODE's name: "spot" */
    slice state;                             /* VERIFICATION_STATES' name: "waiting" */
    uint64_t created_ms;                     /* of the answer */
    uint64_t
        decided_ms; /* set when, and only when, agreed, worker_wrong, verifier_wrong or given_up; else 0 */
    bool recheck;   /* kept at first, taken after its worker's conviction */
    bool has_verifier;
    bool has_referee;
    uint8_t verifier_id[STORE_WORKER_ID_SIZE];
    uint8_t referee_id[STORE_WORKER_ID_SIZE]; /* the last one */
    slice independence;                       /* of the verifier: "", "none", "weak" or "full" */
    int64_t position;                         /* of the first token that differs; -1: none */
    uint32_t attempts;
    uint32_t referees;
    slice findings; /* signed findings so far, as the caller writes them; at most STORE_FINDINGS_MAX */
    slice payload;  /* at most STORE_PAYLOAD_MAX; empty: wiped, or not asked for */
} store_verification;

/* `number` is ignored. ERROR_CONFLICT: the id exists. ERROR_INVALID: no such user or worker, or a state,
 * mode or independence that isn't one. */
MUST_CHECK bool store_verification_add(store *s, const store_verification *verification, store_done *done,
                                       void *context, error *err);

/* Sets state, decided_ms, verifier, referee, independence, position, attempts, referees and findings of the
 * one with this id; the rest of `verification` is ignored. `wipe`: its payload is deleted with it.
 * ERROR_NOT_FOUND: no such id. */
MUST_CHECK bool store_verification_update(store *s, const store_verification *verification, bool wipe,
                                          store_done *done, void *context, error *err);

/* ERROR_NOT_FOUND: no such id. With payload and findings. */
typedef void store_verification_found(void *context, const store_verification *verification,
                                      const error *failure);
MUST_CHECK bool store_verification_get(store *s, const uint8_t id[STORE_VERIFICATION_ID_SIZE],
                                       store_verification_found *done, void *context, error *err);
/* The newest about this job, if the answer was this user's; without the payload. */
MUST_CHECK bool store_verification_of_job(store *s, const uint8_t job_id[STORE_JOB_ID_SIZE], uint64_t user_id,
                                          store_verification_found *done, void *context, error *err);
/* The oldest, with findings. */
MUST_CHECK bool store_verification_first_of_job(store *s, const uint8_t job_id[STORE_JOB_ID_SIZE],
                                                uint64_t user_id, store_verification_found *done,
                                                void *context, error *err);

typedef void store_verifications_listed(void *context, const store_verification *verifications, size_t count,
                                        const error *failure);

/* After a restart: those in the states waiting, running, disputed and judging with a number above `after`
 * (0: from the first), oldest first, with payload and findings. At most `limit` (1..STORE_LIST_MAX), and
 * fewer when they pass STORE_PAGE_BYTES: ask again after the last one until it gives none. */
MUST_CHECK bool store_verification_load_waiting(store *s, uint64_t after, size_t limit,
                                                store_verifications_listed *done, void *context, error *err);

/* For display: newest first, with a number below `before` (0: from the newest), at most `limit`
 * (1..STORE_LIST_MAX), without payloads and findings. Of one worker if `worker_id` isn't NULL. */
MUST_CHECK bool store_verification_list(store *s, const uint8_t *worker_id, uint64_t before, size_t limit,
                                        store_verifications_listed *done, void *context, error *err);

/* The same of those in the state open, which a human has to decide. */
MUST_CHECK bool store_verification_list_open(store *s, uint64_t before, size_t limit,
                                             store_verifications_listed *done, void *context, error *err);

#endif
