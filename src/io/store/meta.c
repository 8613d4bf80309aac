#include "store/meta.h"

#include "request.h"

typedef struct meta_set {
    request base;
    slice key;
    slice value;
    store_done *done;
    void *context;
} meta_set;

static bool meta_set_run(request *base, database *d, error *err) {
    const meta_set *r = (const meta_set *)base;
    query q;
    query_start(&q, d,
                "INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2");
    query_text(&q, r->key);
    query_bytes(&q, r->value.data, r->value.length);
    return query_run(&q, err);
}

static void meta_set_answer(request *base, const error *failure) {
    const meta_set *r = (const meta_set *)base;
    r->done(r->context, failure);
}

static const operation meta_set_operation = {DATABASE_WRITE_SYNCED | OPERATION_BLIND, meta_set_run,
                                             meta_set_answer};

bool store_meta_set(store *s, slice key, slice value, store_done *done, void *context, error *err) {
    if (!store_user_name_is_valid(key) || value.length > STORE_META_VALUE_MAX) {
        return error_set(err, ERROR_INVALID, "the site's fact has a bad name or is too long");
    }
    meta_set *r = request_new(&meta_set_operation, sizeof *r, err);
    if (r == NULL) {
        return false;
    }
    r->key = request_copy(&r->base, key);
    r->value = request_copy(&r->base, value);
    r->done = done;
    r->context = context;
    return request_submit(s, &r->base, err);
}

typedef struct meta_get {
    request base;
    slice key;
    slice value;
    store_meta_found *done;
    void *context;
} meta_get;

static bool meta_get_run(request *base, database *d, error *err) {
    meta_get *r = (meta_get *)base;
    query q;
    query_start(&q, d, "SELECT value FROM meta WHERE key = ?");
    query_text(&q, r->key);
    bool row = false;
    if (!query_row(&q, &row, err)) {
        return false;
    }
    if (!row) {
        return error_set(err, ERROR_NOT_FOUND, "the site has no %.*s", SLICE_FORMAT(r->key));
    }
    r->value = query_read_slice(&q, r->base.memory);
    return query_columns_fit(&q, err);
}

static void meta_get_answer(request *base, const error *failure) {
    const meta_get *r = (const meta_get *)base;
    r->done(r->context, failure == NULL ? r->value : (slice){NULL, 0}, failure);
}

static const operation meta_get_operation = {DATABASE_READ, meta_get_run, meta_get_answer};

bool store_meta_get(store *s, slice key, store_meta_found *done, void *context, error *err) {
    if (!store_user_name_is_valid(key)) {
        return error_set(err, ERROR_INVALID, "the site's fact has a bad name");
    }
    meta_get *r = request_new(&meta_get_operation, sizeof *r, err);
    if (r == NULL) {
        return false;
    }
    r->key = request_copy(&r->base, key);
    r->done = done;
    r->context = context;
    return request_submit(s, &r->base, err);
}
