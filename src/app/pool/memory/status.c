#include "base/memory.h"
#include "codec/json.h"
#include "index_internal.h"
#include "memory/facts.h"
#include "reply.h"

typedef struct status {
    memory_task *task;
    index_look look;
} status;

static void reply_status(pool *p, http_request *request, size_t facts, size_t embedded) {
    reply_json answer;
    reply_json_begin(&answer);
    json_write_object_begin(&answer.w);
    json_add_text(&answer.w, "object", SLICE_LITERAL("cellule.memory"));
    json_add_u64(&answer.w, "facts", facts);
    json_write_key(&answer.w, "embedding");
    json_write_object_begin(&answer.w);
    json_add_text(&answer.w, "model", index_target(p));
    json_add_u64(&answer.w, "done", embedded);
    json_add_u64(&answer.w, "of", facts);
    json_write_object_end(&answer.w);
    json_write_object_end(&answer.w);
    reply_json_end(&answer, request, 200);
}

static void looked(index_look *l, const error *failure) {
    status *s = LIST_ENTRY(l, status, look);
    memory_task *t = s->task;
    size_t facts = l->facts;
    size_t embedded = l->embedded;
    pool *p = t->pool;
    memory_free(s);
    if (failure != NULL) {
        memory_task_fail(t, "fact", failure);
        return;
    }
    http_request *request = memory_task_end(t);
    if (request != NULL) {
        reply_status(p, request, facts, embedded);
    }
}

static void look(pool *p, http_request *request, const account *who, slice segment, open_vault *v) {
    error err = {0};
    (void)who;
    (void)segment;
    if (v == NULL) {
        reply_status(p, request, 0, 0);
        return;
    }
    memory_task *t = memory_task_new(p, request, v);
    if (t == NULL) {
        return;
    }
    fact_index *x = index_of(p, v, &err);
    status *s = x == NULL ? NULL : memory_allocate_zeroed(1, sizeof *s);
    if (s == NULL) {
        error_memory(&err);
        memory_task_fail(t, "fact", &err);
        return;
    }
    s->task = t;
    s->look.done = looked;
    index_look_start(x, &s->look);
}

void memory_status(pool *p, http_request *request, const account *who, slice segment) {
    memory_enter(p, request, who, segment, MEMORY_IF_ANY, look);
}
