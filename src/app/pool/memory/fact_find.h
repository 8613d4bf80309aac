#ifndef POOL_MEMORY_FACT_FIND_H
#define POOL_MEMORY_FACT_FIND_H

#include "memory/index.h"
#include "store/facts.h"

/* The facts of a user that are nearest to a text, with what they say. Holds the vault. Loop thread. */
typedef struct fact_search fact_search;

typedef struct found_fact {
    uint8_t id[RECORD_ID_SIZE];
    float score;
    bool by_model; /* index_found */
    fact fact;     /* in the search's memory: during the call */
} found_fact;

/* Comes once: best first. */
typedef void facts_found(void *context, const found_fact *found, size_t count, const error *failure);
/* `most` up to INDEX_MOST; the text is copied. */
MUST_CHECK fact_search *fact_search_start(pool *p, open_vault *v, slice text, size_t most, facts_found *done,
                                          void *context, error *err);
/* No call comes any more. */
void fact_search_cancel(fact_search *s);

/* Asks the store for one fact: `done` gets it, or none. */
MUST_CHECK bool fact_ask(pool *p, uint64_t user_id, const uint8_t id[RECORD_ID_SIZE],
                         store_facts_listed *done, void *context, error *err);

#endif
