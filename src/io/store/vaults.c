#include "store/vaults.h"

#include "request.h"
#include "vaults_internal.h"

/* A vault without wraps is one whose erasing has begun (vaults_erasing.c): nothing is added to it any more.
 */

typedef struct vault_get {
    request base;
    uint64_t user_id;
    bool found;
    store_vault vault;
    void *wraps;
    store_vault_found *done;
    void *context;
} vault_get;

static bool read_vault(vault_get *r, database *d, error *err) {
    query q;
    query_start(&q, d, "SELECT salt, created_ms FROM vaults WHERE user_id = ?");
    query_u64(&q, r->user_id);
    if (!query_row(&q, &r->found, err)) {
        return false;
    }
    if (!r->found) {
        return true;
    }
    query_read_bytes(&q, r->vault.salt, sizeof r->vault.salt);
    r->vault.created_ms = query_read_u64(&q);
    return query_columns_fit(&q, err);
}

static bool vault_get_run(request *base, database *d, error *err) {
    vault_get *r = (vault_get *)base;
    query q;
    if (!read_vault(r, d, err)) {
        return false;
    }
    query_start(&q, d,
                "SELECT key_id, kind, cost, wrapped, CASE WHEN revoked_ms IS NULL THEN 0 ELSE 1 END, token_hash "
                "FROM vault_wraps JOIN keys ON keys.id = key_id WHERE vault_wraps.user_id = ? "
                "ORDER BY key_id");
    query_u64(&q, r->user_id);
    for (bool row = true; query_row(&q, &row, err);) {
        if (!row) {
            return true;
        }
        store_wrap *wrap = request_add_row(base, &r->wraps, &r->vault.wrap_count, sizeof *wrap, err);
        if (wrap == NULL) {
            return false;
        }
        wrap->key_id = query_read_u64(&q);
        wrap->kind = query_read_slice(&q, base->memory);
        wrap->cost = query_read_u64(&q);
        wrap->wrapped = query_read_slice(&q, base->memory);
        wrap->revoked = query_read_u64(&q) != 0;
        query_read_bytes(&q, wrap->token_hash, sizeof wrap->token_hash);
        if (!query_columns_fit(&q, err)) {
            return false;
        }
    }
    return false;
}

static void vault_get_answer(request *base, const error *failure) {
    vault_get *r = (vault_get *)base;
    r->vault.wraps = r->wraps;
    r->done(r->context, failure == NULL && r->found ? &r->vault : NULL, failure);
}

static const operation vault_get_operation = {DATABASE_READ, vault_get_run, vault_get_answer};

bool store_vault_get(store *s, uint64_t user_id, store_vault_found *done, void *context, error *err) {
    vault_get *r = request_new(&vault_get_operation, sizeof *r, err);
    if (r == NULL) {
        return false;
    }
    r->user_id = user_id;
    r->done = done;
    r->context = context;
    return request_submit(s, &r->base, err);
}

/* Adding a vault, or a wrap to one. */
typedef struct wrap_put {
    request base;
    uint64_t user_id;
    uint8_t salt[STORE_VAULT_SALT_SIZE];
    uint64_t created_ms;
    store_wrap wrap;
    uint64_t instead;
    store_done *done;
    void *context;
} wrap_put;

static bool check_wrap(const store_wrap *wrap, error *err) {
    if (wrap->kind.length == 0 || !request_text_is_valid(wrap->kind, STORE_WRAP_KIND_MAX) ||
        wrap->cost == 0) {
        return error_set(err, ERROR_INVALID, "a wrap names its derivation in 1 to %d bytes, and its cost",
                         (int)STORE_WRAP_KIND_MAX);
    }
    return (wrap->wrapped.length > 0 && wrap->wrapped.length <= STORE_WRAP_MAX) ||
           error_set(err, ERROR_INVALID, "a wrapped key has 1 to %d bytes", (int)STORE_WRAP_MAX);
}

static wrap_put *new_put(const operation *o, uint64_t user_id, const uint8_t *salt, const store_wrap *wrap,
                         error *err) {
    wrap_put *r = check_wrap(wrap, err) ? request_new(o, sizeof *r, err) : NULL;
    if (r != NULL) {
        r->user_id = user_id;
        memcpy(r->salt, salt, sizeof r->salt);
        r->wrap = *wrap;
        r->wrap.kind = request_copy(&r->base, wrap->kind);
        r->wrap.wrapped = request_copy(&r->base, wrap->wrapped);
    }
    return r;
}

static bool check_key(const wrap_put *r, database *d, error *err) {
    query q;
    bool row = false;
    query_start(&q, d, "SELECT 1 FROM keys WHERE id = ? AND user_id = ? AND revoked_ms IS NULL");
    query_u64(&q, r->wrap.key_id);
    query_u64(&q, r->user_id);
    return query_row(&q, &row, err) &&
           (row ||
            error_set(err, ERROR_INVALID, "this key isn't the user's, or was revoked; use another one"));
}

static bool insert_wrap(const wrap_put *r, database *d, error *err) {
    query q;
    query_start(&q, d,
                "INSERT INTO vault_wraps (user_id, key_id, kind, cost, wrapped) VALUES (?, ?, ?, ?, ?)");
    query_u64(&q, r->user_id);
    query_u64(&q, r->wrap.key_id);
    query_text(&q, r->wrap.kind);
    query_u64(&q, r->wrap.cost);
    query_bytes(&q, r->wrap.wrapped.data, r->wrap.wrapped.length);
    return query_run(&q, err) || error_context(err, "wrap");
}

static bool vault_add_run(request *base, database *d, error *err) {
    const wrap_put *r = (const wrap_put *)base;
    query q;
    if (!check_key(r, d, err)) {
        return false;
    }
    query_start(&q, d, "INSERT INTO vaults (user_id, salt, created_ms) VALUES (?, ?, ?)");
    query_u64(&q, r->user_id);
    query_bytes(&q, r->salt, sizeof r->salt);
    query_u64(&q, r->created_ms);
    if (!query_run(&q, err)) {
        return err->code == ERROR_CONFLICT
                   ? error_set(err, ERROR_CONFLICT,
                               "this user has a vault already; open it, or erase it to its end")
                   : false;
    }
    return insert_wrap(r, d, err);
}

static void wrap_put_answer(request *base, const error *failure) {
    const wrap_put *r = (const wrap_put *)base;
    r->done(r->context, failure);
}

static const operation vault_add_operation = {DATABASE_WRITE_SYNCED, vault_add_run, wrap_put_answer};

bool store_vault_add(store *s, uint64_t user_id, const uint8_t salt[STORE_VAULT_SALT_SIZE],
                     uint64_t created_ms, const store_wrap *wrap, store_done *done, void *context,
                     error *err) {
    wrap_put *r = new_put(&vault_add_operation, user_id, salt, wrap, err);
    if (r == NULL) {
        return false;
    }
    r->created_ms = created_ms;
    r->done = done;
    r->context = context;
    return request_submit(s, &r->base, err);
}

static bool count_wraps(const wrap_put *r, database *d, uint64_t *count, error *err) {
    query q;
    bool row = false;
    query_start(&q, d,
                "SELECT count(*) FROM vaults JOIN vault_wraps ON vault_wraps.user_id = vaults.user_id "
                "WHERE vaults.user_id = ? AND salt = ?");
    query_u64(&q, r->user_id);
    query_bytes(&q, r->salt, sizeof r->salt);
    if (!query_row(&q, &row, err)) {
        return false;
    }
    *count = query_read_u64(&q);
    return query_columns_fit(&q, err) &&
           (*count > 0 ||
            error_set(err, ERROR_NOT_FOUND, "this vault isn't there any more; begin again without it"));
}

/* The key's own, the one that is replaced, and those that stayed only while no other key opened the vault. */
static bool make_room(const wrap_put *r, database *d, uint64_t *removed, error *err) {
    query q;
    query_start(&q, d,
                "DELETE FROM vault_wraps WHERE user_id = ? AND (key_id = ? OR key_id = ? OR key_id IN "
                "(SELECT id FROM keys WHERE keys.user_id = ? AND revoked_ms IS NOT NULL))");
    query_u64(&q, r->user_id);
    query_u64(&q, r->wrap.key_id);
    query_u64(&q, r->instead);
    query_u64(&q, r->user_id);
    if (!query_run(&q, err)) {
        return false;
    }
    *removed = database_changes(d);
    if (*removed > 0) {
        database_note_wipe(d);
    }
    return true;
}

static bool wrap_put_run(request *base, database *d, error *err) {
    const wrap_put *r = (const wrap_put *)base;
    uint64_t count = 0;
    uint64_t removed = 0;
    if (!count_wraps(r, d, &count, err) || !check_key(r, d, err) || !make_room(r, d, &removed, err)) {
        return false;
    }
    if (count - removed >= STORE_WRAPS_OF_USER_MAX) {
        return error_set(err, ERROR_LIMIT, "%d keys open this vault already; remove one first",
                         (int)STORE_WRAPS_OF_USER_MAX);
    }
    return insert_wrap(r, d, err);
}

static const operation wrap_put_operation = {DATABASE_WRITE_SYNCED, wrap_put_run, wrap_put_answer};

bool store_wrap_put(store *s, uint64_t user_id, const uint8_t salt[STORE_VAULT_SALT_SIZE],
                    const store_wrap *wrap, uint64_t instead, store_done *done, void *context, error *err) {
    wrap_put *r = new_put(&wrap_put_operation, user_id, salt, wrap, err);
    if (r == NULL) {
        return false;
    }
    r->instead = instead;
    r->done = done;
    r->context = context;
    return request_submit(s, &r->base, err);
}

#define ANOTHER_OPENS                                                                                        \
    "EXISTS (SELECT 1 FROM vault_wraps AS other JOIN keys ON keys.id = other.key_id "                        \
    "WHERE other.user_id = vault_wraps.user_id AND other.key_id <> vault_wraps.key_id "                      \
    "AND revoked_ms IS NULL)"

bool vaults_forget_key(database *d, uint64_t key_id, error *err) {
    query q;
    query_start(&q, d,
                "DELETE FROM vault_wraps WHERE user_id = (SELECT keys.user_id FROM keys WHERE keys.id = ?) "
                "AND key_id = ? AND " ANOTHER_OPENS);
    query_u64(&q, key_id);
    query_u64(&q, key_id);
    if (!query_run(&q, err)) {
        return false;
    }
    if (database_changes(d) > 0) {
        database_note_wipe(d);
    }
    return true;
}

typedef struct wrap_remove {
    request base;
    uint64_t user_id;
    uint64_t key_id;
    store_done *done;
    void *context;
} wrap_remove;

static bool wrap_exists(const wrap_remove *r, database *d, bool *exists, error *err) {
    query q;
    query_start(&q, d, "SELECT 1 FROM vault_wraps WHERE user_id = ? AND key_id = ?");
    query_u64(&q, r->user_id);
    query_u64(&q, r->key_id);
    return query_row(&q, exists, err);
}

static bool wrap_remove_run(request *base, database *d, error *err) {
    const wrap_remove *r = (const wrap_remove *)base;
    query q;
    query_start(&q, d, "DELETE FROM vault_wraps WHERE user_id = ? AND key_id = ? AND " ANOTHER_OPENS);
    query_u64(&q, r->user_id);
    query_u64(&q, r->key_id);
    if (!query_run(&q, err)) {
        return false;
    }
    if (database_changes(d) == 1) {
        database_note_wipe(d);
        return true;
    }
    bool exists = false;
    if (!wrap_exists(r, d, &exists, err)) {
        return false;
    }
    return exists ? error_set(err, ERROR_CONFLICT,
                              "no other key opens what is kept; let another one open it first, or erase all")
                  : error_set(err, ERROR_NOT_FOUND, "this key opens nothing");
}

static void wrap_remove_answer(request *base, const error *failure) {
    const wrap_remove *r = (const wrap_remove *)base;
    r->done(r->context, failure);
}

static const operation wrap_remove_operation = {DATABASE_WRITE_SYNCED, wrap_remove_run, wrap_remove_answer};

bool store_wrap_remove(store *s, uint64_t user_id, uint64_t key_id, store_done *done, void *context,
                       error *err) {
    wrap_remove *r = request_new(&wrap_remove_operation, sizeof *r, err);
    if (r == NULL) {
        return false;
    }
    r->user_id = user_id;
    r->key_id = key_id;
    r->done = done;
    r->context = context;
    return request_submit(s, &r->base, err);
}
