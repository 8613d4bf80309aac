#include "index_internal.h"

/* From the store into memory, page by page; what is opened is wiped page by page, too. */

store_fact *index_copy_page(arena *memory, const store_fact *facts, size_t count) {
    store_fact *copies = arena_allocate_array(memory, count + 1, sizeof *copies);
    for (size_t i = 0; copies != NULL && i < count; i++) {
        copies[i] = facts[i];
        if (!arena_copy(memory, facts[i].sealed, &copies[i].sealed)) {
            return NULL;
        }
    }
    return copies;
}

static void end_load(fact_index *x, const error *failure) {
    error copy = failure == NULL ? (error){0} : *failure;
    index_data *data = x->loading;
    open_vault *held = x->held;
    arena_free(x->sealed);
    x->sealed = NULL;
    x->loading = NULL;
    x->held = NULL;
    index_loaded(x, data, failure == NULL ? NULL : &copy);
    keyring_give_back(held);
}

static bool put_fact(index_data *data, const uint8_t id[RECORD_ID_SIZE], const fact *f, error *err) {
    float plain[EMBEDDER_DIMENSIONS];
    bool is_plain = slice_equal_text(f->embedder, embedder_name) && f->dimensions == EMBEDDER_DIMENSIONS;
    bool is_current = index_is_current(&data->wish, f);
    bool has_words = is_plain || index_embed(f->text, plain);
    index_entry entry = {.plain = is_plain ? f->vector : plain,
                         .vector = data->wish.by_model && is_current ? f->vector : NULL,
                         .dimensions = f->dimensions,
                         .current = is_current,
                         .is_new = true};
    entry.plain = has_words ? entry.plain : NULL;
    memcpy(entry.id, id, sizeof entry.id);
    return index_data_put(data, &entry, err);
}

/* In a thread. */
static void read_page(void *argument) {
    fact_index *x = argument;
    arena *opened = arena_new(INDEX_PAGE_MEMORY);
    x->failed = opened == NULL && !error_memory(&x->failure);
    for (size_t i = 0; i < x->page_count && !x->failed; i++) {
        fact f;
        const store_fact *row = &x->page[i];
        x->failed =
            !fact_open(x->held->data_key, x->user_id, row->id, row->sealed, opened, &f, &x->failure) ||
            !put_fact(x->loading, row->id, &f, &x->failure);
    }
    if (opened != NULL) {
        arena_wipe(opened);
    }
    arena_free(opened);
}

static void ask_page(fact_index *x);

static void page_read(void *argument) {
    fact_index *x = argument;
    error err = {0};
    memcpy(x->after, x->page[x->page_count - 1].id, sizeof x->after);
    x->has_after = true;
    if (x->failed) {
        end_load(x, &x->failure);
    } else if (x->vault == NULL) {
        end_load(x, NULL);
    } else if (!index_count(x, x->loading, &err)) {
        end_load(x, &err);
    } else {
        ask_page(x);
    }
}

static void page_listed(void *context, const store_fact *facts, size_t count, const error *failure) {
    fact_index *x = context;
    error err = {0};
    if (failure != NULL || count == 0 || x->vault == NULL) {
        end_load(x, failure);
        return;
    }
    arena_reset(x->sealed);
    x->page = index_copy_page(x->sealed, facts, count);
    x->page_count = count;
    if (x->page == NULL) {
        error_memory(&err);
        end_load(x, &err);
    } else if (!ev_work(x->all->pool->loop, read_page, page_read, x, &err)) {
        end_load(x, &err);
    }
}

static void ask_page(fact_index *x) {
    error err = {0};
    if (!store_fact_list(x->all->pool->store, x->user_id, x->has_after ? x->after : NULL, INDEX_PAGE,
                         page_listed, x, &err)) {
        end_load(x, &err);
    }
}

void index_load(fact_index *x) {
    error err = {0};
    x->busy = true;
    x->has_after = false;
    x->failed = false;
    x->held = x->vault;
    keyring_hold(x->held);
    x->loading = index_data_new(x->all->pool, &err);
    x->sealed = x->loading == NULL ? NULL : arena_new(INDEX_PAGE_MEMORY);
    if (x->sealed == NULL) {
        error_memory(&err);
        end_load(x, &err);
    } else {
        ask_page(x);
    }
}
