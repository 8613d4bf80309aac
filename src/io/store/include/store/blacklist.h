#ifndef STORE_BLACKLIST_H
#define STORE_BLACKLIST_H

#include "store/store.h"

enum { STORE_REASON_MAX = 256 };

/* Who may not serve, whatever key it comes with. Entries are never deleted, only cleared by a person. Writes
 * are synced to the disk before they are answered. */
typedef struct store_blacklisting {
    uint64_t id;
    slice kind;          /* "worker", "owner" or "machine" */
    slice value;         /* a worker's id or a machine's key in hexadecimal, or an owner's name */
    slice reason;        /* 1 to STORE_REASON_MAX bytes of UTF-8 */
    uint64_t created_by; /* user id; 0: the pool itself, after a conviction */
    uint64_t created_ms;
    uint64_t cleared_by; /* user id */
    uint64_t cleared_ms; /* 0: it counts */
} store_blacklisting;

/* `id` and what says that it is cleared are ignored. ERROR_CONFLICT: it is on the list. Gives the id. */
typedef void store_blacklisted(void *context, uint64_t id, const error *failure);
MUST_CHECK bool store_blacklist_add(store *s, const store_blacklisting *entry, store_blacklisted *done,
                                    void *context, error *err);

/* ERROR_NOT_FOUND: it isn't on the list. Gives the id. */
MUST_CHECK bool store_blacklist_clear(store *s, slice kind, slice value, uint64_t cleared_by, uint64_t now_ms,
                                      store_blacklisted *done, void *context, error *err);

typedef void store_blacklist_listed(void *context, const store_blacklisting *entries, size_t count,
                                    const error *failure);
/* All that count. */
MUST_CHECK bool store_load_blacklist(store *s, store_blacklist_listed *done, void *context, error *err);
/* Cleared ones too, with an id above `after`, in order, at most `limit` (1..STORE_LIST_MAX). */
MUST_CHECK bool store_blacklist_list(store *s, uint64_t after, size_t limit, store_blacklist_listed *done,
                                     void *context, error *err);

#endif
