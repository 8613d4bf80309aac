#include "conversations_internal.h"
#include "expiry.h"
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

static bool delete_expired(deletion *step, const uint8_t id[EXPIRY_ID_SIZE], error *err) {
    return delete_head(step, id, err) && delete_rest(step, id, err);
}

bool store_conversations_expire(store *s, uint64_t before_ms, size_t limit, store_conversations_expired *done,
                                void *context, error *err) {
    /* Those that were deleted and have turns left come first. */
    static const expiry_kind conversations = {
        "SELECT user_id, id FROM conversations WHERE changed_ms < ? ORDER BY changed_ms LIMIT ?",
        delete_expired};
    return expiry_submit(s, &conversations, before_ms, limit, done, context, err);
}
