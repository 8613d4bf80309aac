#include "conversations_internal.h"
#include "deletion.h"
#include "request.h"
#include "store/conversations.h"

/* Conversations that go. The head leaves at once, and with it the key that the turns are sealed under. Where
 * there are more turns than one step takes away, the conversation's row stays, marked by the date 0, until
 * later steps have taken the rest. */

static bool delete_head(const deletion *step, const uint8_t *id, error *err) {
    query q;
    query_start(&q, step->database, "DELETE FROM conversation_heads WHERE user_id = ? AND id = ?");
    query_u64(&q, step->user_id);
    query_bytes(&q, id, STORE_CONVERSATION_ID_SIZE);
    database_note_wipe(step->database);
    return query_run(&q, err);
}

static bool end_row(const deletion *step, const uint8_t *id, error *err) {
    query q;
    if (deletion_is_spent(step)) {
        query_start(&q, step->database,
                    "UPDATE conversations SET changed_ms = 0 WHERE user_id = ? AND id = ?");
    } else {
        query_start(&q, step->database, "DELETE FROM conversations WHERE user_id = ? AND id = ?");
    }
    query_u64(&q, step->user_id);
    query_bytes(&q, id, STORE_CONVERSATION_ID_SIZE);
    return query_run(&q, err);
}

static bool delete_rest(deletion *step, const uint8_t *id, error *err) {
    return deletion_of_turns(step, id, err) && end_row(step, id, err);
}

typedef struct conversation_delete {
    request base;
    uint64_t user_id;
    uint8_t id[STORE_CONVERSATION_ID_SIZE];
    store_done *done;
    void *context;
} conversation_delete;

static bool conversation_delete_run(request *base, database *d, error *err) {
    const conversation_delete *r = (const conversation_delete *)base;
    deletion step = deletion_of(d, r->user_id);
    if (!delete_head(&step, r->id, err)) {
        return false;
    }
    if (database_changes(d) == 0) {
        return conversation_is_missing(err);
    }
    return delete_rest(&step, r->id, err);
}

static void conversation_delete_answer(request *base, const error *failure) {
    const conversation_delete *r = (const conversation_delete *)base;
    r->done(r->context, failure);
}

static const operation conversation_delete_operation = {DATABASE_WRITE_SYNCED, conversation_delete_run,
                                                        conversation_delete_answer};

bool store_conversation_delete(store *s, uint64_t user_id, const uint8_t id[STORE_CONVERSATION_ID_SIZE],
                               store_done *done, void *context, error *err) {
    conversation_delete *r = request_new(&conversation_delete_operation, sizeof *r, err);
    if (r == NULL) {
        return false;
    }
    r->user_id = user_id;
    memcpy(r->id, id, sizeof r->id);
    r->done = done;
    r->context = context;
    return request_submit(s, &r->base, err);
}

typedef struct ending {
    uint64_t user_id;
    uint8_t id[STORE_CONVERSATION_ID_SIZE];
} ending;

typedef struct conversations_expire {
    request base;
    uint64_t before_ms;
    size_t limit;
    void *endings;
    size_t found;
    size_t count;
    store_conversations_expired *done;
    void *context;
} conversations_expire;

/* Those that were deleted and have turns left come first. */
static bool find_expired(conversations_expire *r, database *d, error *err) {
    query q;
    query_start(&q, d,
                "SELECT user_id, id FROM conversations WHERE changed_ms < ? ORDER BY changed_ms LIMIT ?");
    query_u64(&q, r->before_ms);
    query_u64(&q, r->limit);
    for (bool row = true; query_row(&q, &row, err);) {
        if (!row) {
            return true;
        }
        ending *one = request_add_row(&r->base, &r->endings, &r->found, sizeof *one, err);
        if (one == NULL) {
            return false;
        }
        one->user_id = query_read_u64(&q);
        query_read_bytes(&q, one->id, sizeof one->id);
        if (!query_columns_fit(&q, err)) {
            return false;
        }
    }
    return false;
}

static bool conversations_expire_run(request *base, database *d, error *err) {
    conversations_expire *r = (conversations_expire *)base;
    if (!find_expired(r, d, err)) {
        return false;
    }
    const ending *endings = r->endings;
    deletion step = deletion_of(d, 0);
    while (r->count < r->found && !deletion_is_spent(&step)) {
        const ending *one = &endings[r->count++];
        step.user_id = one->user_id;
        if (!delete_head(&step, one->id, err) || !delete_rest(&step, one->id, err)) {
            return false;
        }
    }
    return true;
}

static void conversations_expire_answer(request *base, const error *failure) {
    const conversations_expire *r = (const conversations_expire *)base;
    r->done(r->context, failure == NULL ? r->count : 0, failure);
}

static const operation conversations_expire_operation = {DATABASE_WRITE_SYNCED, conversations_expire_run,
                                                         conversations_expire_answer};

bool store_conversations_expire(store *s, uint64_t before_ms, size_t limit, store_conversations_expired *done,
                                void *context, error *err) {
    if (!request_check_list(limit, err)) {
        return false;
    }
    conversations_expire *r = request_new(&conversations_expire_operation, sizeof *r, err);
    if (r == NULL) {
        return false;
    }
    r->before_ms = before_ms;
    r->limit = limit;
    r->done = done;
    r->context = context;
    return request_submit(s, &r->base, err);
}
