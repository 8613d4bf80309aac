#include "verifications_internal.h"

typedef struct verification_list {
    request base;
    bool of_worker;
    uint8_t worker_id[STORE_WORKER_ID_SIZE];
    uint64_t from; /* a number */
    size_t limit;
    void *rows;
    size_t count;
    store_verifications_listed *done;
    void *context;
} verification_list;

/* Stops once the rows together pass STORE_PAGE_BYTES. */
static bool read_rows(verification_list *r, query *q, error *err) {
    size_t bytes = 0;
    for (bool row = true; bytes < STORE_PAGE_BYTES && query_row(q, &row, err);) {
        if (!row) {
            return true;
        }
        store_verification *v = request_add_row(&r->base, &r->rows, &r->count, sizeof *v, err);
        if (v == NULL || !verifications_read(q, r->base.memory, v, err)) {
            return false;
        }
        bytes += v->payload.length + v->findings.length;
    }
    return bytes >= STORE_PAGE_BYTES;
}

static void verification_list_answer(request *base, const error *failure) {
    const verification_list *r = (const verification_list *)base;
    r->done(r->context, failure == NULL ? r->rows : NULL, failure == NULL ? r->count : 0, failure);
}

static bool submit(store *s, const operation *o, const uint8_t *worker_id, uint64_t from, size_t limit,
                   store_verifications_listed *done, void *context, error *err) {
    if (!request_check_list(limit, err)) {
        return false;
    }
    verification_list *r = request_new(o, sizeof *r, err);
    if (r == NULL) {
        return false;
    }
    r->of_worker = worker_id != NULL;
    if (worker_id != NULL) {
        memcpy(r->worker_id, worker_id, sizeof r->worker_id);
    }
    r->from = from;
    r->limit = limit;
    r->done = done;
    r->context = context;
    return request_submit(s, &r->base, err);
}

static bool load_waiting_run(request *base, database *d, error *err) {
    verification_list *r = (verification_list *)base;
    query q;
    query_start(&q, d,
                VERIFICATION_WITH_PAYLOAD "WHERE state IN ('waiting', 'running', 'disputed', 'judging') "
                                          "AND v.number > ? ORDER BY v.number LIMIT ?");
    query_u64(&q, r->from);
    query_u64(&q, r->limit);
    return read_rows(r, &q, err);
}

static const operation load_waiting_operation = {DATABASE_READ, load_waiting_run, verification_list_answer};

bool store_verification_load_waiting(store *s, uint64_t after, size_t limit, store_verifications_listed *done,
                                     void *context, error *err) {
    return submit(s, &load_waiting_operation, NULL, after, limit, done, context, err);
}

static bool move_to_waiting(database *d, store_verification *v, error *err) {
    query q;
    query_start(&q, d, "UPDATE inference_verifications SET state = 'waiting', recheck = 1 WHERE number = ?");
    query_u64(&q, v->number);
    v->state = SLICE_LITERAL("waiting");
    v->recheck = true;
    return query_run(&q, err);
}

static bool take_kept_run(request *base, database *d, error *err) {
    verification_list *r = (verification_list *)base;
    query q;
    query_start(&q, d,
                VERIFICATION_WITH_PAYLOAD "WHERE state = 'kept' AND worker_id = ? "
                                          "ORDER BY created_ms DESC, v.number DESC LIMIT ?");
    query_bytes(&q, r->worker_id, sizeof r->worker_id);
    query_u64(&q, r->limit);
    bool done = read_rows(r, &q, err);
    database_end_queries(d);
    store_verification *rows = r->rows;
    for (size_t i = 0; done && i < r->count; i++) {
        done = move_to_waiting(d, &rows[i], err);
    }
    return done;
}

static const operation take_kept_operation = {DATABASE_WRITE, take_kept_run, verification_list_answer};

bool store_verification_take_kept(store *s, const uint8_t worker_id[STORE_WORKER_ID_SIZE], size_t limit,
                                  store_verifications_listed *done, void *context, error *err) {
    return submit(s, &take_kept_operation, worker_id, 0, limit, done, context, err);
}

static bool verification_list_run(request *base, database *d, error *err) {
    verification_list *r = (verification_list *)base;
    query q;
    if (r->of_worker) {
        query_start(&q, d,
                    VERIFICATION_ALONE "WHERE state <> 'kept' AND worker_id = ? AND v.number < ? "
                                       "ORDER BY v.number DESC LIMIT ?");
        query_bytes(&q, r->worker_id, sizeof r->worker_id);
    } else {
        query_start(&q, d,
                    VERIFICATION_ALONE
                    "WHERE state <> 'kept' AND v.number < ? ORDER BY v.number DESC LIMIT ?");
    }
    query_u64(&q, r->from == 0 ? INT64_MAX : r->from);
    query_u64(&q, r->limit);
    return read_rows(r, &q, err);
}

static const operation verification_list_operation = {DATABASE_READ, verification_list_run,
                                                      verification_list_answer};

bool store_verification_list(store *s, const uint8_t *worker_id, uint64_t before, size_t limit,
                             store_verifications_listed *done, void *context, error *err) {
    return submit(s, &verification_list_operation, worker_id, before, limit, done, context, err);
}

static bool list_open_run(request *base, database *d, error *err) {
    verification_list *r = (verification_list *)base;
    query q;
    query_start(&q, d,
                VERIFICATION_ALONE "WHERE state = 'open' AND v.number < ? ORDER BY v.number DESC LIMIT ?");
    query_u64(&q, r->from == 0 ? INT64_MAX : r->from);
    query_u64(&q, r->limit);
    return read_rows(r, &q, err);
}

static const operation list_open_operation = {DATABASE_READ, list_open_run, verification_list_answer};

bool store_verification_list_open(store *s, uint64_t before, size_t limit, store_verifications_listed *done,
                                  void *context, error *err) {
    return submit(s, &list_open_operation, NULL, before, limit, done, context, err);
}

typedef struct trim_kept {
    request base;
    bool of_worker;
    uint8_t worker_id[STORE_WORKER_ID_SIZE];
    uint64_t keep;
    uint64_t before_ms;
    size_t count;
    store_verifications_trimmed *done;
    void *context;
} trim_kept;

/* Runs a deletion whose last parameter is how many rows may still go; payloads go with their rows. */
static bool run_trim(trim_kept *r, query *q, database *d, error *err) {
    query_u64(q, STORE_LIST_MAX - r->count);
    if (!query_run(q, err)) {
        return false;
    }
    size_t count = (size_t)database_changes(d);
    if (count > 0) {
        database_note_wipe(d);
    }
    r->count += count;
    return true;
}

static bool trim_beyond(trim_kept *r, database *d, error *err) {
    query q;
    query_start(&q, d,
                "DELETE FROM inference_verifications WHERE number IN (SELECT number "
                "FROM inference_verifications WHERE state = 'kept' AND worker_id = ?1 "
                "ORDER BY created_ms DESC, number DESC LIMIT ?3 OFFSET ?2)");
    query_bytes(&q, r->worker_id, sizeof r->worker_id);
    query_u64(&q, r->keep);
    return run_trim(r, &q, d, err);
}

static bool trim_old(trim_kept *r, database *d, error *err) {
    query q;
    if (r->of_worker) {
        query_start(&q, d,
                    "DELETE FROM inference_verifications WHERE number IN (SELECT number "
                    "FROM inference_verifications WHERE state = 'kept' AND worker_id = ? AND created_ms < ? "
                    "ORDER BY created_ms LIMIT ?)");
        query_bytes(&q, r->worker_id, sizeof r->worker_id);
    } else {
        query_start(&q, d,
                    "DELETE FROM inference_verifications WHERE number IN (SELECT number "
                    "FROM inference_verifications INDEXED BY verifications_kept "
                    "WHERE state = 'kept' AND created_ms < ? LIMIT ?)");
    }
    query_u64(&q, r->before_ms);
    return run_trim(r, &q, d, err);
}

static bool trim_kept_run(request *base, database *d, error *err) {
    trim_kept *r = (trim_kept *)base;
    return (!r->of_worker || trim_beyond(r, d, err)) && trim_old(r, d, err);
}

static void trim_kept_answer(request *base, const error *failure) {
    const trim_kept *r = (const trim_kept *)base;
    r->done(r->context, failure == NULL ? r->count : 0, failure);
}

static const operation trim_kept_operation = {DATABASE_WRITE, trim_kept_run, trim_kept_answer};

bool store_verification_trim_kept(store *s, const uint8_t *worker_id, size_t keep, uint64_t before_ms,
                                  store_verifications_trimmed *done, void *context, error *err) {
    trim_kept *r = request_new(&trim_kept_operation, sizeof *r, err);
    if (r == NULL) {
        return false;
    }
    r->of_worker = worker_id != NULL;
    if (worker_id != NULL) {
        memcpy(r->worker_id, worker_id, sizeof r->worker_id);
    }
    r->keep = keep;
    r->before_ms = before_ms;
    r->done = done;
    r->context = context;
    return request_submit(s, &r->base, err);
}
