#ifndef POOL_MEMORY_FACT_WRITE_H
#define POOL_MEMORY_FACT_WRITE_H

#include "memory/index.h"

/* Writes a fact: finds its vector, seals it, has the store keep it and the user's index know it. Holds the
 * vault. Loop thread. */
enum { FACT_ID_HEX_SIZE = 2 * RECORD_ID_SIZE + 1 };

typedef struct new_fact {
    uint8_t id[RECORD_ID_SIZE]; /* where it is an edit */
    bool edits;
    uint64_t created_ms; /* of an edit */
    slice text;          /* valid; copied */
    slice source;        /* id of a conversation, or empty */
} new_fact;

/* Comes once. `id` and `created_ms` are as they were stored. ERROR_LIMIT: FACTS_OF_USER_MAX. ERROR_NOT_FOUND:
 * what was to be edited is gone. */
typedef void fact_written(void *context, const uint8_t id[RECORD_ID_SIZE], uint64_t created_ms,
                          const error *failure);
MUST_CHECK bool fact_write(pool *p, open_vault *v, const new_fact *f, fact_written *done, void *context,
                           error *err);

#endif
