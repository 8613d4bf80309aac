#include "keys_internal.h"

static bool check_mode(slice mode, error *err) {
    return request_mode_is_known(mode) ||
           error_set(err, ERROR_INVALID, "a key's mode is off, spot, every, proved or required");
}

bool keys_check_new(const store_new_key *key, error *err) {
    if (key->verify_mode.length > 0 && !check_mode(key->verify_mode, err)) {
        return false;
    }
    if (!request_text_is_valid(key->label, STORE_LABEL_MAX)) {
        return error_set(err, ERROR_INVALID, "a key's label is text of at most %d bytes",
                         (int)STORE_LABEL_MAX);
    }
    return true;
}

store_new_key keys_copy_new(request *r, const store_new_key *key) {
    store_new_key copy = *key;
    copy.label = request_copy(r, key->label);
    copy.verify_mode =
        request_copy(r, key->verify_mode.length == 0 ? SLICE_LITERAL("off") : key->verify_mode);
    return copy;
}

bool keys_insert(database *d, uint64_t user_id, const store_new_key *key, uint64_t *key_id, error *err) {
    query q;
    query_start(
        &q, d,
        "INSERT INTO keys (user_id, token_hash, label, created_ms, expires_ms, verify_mode, made_with) "
        "VALUES (?, ?, ?, ?, ?, ?, nullif(?, 0))");
    query_u64(&q, user_id);
    query_bytes(&q, key->token_hash, sizeof key->token_hash);
    query_text(&q, key->label);
    query_u64(&q, key->created_ms);
    query_u64(&q, key->expires_ms);
    query_text(&q, key->verify_mode);
    query_u64(&q, key->made_with);
    if (!query_run(&q, err)) {
        return err->code == ERROR_CONFLICT
                   ? error_set(err, ERROR_CONFLICT, "this key exists already; make another")
                   : false;
    }
    *key_id = database_last_id(d);
    return true;
}

store_loaded_key keys_describe_new(const store_new_key *key, uint64_t key_id, uint64_t user_id,
                                   slice user_name, slice role) {
    store_loaded_key added = {.key_id = key_id,
                              .user_id = user_id,
                              .user_name = user_name,
                              .role = role,
                              .expires_ms = key->expires_ms,
                              .verify_mode = key->verify_mode,
                              .made_with = key->made_with};
    memcpy(added.token_hash, key->token_hash, sizeof added.token_hash);
    return added;
}

typedef struct key_add {
    request base;
    slice user_name;
    store_new_key key;
    slice role;
    uint64_t user_id;
    uint64_t key_id;
    store_key_added *done;
    void *context;
} key_add;

static bool check_maker(const key_add *r, database *d, error *err) {
    query q;
    bool row = true;
    if (r->key.made_with == 0) {
        return true;
    }
    query_start(&q, d, "SELECT 1 FROM keys WHERE id = ? AND user_id = ? AND revoked_ms IS NULL");
    query_u64(&q, r->key.made_with);
    query_u64(&q, r->user_id);
    return query_row(&q, &row, err) &&
           (row || error_set(err, ERROR_DENIED, "the key that this one is made with was revoked"));
}

static bool check_count(const key_add *r, database *d, error *err) {
    query q;
    bool row = false;
    if (r->key.live_limit == 0) {
        return true;
    }
    query_start(&q, d,
                "SELECT count(*) FROM keys WHERE user_id = ? AND revoked_ms IS NULL AND "
                "(expires_ms = 0 OR expires_ms > ?)");
    query_u64(&q, r->user_id);
    query_u64(&q, r->key.created_ms);
    if (!query_row(&q, &row, err)) {
        return false;
    }
    uint64_t count = query_read_u64(&q);
    return query_columns_fit(&q, err) &&
           (count < r->key.live_limit ||
            error_set(err, ERROR_CONFLICT, "you have %llu keys already; revoke one first",
                      (unsigned long long)count));
}

static bool key_add_run(request *base, database *d, error *err) {
    key_add *r = (key_add *)base;
    query q;
    query_start(&q, d, "SELECT id, role FROM users WHERE name = ? AND disabled = 0");
    query_text(&q, r->user_name);
    bool row = false;
    if (!query_row(&q, &row, err)) {
        return false;
    }
    if (!row) {
        return error_set(err, ERROR_NOT_FOUND, "there is no user %.*s, or it is disabled",
                         SLICE_FORMAT(r->user_name));
    }
    r->user_id = query_read_u64(&q);
    r->role = query_read_slice(&q, base->memory);
    return query_columns_fit(&q, err) && check_maker(r, d, err) && check_count(r, d, err) &&
           keys_insert(d, r->user_id, &r->key, &r->key_id, err);
}

static void key_add_answer(request *base, const error *failure) {
    const key_add *r = (const key_add *)base;
    store_loaded_key added = keys_describe_new(&r->key, r->key_id, r->user_id, r->user_name, r->role);
    r->done(r->context, failure == NULL ? &added : NULL, failure);
}

static const operation key_add_operation = {DATABASE_WRITE_SYNCED, key_add_run, key_add_answer};

bool store_key_add(store *s, slice user_name, const store_new_key *key, store_key_added *done, void *context,
                   error *err) {
    if (!store_user_name_is_valid(user_name)) {
        return error_set(err, ERROR_INVALID, "that isn't a user's name");
    }
    if (!keys_check_new(key, err)) {
        return false;
    }
    key_add *r = request_new(&key_add_operation, sizeof *r, err);
    if (r == NULL) {
        return false;
    }
    r->user_name = request_copy(&r->base, user_name);
    r->key = keys_copy_new(&r->base, key);
    r->done = done;
    r->context = context;
    return request_submit(s, &r->base, err);
}

typedef struct key_set_mode {
    request base;
    uint64_t key_id;
    slice mode;
    uint8_t token_hash[STORE_HASH_SIZE];
    store_key_mode_set *done;
    void *context;
} key_set_mode;

static bool key_set_mode_run(request *base, database *d, error *err) {
    key_set_mode *r = (key_set_mode *)base;
    query q;
    query_start(&q, d, "UPDATE keys SET verify_mode = ? WHERE id = ? RETURNING token_hash");
    query_text(&q, r->mode);
    query_u64(&q, r->key_id);
    bool row = false;
    if (!query_row(&q, &row, err)) {
        return false;
    }
    if (!row) {
        return error_set(err, ERROR_NOT_FOUND, "there is no key %llu", (unsigned long long)r->key_id);
    }
    query_read_bytes(&q, r->token_hash, sizeof r->token_hash);
    return query_columns_fit(&q, err) && query_run(&q, err);
}

static void key_set_mode_answer(request *base, const error *failure) {
    const key_set_mode *r = (const key_set_mode *)base;
    r->done(r->context, failure == NULL ? r->token_hash : NULL, failure);
}

static const operation key_set_mode_operation = {DATABASE_WRITE_SYNCED, key_set_mode_run,
                                                 key_set_mode_answer};

bool store_key_set_verify_mode(store *s, uint64_t key_id, slice verify_mode, store_key_mode_set *done,
                               void *context, error *err) {
    if (!check_mode(verify_mode, err)) {
        return false;
    }
    key_set_mode *r = request_new(&key_set_mode_operation, sizeof *r, err);
    if (r == NULL) {
        return false;
    }
    r->key_id = key_id;
    r->mode = request_copy(&r->base, verify_mode);
    r->done = done;
    r->context = context;
    return request_submit(s, &r->base, err);
}

typedef struct key_list {
    request base;
    slice user_name;
    uint64_t after;
    size_t limit;
    void *keys;
    size_t count;
    store_keys_listed *done;
    void *context;
} key_list;

#define LISTED_COLUMNS                                                                                       \
    "SELECT keys.id, user_id, users.name, label, keys.created_ms, expires_ms, revoked_ms, verify_mode, "     \
    "made_with, CASE WHEN EXISTS (SELECT 1 FROM vault_wraps WHERE vault_wraps.user_id = keys.user_id AND "   \
    "vault_wraps.key_id = keys.id) THEN 1 ELSE 0 END "

static void start_key_list(query *q, database *d, const key_list *r) {
    if (r->user_name.length == 0) {
        query_start(q, d,
                    LISTED_COLUMNS
                    "FROM keys JOIN users ON users.id = user_id WHERE keys.id > ? ORDER BY keys.id LIMIT ?");
    } else {
        query_start(q, d,
                    LISTED_COLUMNS
                    "FROM keys JOIN users ON users.id = user_id WHERE users.name = ? AND keys.id > ? "
                    "ORDER BY keys.id LIMIT ?");
        query_text(q, r->user_name);
    }
    query_u64(q, r->after);
    query_u64(q, r->limit);
}

/* An empty list is of a user who has no key; a name that nobody has is told. */
static bool check_listed_user(const key_list *r, database *d, error *err) {
    query q;
    bool row = false;
    if (r->count > 0 || r->after > 0 || r->user_name.length == 0) {
        return true;
    }
    query_start(&q, d, "SELECT id FROM users WHERE name = ?");
    query_text(&q, r->user_name);
    if (!query_row(&q, &row, err)) {
        return false;
    }
    return row || error_set(err, ERROR_NOT_FOUND, "there is no user %.*s", SLICE_FORMAT(r->user_name));
}

static bool key_list_run(request *base, database *d, error *err) {
    key_list *r = (key_list *)base;
    query q;
    start_key_list(&q, d, r);
    for (bool row = true; query_row(&q, &row, err);) {
        if (!row) {
            return check_listed_user(r, d, err);
        }
        store_key *key = request_add_row(base, &r->keys, &r->count, sizeof *key, err);
        if (key == NULL) {
            return false;
        }
        key->id = query_read_u64(&q);
        key->user_id = query_read_u64(&q);
        key->user_name = query_read_slice(&q, base->memory);
        key->label = query_read_slice(&q, base->memory);
        key->created_ms = query_read_u64(&q);
        key->expires_ms = query_read_u64(&q);
        key->revoked_ms = query_read_u64(&q);
        key->verify_mode = query_read_slice(&q, base->memory);
        key->made_with = query_read_u64(&q);
        key->opens_vault = query_read_u64(&q) != 0;
        if (!query_columns_fit(&q, err)) {
            return false;
        }
    }
    return false;
}

static void key_list_answer(request *base, const error *failure) {
    const key_list *r = (const key_list *)base;
    r->done(r->context, failure == NULL ? r->keys : NULL, failure == NULL ? r->count : 0, failure);
}

static const operation key_list_operation = {DATABASE_READ, key_list_run, key_list_answer};

bool store_key_list(store *s, slice user_name, uint64_t after, size_t limit, store_keys_listed *done,
                    void *context, error *err) {
    if (user_name.length > 0 && !store_user_name_is_valid(user_name)) {
        return error_set(err, ERROR_INVALID, "that isn't a user's name");
    }
    if (!request_check_list(limit, err)) {
        return false;
    }
    key_list *r = request_new(&key_list_operation, sizeof *r, err);
    if (r == NULL) {
        return false;
    }
    r->user_name = request_copy(&r->base, user_name);
    r->after = after;
    r->limit = limit;
    r->done = done;
    r->context = context;
    return request_submit(s, &r->base, err);
}

typedef struct load_keys {
    request base;
    void *keys;
    size_t count;
    store_keys_loaded *done;
    void *context;
} load_keys;

static bool load_keys_run(request *base, database *d, error *err) {
    load_keys *r = (load_keys *)base;
    query q;
    query_start(&q, d,
                "SELECT token_hash, keys.id, user_id, users.name, role, expires_ms, verify_mode, made_with "
                "FROM keys JOIN users ON users.id = user_id "
                "WHERE revoked_ms IS NULL AND disabled = 0 ORDER BY keys.id");
    for (bool row = true; query_row(&q, &row, err);) {
        if (!row) {
            return true;
        }
        store_loaded_key *key = request_add_row(base, &r->keys, &r->count, sizeof *key, err);
        if (key == NULL) {
            return false;
        }
        query_read_bytes(&q, key->token_hash, sizeof key->token_hash);
        key->key_id = query_read_u64(&q);
        key->user_id = query_read_u64(&q);
        key->user_name = query_read_slice(&q, base->memory);
        key->role = query_read_slice(&q, base->memory);
        key->expires_ms = query_read_u64(&q);
        key->verify_mode = query_read_slice(&q, base->memory);
        key->made_with = query_read_u64(&q);
        if (!query_columns_fit(&q, err)) {
            return false;
        }
    }
    return false;
}

static void load_keys_answer(request *base, const error *failure) {
    const load_keys *r = (const load_keys *)base;
    r->done(r->context, failure == NULL ? r->keys : NULL, failure == NULL ? r->count : 0, failure);
}

static const operation load_keys_operation = {DATABASE_READ, load_keys_run, load_keys_answer};

bool store_load_keys(store *s, store_keys_loaded *done, void *context, error *err) {
    load_keys *r = request_new(&load_keys_operation, sizeof *r, err);
    if (r == NULL) {
        return false;
    }
    r->done = done;
    r->context = context;
    return request_submit(s, &r->base, err);
}
