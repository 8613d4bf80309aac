#ifndef STORE_NOTICES_H
#define STORE_NOTICES_H

#include "store/receipts.h"

enum { STORE_NOTICE_MAX = 512 };

/* What users are to be told when they next ask: that an answer was wrong. Writes are synced to the disk
 * before they are answered. Notices as old as the oldest receipts are deleted with these. */
typedef struct store_notice {
    uint64_t id;
    uint64_t user_id;
    uint8_t job_id[STORE_JOB_ID_SIZE];
    uint8_t worker_id[STORE_WORKER_ID_SIZE]; /* whose answer was wrong */
    slice text;                              /* 1..STORE_NOTICE_MAX bytes, one line; no word of the answer */
    uint64_t created_ms;
    uint64_t told_ms; /* 0: not yet */
} store_notice;

/* `id` and `told_ms` are ignored. ERROR_CONFLICT: there is one about this job. ERROR_INVALID: no such user or
 * worker. Gives the id. */
typedef void store_notice_added(void *context, uint64_t id, const error *failure);
MUST_CHECK bool store_notice_add(store *s, const store_notice *notice, store_notice_added *done,
                                 void *context, error *err);

/* ERROR_NOT_FOUND: no such id. Telling twice is no error and keeps the first date. */
MUST_CHECK bool store_notice_told(store *s, uint64_t id, uint64_t now_ms, store_done *done, void *context,
                                  error *err);

typedef void store_notices_listed(void *context, const store_notice *notices, size_t count,
                                  const error *failure);
/* All that weren't told yet, oldest first. */
MUST_CHECK bool store_load_notices(store *s, store_notices_listed *done, void *context, error *err);
/* Told ones too, with an id above `after`, in order, at most `limit` (1..STORE_LIST_MAX). Of one worker's
 * answers if `worker_id` isn't NULL. */
MUST_CHECK bool store_notice_list(store *s, const uint8_t *worker_id, uint64_t after, size_t limit,
                                  store_notices_listed *done, void *context, error *err);

#endif
