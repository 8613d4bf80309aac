#include "request.h"
#include "store/sessions.h"

typedef struct session_key_change {
    request base;
    uint8_t id[STORE_SESSION_ID_SIZE];
    uint64_t begins_ms;
    slice sealed;
    bool only;
    store_done *done;
    void *context;
} session_key_change;

static bool session_key_add_run(request *base, database *d, error *err) {
    const session_key_change *r = (const session_key_change *)base;
    query q;
    if (r->only) {
        query_start(&q, d, "DELETE FROM session_keys");
        if (!query_run(&q, err)) {
            return false;
        }
        database_note_wipe(d);
    }
    query_start(&q, d, "INSERT INTO session_keys (id, begins_ms, sealed) VALUES (?, ?, ?)");
    query_bytes(&q, r->id, sizeof r->id);
    query_u64(&q, r->begins_ms);
    query_bytes(&q, r->sealed.data, r->sealed.length);
    return query_run(&q, err);
}

static void session_key_answer(request *base, const error *failure) {
    const session_key_change *r = (const session_key_change *)base;
    r->done(r->context, failure);
}

static const operation session_key_add_operation = {DATABASE_WRITE_SYNCED, session_key_add_run,
                                                    session_key_answer};

bool store_session_key_add(store *s, const store_session_key *key, bool only, store_done *done, void *context,
                           error *err) {
    if (key->sealed.length == 0 || key->sealed.length > STORE_SESSION_KEY_MAX) {
        return error_set(err, ERROR_INVALID, "a sealed key has 1 to %d bytes", (int)STORE_SESSION_KEY_MAX);
    }
    session_key_change *r = request_new(&session_key_add_operation, sizeof *r, err);
    if (r == NULL) {
        return false;
    }
    memcpy(r->id, key->id, sizeof r->id);
    r->begins_ms = key->begins_ms;
    r->sealed = request_copy(&r->base, key->sealed);
    r->only = only;
    r->done = done;
    r->context = context;
    return request_submit(s, &r->base, err);
}

static bool session_key_delete_run(request *base, database *d, error *err) {
    const session_key_change *r = (const session_key_change *)base;
    query q;
    query_start(&q, d, "DELETE FROM session_keys WHERE id = ?");
    query_bytes(&q, r->id, sizeof r->id);
    if (!query_run(&q, err)) {
        return false;
    }
    database_note_wipe(d);
    return true;
}

static const operation session_key_delete_operation = {DATABASE_WRITE_SYNCED, session_key_delete_run,
                                                       session_key_answer};

bool store_session_key_delete(store *s, const uint8_t id[STORE_SESSION_ID_SIZE], store_done *done,
                              void *context, error *err) {
    session_key_change *r = request_new(&session_key_delete_operation, sizeof *r, err);
    if (r == NULL) {
        return false;
    }
    memcpy(r->id, id, sizeof r->id);
    r->done = done;
    r->context = context;
    return request_submit(s, &r->base, err);
}

typedef struct load_session_keys {
    request base;
    void *keys;
    size_t count;
    store_session_keys_loaded *done;
    void *context;
} load_session_keys;

static bool load_session_keys_run(request *base, database *d, error *err) {
    load_session_keys *r = (load_session_keys *)base;
    query q;
    query_start(&q, d, "SELECT id, begins_ms, sealed FROM session_keys ORDER BY begins_ms, id");
    for (bool row = true; query_row(&q, &row, err);) {
        if (!row) {
            return true;
        }
        store_session_key *key = request_add_row(base, &r->keys, &r->count, sizeof *key, err);
        if (key == NULL) {
            return false;
        }
        query_read_bytes(&q, key->id, sizeof key->id);
        key->begins_ms = query_read_u64(&q);
        key->sealed = query_read_slice(&q, base->memory);
        if (!query_columns_fit(&q, err)) {
            return false;
        }
    }
    return false;
}

static void load_session_keys_answer(request *base, const error *failure) {
    const load_session_keys *r = (const load_session_keys *)base;
    r->done(r->context, failure == NULL ? r->keys : NULL, failure == NULL ? r->count : 0, failure);
}

static const operation load_session_keys_operation = {DATABASE_READ, load_session_keys_run,
                                                      load_session_keys_answer};

bool store_load_session_keys(store *s, store_session_keys_loaded *done, void *context, error *err) {
    load_session_keys *r = request_new(&load_session_keys_operation, sizeof *r, err);
    if (r == NULL) {
        return false;
    }
    r->done = done;
    r->context = context;
    return request_submit(s, &r->base, err);
}
