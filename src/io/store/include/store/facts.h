#ifndef STORE_FACTS_H
#define STORE_FACTS_H

#include "store/store.h"

/* Facts that users have the pool remember, sealed by the caller. Writes are synced to the disk before they
 * are answered; what is deleted or replaced is wiped as wraps are (vaults.h). Another user's fact is not
 * there (ERROR_NOT_FOUND). */
enum { STORE_FACT_ID_SIZE = 16, STORE_FACT_MAX = 128 * 1024, STORE_FACTS_BYTES = 8 * 1024 * 1024 };

typedef struct store_fact {
    uint8_t id[STORE_FACT_ID_SIZE];
    uint64_t changed_ms;
    slice sealed;
} store_fact;

/* ERROR_LIMIT: the user has `most` already. ERROR_NOT_FOUND: no vault. ERROR_CONFLICT: there is one with that
 * id. */
MUST_CHECK bool store_fact_add(store *s, uint64_t user_id, const store_fact *fact, size_t most,
                               store_done *done, void *context, error *err);
/* Replaces what is sealed, of several at once or of none (1..STORE_LIST_MAX); one that isn't there any more
 * is left out when `lenient`, else it is ERROR_NOT_FOUND. */
MUST_CHECK bool store_facts_replace(store *s, uint64_t user_id, const store_fact *facts, size_t count,
                                    bool lenient, store_done *done, void *context, error *err);
MUST_CHECK bool store_fact_delete(store *s, uint64_t user_id, const uint8_t id[STORE_FACT_ID_SIZE],
                                  store_done *done, void *context, error *err);

/* By id, those after `after` (NULL: from the first); at most `limit` (1..STORE_LIST_MAX) and about
 * STORE_FACTS_BYTES. */
typedef void store_facts_listed(void *context, const store_fact *facts, size_t count, const error *failure);
MUST_CHECK bool store_fact_list(store *s, uint64_t user_id, const uint8_t *after, size_t limit,
                                store_facts_listed *done, void *context, error *err);

/* Deletes those that haven't changed since; at most `limit`. */
typedef void store_facts_expired(void *context, size_t count, const error *failure);
MUST_CHECK bool store_facts_expire(store *s, uint64_t before_ms, size_t limit, store_facts_expired *done,
                                   void *context, error *err);

#endif
