#include "memory/task.h"

#include "base/arena.h"
#include "base/memory.h"
#include "codec/form.h"
#include "crypto/hash.h"
#include "crypto/secret.h"
#include "memory/conversation.h"
#include "reply.h"

enum { HEAD_MEMORY = 64 * 1024 }; /* of one, opened */

static void client_left(void *context) {
    ((memory_task *)context)->request = NULL;
}

memory_task *memory_task_new(pool *p, http_request *request, open_vault *v) {
    error err = {0};
    memory_task *t = memory_allocate_zeroed(1, sizeof *t);
    if (t == NULL) {
        reply_out_of_memory(request);
        return NULL;
    }
    if (!keyring_hold_for_request(v, &err)) {
        memory_free(t);
        reply_failure(request, &err);
        return NULL;
    }
    t->pool = p;
    t->request = request;
    t->vault = v;
    t->user_id = v->user_id;
    http_request_on_closed(request, client_left, t);
    return t;
}

memory_task *memory_task_about(pool *p, http_request *request, slice segment, const char *what,
                               open_vault *v) {
    uint8_t id[RECORD_ID_SIZE];
    if (v == NULL) {
        memory_not_found(request, what);
        return NULL;
    }
    if (!memory_read_id(request, segment, what, id)) {
        return NULL;
    }
    memory_task *t = memory_task_new(p, request, v);
    if (t != NULL) {
        memcpy(t->id, id, sizeof t->id);
    }
    return t;
}

bool memory_task_open_head(memory_task *t, const store_conversation *found, error *err) {
    conversation_head head = {0};
    arena *memory = arena_new(HEAD_MEMORY);
    t->key = slots_take(keyring_slots(t->pool->keyring), err);
    bool taken =
        t->key != NULL && (memory != NULL || error_memory(err)) &&
        conversation_open_head(t->vault->data_key, t->user_id, t->id, found->head, memory, &head, err);
    if (taken) {
        memcpy(t->key, head.key, sizeof head.key);
        t->last = found->latest;
        taken = arena_copy(http_request_arena(t->request), head.title, &t->title) || error_memory(err);
    }
    secret_wipe(head.key, sizeof head.key);
    arena_wipe_free(memory);
    return taken;
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

bool memory_query_number(http_request *request, const char *name, uint64_t fallback, uint64_t most,
                         uint64_t *number) {
    slice text = {0};
    error ignored = {0};
    *number = fallback;
    if (!form_get(http_request_query(request), name, http_request_arena(request), &text, &ignored) ||
        (text.length > 0 && !slice_to_u64(text, number))) {
        reply_error(request, 400, name, NULL, "%s: one whole number, not negative; leave it out for the %s",
                    name, strcmp(name, "limit") == 0 ? "usual one" : "beginning");
        return false;
    }
    *number = *number < most ? *number : most;
    return true;
}

bool memory_query_limit(http_request *request, uint64_t fallback, uint64_t most, size_t *limit) {
    uint64_t number = 0;
    if (!memory_query_number(request, "limit", fallback, most, &number)) {
        return false;
    }
    *limit = number == 0 ? 1 : (size_t)number;
    return true;
}
