#include "base/memory.h"
#include "conversations_internal.h"
#include "request.h"
#include "store/conversations.h"

/* Whether there is what a turn belongs to shows while it is inserted, so that no outcome is waited for before
 * the next statement: if not, a column is NULL or refers to nothing, and the database refuses the row. */

/* Of one statement. */
enum { TOGETHER_MAX = 256, TOGETHER_BYTES = 1024 * 1024 };

typedef struct turn_add {
    request base;
    store_new_turn turn;
    store_done *done;
    void *context;
} turn_add;

static bool insert_turn(const store_new_turn *turn, const char *sql, database *d, error *err) {
    query q;
    query_start(&q, d, sql);
    query_u64(&q, turn->user_id);
    query_bytes(&q, turn->conversation, sizeof turn->conversation);
    query_bytes(&q, turn->id, sizeof turn->id);
    query_bytes(&q, turn->sealed.data, turn->sealed.length);
    return query_run(&q, err);
}

static bool insert_conversation(const store_new_turn *turn, database *d, error *err) {
    query q;
    query_start(&q, d,
                "INSERT INTO conversations (user_id, id, latest, turns, bytes, changed_ms) "
                "VALUES (?, ?, last_insert_rowid(), 1, ?, ?)");
    query_u64(&q, turn->user_id);
    query_bytes(&q, turn->conversation, sizeof turn->conversation);
    query_u64(&q, turn->sealed.length);
    query_u64(&q, turn->created_ms);
    return query_run(&q, err) ||
           (err->code == ERROR_CONFLICT
                ? error_set(err, ERROR_CONFLICT, "this conversation exists already; begin another")
                : false);
}

static bool begin_conversation(const store_new_turn *turn, database *d, error *err) {
    query q;
    if (!insert_turn(turn, "INSERT INTO turns (user_id, conversation, id, sealed) VALUES (?, ?, ?, ?)", d,
                     err)) {
        return err->code == ERROR_INVALID
                   ? error_set(err, ERROR_NOT_FOUND, "this user keeps nothing; begin with a vault")
                   : false;
    }
    if (!insert_conversation(turn, d, err)) {
        return false;
    }
    query_start(&q, d, "INSERT INTO conversation_heads (user_id, id, sealed) VALUES (?, ?, ?)");
    query_u64(&q, turn->user_id);
    query_bytes(&q, turn->conversation, sizeof turn->conversation);
    query_bytes(&q, turn->head.data, turn->head.length);
    return query_run(&q, err);
}

static bool continue_conversation(const store_new_turn *turn, database *d, error *err) {
    query q;
    if (!insert_turn(turn,
                     "INSERT INTO turns (user_id, conversation, id, sealed) VALUES ("
                     "(SELECT user_id FROM conversations WHERE user_id = ?1 AND id = ?2 AND changed_ms > 0), "
                     "?2, ?3, ?4)",
                     d, err)) {
        return err->code == ERROR_INVALID ? conversation_is_missing(err) : false;
    }
    query_start(
        &q, d,
        "UPDATE conversations SET latest = last_insert_rowid(), turns = turns + 1, bytes = bytes + ?, "
        "changed_ms = ? WHERE user_id = ? AND id = ?");
    query_u64(&q, turn->sealed.length);
    query_u64(&q, turn->created_ms);
    query_u64(&q, turn->user_id);
    query_bytes(&q, turn->conversation, sizeof turn->conversation);
    return query_run(&q, err);
}

static bool turn_add_run(request *base, database *d, error *err) {
    const store_new_turn *turn = &((const turn_add *)base)->turn;
    return turn->head.length > 0 ? begin_conversation(turn, d, err) : continue_conversation(turn, d, err);
}

typedef struct turn_columns {
    database_value users[TOGETHER_MAX];
    database_value conversations[TOGETHER_MAX];
    database_value ids[TOGETHER_MAX];
    database_value sealed[TOGETHER_MAX];
    database_value dates[TOGETHER_MAX];
} turn_columns;

static database_value number_of(uint64_t number) {
    return (database_value){.type = DATABASE_INTEGER, .integer = number > INT64_MAX ? -1 : (int64_t)number};
}

static database_value bytes_of(const void *bytes, size_t length) {
    return (database_value){.type = DATABASE_BYTES, .bytes = slice_of(bytes, length)};
}

static void add_to_columns(turn_columns *c, size_t at, const store_new_turn *turn) {
    c->users[at] = number_of(turn->user_id);
    c->conversations[at] = bytes_of(turn->conversation, sizeof turn->conversation);
    c->ids[at] = bytes_of(turn->id, sizeof turn->id);
    c->sealed[at] = bytes_of(turn->sealed.data, turn->sealed.length);
    c->dates[at] = number_of(turn->created_ms);
}

/* As many statements continue_conversation runs for each of them. The numbers are drawn in the order of the
 * columns; of several turns of a conversation the last one's is its latest. */
static bool insert_columns(const turn_columns *c, size_t count, database *d, error *err) {
    query q;
    query_start(&q, d,
                "WITH n AS MATERIALIZED (SELECT nextval('turns_number_seq') AS number, * "
                "FROM unnest(?, ?, ?, ?, ?) AS n (user_id, conversation, id, sealed, created_ms)), "
                "u AS (UPDATE conversations AS c SET latest = s.number, turns = c.turns + s.turns, "
                "bytes = c.bytes + s.bytes, changed_ms = s.created_ms FROM (SELECT user_id, conversation, "
                "max(number) AS number, count(*) AS turns, CAST(sum(length(sealed)) AS bigint) AS bytes, "
                "max(created_ms) AS created_ms FROM n GROUP BY user_id, conversation) AS s "
                "WHERE c.user_id = s.user_id AND c.id = s.conversation AND c.changed_ms > 0 RETURNING "
                "c.user_id, c.id) "
                "INSERT INTO turns (number, user_id, conversation, id, sealed) "
                "SELECT n.number, u.user_id, n.conversation, n.id, n.sealed "
                "FROM n LEFT JOIN u ON u.user_id = n.user_id AND u.id = n.conversation");
    query_values(&q, c->users, count);
    query_values(&q, c->conversations, count);
    query_values(&q, c->ids, count);
    query_values(&q, c->sealed, count);
    query_values(&q, c->dates, count);
    return query_run(&q, err);
}

/* Behind the turns, from `first` on, that go into one statement: those that continue a conversation. */
static request *end_of_columns(request *first, const request *end, turn_columns *c, size_t *count) {
    request *r = first;
    size_t bytes = 0;
    for (*count = 0; r != end && *count < TOGETHER_MAX && r->operation == first->operation; r = r->next) {
        const store_new_turn *turn = &((const turn_add *)r)->turn;
        bytes += turn->sealed.length;
        if (turn->head.length > 0 || bytes > TOGETHER_BYTES) {
            break;
        }
        add_to_columns(c, (*count)++, turn);
    }
    return r;
}

static bool turn_add_run_many(request **next, const request *end, database *d, error *err) {
    request *first = *next;
    size_t count = 0;
    turn_columns *c = memory_allocate(sizeof *c);
    if (c == NULL) {
        return error_memory(err);
    }
    *next = end_of_columns(first, end, c, &count);
    if (count < 2) {
        *next = first->next;
    }
    bool run = count < 2 ? turn_add_run(first, d, err) : insert_columns(c, count, d, err);
    memory_free(c);
    return run;
}

static void turn_add_answer(request *base, const error *failure) {
    const turn_add *r = (const turn_add *)base;
    r->done(r->context, failure);
}

static const operation_together turn_add_operation = {
    {DATABASE_WRITE | OPERATION_BLIND | OPERATION_TOGETHER, turn_add_run, turn_add_answer},
    turn_add_run_many};

bool store_turn_add(store *s, const store_new_turn *turn, store_done *done, void *context, error *err) {
    if (turn->sealed.length == 0 || turn->sealed.length > STORE_TURN_MAX || turn->created_ms == 0 ||
        turn->created_ms > INT64_MAX) {
        return error_set(err, ERROR_INVALID, "a turn has 1 to %d bytes and a date", (int)STORE_TURN_MAX);
    }
    if (turn->head.length > 0 && !conversation_check_head(turn->head, err)) {
        return false;
    }
    turn_add *r = request_new(&turn_add_operation.base, sizeof *r, err);
    if (r == NULL) {
        return false;
    }
    r->turn = *turn;
    r->turn.sealed = request_copy(&r->base, turn->sealed);
    r->turn.head = request_copy(&r->base, turn->head);
    r->done = done;
    r->context = context;
    return request_submit(s, &r->base, err);
}
