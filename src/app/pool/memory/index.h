#ifndef POOL_MEMORY_INDEX_H
#define POOL_MEMORY_INDEX_H

#include "memory/embedder.h"
#include "memory/fact.h"
#include "memory/keyring.h"

/* The vectors of the users whose facts were asked for lately, in memory. An index is read from the store when
 * it is first needed, hangs on its user's open vault, and is wiped with it. All together may have
 * fact_memory_mib of the settings; what wasn't used for longest goes, and is read anew when it is needed.
 * What is done with one is done beside the loop, one thing after the other in the order in which it was asked
 * for, so that a search finds what was told to be kept before it. Loop thread, but for what is said to run
 * beside it. */
enum { FACTS_OF_USER_MAX = 100000, INDEX_MOST = 32, INDEX_FOUND_MAX = 2 * INDEX_MOST };

typedef struct indexes indexes;       /* of the pool */
typedef struct fact_index fact_index; /* of a user */

MUST_CHECK indexes *indexes_new(pool *p, error *err);
/* No index gets new vectors from workers any more: before the loop settles. */
void indexes_stop(indexes *all);
/* Nothing waits for an index any more: when the loop has settled, before the keyring goes. */
void indexes_end(indexes *all);
/* After the keyring. All three: NULL is allowed. */
void indexes_free(indexes *all);
/* The settings may name another model now: then what is loaded is read anew. Every minute, too: facts that
 * could not be given the vectors that they should have may get them now. */
void indexes_reconsider(indexes *all);

/* Of the vault, made if need be. */
MUST_CHECK fact_index *index_of(pool *p, open_vault *v, error *err);

/* Something to be done with an index that is loaded. Lives in its owner until `done`. */
typedef struct index_task {
    list_node node;
    void (*work)(fact_index *x, struct index_task *task); /* beside the loop */
    /* On the loop; `failure`: it wasn't done. ERROR_CONFLICT: the vault was closed. */
    void (*done)(struct index_task *task, const error *failure);
    bool only_loaded; /* done without anything where the index isn't loaded: it will be read later */
} index_task;

typedef struct index_found {
    uint8_t id[RECORD_ID_SIZE];
    float score;
    bool by_model; /* else by the embedder that needs none, whose scores are lower */
} index_found;

/* The facts nearest to a text. Facts that have a vector of the model's are compared by that, if there is one
 * of the text; others by the embedder. The caller fills in the first part; it stays until `done`. */
typedef struct index_search {
    slice text;
    const float *vector; /* by the settings' model; NULL: none */
    size_t dimensions;
    size_t most; /* 1 to INDEX_MOST */
    void (*done)(struct index_search *s, const error *failure);

    index_found found[INDEX_FOUND_MAX]; /* best first */
    size_t count;
    index_task task;
} index_search;
void index_search_start(fact_index *x, index_search *s);

/* How many facts there are, and how many of them have the vector that the settings ask for. */
typedef struct index_look {
    void (*done)(struct index_look *l, const error *failure);

    size_t facts;
    size_t embedded;
    index_task task;
} index_look;
void index_look_start(fact_index *x, index_look *l);

/* A fact has come or changed, and the store has it. `plain`: the embedder's vector, EMBEDDER_DIMENSIONS
 * numbers; NULL: it is as it was. `vector`: the model's; NULL: none. `is_new` false: only where the fact is
 * still there. What is pointed at is copied. Where memory is out, the index is read anew. */
typedef struct index_entry {
    uint8_t id[RECORD_ID_SIZE];
    const float *plain;
    const float *vector;
    size_t dimensions;
    bool current; /* it has what the settings ask for */
    bool is_new;
} index_entry;
void index_put(fact_index *x, const index_entry *entry);
/* It is gone. */
void index_remove(fact_index *x, const uint8_t id[RECORD_ID_SIZE]);
/* The fact is about to be written by its user: what a refresh has made of its former text isn't kept. */
void index_note_edit(const open_vault *v, const uint8_t id[RECORD_ID_SIZE]);

#endif
