#include "request.h"
#include "store/keys.h"
#include "vaults_internal.h"

typedef struct key_revoke {
    request base;
    store_key_revocation wish;
    void *keys; /* store_revoked_key */
    size_t count;
    store_keys_revoked *done;
    void *context;
} key_revoke;

static bool add_revoked(key_revoke *r, query *q, error *err) {
    store_revoked_key *key = request_add_row(&r->base, &r->keys, &r->count, sizeof *key, err);
    if (key == NULL) {
        return false;
    }
    key->key_id = query_read_u64(q);
    query_read_bytes(q, key->token_hash, sizeof key->token_hash);
    return query_columns_fit(q, err);
}

static bool revoke_one(key_revoke *r, database *d, error *err) {
    query q;
    bool row = false;
    query_start(
        &q, d,
        "UPDATE keys SET revoked_ms = coalesce(revoked_ms, ?1) WHERE id = ?2 AND (?3 = 0 OR user_id = ?3) "
        "RETURNING id, token_hash");
    query_u64(&q, r->wish.now_ms);
    query_u64(&q, r->wish.key_id);
    query_u64(&q, r->wish.user_id);
    if (!query_row(&q, &row, err)) {
        return false;
    }
    if (!row) {
        return error_set(err, ERROR_NOT_FOUND, "there is no key %llu", (unsigned long long)r->wish.key_id);
    }
    return add_revoked(r, &q, err) && query_run(&q, err);
}

/* Through keys that were revoked before, too: what they made may have outlived them. */
static bool revoke_made(key_revoke *r, database *d, error *err) {
    query q;
    query_start(
        &q, d,
        "WITH RECURSIVE made (id) AS ("
        "SELECT keys.id FROM keys WHERE made_with = ?1 AND keys.id <> ?2 UNION "
        "SELECT keys.id FROM keys JOIN made ON made_with = made.id WHERE keys.id <> ?2) "
        "UPDATE keys SET revoked_ms = ?3 WHERE revoked_ms IS NULL AND id IN (SELECT made.id FROM made) "
        "RETURNING id, token_hash");
    query_u64(&q, r->wish.key_id);
    query_u64(&q, r->wish.kept);
    query_u64(&q, r->wish.now_ms);
    for (bool row = true; query_row(&q, &row, err);) {
        if (!row) {
            return true;
        }
        if (!add_revoked(r, &q, err)) {
            return false;
        }
    }
    return false;
}

static bool key_revoke_run(request *base, database *d, error *err) {
    key_revoke *r = (key_revoke *)base;
    if (!revoke_one(r, d, err) || (r->wish.with_made && !revoke_made(r, d, err))) {
        return false;
    }
    const store_revoked_key *keys = r->keys;
    for (size_t i = 0; i < r->count; i++) {
        if (!vaults_forget_key(d, keys[i].key_id, err)) {
            return false;
        }
    }
    return true;
}

static void key_revoke_answer(request *base, const error *failure) {
    const key_revoke *r = (const key_revoke *)base;
    r->done(r->context, failure == NULL ? r->keys : NULL, failure == NULL ? r->count : 0, failure);
}

static const operation key_revoke_operation = {DATABASE_WRITE_SYNCED, key_revoke_run, key_revoke_answer};

bool store_key_revoke(store *s, const store_key_revocation *revocation, store_keys_revoked *done,
                      void *context, error *err) {
    if (revocation->now_ms == 0) {
        return error_set(err, ERROR_INVALID, "a revocation needs its date");
    }
    key_revoke *r = request_new(&key_revoke_operation, sizeof *r, err);
    if (r == NULL) {
        return false;
    }
    r->wish = *revocation;
    r->done = done;
    r->context = context;
    return request_submit(s, &r->base, err);
}
