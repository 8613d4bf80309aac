#include "store/reputation.h"

#include "gathered.h"

#include <math.h>

enum { STATE_MAX = 16 };

/* As it is queued: `fields.state` is set anew from `state` where it is used. */
typedef struct reputation_row {
    uint8_t worker_id[STORE_WORKER_ID_SIZE];
    store_reputation fields;
    uint8_t state[STATE_MAX];
} reputation_row;

static bool make_row(const store_reputation *reputation, reputation_row *row, error *err) {
    static const char *const states[] = {"new", "regular", "alert", "quarantined", "convicted"};
    bool known = false;
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++) {
        known = known || slice_equal_text(reputation->state, states[i]);
    }
    bool finite = isfinite(reputation->cusum) && isfinite(reputation->alpha) && isfinite(reputation->beta);
    if (!known || !finite) {
        return error_set(err, ERROR_INVALID, "a worker's standing has a known state and finite numbers");
    }
    *row = (reputation_row){.fields = *reputation};
    memcpy(row->worker_id, reputation->worker_id, sizeof row->worker_id);
    memcpy(row->state, reputation->state.data, reputation->state.length);
    row->fields.state = (slice){NULL, reputation->state.length};
    return true;
}

static bool write_row(database *d, const void *row, error *err) {
    const reputation_row *wanted = row;
    const store_reputation *r = &wanted->fields;
    query q;
    query_start(
        &q, d,
        "INSERT INTO worker_reputation (worker_id, state, answers, checks, agreed, mismatches, evasions, "
        "consecutive, passed, evasions_in_row, alert_left, disputes, held, cusum, alpha, beta, changed_ms) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
        "ON CONFLICT (worker_id) DO UPDATE SET state = excluded.state, answers = excluded.answers, "
        "checks = excluded.checks, agreed = excluded.agreed, mismatches = excluded.mismatches, "
        "evasions = excluded.evasions, consecutive = excluded.consecutive, passed = excluded.passed, "
        "evasions_in_row = excluded.evasions_in_row, alert_left = excluded.alert_left, "
        "disputes = excluded.disputes, held = excluded.held, cusum = excluded.cusum, "
        "alpha = excluded.alpha, beta = excluded.beta, changed_ms = excluded.changed_ms");
    query_bytes(&q, wanted->worker_id, sizeof wanted->worker_id);
    query_text(&q, slice_of(wanted->state, r->state.length));
    query_u64(&q, r->answers);
    query_u64(&q, r->checks);
    query_u64(&q, r->agreed);
    query_u64(&q, r->mismatches);
    query_u64(&q, r->evasions);
    query_u64(&q, r->consecutive);
    query_u64(&q, r->passed);
    query_u64(&q, r->evasions_in_row);
    query_u64(&q, r->alert_left);
    query_u64(&q, r->disputes);
    query_u64(&q, r->held);
    query_f64(&q, r->cusum);
    query_f64(&q, r->alpha);
    query_f64(&q, r->beta);
    query_u64(&q, r->changed_ms);
    return query_run(&q, err) || error_context(err, "reputation");
}

const gathered_kind gathered_reputations = {sizeof(reputation_row), write_row};

bool store_reputation_note(store *s, const store_reputation *reputation, uint64_t now_ms, error *err) {
    reputation_row row;
    return make_row(reputation, &row, err) && gathered_put(s, store_reputations(s), &row, now_ms, err);
}

typedef struct reputation_put {
    request base;
    reputation_row row;
    store_done *done;
    void *context;
} reputation_put;

static bool reputation_put_run(request *base, database *d, error *err) {
    return write_row(d, &((const reputation_put *)base)->row, err);
}

static void reputation_put_answer(request *base, const error *failure) {
    const reputation_put *r = (const reputation_put *)base;
    r->done(r->context, failure);
}

static const operation reputation_put_operation = {DATABASE_WRITE_SYNCED | OPERATION_BLIND,
                                                   reputation_put_run, reputation_put_answer};

bool store_reputation_put(store *s, const store_reputation *reputation, store_done *done, void *context,
                          error *err) {
    reputation_put *r = request_new(&reputation_put_operation, sizeof *r, err);
    if (r == NULL) {
        return false;
    }
    if (!make_row(reputation, &r->row, err)) {
        request_free(&r->base);
        return false;
    }
    r->done = done;
    r->context = context;
    gathered_drop(store_reputations(s), reputation->worker_id);
    return request_submit(s, &r->base, err);
}

typedef struct load_reputation {
    request base;
    void *rows;
    size_t count;
    store_reputation_loaded *done;
    void *context;
} load_reputation;

static uint32_t read_u32(query *q) {
    uint64_t value = query_read_u64(q);
    return value > UINT32_MAX ? UINT32_MAX : (uint32_t)value;
}

static bool read_row(query *q, arena *memory, store_reputation *r, error *err) {
    query_read_bytes(q, r->worker_id, sizeof r->worker_id);
    r->state = query_read_slice(q, memory);
    r->answers = query_read_u64(q);
    r->checks = query_read_u64(q);
    r->agreed = query_read_u64(q);
    r->mismatches = query_read_u64(q);
    r->evasions = query_read_u64(q);
    r->consecutive = query_read_u64(q);
    r->passed = read_u32(q);
    r->evasions_in_row = read_u32(q);
    r->alert_left = read_u32(q);
    r->disputes = read_u32(q);
    r->held = query_read_u64(q) != 0;
    r->cusum = query_read_f64(q);
    r->alpha = query_read_f64(q);
    r->beta = query_read_f64(q);
    r->changed_ms = query_read_u64(q);
    return query_columns_fit(q, err);
}

static bool load_reputation_run(request *base, database *d, error *err) {
    load_reputation *r = (load_reputation *)base;
    query q;
    query_start(
        &q, d,
        "SELECT worker_id, state, answers, checks, agreed, mismatches, evasions, consecutive, passed, "
        "evasions_in_row, alert_left, disputes, held, cusum, alpha, beta, changed_ms "
        "FROM worker_reputation ORDER BY worker_id");
    for (bool row = true; query_row(&q, &row, err);) {
        if (!row) {
            return true;
        }
        store_reputation *one = request_add_row(base, &r->rows, &r->count, sizeof *one, err);
        if (one == NULL || !read_row(&q, base->memory, one, err)) {
            return false;
        }
    }
    return false;
}

static void load_reputation_answer(request *base, const error *failure) {
    const load_reputation *r = (const load_reputation *)base;
    r->done(r->context, failure == NULL ? r->rows : NULL, failure == NULL ? r->count : 0, failure);
}

static const operation load_reputation_operation = {DATABASE_READ, load_reputation_run,
                                                    load_reputation_answer};

bool store_load_reputation(store *s, store_reputation_loaded *done, void *context, error *err) {
    load_reputation *r = request_new(&load_reputation_operation, sizeof *r, err);
    if (r == NULL) {
        return false;
    }
    r->done = done;
    r->context = context;
    return request_submit(s, &r->base, err);
}
