#include "memory/task.h"

#include "base/memory.h"
#include "codec/form.h"
#include "crypto/hash.h"
#include "reply.h"

static void client_left(void *context) {
    ((memory_task *)context)->request = NULL;
}

memory_task *memory_task_new(pool *p, http_request *request, open_vault *v) {
    memory_task *t = memory_allocate_zeroed(1, sizeof *t);
    if (t == NULL) {
        reply_out_of_memory(request);
        return NULL;
    }
    t->pool = p;
    t->request = request;
    t->vault = v;
    t->user_id = v->user_id;
    keyring_hold(v);
    http_request_on_closed(request, client_left, t);
    return t;
}

http_request *memory_task_end(memory_task *t) {
    http_request *request = t->request;
    if (request != NULL) {
        http_request_on_closed(request, NULL, NULL);
    }
    slots_give(keyring_slots(t->pool->keyring), t->key);
    keyring_give_back(t->vault);
    memory_free(t);
    return request;
}

void memory_not_found(http_request *request, const char *what) {
    reply_error(request, 404, NULL, "not_found", "you have no such %s; the list shows those you have", what);
}

void memory_task_fail(memory_task *t, const char *what, const error *failure) {
    http_request *request = memory_task_end(t);
    if (request != NULL && failure->code == ERROR_NOT_FOUND) {
        memory_not_found(request, what);
    } else if (request != NULL) {
        reply_failure(request, failure);
    }
}

bool memory_read_id(http_request *request, slice segment, const char *what, uint8_t id[RECORD_ID_SIZE]) {
    if (!hex_decode(segment, id, RECORD_ID_SIZE)) {
        memory_not_found(request, what);
        return false;
    }
    return true;
}

uint64_t memory_query_number(http_request *request, const char *name, uint64_t fallback, uint64_t most) {
    slice text = {0};
    uint64_t number = 0;
    error ignored = {0};
    if (!form_get(http_request_query(request), name, http_request_arena(request), &text, &ignored) ||
        !slice_to_u64(text, &number)) {
        number = fallback;
    }
    return number < most ? number : most;
}
