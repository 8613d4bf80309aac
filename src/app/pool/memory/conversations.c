#include "memory/conversations.h"

#include "codec/json.h"
#include "crypto/hash.h"
#include "crypto/secret.h"
#include "memory/conversation.h"
#include "memory/task.h"
#include "os/clock.h"
#include "reply.h"
#include "store/conversations.h"

enum { LIST_DEFAULT = 20, LIST_MAX = 100, HEAD_MEMORY = 64 * 1024, BODY_DEPTH = 4, BODY_VALUES = 16 };

static void write_identity(json_writer *w, const store_conversation *found, slice title) {
    char id[2 * STORE_CONVERSATION_ID_SIZE + 1];
    hex_encode(slice_of(found->id, sizeof found->id), id);
    json_add_text(w, "id", slice_of_text(id));
    json_add_text(w, "title", title);
    json_add_u64(w, "turns", found->turns);
    json_add_u64(w, "bytes", found->bytes);
    json_add_u64(w, "changed_ms", found->changed_ms);
}

static bool write_one(json_writer *w, const memory_task *t, const store_conversation *found, arena *memory,
                      error *err) {
    conversation_head head = {0};
    arena_wipe(memory);
    if (!conversation_open_head(t->vault->data_key, t->user_id, found->id, found->head, memory, &head, err)) {
        return false;
    }
    json_write_object_begin(w);
    write_identity(w, found, head.title);
    json_add_u64(w, "cursor", found->latest);
    json_write_object_end(w);
    secret_wipe(head.key, sizeof head.key);
    return true;
}

static void listed(void *context, const store_conversation *rows, size_t count, const error *failure) {
    memory_task *t = context;
    error err = failure == NULL ? (error){0} : *failure;
    reply_json answer;
    arena *memory = failure == NULL ? arena_new(HEAD_MEMORY) : NULL;
    bool written = memory != NULL || (failure == NULL && error_memory(&err));
    size_t limit = t->limit;
    reply_list_begin(&answer, "conversations");
    for (size_t i = 0; written && i < count && i < limit; i++) {
        written = write_one(&answer.w, t, &rows[i], memory, &err);
    }
    arena_wipe_free(memory);
    if (!written) {
        buffer_wipe(&answer.body);
        memory_task_fail(t, "conversation", &err);
        return;
    }
    http_request *request = memory_task_end(t);
    if (request != NULL) {
        reply_list_end(&answer, request, count > limit);
    } else {
        buffer_wipe(&answer.body);
    }
}

static void list(pool *p, http_request *request, const account *who, slice segment, open_vault *v) {
    error err = {0};
    reply_json answer;
    size_t limit = 0;
    uint64_t after = 0;
    (void)who;
    (void)segment;
    if (!memory_query_limit(request, LIST_DEFAULT, LIST_MAX, &limit) ||
        !memory_query_number(request, "after", 0, INT64_MAX, &after)) {
        return;
    }
    if (v == NULL) {
        reply_list_begin(&answer, "conversations");
        reply_list_end(&answer, request, false);
        return;
    }
    memory_task *t = memory_task_new(p, request, v);
    if (t == NULL) {
        return;
    }
    t->limit = limit;
    t->after = after;
    if (!store_conversation_list(p->store, v->user_id, t->after, t->limit + 1, listed, t, &err)) {
        memory_task_fail(t, "conversation", &err);
    }
}

void conversations_list(pool *p, http_request *request, const account *who, slice segment) {
    memory_enter(p, request, who, segment, MEMORY_IF_ANY, list);
}

static void done(void *context, const error *failure) {
    memory_task *t = context;
    if (failure != NULL) {
        memory_task_fail(t, "conversation", failure);
        return;
    }
    http_request *request = memory_task_end(t);
    if (request != NULL) {
        reply_done(request);
    }
}

static void delete_it(pool *p, http_request *request, const account *who, slice segment, open_vault *v) {
    error err = {0};
    (void)who;
    memory_task *t = memory_task_about(p, request, segment, "conversation", v);
    if (t != NULL && !store_conversation_delete(p->store, t->user_id, t->id, done, t, &err)) {
        memory_task_fail(t, "conversation", &err);
    }
}

void conversation_delete(pool *p, http_request *request, const account *who, slice id) {
    memory_enter(p, request, who, id, MEMORY_IF_ANY, delete_it);
}

/* The same head with another title. */
static bool seal_renamed(memory_task *t, slice title, buffer *sealed, error *err) {
    conversation_head head = {.title = title};
    memcpy(head.key, t->key, sizeof head.key);
    bool done_so =
        conversation_seal_head(t->vault->data_key, t->user_id, t->id, clock_unix_ms(), &head, sealed, err);
    secret_wipe(head.key, sizeof head.key);
    return done_so;
}

static void renamed_head_found(void *context, const store_conversation *found, const error *failure) {
    memory_task *t = context;
    error err = failure == NULL ? (error){0} : *failure;
    slice title = t->title;
    buffer sealed = buffer_make(STORE_HEAD_MAX);
    if (t->request == NULL) {
        memory_task_end(t);
    } else if (failure != NULL || !memory_task_open_head(t, found, &err) ||
               !seal_renamed(t, title, &sealed, &err) ||
               !store_conversation_set_head(t->pool->store, t->user_id, t->id, buffer_slice(&sealed), done, t,
                                            &err)) {
        memory_task_fail(t, "conversation", &err);
    }
    buffer_free(&sealed);
}

static bool read_title(pool *p, http_request *request, slice *title, error *err) {
    json_value *root = json_parse(
        http_request_body(request),
        (json_limits){.size = p->settings.body_limit, .depth = BODY_DEPTH, .values = BODY_VALUES}, err);
    bool read = root != NULL && json_get_text(root, "title", title, err) &&
                (conversation_title_is_valid(*title) ||
                 error_set(err, ERROR_INVALID,
                           "title: must be 1 to %d bytes without line breaks or other control characters",
                           (int)CONVERSATION_TITLE_MAX)) &&
                (arena_copy(http_request_arena(request), *title, title) || error_memory(err));
    json_free(root);
    return read;
}

static void rename_it(pool *p, http_request *request, const account *who, slice segment, open_vault *v) {
    error err = {0};
    slice title;
    (void)who;
    if (!read_title(p, request, &title, &err)) {
        reply_unreadable(request, "title", &err);
        return;
    }
    memory_task *t = memory_task_about(p, request, segment, "conversation", v);
    if (t == NULL) {
        return;
    }
    t->title = title;
    if (!store_conversation_get(p->store, t->user_id, t->id, renamed_head_found, t, &err)) {
        memory_task_fail(t, "conversation", &err);
    }
}

void conversation_rename(pool *p, http_request *request, const account *who, slice id) {
    memory_enter(p, request, who, id, MEMORY_IF_ANY, rename_it);
}
