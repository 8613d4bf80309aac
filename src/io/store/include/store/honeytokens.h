#ifndef STORE_HONEYTOKENS_H
#define STORE_HONEYTOKENS_H

#include "store/receipts.h"

enum { STORE_MARKER_MAX = 64, STORE_PLACE_MAX = 256 };

/* Markers that the pool itself sent in a prompt, each to one worker (verify/honeytoken.h): one that is seen
 * elsewhere names the worker that logged it. Adding survives the death of the process when answered; a
 * sighting is synced to the disk before. */
typedef struct store_honeytoken {
    uint64_t id;
    slice marker; /* 1..STORE_MARKER_MAX of a-z 0-9 - */
    uint8_t worker_id[STORE_WORKER_ID_SIZE];
    uint8_t job_id[STORE_JOB_ID_SIZE];
    uint64_t created_ms;
    uint64_t seen_ms; /* 0: nowhere; otherwise the first time */
    slice seen_where; /* at most STORE_PLACE_MAX bytes of UTF-8 */
} store_honeytoken;

/* `id` and what says where it was seen are ignored. ERROR_CONFLICT: the marker exists. ERROR_INVALID: no such
 * worker. */
MUST_CHECK bool store_honeytoken_add(store *s, const store_honeytoken *token, store_done *done, void *context,
                                     error *err);

/* ERROR_NOT_FOUND: not one of ours. */
typedef void store_honeytoken_found(void *context, const store_honeytoken *token, const error *failure);
MUST_CHECK bool store_honeytoken_find(store *s, slice marker, store_honeytoken_found *done, void *context,
                                      error *err);

/* Notes where it was seen, if it is the first time, and gives it as stored. ERROR_NOT_FOUND: not one of ours.
 */
MUST_CHECK bool store_honeytoken_seen(store *s, slice marker, slice where, uint64_t now_ms,
                                      store_honeytoken_found *done, void *context, error *err);

/* With an id above `after`, in order, at most `limit` (1..STORE_LIST_MAX); only those that were seen if
 * `seen_only`. */
typedef void store_honeytokens_listed(void *context, const store_honeytoken *tokens, size_t count,
                                      const error *failure);
MUST_CHECK bool store_honeytoken_list(store *s, bool seen_only, uint64_t after, size_t limit,
                                      store_honeytokens_listed *done, void *context, error *err);

#endif
