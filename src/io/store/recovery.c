#include "store/recovery.h"

#include "request.h"

typedef struct recovery_get {
    request base;
    uint64_t user_id;
    uint64_t key_id;
    bool found;
    store_recovery set;
    void *shares;
    store_recovery_found *done;
    void *context;
} recovery_get;

static bool read_vault(recovery_get *r, database *d, error *err) {
    query q;
    query_start(&q, d,
                "SELECT salt, EXISTS (SELECT 1 FROM vault_wraps WHERE vault_wraps.user_id = vaults.user_id "
                "AND key_id = ?) FROM vaults WHERE user_id = ?");
    query_u64(&q, r->key_id);
    query_u64(&q, r->user_id);
    if (!query_row(&q, &r->found, err)) {
        return false;
    }
    if (!r->found) {
        return true;
    }
    query_read_bytes(&q, r->set.salt, sizeof r->set.salt);
    r->set.opens = query_read_u64(&q) != 0;
    return query_columns_fit(&q, err);
}

/* All rows say which set they are of, and say the same. */
static bool read_share(recovery_get *r, query *q, error *err) {
    uint8_t set[STORE_RECOVERY_SET_SIZE];
    store_recovery_share *share = request_add_row(&r->base, &r->shares, &r->set.count, sizeof *share, err);
    if (share == NULL) {
        return false;
    }
    share->officer = query_read_slice(q, r->base.memory);
    query_read_bytes(q, set, sizeof set);
    uint64_t needed = query_read_u64(q);
    query_read_bytes(q, share->public_key, sizeof share->public_key);
    query_read_bytes(q, share->digest, sizeof share->digest);
    share->sealed = query_read_slice(q, r->base.memory);
    if (!query_columns_fit(q, err)) {
        return false;
    }
    if (r->set.count == 1) {
        memcpy(r->set.set, set, sizeof set);
        r->set.needed = needed;
    }
    return (memcmp(r->set.set, set, sizeof set) == 0 && r->set.needed == needed &&
            r->set.count <= STORE_RECOVERY_SHARES_MAX) ||
           error_set(err, ERROR_CORRUPT, "shares of several sets are mixed up in the database");
}

static bool recovery_get_run(request *base, database *d, error *err) {
    recovery_get *r = (recovery_get *)base;
    query q;
    if (!read_vault(r, d, err)) {
        return false;
    }
    query_start(&q, d,
                "SELECT officer, set_id, needed, public_key, digest, sealed FROM recovery_shares "
                "WHERE user_id = ? ORDER BY officer");
    query_u64(&q, r->user_id);
    for (bool row = true; query_row(&q, &row, err);) {
        if (!row) {
            return true;
        }
        if (!read_share(r, &q, err)) {
            return false;
        }
    }
    return false;
}

static void recovery_get_answer(request *base, const error *failure) {
    recovery_get *r = (recovery_get *)base;
    r->set.shares = r->shares;
    r->done(r->context, failure == NULL && r->found ? &r->set : NULL, failure);
}

static const operation recovery_get_operation = {DATABASE_READ, recovery_get_run, recovery_get_answer};

bool store_recovery_get(store *s, uint64_t user_id, uint64_t key_id, store_recovery_found *done,
                        void *context, error *err) {
    recovery_get *r = request_new(&recovery_get_operation, sizeof *r, err);
    if (r == NULL) {
        return false;
    }
    r->user_id = user_id;
    r->key_id = key_id;
    r->done = done;
    r->context = context;
    return request_submit(s, &r->base, err);
}

typedef struct recovery_put {
    request base;
    uint64_t user_id;
    store_recovery set;
    store_recovery_share shares[STORE_RECOVERY_SHARES_MAX];
    store_done *done;
    void *context;
} recovery_put;

static bool check_vault(const recovery_put *r, database *d, error *err) {
    query q;
    bool row = false;
    query_start(&q, d,
                "SELECT 1 FROM vaults WHERE user_id = ? AND salt = ? AND EXISTS "
                "(SELECT 1 FROM vault_wraps WHERE vault_wraps.user_id = vaults.user_id)");
    query_u64(&q, r->user_id);
    query_bytes(&q, r->set.salt, sizeof r->set.salt);
    return query_row(&q, &row, err) &&
           (row ||
            error_set(err, ERROR_NOT_FOUND, "this vault isn't there any more; begin again without it"));
}

static bool delete_shares(const recovery_put *r, database *d, error *err) {
    query q;
    query_start(&q, d, "DELETE FROM recovery_shares WHERE user_id = ?");
    query_u64(&q, r->user_id);
    if (!query_run(&q, err)) {
        return false;
    }
    if (database_changes(d) > 0) {
        database_note_wipe(d);
    }
    return true;
}

static bool insert_share(const recovery_put *r, const store_recovery_share *share, database *d, error *err) {
    query q;
    query_start(&q, d,
                "INSERT INTO recovery_shares (user_id, officer, set_id, needed, public_key, digest, sealed) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)");
    query_u64(&q, r->user_id);
    query_text(&q, share->officer);
    query_bytes(&q, r->set.set, sizeof r->set.set);
    query_u64(&q, r->set.needed);
    query_bytes(&q, share->public_key, sizeof share->public_key);
    query_bytes(&q, share->digest, sizeof share->digest);
    query_bytes(&q, share->sealed.data, share->sealed.length);
    return query_run(&q, err) || error_context(err, "share");
}

static bool recovery_put_run(request *base, database *d, error *err) {
    const recovery_put *r = (const recovery_put *)base;
    if (!check_vault(r, d, err) || !delete_shares(r, d, err)) {
        return false;
    }
    for (size_t i = 0; i < r->set.count; i++) {
        if (!insert_share(r, &r->shares[i], d, err)) {
            return false;
        }
    }
    return true;
}

static void recovery_put_answer(request *base, const error *failure) {
    const recovery_put *r = (const recovery_put *)base;
    r->done(r->context, failure);
}

static const operation recovery_put_operation = {DATABASE_WRITE_SYNCED, recovery_put_run,
                                                 recovery_put_answer};

static bool check_share(const store_recovery_share *share, error *err) {
    return (share->officer.length > 0 && request_text_is_valid(share->officer, STORE_NAME_MAX) &&
            share->sealed.length > 0 && share->sealed.length <= STORE_RECOVERY_SHARE_MAX) ||
           error_set(err, ERROR_INVALID, "a share names its officer, and has 1 to %d bytes",
                     (int)STORE_RECOVERY_SHARE_MAX);
}

static bool check_set(const store_recovery *set, error *err) {
    if (set->count > STORE_RECOVERY_SHARES_MAX ||
        (set->count > 0 && (set->needed < 2 || set->needed > set->count))) {
        return error_set(err, ERROR_INVALID, "a set has up to %d shares, of which 2 or more are needed",
                         (int)STORE_RECOVERY_SHARES_MAX);
    }
    for (size_t i = 0; i < set->count; i++) {
        if (!check_share(&set->shares[i], err)) {
            return false;
        }
    }
    return true;
}

bool store_recovery_put(store *s, uint64_t user_id, const store_recovery *set, store_done *done,
                        void *context, error *err) {
    recovery_put *r = check_set(set, err) ? request_new(&recovery_put_operation, sizeof *r, err) : NULL;
    if (r == NULL) {
        return false;
    }
    r->user_id = user_id;
    r->set = *set;
    for (size_t i = 0; i < set->count; i++) {
        r->shares[i] = set->shares[i];
        r->shares[i].officer = request_copy(&r->base, set->shares[i].officer);
        r->shares[i].sealed = request_copy(&r->base, set->shares[i].sealed);
    }
    r->done = done;
    r->context = context;
    return request_submit(s, &r->base, err);
}
