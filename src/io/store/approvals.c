#include "approvals_internal.h"

#define APPROVAL_COLUMNS                                                                                     \
    "approvals.id, kind, request, request_hash, state, requested_by, asker.name, requested_ms, expires_ms, " \
    "decided_by, decider.name, decided_ms, used_ms FROM approvals "                                          \
    "JOIN users AS asker ON asker.id = requested_by LEFT JOIN users AS decider ON decider.id = decided_by"

static bool read_approval(query *q, arena *memory, store_approval *a, error *err) {
    a->id = query_read_u64(q);
    a->kind = query_read_slice(q, memory);
    a->request = query_read_slice(q, memory);
    query_read_bytes(q, a->request_hash, sizeof a->request_hash);
    a->state = query_read_slice(q, memory);
    a->requested_by = query_read_u64(q);
    a->requester = query_read_slice(q, memory);
    a->requested_ms = query_read_u64(q);
    a->expires_ms = query_read_u64(q);
    a->decided_by = query_read_u64(q);
    a->decider = query_read_slice(q, memory);
    a->decided_ms = query_read_u64(q);
    a->used_ms = query_read_u64(q);
    return query_columns_fit(q, err);
}

static bool find(database *d, uint64_t id, arena *memory, store_approval *a, error *err) {
    query q;
    bool row = false;
    query_start(&q, d, "SELECT " APPROVAL_COLUMNS " WHERE approvals.id = ?");
    query_u64(&q, id);
    if (!query_row(&q, &row, err)) {
        return false;
    }
    return row ? read_approval(&q, memory, a, err)
               : error_set(err, ERROR_NOT_FOUND, "there is no request with this number");
}

/* What each operation but the list has: what it is about, and the approval as it is then. */
typedef struct approval_change {
    request base;
    store_approval_act act;
    store_approval approval;
    bool approve;
    store_approval_given *done;
    void *context;
} approval_change;

static void change_answer(request *base, const error *failure) {
    const approval_change *r = (const approval_change *)base;
    r->done(r->context, failure == NULL ? &r->approval : NULL, failure);
}

static bool check_not_too_many(database *d, const store_approval *a, error *err) {
    query q;
    bool row = false;
    query_start(
        &q, d,
        "SELECT count(*) FROM approvals WHERE requested_by = ? AND state = 'waiting' AND expires_ms > ?");
    query_u64(&q, a->requested_by);
    query_u64(&q, a->requested_ms);
    if (!query_row(&q, &row, err)) {
        return false;
    }
    uint64_t waiting = query_read_u64(&q);
    return query_columns_fit(&q, err) &&
           (waiting < STORE_APPROVALS_WAITING_MAX ||
            error_set(err, ERROR_LIMIT, "%d of your requests wait already; have them decided first",
                      (int)STORE_APPROVALS_WAITING_MAX));
}

static bool add_run(request *base, database *d, error *err) {
    approval_change *r = (approval_change *)base;
    const store_approval *a = &r->approval;
    query q;
    if (!check_not_too_many(d, a, err)) {
        return false;
    }
    query_start(&q, d,
                "INSERT INTO approvals (kind, request, request_hash, state, requested_by, requested_ms, "
                "expires_ms) VALUES (?, ?, ?, 'waiting', ?, ?, ?)");
    query_text(&q, a->kind);
    query_bytes(&q, a->request.data, a->request.length);
    query_bytes(&q, a->request_hash, sizeof a->request_hash);
    query_u64(&q, a->requested_by);
    query_u64(&q, a->requested_ms);
    query_u64(&q, a->expires_ms);
    return (query_run(&q, err) || error_context(err, "request for approval")) &&
           find(d, database_last_id(d), base->memory, &r->approval, err);
}

static bool get_run(request *base, database *d, error *err) {
    approval_change *r = (approval_change *)base;
    return find(d, r->act.id, base->memory, &r->approval, err);
}

static const char *what_then(slice state) {
    return slice_equal_text(state, "used")      ? ": its join token was given already; ask anew for another"
           : slice_equal_text(state, "waiting") ? ": another person has to approve it first"
                                                : "";
}

/* Why what was asked for can't be done with it now; each refusal says what is so. */
static bool check_state(const store_approval *a, const store_approval_act *act, slice wanted, error *err) {
    if (!slice_equal(a->state, wanted)) {
        return error_set(err, ERROR_CONFLICT, "this request is %.*s, not %.*s%s", SLICE_FORMAT(a->state),
                         SLICE_FORMAT(wanted), what_then(a->state));
    }
    if (act->now_ms >= a->expires_ms) {
        return error_set(err, ERROR_CONFLICT, "this request has expired; ask anew");
    }
    return slice_equal(a->request, act->request) ||
           error_set(err, ERROR_CONFLICT, "this request is not the one that was shown; look at it again");
}

static bool decide_run(request *base, database *d, error *err) {
    approval_change *r = (approval_change *)base;
    query q;
    if (!find(d, r->act.id, base->memory, &r->approval, err) ||
        !check_state(&r->approval, &r->act, SLICE_LITERAL("waiting"), err)) {
        return false;
    }
    if (r->approve && r->approval.requested_by == r->act.user_id) {
        return error_set(err, ERROR_DENIED, "who asks for something can't approve it; another person must");
    }
    query_start(&q, d, "UPDATE approvals SET state = ?, decided_by = ?, decided_ms = ? WHERE id = ?");
    query_text(&q, r->approve ? SLICE_LITERAL("approved") : SLICE_LITERAL("refused"));
    query_u64(&q, r->act.user_id);
    query_u64(&q, r->act.now_ms);
    query_u64(&q, r->act.id);
    return query_run(&q, err) && find(d, r->act.id, base->memory, &r->approval, err);
}

static bool decider_is_active(database *d, uint64_t user_id, error *err) {
    query q;
    bool row = false;
    query_start(&q, d, "SELECT disabled FROM users WHERE id = ?");
    query_u64(&q, user_id);
    if (!query_row(&q, &row, err)) {
        return false;
    }
    bool active = row && query_read_u64(&q) == 0;
    return query_columns_fit(&q, err) &&
           (active || error_set(err, ERROR_DENIED, "who approved this was shut out since; ask anew"));
}

bool approvals_use(database *d, const store_approval_act *act, uint64_t *approved_by, error *err) {
    store_approval a = {0};
    query q;
    arena *memory = arena_new(4 * STORE_APPROVAL_REQUEST_MAX);
    if (memory == NULL) {
        return error_memory(err);
    }
    bool good = find(d, act->id, memory, &a, err) && check_state(&a, act, SLICE_LITERAL("approved"), err);
    arena_free(memory);
    if (good && a.requested_by != act->user_id) {
        good = error_set(err, ERROR_DENIED, "another person asked for this; only who asked may use it");
    }
    if (!good || !decider_is_active(d, a.decided_by, err)) {
        return false;
    }
    *approved_by = a.decided_by;
    query_start(&q, d, "UPDATE approvals SET state = 'used', used_ms = ? WHERE id = ?");
    query_u64(&q, act->now_ms);
    query_u64(&q, act->id);
    return query_run(&q, err);
}

static bool use_run(request *base, database *d, error *err) {
    approval_change *r = (approval_change *)base;
    uint64_t approved_by = 0;
    return approvals_use(d, &r->act, &approved_by, err) &&
           find(d, r->act.id, base->memory, &r->approval, err);
}

static const operation add_operation = {DATABASE_WRITE_SYNCED, add_run, change_answer};
static const operation get_operation = {DATABASE_READ, get_run, change_answer};
static const operation decide_operation = {DATABASE_WRITE_SYNCED, decide_run, change_answer};
static const operation use_operation = {DATABASE_WRITE_SYNCED, use_run, change_answer};

bool store_approval_add(store *s, const store_approval *a, store_approval_given *done, void *context,
                        error *err) {
    if (a->kind.length == 0 || !request_text_is_valid(a->kind, STORE_APPROVAL_KIND_MAX) ||
        a->request.length == 0 || a->request.length > STORE_APPROVAL_REQUEST_MAX || a->expires_ms == 0) {
        return error_set(err, ERROR_INVALID, "a request for approval has a kind, 1 to %d bytes and an end",
                         (int)STORE_APPROVAL_REQUEST_MAX);
    }
    approval_change *r = request_new(&add_operation, sizeof *r, err);
    if (r == NULL) {
        return false;
    }
    r->approval = *a;
    r->approval.kind = request_copy(&r->base, a->kind);
    r->approval.request = request_copy(&r->base, a->request);
    r->done = done;
    r->context = context;
    return request_submit(s, &r->base, err);
}

static bool submit(store *s, const operation *o, const store_approval_act *act, bool approve,
                   store_approval_given *done, void *context, error *err) {
    approval_change *r = request_new(o, sizeof *r, err);
    if (r == NULL) {
        return false;
    }
    r->act = *act;
    r->act.request = request_copy(&r->base, act->request);
    r->approve = approve;
    r->done = done;
    r->context = context;
    return request_submit(s, &r->base, err);
}

bool store_approval_get(store *s, uint64_t id, store_approval_given *done, void *context, error *err) {
    return submit(s, &get_operation, &(store_approval_act){.id = id}, false, done, context, err);
}

static bool check_act(const store_approval_act *act, error *err) {
    return (act->now_ms > 0 && act->request.length <= STORE_APPROVAL_REQUEST_MAX) ||
           error_set(err, ERROR_INVALID, "what is done with a request has its date and its bytes");
}

bool store_approval_decide(store *s, const store_approval_act *act, bool approve, store_approval_given *done,
                           void *context, error *err) {
    return check_act(act, err) && submit(s, &decide_operation, act, approve, done, context, err);
}

bool store_approval_use(store *s, const store_approval_act *act, store_approval_given *done, void *context,
                        error *err) {
    return check_act(act, err) && submit(s, &use_operation, act, false, done, context, err);
}

typedef struct approval_list {
    request base;
    uint64_t requested_by;
    uint64_t waiting_ms;
    uint64_t before;
    size_t limit;
    void *approvals;
    size_t count;
    store_approvals_listed *done;
    void *context;
} approval_list;

static bool list_run(request *base, database *d, error *err) {
    approval_list *r = (approval_list *)base;
    query q;
    query_start(
        &q, d,
        "SELECT " APPROVAL_COLUMNS
        " WHERE (?1 = 0 OR requested_by = ?1) AND (?2 = 0 OR (state = 'waiting' AND expires_ms > ?2)) "
        "AND (?3 = 0 OR approvals.id < ?3) ORDER BY approvals.id DESC LIMIT ?4");
    query_u64(&q, r->requested_by);
    query_u64(&q, r->waiting_ms);
    query_u64(&q, r->before);
    query_u64(&q, r->limit);
    for (bool row = true; query_row(&q, &row, err);) {
        if (!row) {
            return true;
        }
        store_approval *a = request_add_row(base, &r->approvals, &r->count, sizeof *a, err);
        if (a == NULL || !read_approval(&q, base->memory, a, err)) {
            return false;
        }
    }
    return false;
}

static void list_answer(request *base, const error *failure) {
    const approval_list *r = (const approval_list *)base;
    r->done(r->context, failure == NULL ? r->approvals : NULL, failure == NULL ? r->count : 0, failure);
}

static const operation list_operation = {DATABASE_READ, list_run, list_answer};

bool store_approval_list(store *s, uint64_t requested_by, uint64_t waiting_ms, uint64_t before, size_t limit,
                         store_approvals_listed *done, void *context, error *err) {
    if (!request_check_list(limit, err)) {
        return false;
    }
    approval_list *r = request_new(&list_operation, sizeof *r, err);
    if (r == NULL) {
        return false;
    }
    r->requested_by = requested_by;
    r->waiting_ms = waiting_ms;
    r->before = before;
    r->limit = limit;
    r->done = done;
    r->context = context;
    return request_submit(s, &r->base, err);
}
