#include "memory/facts.h"

#include "base/arena.h"
#include "base/memory.h"
#include "codec/form.h"
#include "codec/json.h"
#include "crypto/hash.h"
#include "index_internal.h"
#include "memory/fact_find.h"
#include "reply.h"

enum {
    LIST_DEFAULT = 20,
    LIST_MAX = 100,
    PAGE_MEMORY = 8 * 1024 * 1024,
    ONE_MEMORY = 128 * 1024, /* of a fact, sealed or opened */
    BODY_DEPTH = 4,
    BODY_VALUES = 16
};

static const char what[] = "fact";

void fact_write_json(json_writer *w, const uint8_t id[RECORD_ID_SIZE], const fact *f) {
    char hex[FACT_ID_HEX_SIZE];
    hex_encode(slice_of(id, RECORD_ID_SIZE), hex);
    json_add_text(w, "id", slice_of_text(hex));
    json_add_text(w, "text", f->text);
    json_add_u64(w, "created_ms", f->created_ms);
    if (f->source.length == RECORD_ID_SIZE) {
        hex_encode(f->source, hex);
        json_add_text(w, "conversation", slice_of_text(hex));
    }
}

/* -- a page of them, opened beside the loop -- */

typedef struct listing {
    memory_task *task;
    arena *memory;
    store_fact *rows;
    size_t count;
    bool has_more;
    reply_json answer;
    bool failed;
    error failure;
} listing;

static void end_listing(listing *l, const error *failure) {
    error copy = failure == NULL ? (error){0} : *failure;
    memory_task *t = l->task;
    arena_wipe_free(l->memory);
    if (failure != NULL || t->request == NULL) {
        buffer_wipe(&l->answer.body);
        memory_task_fail(t, what, &copy);
    } else {
        reply_list_end(&l->answer, memory_task_end(t), l->has_more);
    }
    memory_free(l);
}

/* In a thread. */
static void open_rows(void *argument) {
    listing *l = argument;
    const open_vault *v = l->task->vault;
    for (size_t i = 0; i < l->count && !l->failed; i++) {
        fact f;
        l->failed =
            !fact_open(v->data_key, v->user_id, l->rows[i].id, l->rows[i].sealed, l->memory, &f, &l->failure);
        if (!l->failed) {
            json_write_object_begin(&l->answer.w);
            fact_write_json(&l->answer.w, l->rows[i].id, &f);
            json_add_u64(&l->answer.w, "changed_ms", l->rows[i].changed_ms);
            json_write_object_end(&l->answer.w);
        }
    }
}

static void rows_opened(void *argument) {
    listing *l = argument;
    end_listing(l, l->failed ? &l->failure : NULL);
}

static void listed(void *context, const store_fact *facts, size_t count, const error *failure) {
    listing *l = context;
    error err = {0};
    size_t limit = l->task->limit;
    if (failure != NULL) {
        end_listing(l, failure);
        return;
    }
    l->has_more = count > limit;
    l->count = count < limit ? count : limit;
    l->rows = index_copy_page(l->memory, facts, l->count);
    if (l->rows == NULL) {
        error_memory(&err);
        end_listing(l, &err);
    } else if (!ev_work(l->task->pool->loop, open_rows, rows_opened, l, &err)) {
        end_listing(l, &err);
    }
}

/* ?after=ID. False: that isn't one, and it was answered. */
static bool read_after(http_request *request, uint8_t id[RECORD_ID_SIZE], bool *given) {
    slice text = {0};
    error err = {0};
    bool read = form_get(http_request_query(request), "after", http_request_arena(request), &text, &err);
    *given = text.length > 0;
    if (!read || (*given && !hex_decode(text, id, RECORD_ID_SIZE))) {
        reply_error(request, 400, "after", NULL, "after: the id of the fact that the last page ended with");
        return false;
    }
    return true;
}

static void list(pool *p, http_request *request, const account *who, slice segment, open_vault *v) {
    error err = {0};
    uint8_t after[RECORD_ID_SIZE];
    bool is_later = false;
    size_t limit = 0;
    reply_json answer;
    (void)who;
    (void)segment;
    if (!read_after(request, after, &is_later) ||
        !memory_query_limit(request, LIST_DEFAULT, LIST_MAX, &limit)) {
        return;
    }
    if (v == NULL) {
        reply_list_begin(&answer, "facts");
        reply_list_end(&answer, request, false);
        return;
    }
    listing *l = memory_allocate_zeroed(1, sizeof *l);
    arena *memory = l == NULL ? NULL : arena_new(PAGE_MEMORY);
    if (memory == NULL) {
        memory_free(l);
        reply_out_of_memory(request);
        return;
    }
    l->memory = memory;
    l->task = memory_task_new(p, request, v);
    if (l->task == NULL) {
        arena_free(memory);
        memory_free(l);
        return;
    }
    reply_list_begin(&l->answer, "facts");
    l->task->limit = limit;
    if (!store_fact_list(p->store, v->user_id, is_later ? after : NULL, l->task->limit + 1, listed, l,
                         &err)) {
        end_listing(l, &err);
    }
}

void facts_list(pool *p, http_request *request, const account *who, slice segment) {
    memory_enter(p, request, who, segment, MEMORY_IF_ANY, list);
}

/* -- one of them -- */

static void ask_for(memory_task *t, store_facts_listed *done) {
    error err = {0};
    if (!fact_ask(t->pool, t->user_id, t->id, done, t, &err)) {
        memory_task_fail(t, what, &err);
    }
}

/* What the store has found for the task, opened. NULL: it isn't there, or can't be opened. */
static arena *open_found(const memory_task *t, const store_fact *facts, size_t count, fact *f, error *err) {
    if (count == 0 || memcmp(facts[0].id, t->id, sizeof t->id) != 0) {
        error_set(err, ERROR_NOT_FOUND, "no such fact");
        return NULL;
    }
    arena *memory = arena_new(ONE_MEMORY);
    if (memory == NULL) {
        error_memory(err);
        return NULL;
    }
    if (!fact_open(t->vault->data_key, t->user_id, t->id, facts[0].sealed, memory, f, err)) {
        arena_wipe_free(memory);
        return NULL;
    }
    return memory;
}

static void reply_fact(http_request *request, const uint8_t id[RECORD_ID_SIZE], const fact *f) {
    reply_json answer;
    reply_json_begin(&answer);
    json_write_object_begin(&answer.w);
    json_add_text(&answer.w, "object", SLICE_LITERAL("cellule.fact"));
    fact_write_json(&answer.w, id, f);
    json_write_object_end(&answer.w);
    reply_json_end(&answer, request, 200);
}

static void shown(void *context, const store_fact *facts, size_t count, const error *failure) {
    memory_task *t = context;
    error err = failure == NULL ? (error){0} : *failure;
    fact f;
    arena *memory = failure == NULL ? open_found(t, facts, count, &f, &err) : NULL;
    uint8_t id[RECORD_ID_SIZE];
    memcpy(id, t->id, sizeof id);
    if (memory == NULL) {
        memory_task_fail(t, what, &err);
        return;
    }
    http_request *request = memory_task_end(t);
    if (request != NULL) {
        reply_fact(request, id, &f);
    }
    arena_wipe_free(memory);
}

static void show(pool *p, http_request *request, const account *who, slice segment, open_vault *v) {
    (void)who;
    memory_task *t = memory_task_about(p, request, segment, what, v);
    if (t != NULL) {
        ask_for(t, shown);
    }
}

void fact_show(pool *p, http_request *request, const account *who, slice id) {
    memory_enter(p, request, who, id, MEMORY_IF_ANY, show);
}

/* -- written -- */

static bool read_text(pool *p, http_request *request, slice *text, error *err) {
    json_value *root = json_parse(
        http_request_body(request),
        (json_limits){.size = p->settings.body_limit, .depth = BODY_DEPTH, .values = BODY_VALUES}, err);
    bool read = root != NULL && json_get_text(root, "text", text, err) &&
                (fact_text_is_valid(*text) ||
                 error_set(err, ERROR_INVALID, "text: 1 to %d bytes", (int)FACT_TEXT_MAX)) &&
                (arena_copy(http_request_arena(request), *text, text) || error_memory(err));
    json_free(root);
    return read;
}

/* `title` is the text, which lives as long as the request: with the client it is gone. */
static void written(void *context, const uint8_t id[RECORD_ID_SIZE], uint64_t created_ms,
                    const error *failure) {
    memory_task *t = context;
    if (failure != NULL) {
        memory_task_fail(t, what, failure);
        return;
    }
    fact f = {.created_ms = created_ms, .text = t->title};
    http_request *request = memory_task_end(t);
    if (request != NULL) {
        reply_fact(request, id, &f);
    }
}

static void add(pool *p, http_request *request, const account *who, slice segment, open_vault *v) {
    error err = {0};
    slice text;
    (void)who;
    (void)segment;
    if (!read_text(p, request, &text, &err)) {
        reply_unreadable(request, "text", &err);
        return;
    }
    memory_task *t = memory_task_new(p, request, v);
    if (t == NULL) {
        return;
    }
    t->title = text;
    new_fact f = {.text = text};
    if (!fact_write(p, v, &f, written, t, &err)) {
        memory_task_fail(t, what, &err);
    }
}

void fact_add(pool *p, http_request *request, const account *who, slice segment) {
    memory_enter(p, request, who, segment, MEMORY_MADE, add);
}

static void edited_found(void *context, const store_fact *facts, size_t count, const error *failure) {
    memory_task *t = context;
    error err = failure == NULL ? (error){0} : *failure;
    fact before;
    if (t->request == NULL) {
        memory_task_end(t);
        return;
    }
    arena *memory = failure == NULL ? open_found(t, facts, count, &before, &err) : NULL;
    new_fact f = {.edits = true, .text = t->title};
    memcpy(f.id, t->id, sizeof f.id);
    if (memory != NULL) {
        f.created_ms = before.created_ms;
        f.source = before.source;
    }
    if (memory == NULL || !fact_write(t->pool, t->vault, &f, written, t, &err)) {
        memory_task_fail(t, what, &err);
    }
    arena_wipe_free(memory);
}

static void edit(pool *p, http_request *request, const account *who, slice segment, open_vault *v) {
    error err = {0};
    slice text;
    (void)who;
    if (!read_text(p, request, &text, &err)) {
        reply_unreadable(request, "text", &err);
        return;
    }
    memory_task *t = memory_task_about(p, request, segment, what, v);
    if (t != NULL) {
        t->title = text;
        ask_for(t, edited_found);
    }
}

void fact_edit(pool *p, http_request *request, const account *who, slice id) {
    memory_enter(p, request, who, id, MEMORY_IF_ANY, edit);
}

/* -- forgotten -- */

static void forgotten(void *context, const error *failure) {
    memory_task *t = context;
    if (failure != NULL) {
        memory_task_fail(t, what, failure);
        return;
    }
    if (!t->vault->closed && t->vault->attached != NULL) {
        index_remove(t->vault->attached, t->id);
    }
    http_request *request = memory_task_end(t);
    if (request != NULL) {
        reply_done(request);
    }
}

static void forget(pool *p, http_request *request, const account *who, slice segment, open_vault *v) {
    error err = {0};
    (void)who;
    memory_task *t = memory_task_about(p, request, segment, what, v);
    if (t != NULL && !store_fact_delete(p->store, t->user_id, t->id, forgotten, t, &err)) {
        memory_task_fail(t, what, &err);
    }
}

void fact_forget(pool *p, http_request *request, const account *who, slice id) {
    memory_enter(p, request, who, id, MEMORY_IF_ANY, forget);
}
