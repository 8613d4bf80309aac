#include "workers_internal.h"

typedef struct key_replace {
    request base;
    store_new_worker_key key;
    store_worker worker;
    store_worker_key_replaced *done;
    void *context;
} key_replace;

static bool insert_successor(const store_new_worker_key *k, database *d, error *err) {
    query q;
    query_start(&q, d,
                "INSERT INTO workers (id, public_key, name, owner, class, tiers, requested_by, approved_by, "
                "state, created_ms, expires_ms, last_seen_ms, approval, contractor, referee, machine, "
                "former_id, key_epoch) "
                "SELECT ?1, ?2, name, owner, class, tiers, requested_by, approved_by, "
                "state, created_ms, expires_ms, last_seen_ms, approval, contractor, referee, machine, id, ?3 "
                "FROM workers WHERE id = ?4 AND state = 'approved' AND suspected_ms IS NULL AND (expires_ms "
                "= 0 OR expires_ms > ?5)");
    query_bytes(&q, k->id, sizeof k->id);
    query_bytes(&q, k->public_key, sizeof k->public_key);
    query_u64(&q, k->key_epoch);
    query_bytes(&q, k->former_id, sizeof k->former_id);
    query_u64(&q, k->now_ms);
    if (!query_run(&q, err)) {
        return error_context(err, "worker");
    }
    return database_changes(d) == 1 || error_set(err, ERROR_DENIED, "this worker may not serve any more");
}

static bool revoke_former(const store_new_worker_key *k, database *d, error *err) {
    query q;
    query_start(&q, d, "UPDATE workers SET state = 'revoked', revoked_ms = ? WHERE id = ?");
    query_u64(&q, k->now_ms);
    query_bytes(&q, k->former_id, sizeof k->former_id);
    return query_run(&q, err);
}

static bool read_successor(const store_new_worker_key *k, database *d, arena *memory, store_worker *worker,
                           error *err) {
    query q;
    query_start(&q, d, "SELECT " WORKER_COLUMNS " FROM workers WHERE id = ?");
    query_bytes(&q, k->id, sizeof k->id);
    bool row = false;
    if (!query_row(&q, &row, err)) {
        return false;
    }
    return row ? workers_read(&q, memory, worker, err)
               : error_set(err, ERROR_INTERNAL, "the worker just added isn't there");
}

static bool key_replace_run(request *base, database *d, error *err) {
    key_replace *r = (key_replace *)base;
    return insert_successor(&r->key, d, err) && revoke_former(&r->key, d, err) &&
           read_successor(&r->key, d, base->memory, &r->worker, err);
}

static void key_replace_answer(request *base, const error *failure) {
    const key_replace *r = (const key_replace *)base;
    r->done(r->context, failure == NULL ? &r->worker : NULL, failure);
}

static const operation key_replace_operation = {DATABASE_WRITE_SYNCED, key_replace_run, key_replace_answer};

bool store_worker_replace_key(store *s, const store_new_worker_key *key, store_worker_key_replaced *done,
                              void *context, error *err) {
    if (key->now_ms == 0) {
        return error_set(err, ERROR_INVALID, "a revocation needs its date");
    }
    key_replace *r = request_new(&key_replace_operation, sizeof *r, err);
    if (r == NULL) {
        return false;
    }
    r->key = *key;
    r->done = done;
    r->context = context;
    return request_submit(s, &r->base, err);
}
