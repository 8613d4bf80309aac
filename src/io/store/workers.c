#include "workers_internal.h"

bool workers_read(query *q, arena *memory, store_worker *worker, error *err) {
    query_read_bytes(q, worker->id, sizeof worker->id);
    query_read_bytes(q, worker->public_key, sizeof worker->public_key);
    worker->name = query_read_slice(q, memory);
    worker->owner = query_read_slice(q, memory);
    worker->class_name = query_read_slice(q, memory);
    worker->tiers = query_read_slice(q, memory);
    worker->requested_by = query_read_u64(q);
    worker->approved_by = query_read_u64(q);
    worker->created_ms = query_read_u64(q);
    worker->expires_ms = query_read_u64(q);
    worker->revoked_ms = query_read_u64(q);
    worker->last_seen_ms = query_read_u64(q);
    worker->suspected_ms = query_read_u64(q);
    worker->approval = query_read_u64(q);
    worker->contractor = query_read_u64(q) != 0;
    worker->referee = query_read_u64(q) != 0;
    worker->has_machine = query_read_bytes(q, worker->machine, sizeof worker->machine);
    worker->has_former_id = query_read_bytes(q, worker->former_id, sizeof worker->former_id);
    worker->key_epoch = query_read_u64(q);
    return query_columns_fit(q, err);
}

typedef struct worker_list {
    request base;
    slice after;  /* an id, or empty */
    size_t limit; /* 0: all */
    void *workers;
    size_t count;
    store_workers_listed *done;
    void *context;
} worker_list;

static void start_worker_list(query *q, database *d, const worker_list *r) {
    if (r->limit == 0) {
        query_start(q, d, "SELECT " WORKER_COLUMNS " FROM workers ORDER BY id");
    } else {
        /* The empty blob sorts before every id. */
        query_start(q, d, "SELECT " WORKER_COLUMNS " FROM workers WHERE id > ? ORDER BY id LIMIT ?");
        query_bytes(q, r->after.data, r->after.length);
        query_u64(q, r->limit);
    }
}

static bool worker_list_run(request *base, database *d, error *err) {
    worker_list *r = (worker_list *)base;
    query q;
    start_worker_list(&q, d, r);
    for (bool row = true; query_row(&q, &row, err);) {
        if (!row) {
            return true;
        }
        store_worker *worker = request_add_row(base, &r->workers, &r->count, sizeof *worker, err);
        if (worker == NULL || !workers_read(&q, base->memory, worker, err)) {
            return false;
        }
    }
    return false;
}

static void worker_list_answer(request *base, const error *failure) {
    const worker_list *r = (const worker_list *)base;
    r->done(r->context, failure == NULL ? r->workers : NULL, failure == NULL ? r->count : 0, failure);
}

static const operation worker_list_operation = {DATABASE_READ, worker_list_run, worker_list_answer};

static bool submit_list(store *s, slice after, size_t limit, store_workers_listed *done, void *context,
                        error *err) {
    worker_list *r = request_new(&worker_list_operation, sizeof *r, err);
    if (r == NULL) {
        return false;
    }
    r->after = request_copy(&r->base, after);
    r->limit = limit;
    r->done = done;
    r->context = context;
    return request_submit(s, &r->base, err);
}

bool store_worker_list(store *s, const uint8_t *after, size_t limit, store_workers_listed *done,
                       void *context, error *err) {
    return request_check_list(limit, err) &&
           submit_list(s, slice_of(after, after == NULL ? 0 : STORE_WORKER_ID_SIZE), limit, done, context,
                       err);
}

bool store_load_workers(store *s, store_workers_listed *done, void *context, error *err) {
    return submit_list(s, (slice){NULL, 0}, 0, done, context, err);
}

typedef struct worker_revoke {
    request base;
    uint8_t worker_id[STORE_WORKER_ID_SIZE];
    uint64_t now_ms;
    store_done *done;
    void *context;
} worker_revoke;

static bool run_dated(query *q, const worker_revoke *r, database *d, error *err) {
    query_u64(q, r->now_ms);
    query_bytes(q, r->worker_id, sizeof r->worker_id);
    if (!query_run(q, err)) {
        return false;
    }
    return database_changes(d) == 1 || error_set(err, ERROR_NOT_FOUND, "there is no such worker");
}

static bool worker_revoke_run(request *base, database *d, error *err) {
    const worker_revoke *r = (const worker_revoke *)base;
    query q;
    query_start(&q, d,
                "UPDATE workers SET state = 'revoked', revoked_ms = coalesce(revoked_ms, ?) WHERE id = ?");
    return run_dated(&q, r, d, err);
}

static bool worker_suspect_run(request *base, database *d, error *err) {
    const worker_revoke *r = (const worker_revoke *)base;
    query q;
    query_start(&q, d, "UPDATE workers SET suspected_ms = coalesce(suspected_ms, ?) WHERE id = ?");
    return run_dated(&q, r, d, err);
}

static void worker_revoke_answer(request *base, const error *failure) {
    const worker_revoke *r = (const worker_revoke *)base;
    r->done(r->context, failure);
}

static const operation worker_revoke_operation = {DATABASE_WRITE_SYNCED, worker_revoke_run,
                                                  worker_revoke_answer};

static const operation worker_suspect_operation = {DATABASE_WRITE_SYNCED, worker_suspect_run,
                                                   worker_revoke_answer};

static bool submit_dated(store *s, const operation *o, const uint8_t *worker_id, uint64_t now_ms,
                         store_done *done, void *context, error *err) {
    if (now_ms == 0) {
        return error_set(err, ERROR_INVALID, "a revocation needs its date");
    }
    worker_revoke *r = request_new(o, sizeof *r, err);
    if (r == NULL) {
        return false;
    }
    memcpy(r->worker_id, worker_id, sizeof r->worker_id);
    r->now_ms = now_ms;
    r->done = done;
    r->context = context;
    return request_submit(s, &r->base, err);
}

bool store_worker_revoke(store *s, const uint8_t worker_id[STORE_WORKER_ID_SIZE], uint64_t now_ms,
                         store_done *done, void *context, error *err) {
    return submit_dated(s, &worker_revoke_operation, worker_id, now_ms, done, context, err);
}

bool store_worker_suspect(store *s, const uint8_t worker_id[STORE_WORKER_ID_SIZE], uint64_t now_ms,
                          store_done *done, void *context, error *err) {
    return submit_dated(s, &worker_suspect_operation, worker_id, now_ms, done, context, err);
}

typedef struct worker_change {
    request base;
    uint8_t worker_id[STORE_WORKER_ID_SIZE];
    uint8_t machine[STORE_MACHINE_SIZE];
    store_done *done;
    void *context;
} worker_change;

static void worker_change_answer(request *base, const error *failure) {
    const worker_change *r = (const worker_change *)base;
    r->done(r->context, failure);
}

static bool run_change(query *q, database *d, error *err) {
    if (!query_run(q, err)) {
        return false;
    }
    return database_changes(d) == 1 || error_set(err, ERROR_NOT_FOUND, "there is no such worker");
}

static bool worker_restore_run(request *base, database *d, error *err) {
    const worker_change *r = (const worker_change *)base;
    query q;
    query_start(&q, d,
                "UPDATE workers SET state = 'approved', revoked_ms = NULL, suspected_ms = NULL, "
                "machine = CASE WHEN suspected_ms IS NULL THEN machine END WHERE id = ?");
    query_bytes(&q, r->worker_id, sizeof r->worker_id);
    return run_change(&q, d, err);
}

static bool worker_trust_run(request *base, database *d, error *err) {
    const worker_change *r = (const worker_change *)base;
    query q;
    query_start(&q, d,
                "UPDATE workers SET suspected_ms = NULL, "
                "machine = CASE WHEN suspected_ms IS NULL THEN machine END WHERE id = ?");
    query_bytes(&q, r->worker_id, sizeof r->worker_id);
    return run_change(&q, d, err);
}

static const operation worker_trust_operation = {DATABASE_WRITE_SYNCED, worker_trust_run,
                                                 worker_change_answer};
static const operation worker_restore_operation = {DATABASE_WRITE_SYNCED, worker_restore_run,
                                                   worker_change_answer};

static bool worker_set_machine_run(request *base, database *d, error *err) {
    const worker_change *r = (const worker_change *)base;
    query q;
    query_start(&q, d, "UPDATE workers SET machine = ? WHERE id = ?");
    query_bytes(&q, r->machine, sizeof r->machine);
    query_bytes(&q, r->worker_id, sizeof r->worker_id);
    return run_change(&q, d, err);
}

static const operation worker_set_machine_operation = {DATABASE_WRITE, worker_set_machine_run,
                                                       worker_change_answer};

static bool submit_change(store *s, const operation *o, const uint8_t *worker_id, const uint8_t *machine,
                          store_done *done, void *context, error *err) {
    worker_change *r = request_new(o, sizeof *r, err);
    if (r == NULL) {
        return false;
    }
    memcpy(r->worker_id, worker_id, sizeof r->worker_id);
    if (machine != NULL) {
        memcpy(r->machine, machine, sizeof r->machine);
    }
    r->done = done;
    r->context = context;
    return request_submit(s, &r->base, err);
}

bool store_worker_restore(store *s, const uint8_t worker_id[STORE_WORKER_ID_SIZE], store_done *done,
                          void *context, error *err) {
    return submit_change(s, &worker_restore_operation, worker_id, NULL, done, context, err);
}

bool store_worker_trust(store *s, const uint8_t worker_id[STORE_WORKER_ID_SIZE], store_done *done,
                        void *context, error *err) {
    return submit_change(s, &worker_trust_operation, worker_id, NULL, done, context, err);
}

bool store_worker_set_machine(store *s, const uint8_t worker_id[STORE_WORKER_ID_SIZE],
                              const uint8_t machine[STORE_MACHINE_SIZE], store_done *done, void *context,
                              error *err) {
    return submit_change(s, &worker_set_machine_operation, worker_id, machine, done, context, err);
}
