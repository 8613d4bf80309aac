#include "memory/conversations.h"

#include "codec/json.h"
#include "crypto/hash.h"
#include "crypto/secret.h"
#include "memory/conversation.h"
#include "memory/task.h"
#include "os/clock.h"
#include "reply.h"
#include "store/conversations.h"

enum {
    LIST_DEFAULT = 20,
    LIST_MAX = 100,
    TURNS_DEFAULT = 50,
    TURNS_MAX = 200,
    OPENED_LIMIT = 64 * 1024 * 1024, /* of a page, beyond all that one holds */
    BODY_DEPTH = 4,
    BODY_VALUES = 16
};

/* Decrypted text is wiped as soon as it is in the answer. */
static arena *opened_memory(error *err) {
    arena *memory = arena_new(OPENED_LIMIT);
    if (memory == NULL) {
        error_memory(err);
    }
    return memory;
}

static void wipe(arena *memory) {
    if (memory != NULL) {
        arena_wipe(memory);
    }
    arena_free(memory);
}

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
    arena *memory = failure == NULL ? opened_memory(&err) : NULL;
    bool written = memory != NULL;
    size_t limit = t->limit;
    reply_list_begin(&answer, "conversations");
    for (size_t i = 0; written && i < count && i < limit; i++) {
        written = write_one(&answer.w, t, &rows[i], memory, &err);
    }
    wipe(memory);
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

static size_t page_limit(http_request *request, uint64_t fallback, uint64_t most) {
    uint64_t limit = memory_query_number(request, "limit", fallback, most);
    return limit == 0 ? 1 : (size_t)limit;
}

static void list(pool *p, http_request *request, const account *who, slice segment, open_vault *v) {
    error err = {0};
    reply_json answer;
    (void)who;
    (void)segment;
    if (v == NULL) {
        reply_list_begin(&answer, "conversations");
        reply_list_end(&answer, request, false);
        return;
    }
    memory_task *t = memory_task_new(p, request, v);
    if (t == NULL) {
        return;
    }
    t->limit = page_limit(request, LIST_DEFAULT, LIST_MAX);
    t->after = memory_query_number(request, "after", 0, INT64_MAX);
    if (!store_conversation_list(p->store, v->user_id, t->after, t->limit + 1, listed, t, &err)) {
        memory_task_fail(t, "conversation", &err);
    }
}

void conversations_list(pool *p, http_request *request, const account *who, slice segment) {
    memory_enter(p, request, who, segment, MEMORY_IF_ANY, list);
}

static bool write_turns(const memory_task *t, json_writer *w, arena *memory, const store_turn *turns,
                        size_t count, error *err) {
    for (size_t i = 0; i < count; i++) {
        conversation_turn turn;
        arena_wipe(memory);
        if (!conversation_open_turn(t->key, t->user_id, turns[i].id, turns[i].sealed, memory, &turn, err)) {
            return false;
        }
        buffer object = buffer_make(OPENED_LIMIT);
        conversation_write_json(turns[i].id, &turn, &object);
        json_write_raw(w, buffer_slice(&object));
        bool whole = !buffer_failed(&object);
        buffer_wipe(&object);
        if (!whole) {
            return error_memory(err);
        }
    }
    return true;
}

/* Ends the task with what was written, or with why it wasn't. */
static void answer_with(memory_task *t, reply_json *answer, bool written, const error *failure) {
    if (!written) {
        buffer_wipe(&answer->body);
        memory_task_fail(t, "conversation", failure);
        return;
    }
    http_request *request = memory_task_end(t);
    if (request != NULL) {
        reply_json_end(answer, request, 200);
    } else {
        buffer_wipe(&answer->body);
    }
}

static void turns_listed(void *context, const store_turn *turns, size_t count, const error *failure) {
    memory_task *t = context;
    error err = failure == NULL ? (error){0} : *failure;
    reply_json answer;
    char id[2 * RECORD_ID_SIZE + 1];
    if (t->request == NULL) {
        memory_task_end(t);
        return;
    }
    arena *memory = failure == NULL ? opened_memory(&err) : NULL;
    hex_encode(slice_of(t->id, sizeof t->id), id);
    reply_json_begin(&answer);
    json_write_object_begin(&answer.w);
    json_add_text(&answer.w, "object", SLICE_LITERAL("cellule.conversation"));
    json_add_text(&answer.w, "id", slice_of_text(id));
    json_add_text(&answer.w, "title", t->title);
    json_write_key(&answer.w, "turns");
    json_write_array_begin(&answer.w);
    bool written = memory != NULL && write_turns(t, &answer.w, memory, turns, count, &err);
    json_write_array_end(&answer.w);
    uint64_t cursor = count == 0 ? t->last : turns[count - 1].number;
    json_add_u64(&answer.w, "cursor", cursor);
    json_add_bool(&answer.w, "has_more", cursor < t->last);
    json_write_object_end(&answer.w);
    wipe(memory);
    answer_with(t, &answer, written, &err);
}

/* The head's title and key go into the task. */
static bool take_head(memory_task *t, const store_conversation *found, error *err) {
    conversation_head head = {0};
    arena *memory = opened_memory(err);
    t->key = memory == NULL ? NULL : slots_take(keyring_slots(t->pool->keyring), err);
    bool taken = t->key != NULL && conversation_open_head(t->vault->data_key, t->user_id, t->id, found->head,
                                                          memory, &head, err);
    if (taken) {
        memcpy(t->key, head.key, sizeof head.key);
        t->last = found->latest;
        taken = arena_copy(http_request_arena(t->request), head.title, &t->title) || error_memory(err);
    }
    secret_wipe(head.key, sizeof head.key);
    wipe(memory);
    return taken;
}

static void shown_head_found(void *context, const store_conversation *found, const error *failure) {
    memory_task *t = context;
    error err = failure == NULL ? (error){0} : *failure;
    if (t->request == NULL) {
        memory_task_end(t);
    } else if (failure != NULL || !take_head(t, found, &err) ||
               !store_turn_list(t->pool->store, t->user_id, t->id, t->after, t->limit, turns_listed, t,
                                &err)) {
        memory_task_fail(t, "conversation", &err);
    }
}

/* A task about the conversation that the address names; NULL: it was answered. */
static memory_task *task_about(pool *p, http_request *request, slice segment, open_vault *v) {
    uint8_t id[RECORD_ID_SIZE];
    if (v == NULL) {
        memory_not_found(request, "conversation");
        return NULL;
    }
    if (!memory_read_id(request, segment, "conversation", id)) {
        return NULL;
    }
    memory_task *t = memory_task_new(p, request, v);
    if (t != NULL) {
        memcpy(t->id, id, sizeof t->id);
    }
    return t;
}

static void show(pool *p, http_request *request, const account *who, slice segment, open_vault *v) {
    error err = {0};
    (void)who;
    memory_task *t = task_about(p, request, segment, v);
    if (t == NULL) {
        return;
    }
    t->limit = page_limit(request, TURNS_DEFAULT, TURNS_MAX);
    t->after = memory_query_number(request, "after", 0, INT64_MAX);
    if (!store_conversation_get(p->store, t->user_id, t->id, shown_head_found, t, &err)) {
        memory_task_fail(t, "conversation", &err);
    }
}

void conversation_show(pool *p, http_request *request, const account *who, slice id) {
    memory_enter(p, request, who, id, MEMORY_IF_ANY, show);
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
    memory_task *t = task_about(p, request, segment, v);
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
    } else if (failure != NULL || !take_head(t, found, &err) || !seal_renamed(t, title, &sealed, &err) ||
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
                 error_set(err, ERROR_INVALID, "title: 1 to %d bytes without line breaks",
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
    memory_task *t = task_about(p, request, segment, v);
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
