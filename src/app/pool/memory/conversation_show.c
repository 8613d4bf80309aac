#include "base/arena.h"
#include "base/memory.h"
#include "codec/json.h"
#include "crypto/hash.h"
#include "memory/conversation.h"
#include "memory/conversations.h"
#include "memory/task.h"
#include "reply.h"

enum {
    TURNS_DEFAULT = 50,
    TURNS_MAX = 200,
    PAGE_MEMORY = 64 * 1024 * 1024 /* beyond all that a page holds, sealed or opened */
};

static const char what[] = "conversation";

/* A page of turns, opened beside the loop: one of them may be of several MiB. */
typedef struct showing {
    memory_task *task;
    arena *sealed;
    arena *opened; /* one turn at a time */
    store_turn *turns;
    size_t count;
    reply_json answer;
    bool failed;
    error failure;
} showing;

static void end_showing(showing *s, const error *failure) {
    error copy = failure == NULL ? (error){0} : *failure;
    memory_task *t = s->task;
    arena_wipe_free(s->opened);
    arena_free(s->sealed);
    if (failure != NULL || t->request == NULL) {
        buffer_wipe(&s->answer.body);
        memory_task_fail(t, what, &copy);
    } else {
        reply_json_end(&s->answer, memory_task_end(t), 200);
    }
    memory_free(s);
}

static bool write_turn(showing *s, const store_turn *row) {
    const memory_task *t = s->task;
    conversation_turn turn;
    buffer object = buffer_make(PAGE_MEMORY);
    arena_wipe(s->opened);
    if (!conversation_open_turn(t->key, t->user_id, row->id, row->sealed, s->opened, &turn, &s->failure)) {
        return false;
    }
    conversation_write_json(row->id, &turn, &object);
    json_write_raw(&s->answer.w, buffer_slice(&object));
    bool whole = !buffer_failed(&object);
    buffer_wipe(&object);
    return whole || error_memory(&s->failure);
}

/* In a thread. */
static void open_turns(void *argument) {
    showing *s = argument;
    for (size_t i = 0; i < s->count && !s->failed; i++) {
        s->failed = !write_turn(s, &s->turns[i]);
    }
}

static void turns_opened(void *argument) {
    showing *s = argument;
    json_writer *w = &s->answer.w;
    uint64_t last = s->task->last;
    uint64_t cursor = s->count == 0 ? last : s->turns[s->count - 1].number;
    json_write_array_end(w);
    json_add_u64(w, "cursor", cursor);
    json_add_bool(w, "has_more", cursor < last);
    json_write_object_end(w);
    end_showing(s, s->failed ? &s->failure : NULL);
}

static void begin_answer(showing *s) {
    const memory_task *t = s->task;
    json_writer *w = &s->answer.w;
    char id[2 * RECORD_ID_SIZE + 1];
    hex_encode(slice_of(t->id, sizeof t->id), id);
    json_write_object_begin(w);
    json_add_text(w, "object", SLICE_LITERAL("cellule.conversation"));
    json_add_text(w, "id", slice_of_text(id));
    json_add_text(w, "title", t->title);
    json_write_key(w, "turns");
    json_write_array_begin(w);
}

static void turns_listed(void *context, const store_turn *turns, size_t count, const error *failure) {
    showing *s = context;
    error err = {0};
    if (failure != NULL || s->task->request == NULL) {
        end_showing(s, failure);
        return;
    }
    begin_answer(s);
    s->count = count;
    s->turns = store_turns_copy(s->sealed, turns, count);
    if (s->turns == NULL) {
        error_memory(&err);
        end_showing(s, &err);
    } else if (!ev_work(s->task->pool->loop, open_turns, turns_opened, s, &err)) {
        end_showing(s, &err);
    }
}

static void head_found(void *context, const store_conversation *found, const error *failure) {
    showing *s = context;
    memory_task *t = s->task;
    error err = {0};
    if (failure != NULL || t->request == NULL) {
        end_showing(s, failure);
    } else if (!memory_task_open_head(t, found, &err) ||
               !store_turn_list(t->pool->store, t->user_id, t->id, t->after, t->limit, turns_listed, s,
                                &err)) {
        end_showing(s, &err);
    }
}

/* NULL: memory is out, and that was answered. The task is its own from then on. */
static showing *showing_new(memory_task *t) {
    error err = {0};
    showing *s = memory_allocate_zeroed(1, sizeof *s);
    if (s == NULL) {
        error_memory(&err);
        memory_task_fail(t, what, &err);
        return NULL;
    }
    s->task = t;
    reply_json_begin(&s->answer);
    s->sealed = arena_new(PAGE_MEMORY);
    s->opened = arena_new(PAGE_MEMORY);
    if (s->sealed == NULL || s->opened == NULL) {
        error_memory(&err);
        end_showing(s, &err);
        return NULL;
    }
    return s;
}

static void show(pool *p, http_request *request, const account *who, slice segment, open_vault *v) {
    error err = {0};
    size_t limit = 0;
    uint64_t after = 0;
    (void)who;
    if (!memory_query_limit(request, TURNS_DEFAULT, TURNS_MAX, &limit) ||
        !memory_query_number(request, "after", 0, INT64_MAX, &after)) {
        return;
    }
    memory_task *t = memory_task_about(p, request, segment, what, v);
    if (t == NULL) {
        return;
    }
    t->limit = limit;
    t->after = after;
    showing *s = showing_new(t);
    if (s != NULL && !store_conversation_get(p->store, t->user_id, t->id, head_found, s, &err)) {
        end_showing(s, &err);
    }
}

void conversation_show(pool *p, http_request *request, const account *who, slice id) {
    memory_enter(p, request, who, id, MEMORY_IF_ANY, show);
}
