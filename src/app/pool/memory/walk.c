#include "memory/walk.h"

#include "base/memory.h"
#include "crypto/secret.h"
#include "memory/record.h"

enum {
    HEADS_MAX = 100, /* read at a time */
    TURNS_MAX = 200,
    HEADS_MEMORY = 1024 * 1024,
    PAGE_MEMORY = 64 * 1024 * 1024
};

typedef struct head_row {
    uint8_t id[STORE_CONVERSATION_ID_SIZE];
    uint64_t latest;
    uint64_t changed_ms;
    slice sealed;
} head_row;

struct walk {
    pool *pool;
    open_vault *vault;
    const walk_kind *kind;
    void *context;
    bool one;     /* conversation, not all */
    arena *heads; /* sealed */
    head_row *rows;
    size_t row_count;
    size_t row;    /* that is being read */
    bool has_more; /* behind these rows */
    uint64_t before;
    uint8_t *key; /* a slot: of the conversation's turns */
    uint64_t after;
    arena *sealed; /* a page of turns */
    store_turn *turns;
    size_t turn_count;
    arena *opened;
    conversation_turn *read_turns;
    uint8_t (*turn_ids)[STORE_JOB_ID_SIZE];
    slice title; /* in `heads` */
    bool begins;
    bool was_last; /* the page that was read, of the conversation's */
    bool failed;
    error failure;
    bool busy;                   /* the store or a thread works for it */
    void (*over)(void *context); /* it was cancelled */
    bool cancelled;
};

static void free_walk(walk *w) {
    arena_wipe_free(w->opened);
    arena_wipe_free(w->heads);
    arena_free(w->sealed);
    slots_give(keyring_slots(w->pool->keyring), w->key);
    keyring_give_back(w->vault);
    memory_free(w);
}

static void finish(walk *w, const error *failure) {
    error copy = failure == NULL ? (error){0} : *failure;
    const walk_kind *kind = w->kind;
    void *context = w->context;
    void (*over)(void *context) = w->over;
    bool cancelled = w->cancelled;
    free_walk(w);
    if (!cancelled) {
        kind->done(context, failure == NULL ? NULL : &copy);
    } else if (over != NULL) {
        over(context);
    }
}

static void read_heads(walk *w);
static void read_turns(walk *w);

static void next_conversation(walk *w) {
    w->row++;
    w->begins = true;
    w->after = 0;
    if (w->row < w->row_count) {
        read_turns(w);
    } else if (w->has_more) {
        read_heads(w);
    } else {
        finish(w, NULL);
    }
}

/* In a thread. */
static bool open_head(walk *w, const head_row *row) {
    conversation_head head = {0};
    bool opened = conversation_open_head(w->vault->data_key, w->vault->user_id, row->id, row->sealed,
                                         w->opened, &head, &w->failure);
    if (opened) {
        memcpy(w->key, head.key, sizeof head.key);
        opened = arena_copy(w->heads, head.title, &w->title) || error_memory(&w->failure);
    }
    secret_wipe(head.key, sizeof head.key);
    return opened;
}

static bool open_turns(walk *w) {
    w->read_turns = arena_allocate_array(w->opened, w->turn_count + 1, sizeof *w->read_turns);
    w->turn_ids = arena_allocate_array(w->opened, w->turn_count + 1, sizeof *w->turn_ids);
    if (w->read_turns == NULL || w->turn_ids == NULL) {
        return error_memory(&w->failure);
    }
    for (size_t i = 0; i < w->turn_count; i++) {
        memcpy(w->turn_ids[i], w->turns[i].id, sizeof w->turn_ids[i]);
        if (!conversation_open_turn(w->key, w->vault->user_id, w->turns[i].id, w->turns[i].sealed, w->opened,
                                    &w->read_turns[i], &w->failure)) {
            return record_name(&w->failure, "conversation", w->rows[w->row].id);
        }
    }
    return true;
}

static bool is_last_page(const walk *w) {
    return w->turn_count == 0 || w->turns[w->turn_count - 1].number >= w->rows[w->row].latest;
}

static void read_page(void *argument) {
    walk *w = argument;
    const head_row *row = &w->rows[w->row];
    w->failed = (w->begins && !open_head(w, row)) || !open_turns(w);
    if (!w->failed) {
        walk_page page = {.title = w->title,
                          .changed_ms = row->changed_ms,
                          .begins = w->begins,
                          .ends = is_last_page(w),
                          .turn_ids = (const uint8_t(*)[STORE_JOB_ID_SIZE])w->turn_ids,
                          .turns = w->read_turns,
                          .count = w->turn_count};
        memcpy(page.id, row->id, sizeof page.id);
        w->failed = !w->kind->read(w->context, &page, &w->failure);
    }
    arena_wipe(w->opened);
}

static void go_on(walk *w) {
    if (w->was_last) {
        next_conversation(w);
    } else {
        w->begins = false;
        read_turns(w);
    }
}

/* What was read isn't kept while somebody takes his time with it. */
static void leave_page(walk *w) {
    w->was_last = is_last_page(w);
    w->after = w->turn_count == 0 ? w->after : w->turns[w->turn_count - 1].number;
    w->turn_count = 0;
    arena_reset(w->sealed);
}

static void page_read(void *argument) {
    walk *w = argument;
    w->busy = false;
    if (w->cancelled || w->failed) {
        finish(w, w->failed ? &w->failure : NULL);
        return;
    }
    leave_page(w);
    switch (w->kind->next(w->context)) {
    case WALK_ON:
        go_on(w);
        return;
    case WALK_LEAVE:
        next_conversation(w);
        return;
    case WALK_WAIT:
        return;
    case WALK_END:
        finish(w, NULL);
        return;
    }
}

void walk_resume(walk *w) {
    go_on(w);
}

static bool copy_turns(walk *w, const store_turn *turns, size_t count) {
    arena_reset(w->sealed);
    w->turn_count = count;
    w->turns = store_turns_copy(w->sealed, turns, count);
    return w->turns != NULL;
}

static void turns_listed(void *context, const store_turn *turns, size_t count, const error *failure) {
    walk *w = context;
    error err = {0};
    w->busy = false;
    if (w->cancelled) {
        finish(w, NULL);
    } else if (failure != NULL && failure->code == ERROR_NOT_FOUND && !w->one) {
        next_conversation(w); /* deleted meanwhile */
    } else if (failure != NULL) {
        finish(w, failure);
    } else if (!copy_turns(w, turns, count)) {
        error_memory(&err);
        finish(w, &err);
    } else if (!ev_work(w->pool->loop, read_page, page_read, w, &err)) {
        finish(w, &err);
    } else {
        w->busy = true;
    }
}

static void read_turns(walk *w) {
    error err = {0};
    w->busy = store_turn_list(w->pool->store, w->vault->user_id, w->rows[w->row].id, w->after, TURNS_MAX,
                              turns_listed, w, &err);
    if (!w->busy) {
        finish(w, &err);
    }
}

static bool copy_heads(walk *w, const store_conversation *rows, size_t count) {
    arena_wipe(w->heads);
    w->title = (slice){0};
    w->rows = arena_allocate_array(w->heads, count + 1, sizeof *w->rows);
    for (size_t i = 0; w->rows != NULL && i < count; i++) {
        head_row *row = &w->rows[i];
        row->latest = rows[i].latest;
        row->changed_ms = rows[i].changed_ms;
        memcpy(row->id, rows[i].id, sizeof row->id);
        if (!arena_copy(w->heads, rows[i].head, &row->sealed)) {
            return false;
        }
    }
    w->row = 0;
    w->row_count = count;
    w->begins = true;
    w->after = 0;
    return w->rows != NULL;
}

static void heads_read(walk *w, const store_conversation *rows, size_t count, const error *failure) {
    error err = {0};
    w->busy = false;
    if (w->cancelled) {
        finish(w, NULL);
    } else if (failure != NULL) {
        finish(w, failure);
    } else if (!copy_heads(w, rows, count)) {
        error_memory(&err);
        finish(w, &err);
    } else if (count == 0) {
        finish(w, NULL);
    } else {
        w->before = rows[count - 1].latest;
        read_turns(w);
    }
}

static void heads_listed(void *context, const store_conversation *rows, size_t count, const error *failure) {
    walk *w = context;
    w->has_more = count == HEADS_MAX;
    heads_read(w, rows, count, failure);
}

static void head_found(void *context, const store_conversation *found, const error *failure) {
    heads_read(context, found, found == NULL ? 0 : 1, failure);
}

static void read_heads(walk *w) {
    error err = {0};
    w->busy = store_conversation_list(w->pool->store, w->vault->user_id, w->before, HEADS_MAX, heads_listed,
                                      w, &err);
    if (!w->busy) {
        finish(w, &err);
    }
}

static bool make_parts(walk *w, error *err) {
    w->heads = arena_new(HEADS_MEMORY);
    w->sealed = arena_new(PAGE_MEMORY);
    w->opened = arena_new(PAGE_MEMORY);
    if (w->heads == NULL || w->sealed == NULL || w->opened == NULL) {
        return error_memory(err);
    }
    w->key = slots_take(keyring_slots(w->pool->keyring), err);
    return w->key != NULL;
}

walk *walk_start(pool *p, open_vault *v, const uint8_t *conversation, const walk_kind *kind, void *context,
                 error *err) {
    walk *w = memory_allocate_zeroed(1, sizeof *w);
    if (w == NULL) {
        error_memory(err);
        return NULL;
    }
    *w = (walk){.pool = p, .vault = v, .kind = kind, .context = context, .one = conversation != NULL};
    keyring_hold(v);
    bool started = make_parts(w, err);
    started = started &&
              (w->one ? store_conversation_get(p->store, v->user_id, conversation, head_found, w, err)
                      : store_conversation_list(p->store, v->user_id, 0, HEADS_MAX, heads_listed, w, err));
    if (!started) {
        free_walk(w);
        return NULL;
    }
    w->busy = true;
    return w;
}

void walk_cancel(walk *w, void (*over)(void *context)) {
    w->cancelled = true;
    w->over = over;
    if (!w->busy) {
        finish(w, NULL);
    }
}
