#include "store/conversations.h"

#include "conversations_internal.h"
#include "request.h"

/* A conversation that has no head isn't there any more (conversations_ending.c). */

bool conversation_is_missing(error *err) {
    return error_set(err, ERROR_NOT_FOUND, "there is no such conversation");
}

bool conversation_check_head(slice head, error *err) {
    return (head.length > 0 && head.length <= STORE_HEAD_MAX) ||
           error_set(err, ERROR_INVALID, "a conversation's head has 1 to %d bytes", (int)STORE_HEAD_MAX);
}

/* In the order of CONVERSATION_COLUMNS. */
static bool read_conversation(query *q, arena *memory, store_conversation *c, error *err) {
    query_read_bytes(q, c->id, sizeof c->id);
    c->latest = query_read_u64(q);
    c->turns = query_read_u64(q);
    c->bytes = query_read_u64(q);
    c->changed_ms = query_read_u64(q);
    c->head = query_read_slice(q, memory);
    return query_columns_fit(q, err);
}

#define CONVERSATION_COLUMNS "SELECT c.id, latest, turns, bytes, changed_ms, sealed FROM "
#define WITH_HEAD " AS c JOIN conversation_heads AS h ON h.user_id = c.user_id AND h.id = c.id "

typedef struct conversation_get {
    request base;
    uint64_t user_id;
    store_conversation conversation;
    store_conversation_found *done;
    void *context;
} conversation_get;

static bool conversation_get_run(request *base, database *d, error *err) {
    conversation_get *r = (conversation_get *)base;
    query q;
    bool row = false;
    query_start(&q, d, CONVERSATION_COLUMNS "conversations" WITH_HEAD "WHERE c.user_id = ? AND c.id = ?");
    query_u64(&q, r->user_id);
    query_bytes(&q, r->conversation.id, sizeof r->conversation.id);
    if (!query_row(&q, &row, err)) {
        return false;
    }
    return row ? read_conversation(&q, base->memory, &r->conversation, err) : conversation_is_missing(err);
}

static void conversation_get_answer(request *base, const error *failure) {
    const conversation_get *r = (const conversation_get *)base;
    r->done(r->context, failure == NULL ? &r->conversation : NULL, failure);
}

static const operation conversation_get_operation = {DATABASE_READ, conversation_get_run,
                                                     conversation_get_answer};

bool store_conversation_get(store *s, uint64_t user_id, const uint8_t id[STORE_CONVERSATION_ID_SIZE],
                            store_conversation_found *done, void *context, error *err) {
    conversation_get *r = request_new(&conversation_get_operation, sizeof *r, err);
    if (r == NULL) {
        return false;
    }
    r->user_id = user_id;
    memcpy(r->conversation.id, id, sizeof r->conversation.id);
    r->done = done;
    r->context = context;
    return request_submit(s, &r->base, err);
}

typedef struct conversation_list {
    request base;
    uint64_t user_id;
    uint64_t before;
    size_t limit;
    void *conversations;
    size_t count;
    store_conversations_listed *done;
    void *context;
} conversation_list;

/* Of what is sorted only the page's heads are read. */
static bool conversation_list_run(request *base, database *d, error *err) {
    conversation_list *r = (conversation_list *)base;
    query q;
    query_start(&q, d,
                CONVERSATION_COLUMNS "(SELECT * FROM conversations WHERE user_id = ? AND latest < ? "
                                     "AND changed_ms > 0 ORDER BY latest DESC LIMIT ?)" WITH_HEAD
                                     "ORDER BY latest DESC");
    query_u64(&q, r->user_id);
    query_u64(&q, r->before == 0 ? INT64_MAX : r->before);
    query_u64(&q, r->limit);
    for (bool row = true; query_row(&q, &row, err);) {
        if (!row) {
            return true;
        }
        store_conversation *c = request_add_row(base, &r->conversations, &r->count, sizeof *c, err);
        if (c == NULL || !read_conversation(&q, base->memory, c, err)) {
            return false;
        }
    }
    return false;
}

static void conversation_list_answer(request *base, const error *failure) {
    const conversation_list *r = (const conversation_list *)base;
    r->done(r->context, failure == NULL ? r->conversations : NULL, failure == NULL ? r->count : 0, failure);
}

static const operation conversation_list_operation = {DATABASE_READ, conversation_list_run,
                                                      conversation_list_answer};

bool store_conversation_list(store *s, uint64_t user_id, uint64_t before, size_t limit,
                             store_conversations_listed *done, void *context, error *err) {
    if (!request_check_list(limit, err)) {
        return false;
    }
    conversation_list *r = request_new(&conversation_list_operation, sizeof *r, err);
    if (r == NULL) {
        return false;
    }
    r->user_id = user_id;
    r->before = before;
    r->limit = limit;
    r->done = done;
    r->context = context;
    return request_submit(s, &r->base, err);
}

typedef struct head_set {
    request base;
    uint64_t user_id;
    uint8_t id[STORE_CONVERSATION_ID_SIZE];
    slice head;
    store_done *done;
    void *context;
} head_set;

static bool head_set_run(request *base, database *d, error *err) {
    const head_set *r = (const head_set *)base;
    query q;
    query_start(&q, d, "UPDATE conversation_heads SET sealed = ? WHERE user_id = ? AND id = ?");
    query_bytes(&q, r->head.data, r->head.length);
    query_u64(&q, r->user_id);
    query_bytes(&q, r->id, sizeof r->id);
    database_note_wipe(d);
    return query_run(&q, err) && (database_changes(d) == 1 || conversation_is_missing(err));
}

static void head_set_answer(request *base, const error *failure) {
    const head_set *r = (const head_set *)base;
    r->done(r->context, failure);
}

static const operation head_set_operation = {DATABASE_WRITE_SYNCED, head_set_run, head_set_answer};

bool store_conversation_set_head(store *s, uint64_t user_id, const uint8_t id[STORE_CONVERSATION_ID_SIZE],
                                 slice head, store_done *done, void *context, error *err) {
    head_set *r =
        conversation_check_head(head, err) ? request_new(&head_set_operation, sizeof *r, err) : NULL;
    if (r == NULL) {
        return false;
    }
    r->user_id = user_id;
    memcpy(r->id, id, sizeof r->id);
    r->head = request_copy(&r->base, head);
    r->done = done;
    r->context = context;
    return request_submit(s, &r->base, err);
}
