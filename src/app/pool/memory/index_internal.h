#ifndef POOL_MEMORY_INDEX_INTERNAL_H
#define POOL_MEMORY_INDEX_INTERNAL_H

#include "base/arena.h"
#include "base/map.h"
#include "memory/index.h"
#include "memory/vectors.h"
#include "store/facts.h"

/* Shared by index.c (the order in which things are done), index_tasks.c (what they are), index_load.c
 * (reading it), index_data.c (what is in it) and refresh.c (new vectors for facts that have others). */

enum {
    INDEX_PAGE = 256, /* facts read at a time */
    INDEX_PAGE_MEMORY = 64 * 1024 * 1024,
    INDEX_ENTRY_BYTES = 640, /* that an entry takes beside its vectors, about: where it is found, by id and by
                                number */
    REFRESH_BATCH = 16       /* facts embedded at a time */
};

typedef struct refresh refresh;

struct indexes {
    pool *pool;
    list_node all; /* fact_index.node, the one used last at the end */
    size_t bytes;
    size_t refreshing;
    bool stopped;
};

/* A fact; its place is its number in the vectors. */
typedef struct index_place {
    uint8_t id[RECORD_ID_SIZE];
    bool used;
    bool current;
    bool of_model; /* has a vector of the model's */
} index_place;

/* The vectors that facts should have. */
typedef struct index_wish {
    char target[FACT_EMBEDDER_MAX + 1]; /* who makes them */
    bool by_model;                      /* which isn't the embedder that needs none */
    size_t dimensions;                  /* of a model's; 0: not known yet */
} index_wish;

/* What is read and wiped as one. */
typedef struct index_data {
    index_wish wish;
    vectors *plain; /* by the embedder that needs no model */
    vectors *model; /* NULL: none yet, or no room */
    bool no_room;   /* for these */
    map *places;    /* by id: the place's number + 1 */
    index_place *list;
    size_t count; /* places, used or not */
    size_t capacity;
    size_t used;
    size_t current;
} index_data;

struct fact_index {
    indexes *all;
    list_node node;
    open_vault *vault; /* NULL: it was closed */
    uint64_t user_id;
    index_data *data; /* NULL: not loaded */
    size_t bytes;     /* as counted in indexes.bytes */
    bool busy;        /* a thread or the store works on it */
    bool wanted;      /* it is to be loaded even if nobody asks */
    bool forget;      /* something is missing in it */
    open_vault *held; /* while it is loaded */
    list_node tasks;  /* index_task.node */
    ev_deferred turn;
    refresh *refresh;
    uint64_t refreshed_ms; /* monotonic: when all facts had been gone through; 0: not yet */

    arena *sealed; /* while it is loaded: a page */
    store_fact *page;
    size_t page_count;
    index_data *loading;
    uint8_t after[RECORD_ID_SIZE];
    bool has_after;
    bool failed;
    error failure;
};

MUST_CHECK index_data *index_data_new(const pool *p, error *err);
void index_data_free(index_data *data); /* NULL is allowed; any thread */
size_t index_data_size(const index_data *data);
void index_data_forget_model(index_data *data);
/* Any thread that owns it. */
MUST_CHECK bool index_data_put(index_data *data, const index_entry *entry, error *err);
void index_data_remove(index_data *data, const uint8_t id[RECORD_ID_SIZE]);
size_t index_data_search(const index_data *data, index_search *s);
/* A fact has the vector that it should have. */
bool index_is_current(const index_wish *wish, const fact *f);
/* Whether the text has any word that the embedder knows something about. */
MUST_CHECK bool index_embed(slice text, float vector[EMBEDDER_DIMENSIONS]);
/* What the settings ask for. */
slice index_target(const pool *p);

/* Reads all facts; index_loaded is called at the end. */
void index_load(fact_index *x);
void index_loaded(fact_index *x, index_data *data, const error *failure);
/* Its size has changed; others may have to go. */
MUST_CHECK bool index_count(fact_index *x, index_data *data, error *err);
/* Wipes what is loaded, beside the loop if it is much. */
void index_unload(fact_index *x);
void index_continue(fact_index *x);
void index_add_task(fact_index *x, index_task *task);

/* Copies a page from the store; NULL: memory is out. */
MUST_CHECK store_fact *index_copy_page(arena *memory, const store_fact *facts, size_t count);

/* Begins to bring the facts' vectors up to date, if there is something to do. */
void refresh_consider(fact_index *x);
/* The vault is closed, or what is loaded goes: nothing is written any more. */
void refresh_end(fact_index *x);

#endif
