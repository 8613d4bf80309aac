#include "base/log.h"
#include "base/memory.h"
#include "index_internal.h"
#include "memory/embed.h"

/* Facts whose vector isn't the one that the settings ask for get it, a few at a time, while their user's
 * vault is open:
 *
 *   a page is read ─> opened ─> a worker embeds what is outdated ─> sealed ─> stored ─> the index is told ─>
 * the next
 *
 * Each fact says who made its vector, so that nothing is lost by stopping anywhere. What its user writes
 * meanwhile is newer than what was read of it, and stays. */

enum {
    RETRY_MS = 5000,   /* where nobody could embed */
    PAUSE_MS = 5000,   /* between two passes over a user's facts, at least */
    REFRESHES_MAX = 4, /* at once, of all users */
    MEMORY_MAX = 16 * 1024 * 1024
};

typedef struct refreshed {
    uint8_t id[RECORD_ID_SIZE];
    fact fact;
    bool outdated;
    bool edited; /* by its user, since it was read */
    buffer sealed;
    float *vector;
} refreshed;

struct refresh {
    fact_index *index; /* NULL: it has ended, and goes when nothing works on it any more */
    pool *pool;
    open_vault *vault; /* held while it is busy */
    index_wish wish;
    arena *sealed;
    arena *opened;
    store_fact *rows;
    size_t row_count;
    refreshed batch[REFRESH_BATCH];
    size_t count;
    size_t outdated;
    uint8_t after[RECORD_ID_SIZE];
    bool has_after;
    bool busy;  /* the store or a thread works on it */
    bool stale; /* a user writes while the store reads: it is read once more */
    memory_embedding *asking;
    size_t limit;   /* facts of a page */
    size_t single;  /* pages of one still to come: a worker has refused some of these facts */
    ev_timer timer; /* until it is tried again */
    size_t dimensions;
    bool failed;
    error failure;
};

static void clear_batch(refresh *r) {
    for (size_t i = 0; i < r->count; i++) {
        buffer_free(&r->batch[i].sealed);
    }
    r->count = 0;
    r->outdated = 0;
    arena_reset(r->sealed);
    arena_wipe(r->opened);
}

static void free_refresh(refresh *r) {
    clear_batch(r);
    ev_timer_stop(&r->timer);
    memory_embed_cancel(r->asking);
    arena_free(r->sealed);
    arena_free(r->opened);
    r->pool->indexes->refreshing--;
    memory_free(r);
}

void refresh_end(fact_index *x) {
    refresh *r = x->refresh;
    x->refresh = NULL;
    if (r == NULL) {
        return;
    }
    r->index = NULL;
    if (!r->busy) {
        free_refresh(r);
    }
}

static void begin_step(refresh *r) {
    r->busy = true;
    keyring_hold(r->vault);
}

/* Something has ended that worked on it. False: it is over, and gone. */
static bool end_step(refresh *r) {
    r->busy = false;
    keyring_give_back(r->vault);
    if (r->index == NULL) {
        free_refresh(r);
        return false;
    }
    return true;
}

static void rest(refresh *r, const error *failure) {
    if (failure != NULL) {
        log_warning("facts keep the vectors that they have for now", LOG_CAUSE(failure));
    }
    clear_batch(r);
    ev_timer_start(r->pool->loop, &r->timer, RETRY_MS);
}

static void ask_page(refresh *r);

static void next_page(refresh *r) {
    if (r->single > 0 && --r->single == 0) {
        r->limit = REFRESH_BATCH;
    }
    memcpy(r->after, r->batch[r->count - 1].id, sizeof r->after);
    r->has_after = true;
    clear_batch(r);
    ask_page(r);
}

static void work_on(refresh *r, void (*work)(void *argument), void (*done)(void *argument)) {
    error err = {0};
    if (ev_work(r->pool->loop, work, done, r, &err)) {
        begin_step(r);
    } else {
        rest(r, &err);
    }
}

/* -- stored -- */

static void tell_index(refresh *r) {
    for (size_t i = 0; i < r->count; i++) {
        const refreshed *f = &r->batch[i];
        index_entry entry = {.current = true};
        memcpy(entry.id, f->id, sizeof entry.id);
        entry.vector = r->wish.by_model ? f->vector : NULL;
        entry.dimensions = r->dimensions;
        if (f->outdated && !f->edited) {
            index_put(r->index, &entry);
        }
    }
}

static void replaced(void *context, const error *failure) {
    refresh *r = context;
    if (!end_step(r)) {
        return;
    }
    if (failure != NULL) {
        rest(r, failure);
        return;
    }
    tell_index(r);
    next_page(r);
}

static void sealed(void *argument) {
    refresh *r = argument;
    store_fact rows[REFRESH_BATCH];
    size_t count = 0;
    error err = {0};
    if (!end_step(r)) {
        return;
    }
    for (size_t i = 0; i < r->count; i++) {
        const refreshed *f = &r->batch[i];
        if (f->outdated && !f->edited) {
            rows[count] =
                (store_fact){.changed_ms = r->rows[i].changed_ms, .sealed = buffer_slice(&f->sealed)};
            memcpy(rows[count++].id, f->id, sizeof f->id);
        }
    }
    if (r->failed) {
        rest(r, &r->failure);
    } else if (count == 0) {
        next_page(r);
    } else if (store_facts_replace(r->pool->store, r->vault->user_id, rows, count, true, replaced, r, &err)) {
        begin_step(r);
    } else {
        rest(r, &err);
    }
}

/* -- sealed, in a thread -- */

static bool seal_one(refresh *r, refreshed *f) {
    fact with = f->fact;
    with.embedder = slice_of_text(r->wish.target);
    with.vector = f->vector;
    with.dimensions = r->dimensions;
    f->sealed = buffer_make(FACT_SEALED_MAX);
    return fact_seal(r->vault->data_key, r->vault->user_id, f->id, &with, &f->sealed, &r->failure);
}

static bool embed_one(refresh *r, refreshed *f) {
    f->vector = arena_allocate_array(r->opened, EMBEDDER_DIMENSIONS, sizeof *f->vector);
    r->dimensions = EMBEDDER_DIMENSIONS;
    if (f->vector == NULL) {
        return error_memory(&r->failure);
    }
    f->outdated = index_embed(f->fact.text, f->vector);
    return true;
}

static void seal_batch(void *argument) {
    refresh *r = argument;
    for (size_t i = 0; i < r->count && !r->failed; i++) {
        refreshed *f = &r->batch[i];
        if (f->outdated) {
            r->failed = (!r->wish.by_model && !embed_one(r, f)) || (f->outdated && !seal_one(r, f));
        }
    }
}

/* -- embedded -- */

static bool take_vectors(refresh *r, const float *values) {
    size_t next = 0;
    float *copies = arena_allocate_array(r->opened, r->outdated * r->dimensions, sizeof *copies);
    if (copies == NULL) {
        return false;
    }
    memcpy(copies, values, r->outdated * r->dimensions * sizeof *copies);
    for (size_t i = 0; i < r->count; i++) {
        if (r->batch[i].outdated) {
            r->batch[i].vector = copies + next++ * r->dimensions;
        }
    }
    return true;
}

static void embedded(void *context, const float *values, size_t dimensions, bool refused) {
    refresh *r = context;
    r->asking = NULL;
    r->dimensions = dimensions;
    if (values != NULL && dimensions <= FACT_DIMENSIONS_MAX && take_vectors(r, values)) {
        work_on(r, seal_batch, sealed);
    } else if ((refused || dimensions > FACT_DIMENSIONS_MAX) && r->outdated == 1) {
        next_page(r); /* it keeps what it has */
    } else if (refused || dimensions > FACT_DIMENSIONS_MAX) {
        r->limit = 1;
        r->single = r->count;
        clear_batch(r);
        ask_page(r);
    } else {
        rest(r, NULL);
    }
}

/* What isn't asked for at once any more is left to the next page. */
static void cut_page(refresh *r, size_t fits) {
    size_t i = 0;
    for (r->outdated = 0; i < r->count && r->outdated + (r->batch[i].outdated ? 1 : 0) <= fits; i++) {
        r->outdated += r->batch[i].outdated ? 1 : 0;
    }
    r->count = i;
}

static void ask_worker(refresh *r) {
    slice texts[REFRESH_BATCH];
    size_t count = 0;
    for (size_t i = 0; i < r->count; i++) {
        if (r->batch[i].outdated) {
            texts[count++] = r->batch[i].fact.text;
        }
    }
    size_t fits = memory_embed_fits(texts, count);
    if (fits == 0) { /* no fact is such a text */
        next_page(r);
        return;
    }
    if (fits < count) {
        cut_page(r, fits);
        count = fits;
    }
    r->asking = memory_embeds(r->pool)
                    ? memory_embed(r->pool, r->vault->user_id, texts, count, 0, embedded, r)
                    : NULL;
    if (r->asking == NULL) {
        rest(r, NULL);
    }
}

/* -- opened, in a thread -- */

static void open_page(void *argument) {
    refresh *r = argument;
    for (size_t i = 0; i < r->row_count && !r->failed; i++) {
        refreshed *f = &r->batch[i];
        r->failed = !fact_open(r->vault->data_key, r->vault->user_id, f->id, r->rows[i].sealed, r->opened,
                               &f->fact, &r->failure);
        f->outdated = !r->failed && !index_is_current(&r->wish, &f->fact);
        r->outdated += f->outdated ? 1 : 0;
    }
}

static void page_opened(void *argument) {
    refresh *r = argument;
    if (!end_step(r)) {
        return;
    }
    if (r->failed) {
        rest(r, &r->failure);
    } else if (r->outdated > 0 && r->wish.by_model) {
        ask_worker(r);
    } else if (r->outdated > 0) {
        work_on(r, seal_batch, sealed);
    } else {
        next_page(r);
    }
}

/* -- read -- */

static bool take_page(refresh *r, const store_fact *facts, size_t count) {
    r->rows = index_copy_page(r->sealed, facts, count);
    r->row_count = count;
    r->count = count;
    r->outdated = 0;
    r->failed = false;
    for (size_t i = 0; i < count; i++) {
        r->batch[i] = (refreshed){.sealed = buffer_make(0)};
        memcpy(r->batch[i].id, facts[i].id, sizeof r->batch[i].id);
    }
    return r->rows != NULL;
}

static void page_listed(void *context, const store_fact *facts, size_t count, const error *failure) {
    refresh *r = context;
    error err = {0};
    if (!end_step(r)) {
        return;
    }
    if (failure != NULL) {
        rest(r, failure);
    } else if (r->stale) {
        ask_page(r);
    } else if (count == 0) {
        r->index->refreshed_ms = ev_now_ms(r->pool->loop);
        r->index->refresh = NULL;
        free_refresh(r);
    } else if (!take_page(r, facts, count)) {
        error_memory(&err);
        rest(r, &err);
    } else {
        work_on(r, open_page, page_opened);
    }
}

static void ask_page(refresh *r) {
    error err = {0};
    r->stale = false;
    if (store_fact_list(r->pool->store, r->vault->user_id, r->has_after ? r->after : NULL, r->limit,
                        page_listed, r, &err)) {
        begin_step(r);
    } else {
        rest(r, &err);
    }
}

/* -- begun and ended -- */

static void try_again(void *context) {
    ask_page(context);
}

static refresh *new_refresh(fact_index *x) {
    refresh *r = memory_allocate_zeroed(1, sizeof *r);
    arena *sealed_memory = r == NULL ? NULL : arena_new(MEMORY_MAX);
    arena *opened_memory = sealed_memory == NULL ? NULL : arena_new(MEMORY_MAX);
    if (opened_memory == NULL) {
        arena_free(sealed_memory);
        memory_free(r);
        return NULL;
    }
    r->index = x;
    r->pool = x->all->pool;
    r->vault = x->vault;
    r->limit = REFRESH_BATCH;
    r->wish = x->data->wish;
    r->sealed = sealed_memory;
    r->opened = opened_memory;
    ev_timer_init(&r->timer, try_again, r);
    return r;
}

void refresh_consider(fact_index *x) {
    indexes *all = x->all;
    bool complete = x->data->current == x->data->used;
    bool early = x->refreshed_ms != 0 && ev_now_ms(all->pool->loop) - x->refreshed_ms < PAUSE_MS;
    if (x->refresh != NULL || complete || early || all->stopped || all->refreshing >= REFRESHES_MAX) {
        return;
    }
    x->refresh = new_refresh(x);
    if (x->refresh != NULL) { /* else soon again */
        all->refreshing++;
        ask_page(x->refresh);
    }
}

void index_note_edit(const open_vault *v, const uint8_t id[RECORD_ID_SIZE]) {
    const fact_index *x = v->closed ? NULL : v->attached;
    refresh *r = x == NULL ? NULL : x->refresh;
    if (r != NULL && r->count == 0) {
        r->stale = true;
    }
    for (size_t i = 0; r != NULL && i < r->count; i++) {
        if (memcmp(r->batch[i].id, id, RECORD_ID_SIZE) == 0) {
            r->batch[i].edited = true;
        }
    }
}
