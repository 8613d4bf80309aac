#ifndef STORE_EVIDENCE_H
#define STORE_EVIDENCE_H

#include "store/receipts.h"

enum { STORE_EVIDENCE_MAX = 1024 * 1024 };

/* Why workers were convicted: signed bundles (ledger/evidence.h), which reveal no prompt. Never deleted.
 * Writes are synced to the disk before they are answered. */
typedef struct store_evidence {
    uint64_t id;
    uint8_t worker_id[STORE_WORKER_ID_SIZE]; /* the convicted one */
    uint8_t job_id[STORE_JOB_ID_SIZE];       /* whose answer it is about */
    uint64_t created_ms;
    slice bundle; /* JSON; 1..STORE_EVIDENCE_MAX bytes of UTF-8; empty in a list */
} store_evidence;

/* `id` is ignored, and given to the callback. ERROR_INVALID: no such worker. */
typedef void store_evidence_added(void *context, uint64_t id, const error *failure);
MUST_CHECK bool store_evidence_add(store *s, const store_evidence *evidence, store_evidence_added *done,
                                   void *context, error *err);

/* ERROR_NOT_FOUND: no such id. */
typedef void store_evidence_found(void *context, const store_evidence *evidence, const error *failure);
MUST_CHECK bool store_evidence_get(store *s, uint64_t id, store_evidence_found *done, void *context,
                                   error *err);

/* With an id above `after`, in order, at most `limit` (1..STORE_LIST_MAX), without the bundles. Of one worker
 * if `worker_id` isn't NULL. */
typedef void store_evidence_listed(void *context, const store_evidence *evidence, size_t count,
                                   const error *failure);
MUST_CHECK bool store_evidence_list(store *s, const uint8_t *worker_id, uint64_t after, size_t limit,
                                    store_evidence_listed *done, void *context, error *err);

#endif
