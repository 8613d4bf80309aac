#include "memory/fact_find.h"

#include "base/arena.h"
#include "base/memory.h"
#include "memory/embed.h"

enum { FOUND_MEMORY = INDEX_MOST * 64 * 1024 };

struct fact_search;

/* One of those found, while the store is asked what it says. */
typedef struct fetch {
    struct fact_search *owner;
    found_fact found;
    bool there; /* it wasn't deleted meanwhile */
} fetch;

struct fact_search {
    pool *pool;
    open_vault *vault;
    facts_found *done; /* NULL: cancelled */
    void *context;
    memory_embedding *asking;
    float *vector;
    index_search near;
    arena *memory;
    fetch fetches[INDEX_MOST];
    size_t waiting; /* for the store */
    bool failed;
    error failure;
    size_t length;
    uint8_t text[];
};

static void release(fact_search *s) {
    keyring_give_back(s->vault);
    if (s->memory != NULL) {
        arena_wipe(s->memory);
    }
    arena_free(s->memory);
    memory_free(s->vector); /* what is given back is wiped in a pool */
    memory_free(s);
}

static void finish(fact_search *s) {
    found_fact found[INDEX_MOST];
    size_t count = 0;
    for (size_t i = 0; i < s->near.count && !s->failed; i++) {
        if (s->fetches[i].there) {
            found[count++] = s->fetches[i].found;
        }
    }
    if (s->done != NULL) {
        s->done(s->context, found, count, s->failed ? &s->failure : NULL);
    }
    release(s);
}

static void fail(fact_search *s, const error *failure) {
    s->failed = true;
    s->failure = *failure;
}

static void fetched(void *context, const store_fact *facts, size_t count, const error *failure) {
    fetch *one = context;
    fact_search *s = one->owner;
    error err = {0};
    if (failure != NULL) {
        fail(s, failure);
    } else if (count == 1 && memcmp(facts[0].id, one->found.id, sizeof one->found.id) == 0) {
        one->there = fact_open(s->vault->data_key, s->vault->user_id, facts[0].id, facts[0].sealed, s->memory,
                               &one->found.fact, &err);
        if (!one->there) {
            fail(s, &err);
        }
    }
    if (--s->waiting == 0) {
        finish(s);
    }
}

/* All at once: the store answers them together. */
static void fetch_all(fact_search *s) {
    error err = {0};
    s->waiting = 1; /* this function */
    for (size_t i = 0; i < s->near.count && !s->failed; i++) {
        fetch *one = &s->fetches[i];
        const index_found *near = &s->near.found[i];
        *one = (fetch){.owner = s, .found = {.score = near->score, .by_model = near->by_model}};
        memcpy(one->found.id, near->id, sizeof one->found.id);
        if (fact_ask(s->pool, s->vault->user_id, one->found.id, fetched, one, &err)) {
            s->waiting++;
        } else {
            fail(s, &err);
        }
    }
    if (--s->waiting == 0) {
        finish(s);
    }
}

static void searched(index_search *near, const error *failure) {
    fact_search *s = LIST_ENTRY(near, fact_search, near);
    if (failure != NULL) {
        fail(s, failure);
    }
    if (s->failed || s->done == NULL) {
        finish(s);
    } else {
        fetch_all(s);
    }
}

static bool search(fact_search *s, error *err) {
    fact_index *x = index_of(s->pool, s->vault, err);
    if (x != NULL) {
        index_search_start(x, &s->near);
    }
    return x != NULL;
}

static void embedded(void *context, const float *values, size_t dimensions, bool refused) {
    fact_search *s = context;
    error err = {0};
    (void)refused;
    s->asking = NULL;
    s->vector = values == NULL ? NULL : memory_allocate(dimensions * sizeof s->vector[0]);
    if (s->vector != NULL) { /* without memory for it the embedder that needs none serves */
        memcpy(s->vector, values, dimensions * sizeof s->vector[0]);
        s->near.vector = s->vector;
        s->near.dimensions = dimensions;
    }
    if (!search(s, &err)) {
        fail(s, &err);
        finish(s);
    }
}

/* What any embedder looks at, with no character cut in two. */
static slice beginning_of(slice text) {
    size_t length = text.length < EMBEDDER_TEXT_MAX ? text.length : EMBEDDER_TEXT_MAX;
    while (length > 0 && length < text.length && (text.data[length] & 0xC0) == 0x80) {
        length--;
    }
    return slice_part(text, 0, length);
}

fact_search *fact_search_start(pool *p, open_vault *v, slice whole, size_t most, facts_found *done,
                               void *context, error *err) {
    slice text = beginning_of(whole);
    fact_search *s = memory_allocate_zeroed(1, sizeof *s + text.length);
    if (s == NULL) {
        error_memory(err);
        return NULL;
    }
    if (!keyring_hold_for_request(v, err)) {
        memory_free(s);
        return NULL;
    }
    s->pool = p;
    s->vault = v;
    s->done = done;
    s->context = context;
    s->length = text.length;
    if (text.length > 0) {
        memcpy(s->text, text.data, text.length);
    }
    s->near = (index_search){.text = slice_of(s->text, s->length), .most = most, .done = searched};
    s->memory = arena_new(FOUND_MEMORY);
    if (s->memory == NULL) {
        error_memory(err);
        release(s);
        return NULL;
    }
    s->asking = memory_embeds(p)
                    ? memory_embed(p, v->user_id, &s->near.text, 1, EMBED_PATIENCE_MS, embedded, s)
                    : NULL;
    if (s->asking == NULL && !search(s, err)) {
        release(s);
        return NULL;
    }
    return s;
}

void fact_search_cancel(fact_search *s) {
    s->done = NULL;
    if (s->asking != NULL) {
        memory_embed_cancel(s->asking);
        release(s);
    }
}

bool fact_ask(pool *p, uint64_t user_id, const uint8_t id[RECORD_ID_SIZE], store_facts_listed *done,
              void *context, error *err) {
    uint8_t before[RECORD_ID_SIZE]; /* the id that is one less */
    size_t i = RECORD_ID_SIZE;
    memcpy(before, id, sizeof before);
    while (i > 0 && before[i - 1]-- == 0) {
        i--;
    }
    return store_fact_list(p->store, user_id, i == 0 ? NULL : before, 1, done, context, err);
}
