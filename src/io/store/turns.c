#include "conversations_internal.h"
#include "request.h"
#include "store/conversations.h"

typedef struct turn_list {
    request base;
    uint64_t user_id;
    bool of_one;
    uint8_t conversation[STORE_CONVERSATION_ID_SIZE];
    uint64_t after;
    size_t limit;
    void *turns;
    size_t count;
    store_turns_listed *done;
    void *context;
} turn_list;

static bool check_conversation(const turn_list *r, database *d, error *err) {
    query q;
    bool row = false;
    query_start(&q, d, "SELECT 1 FROM conversation_heads WHERE user_id = ? AND id = ?");
    query_u64(&q, r->user_id);
    query_bytes(&q, r->conversation, sizeof r->conversation);
    return query_row(&q, &row, err) && (row || conversation_is_missing(err));
}

/* Turns of a conversation that was deleted may still be there, but aren't listed. */
static void start_list(query *q, database *d, const turn_list *r) {
    if (r->of_one) {
        query_start(q, d,
                    "SELECT number, conversation, id, sealed FROM turns "
                    "WHERE user_id = ? AND conversation = ? AND number > ? ORDER BY number LIMIT ?");
        query_u64(q, r->user_id);
        query_bytes(q, r->conversation, sizeof r->conversation);
        query_u64(q, r->after);
    } else {
        query_start(q, d,
                    "SELECT number, conversation, id, sealed FROM turns WHERE user_id = ? AND number > ? "
                    "AND EXISTS (SELECT 1 FROM conversation_heads AS h "
                    "WHERE h.user_id = turns.user_id AND h.id = turns.conversation) ORDER BY number LIMIT ?");
        query_u64(q, r->user_id);
        query_u64(q, r->after);
    }
    query_u64(q, r->limit);
}

static bool turn_list_run(request *base, database *d, error *err) {
    turn_list *r = (turn_list *)base;
    query q;
    if (r->of_one && !check_conversation(r, d, err)) {
        return false;
    }
    start_list(&q, d, r);
    for (size_t bytes = 0; bytes < STORE_TURNS_BYTES;) {
        bool row = false;
        if (!query_row(&q, &row, err)) {
            return false;
        }
        if (!row) {
            break;
        }
        store_turn *turn = request_add_row(base, &r->turns, &r->count, sizeof *turn, err);
        if (turn == NULL) {
            return false;
        }
        turn->number = query_read_u64(&q);
        query_read_bytes(&q, turn->conversation, sizeof turn->conversation);
        query_read_bytes(&q, turn->id, sizeof turn->id);
        turn->sealed = query_read_slice(&q, base->memory);
        bytes += turn->sealed.length;
        if (!query_columns_fit(&q, err)) {
            return false;
        }
    }
    return true;
}

static void turn_list_answer(request *base, const error *failure) {
    const turn_list *r = (const turn_list *)base;
    r->done(r->context, failure == NULL ? r->turns : NULL, failure == NULL ? r->count : 0, failure);
}

static const operation turn_list_operation = {DATABASE_READ, turn_list_run, turn_list_answer};

bool store_turn_list(store *s, uint64_t user_id, const uint8_t *conversation, uint64_t after, size_t limit,
                     store_turns_listed *done, void *context, error *err) {
    if (!request_check_list(limit, err)) {
        return false;
    }
    turn_list *r = request_new(&turn_list_operation, sizeof *r, err);
    if (r == NULL) {
        return false;
    }
    r->user_id = user_id;
    r->of_one = conversation != NULL;
    if (r->of_one) {
        memcpy(r->conversation, conversation, sizeof r->conversation);
    }
    r->after = after;
    r->limit = limit;
    r->done = done;
    r->context = context;
    return request_submit(s, &r->base, err);
}

store_turn *store_turns_copy(arena *memory, const store_turn *turns, size_t count) {
    store_turn *copies = arena_allocate_array(memory, count + 1, sizeof *copies);
    for (size_t i = 0; copies != NULL && i < count; i++) {
        copies[i] = turns[i];
        if (!arena_copy(memory, turns[i].sealed, &copies[i].sealed)) {
            return NULL;
        }
    }
    return copies;
}
