#include "store/users.h"

#include "keys_internal.h"

static bool role_is_known(slice role) {
    return slice_equal_text(role, "employee") || slice_equal_text(role, "worker_owner") ||
           slice_equal_text(role, "it_admin") || slice_equal_text(role, "security_officer");
}

static bool check_name(slice name, error *err) {
    return store_user_name_is_valid(name) ||
           error_set(err, ERROR_INVALID, "a user's name is 1 to %d of a-z 0-9 . _ @ -", (int)STORE_NAME_MAX);
}

typedef struct user_add {
    request base;
    slice name;
    slice role;
    store_new_key key;
    uint64_t user_id;
    uint64_t key_id;
    store_key_added *done;
    void *context;
} user_add;

static bool user_add_run(request *base, database *d, error *err) {
    user_add *r = (user_add *)base;
    query q;
    query_start(&q, d, "INSERT INTO users (name, role, created_ms) VALUES (?, ?, ?)");
    query_text(&q, r->name);
    query_text(&q, r->role);
    query_u64(&q, r->key.created_ms);
    if (!query_run(&q, err)) {
        return err->code == ERROR_CONFLICT
                   ? error_set(err, ERROR_CONFLICT, "there is a user %.*s already; choose another name",
                               SLICE_FORMAT(r->name))
                   : false;
    }
    r->user_id = database_last_id(d);
    return keys_insert(d, r->user_id, &r->key, &r->key_id, err);
}

static void user_add_answer(request *base, const error *failure) {
    const user_add *r = (const user_add *)base;
    store_loaded_key added = keys_describe_new(&r->key, r->key_id, r->user_id, r->name, r->role);
    r->done(r->context, failure == NULL ? &added : NULL, failure);
}

static const operation user_add_operation = {DATABASE_WRITE_SYNCED, user_add_run, user_add_answer};

bool store_user_add(store *s, slice name, slice role, const store_new_key *first_key, store_key_added *done,
                    void *context, error *err) {
    if (!check_name(name, err) || !keys_check_new(first_key, err)) {
        return false;
    }
    if (!role_is_known(role)) {
        return error_set(err, ERROR_INVALID,
                         "a role is one of employee, worker_owner, it_admin, security_officer");
    }
    user_add *r = request_new(&user_add_operation, sizeof *r, err);
    if (r == NULL) {
        return false;
    }
    r->name = request_copy(&r->base, name);
    r->role = request_copy(&r->base, role);
    r->key = keys_copy_new(&r->base, first_key);
    r->done = done;
    r->context = context;
    return request_submit(s, &r->base, err);
}

typedef struct user_list {
    request base;
    uint64_t after;
    size_t limit;
    void *users;
    size_t count;
    store_users_listed *done;
    void *context;
} user_list;

static bool read_user(query *q, arena *memory, store_user *user, error *err) {
    user->id = query_read_u64(q);
    user->name = query_read_slice(q, memory);
    user->role = query_read_slice(q, memory);
    user->created_ms = query_read_u64(q);
    user->disabled = query_read_u64(q) != 0;
    return query_columns_fit(q, err);
}

static bool user_list_run(request *base, database *d, error *err) {
    user_list *r = (user_list *)base;
    query q;
    query_start(&q, d,
                "SELECT id, name, role, created_ms, disabled FROM users WHERE id > ? ORDER BY id LIMIT ?");
    query_u64(&q, r->after);
    query_u64(&q, r->limit);
    for (bool row = true; query_row(&q, &row, err);) {
        if (!row) {
            return true;
        }
        store_user *user = request_add_row(base, &r->users, &r->count, sizeof *user, err);
        if (user == NULL || !read_user(&q, base->memory, user, err)) {
            return false;
        }
    }
    return false;
}

static void user_list_answer(request *base, const error *failure) {
    const user_list *r = (const user_list *)base;
    r->done(r->context, failure == NULL ? r->users : NULL, failure == NULL ? r->count : 0, failure);
}

static const operation user_list_operation = {DATABASE_READ, user_list_run, user_list_answer};

bool store_user_list(store *s, uint64_t after, size_t limit, store_users_listed *done, void *context,
                     error *err) {
    if (!request_check_list(limit, err)) {
        return false;
    }
    user_list *r = request_new(&user_list_operation, sizeof *r, err);
    if (r == NULL) {
        return false;
    }
    r->after = after;
    r->limit = limit;
    r->done = done;
    r->context = context;
    return request_submit(s, &r->base, err);
}

typedef struct user_get {
    request base;
    slice name;
    store_user user;
    store_user_found *done;
    void *context;
} user_get;

static bool user_get_run(request *base, database *d, error *err) {
    user_get *r = (user_get *)base;
    query q;
    bool row = false;
    query_start(&q, d, "SELECT id, name, role, created_ms, disabled FROM users WHERE name = ?");
    query_text(&q, r->name);
    if (!query_row(&q, &row, err)) {
        return false;
    }
    return row ? read_user(&q, base->memory, &r->user, err)
               : error_set(err, ERROR_NOT_FOUND,
                           "there is no such user; the list shows those that there are");
}

static void user_get_answer(request *base, const error *failure) {
    const user_get *r = (const user_get *)base;
    r->done(r->context, failure == NULL ? &r->user : NULL, failure);
}

static const operation user_get_operation = {DATABASE_READ, user_get_run, user_get_answer};

bool store_user_get(store *s, slice name, store_user_found *done, void *context, error *err) {
    user_get *r = check_name(name, err) ? request_new(&user_get_operation, sizeof *r, err) : NULL;
    if (r == NULL) {
        return false;
    }
    r->name = request_copy(&r->base, name);
    r->done = done;
    r->context = context;
    return request_submit(s, &r->base, err);
}

typedef struct user_disable {
    request base;
    slice name;
    uint64_t user_id;
    store_user_disabled *done;
    void *context;
} user_disable;

static bool user_disable_run(request *base, database *d, error *err) {
    user_disable *r = (user_disable *)base;
    query q;
    query_start(&q, d, "UPDATE users SET disabled = 1 WHERE name = ? RETURNING id");
    query_text(&q, r->name);
    bool row = false;
    if (!query_row(&q, &row, err)) {
        return false;
    }
    if (!row) {
        return error_set(err, ERROR_NOT_FOUND, "there is no user %.*s", SLICE_FORMAT(r->name));
    }
    r->user_id = query_read_u64(&q);
    if (!query_columns_fit(&q, err) || !query_run(&q, err)) {
        return false;
    }
    /* From now on it isn't for a provider to let him in again. */
    query_start(&q, d, "UPDATE identities SET inactive = 0 WHERE user_id = ?");
    query_u64(&q, r->user_id);
    return query_run(&q, err);
}

static void user_disable_answer(request *base, const error *failure) {
    const user_disable *r = (const user_disable *)base;
    r->done(r->context, failure == NULL ? r->user_id : 0, failure);
}

static const operation user_disable_operation = {DATABASE_WRITE_SYNCED, user_disable_run,
                                                 user_disable_answer};

bool store_user_disable(store *s, slice name, store_user_disabled *done, void *context, error *err) {
    if (!check_name(name, err)) {
        return false;
    }
    user_disable *r = request_new(&user_disable_operation, sizeof *r, err);
    if (r == NULL) {
        return false;
    }
    r->name = request_copy(&r->base, name);
    r->done = done;
    r->context = context;
    return request_submit(s, &r->base, err);
}
