#include "store/join_tokens.h"

#include "approvals_internal.h"
#include "workers_internal.h"

typedef struct join_token_add {
    request base;
    store_join_token token;
    store_done *done;
    void *context;
} join_token_add;

static void query_id_or_null(query *q, uint64_t id) {
    if (id == 0) {
        query_null(q);
    } else {
        query_u64(q, id);
    }
}

static bool join_token_add_run(request *base, database *d, error *err) {
    const join_token_add *r = (const join_token_add *)base;
    const store_approval_act act = {.id = r->token.approval,
                                    .request = r->token.request,
                                    .user_id = r->token.created_by,
                                    .now_ms = r->token.now_ms};
    uint64_t approved_by = 0;
    query q;
    if (r->token.approval != 0 && !approvals_use(d, &act, &approved_by, err)) {
        return false;
    }
    query_start(&q, d,
                "INSERT INTO join_tokens (id, secret_hash, owner, tiers, expires_ms, worker_expires_ms, "
                "created_by, referee, class, contractor, approval, approved_by) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
    query_bytes(&q, r->token.id, sizeof r->token.id);
    query_bytes(&q, r->token.secret_hash, sizeof r->token.secret_hash);
    query_text(&q, r->token.owner);
    query_text(&q, r->token.tiers);
    query_u64(&q, r->token.expires_ms);
    query_u64(&q, r->token.worker_expires_ms);
    query_u64(&q, r->token.created_by);
    query_u64(&q, r->token.referee);
    query_text(&q, r->token.class_name);
    query_u64(&q, r->token.contractor);
    query_id_or_null(&q, r->token.approval);
    query_id_or_null(&q, approved_by);
    return query_run(&q, err) || error_context(err, "join token");
}

static void join_token_add_answer(request *base, const error *failure) {
    const join_token_add *r = (const join_token_add *)base;
    r->done(r->context, failure);
}

static const operation join_token_add_operation = {DATABASE_WRITE_SYNCED, join_token_add_run,
                                                   join_token_add_answer};

bool store_join_token_add(store *s, const store_join_token *token, store_done *done, void *context,
                          error *err) {
    if (!store_display_name_is_valid(token->owner) || !request_text_is_valid(token->tiers, STORE_TIERS_MAX)) {
        return error_set(err, ERROR_INVALID,
                         "a machine's owner is 1 to %d bytes of text, its tiers at most %d",
                         (int)STORE_NAME_MAX, (int)STORE_TIERS_MAX);
    }
    join_token_add *r = request_new(&join_token_add_operation, sizeof *r, err);
    if (r == NULL) {
        return false;
    }
    r->token = *token;
    r->token.owner = request_copy(&r->base, token->owner);
    r->token.tiers = request_copy(&r->base, token->tiers);
    r->token.class_name = request_copy(&r->base, token->class_name);
    r->token.request = request_copy(&r->base, token->request);
    r->done = done;
    r->context = context;
    return request_submit(s, &r->base, err);
}

typedef struct join_token_consume {
    request base;
    store_enrolment enrolment;
    store_worker worker;
    store_worker_enrolled *done;
    void *context;
} join_token_consume;

/* What a valid token gives, and who approved it. */
typedef struct taken_token {
    store_join_token token;
    uint64_t approved_by;
} taken_token;

/* What stands against it although the secret is right. */
static bool check_token(const store_enrolment *e, const store_join_token *token, bool used, error *err) {
    const char *why = used                                        ? "was used already"
                      : e->now_ms >= token->expires_ms            ? "has expired"
                      : e->needs_approval && token->approval == 0 ? "was not approved"
                      : token->worker_expires_ms != 0 && e->now_ms >= token->worker_expires_ms
                          ? "is for a machine whose time is over"
                          : NULL;
    if (why != NULL) {
        return error_set(err, ERROR_DENIED, "this join token %s; ask the admin for a new one", why);
    }
    return token->class_name.length == 0 || slice_equal(token->class_name, e->class_name) ||
           error_set(err, ERROR_DENIED, "this join token is for a machine of class %.*s: say --class %.*s",
                     SLICE_FORMAT(token->class_name), SLICE_FORMAT(token->class_name));
}

/* The secret is compared before anything else is told. A token gives nothing if who made or approved it was
 * disabled since. */
static bool take_token(const store_enrolment *e, database *d, arena *memory, taken_token *taken, error *err) {
    store_join_token *token = &taken->token;
    query q;
    query_start(&q, d,
                "SELECT secret_hash, used_ms IS NOT NULL, expires_ms, owner, tiers, worker_expires_ms, "
                "created_by, referee, class, contractor, approval, coalesce(approved_by, created_by) "
                "FROM join_tokens JOIN users AS maker ON maker.id = created_by "
                "LEFT JOIN users AS approver ON approver.id = approved_by "
                "WHERE join_tokens.id = ? AND maker.disabled = 0 AND coalesce(approver.disabled, 0) = 0");
    query_bytes(&q, e->token_id, sizeof e->token_id);
    bool row = false;
    if (!query_row(&q, &row, err)) {
        return false;
    }
    if (!row || !query_column_equals(&q, e->secret_hash, sizeof e->secret_hash)) {
        return error_set(err, ERROR_DENIED, "this join token isn't valid; ask the admin for a new one");
    }
    bool used = query_read_u64(&q) != 0;
    token->expires_ms = query_read_u64(&q);
    token->owner = query_read_slice(&q, memory);
    token->tiers = query_read_slice(&q, memory);
    token->worker_expires_ms = query_read_u64(&q);
    token->created_by = query_read_u64(&q);
    token->referee = query_read_u64(&q) != 0;
    token->class_name = query_read_slice(&q, memory);
    token->contractor = query_read_u64(&q) != 0;
    token->approval = query_read_u64(&q);
    taken->approved_by = query_read_u64(&q);
    return query_columns_fit(&q, err) && check_token(e, token, used, err);
}

static bool mark_used(const store_enrolment *e, database *d, error *err) {
    query q;
    query_start(&q, d, "UPDATE join_tokens SET used_ms = ? WHERE id = ?");
    query_u64(&q, e->now_ms);
    query_bytes(&q, e->token_id, sizeof e->token_id);
    return query_run(&q, err);
}

/* A key that is enrolled already stays its owner's, and stays revoked. */
static bool check_key_is_free(const store_enrolment *e, slice owner, database *d, error *err) {
    query q;
    query_start(&q, d,
                "SELECT state = 'approved', suspected_ms IS NULL, owner FROM workers WHERE public_key = ?");
    query_bytes(&q, e->public_key, sizeof e->public_key);
    bool row = false;
    if (!query_row(&q, &row, err)) {
        return false;
    }
    if (!row) {
        return true;
    }
    bool approved = query_read_u64(&q) != 0;
    bool trusted = query_read_u64(&q) != 0;
    bool same_owner = query_column_equals(&q, owner.data, owner.length);
    if (!query_columns_fit(&q, err)) {
        return false;
    }
    if (!approved || !trusted || !same_owner) {
        return error_set(err, ERROR_DENIED, "this machine's key %s; remove the key file and join again",
                         !approved  ? "was revoked"
                         : !trusted ? "was seen on another machine"
                                    : "belongs to another owner");
    }
    return true;
}

static bool put_worker(const store_enrolment *e, const taken_token *taken, database *d, error *err) {
    const store_join_token *token = &taken->token;
    query q;
    query_start(
        &q, d,
        "INSERT INTO workers (id, public_key, name, owner, class, tiers, requested_by, approved_by, state, "
        "created_ms, expires_ms, referee, contractor, approval) "
        "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?11, 'approved', ?8, ?9, ?10, ?12, ?13) "
        "ON CONFLICT (public_key) DO UPDATE SET name = ?3, class = ?5, tiers = ?6, requested_by = ?7, "
        "approved_by = ?11, expires_ms = ?9, referee = ?10, contractor = ?12, approval = ?13");
    query_bytes(&q, e->worker_id, sizeof e->worker_id);
    query_bytes(&q, e->public_key, sizeof e->public_key);
    query_text(&q, e->name);
    query_text(&q, token->owner);
    query_text(&q, e->class_name);
    query_text(&q, token->tiers);
    query_u64(&q, token->created_by);
    query_u64(&q, e->now_ms);
    query_u64(&q, token->worker_expires_ms);
    query_u64(&q, token->referee);
    query_u64(&q, taken->approved_by);
    query_u64(&q, token->contractor);
    query_id_or_null(&q, token->approval);
    return query_run(&q, err) || error_context(err, "worker");
}

static bool read_worker(const store_enrolment *e, database *d, arena *memory, store_worker *worker,
                        error *err) {
    query q;
    query_start(&q, d, "SELECT " WORKER_COLUMNS " FROM workers WHERE public_key = ?");
    query_bytes(&q, e->public_key, sizeof e->public_key);
    bool row = false;
    if (!query_row(&q, &row, err)) {
        return false;
    }
    return row ? workers_read(&q, memory, worker, err)
               : error_set(err, ERROR_INTERNAL, "the worker just added isn't there");
}

static bool join_token_consume_run(request *base, database *d, error *err) {
    join_token_consume *r = (join_token_consume *)base;
    taken_token taken = {0};
    return take_token(&r->enrolment, d, base->memory, &taken, err) &&
           check_key_is_free(&r->enrolment, taken.token.owner, d, err) &&
           put_worker(&r->enrolment, &taken, d, err) && mark_used(&r->enrolment, d, err) &&
           read_worker(&r->enrolment, d, base->memory, &r->worker, err);
}

static void join_token_consume_answer(request *base, const error *failure) {
    const join_token_consume *r = (const join_token_consume *)base;
    r->done(r->context, failure == NULL ? &r->worker : NULL, failure);
}

static const operation join_token_consume_operation = {DATABASE_WRITE_SYNCED, join_token_consume_run,
                                                       join_token_consume_answer};

bool store_join_token_consume(store *s, const store_enrolment *enrolment, store_worker_enrolled *done,
                              void *context, error *err) {
    if (!store_display_name_is_valid(enrolment->name) ||
        !store_display_name_is_valid(enrolment->class_name)) {
        return error_set(err, ERROR_INVALID, "a machine's name and class are 1 to %d bytes of text",
                         (int)STORE_NAME_MAX);
    }
    join_token_consume *r = request_new(&join_token_consume_operation, sizeof *r, err);
    if (r == NULL) {
        return false;
    }
    r->enrolment = *enrolment;
    r->enrolment.name = request_copy(&r->base, enrolment->name);
    r->enrolment.class_name = request_copy(&r->base, enrolment->class_name);
    r->done = done;
    r->context = context;
    return request_submit(s, &r->base, err);
}
