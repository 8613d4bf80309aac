#include "store/sessions.h"

#include "request.h"

static bool is_named(slice text, bool needed) {
    return (text.length > 0 || !needed) && request_text_is_valid(text, STORE_SUBJECT_MAX);
}

static bool check_new(const store_new_session *session, error *err) {
    bool by_provider = session->key_id == 0;
    bool named = is_named(session->issuer, by_provider) && is_named(session->subject, by_provider) &&
                 is_named(session->provider_session, false);
    return (named && session->expires_ms > 0 && by_provider == (session->issuer.length > 0)) ||
           error_set(
               err, ERROR_INVALID,
               "a session is made with a key, or names its provider and person in at most %d bytes each",
               (int)STORE_SUBJECT_MAX);
}

typedef struct session_add {
    request base;
    store_session session;
    store_session_added *done;
    void *context;
} session_add;

/* Whose session it would be; the key, if any, must be that user's own and good. */
static bool find_owner(session_add *r, database *d, error *err) {
    query q;
    bool row = false;
    store_session *session = &r->session;
    query_start(&q, d,
                "SELECT users.name, role, disabled, keys.id IS NULL OR revoked_ms IS NOT NULL, verify_mode "
                "FROM users LEFT JOIN keys ON keys.id = ? AND user_id = users.id WHERE users.id = ?");
    query_u64(&q, session->key_id);
    query_u64(&q, session->user_id);
    if (!query_row(&q, &row, err)) {
        return false;
    }
    if (!row) {
        return error_set(err, ERROR_NOT_FOUND, "there is no such user");
    }
    session->user_name = query_read_slice(&q, r->base.memory);
    session->role = query_read_slice(&q, r->base.memory);
    bool is_disabled = query_read_u64(&q) != 0;
    bool has_no_key = query_read_u64(&q) != 0;
    session->verify_mode =
        query_column_is_null(&q) ? SLICE_LITERAL("off") : query_read_slice(&q, r->base.memory);
    if (!query_columns_fit(&q, err)) {
        return false;
    }
    return (!is_disabled && (session->key_id == 0 || !has_no_key)) ||
           error_set(err, ERROR_DENIED, "this user or key has been shut out");
}

static bool has_room(const session_add *r, database *d, error *err) {
    query q;
    bool row = false;
    query_start(&q, d, "SELECT count(*) FROM sessions WHERE user_id = ?");
    query_u64(&q, r->session.user_id);
    if (!query_row(&q, &row, err)) {
        return false;
    }
    uint64_t count = query_read_u64(&q);
    return query_columns_fit(&q, err) &&
           (count < STORE_SESSIONS_OF_USER_MAX ||
            error_set(err, ERROR_LIMIT,
                      "this user has made %d sessions within days; a program should use a key",
                      (int)STORE_SESSIONS_OF_USER_MAX));
}

static bool session_add_run(request *base, database *d, error *err) {
    session_add *r = (session_add *)base;
    const store_session *session = &r->session;
    query q;
    if (!find_owner(r, d, err) || !has_room(r, d, err)) {
        return false;
    }
    query_start(&q, d,
                "INSERT INTO sessions (id, user_id, key_id, issuer, subject, provider_session, refresh_hash, "
                "created_ms, expires_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)");
    query_bytes(&q, session->id, sizeof session->id);
    query_u64(&q, session->user_id);
    if (session->key_id == 0) {
        query_null(&q);
    } else {
        query_u64(&q, session->key_id);
    }
    query_text(&q, session->issuer);
    query_text(&q, session->subject);
    query_text(&q, session->provider_session);
    query_bytes(&q, session->refresh_hash, sizeof session->refresh_hash);
    query_u64(&q, session->created_ms);
    query_u64(&q, session->expires_ms);
    return query_run(&q, err);
}

static void session_add_answer(request *base, const error *failure) {
    const session_add *r = (const session_add *)base;
    r->done(r->context, failure == NULL ? &r->session : NULL, failure);
}

static const operation session_add_operation = {DATABASE_WRITE_SYNCED, session_add_run, session_add_answer};

bool store_session_add(store *s, const store_new_session *session, store_session_added *done, void *context,
                       error *err) {
    if (!check_new(session, err)) {
        return false;
    }
    session_add *r = request_new(&session_add_operation, sizeof *r, err);
    if (r == NULL) {
        return false;
    }
    r->session = (store_session){.user_id = session->user_id,
                                 .key_id = session->key_id,
                                 .issuer = request_copy(&r->base, session->issuer),
                                 .subject = request_copy(&r->base, session->subject),
                                 .provider_session = request_copy(&r->base, session->provider_session),
                                 .created_ms = session->created_ms,
                                 .expires_ms = session->expires_ms};
    memcpy(r->session.id, session->id, sizeof r->session.id);
    memcpy(r->session.refresh_hash, session->refresh_hash, sizeof r->session.refresh_hash);
    r->done = done;
    r->context = context;
    return request_submit(s, &r->base, err);
}

typedef struct session_refresh {
    request base;
    uint8_t id[STORE_SESSION_ID_SIZE];
    uint8_t from[STORE_HASH_SIZE];
    uint8_t to[STORE_HASH_SIZE];
    uint64_t now_ms;
    store_refresh result;
    store_session_refreshed *done;
    void *context;
} session_refresh;

static bool rotate(session_refresh *r, database *d, error *err) {
    query q;
    query_start(
        &q, d,
        "UPDATE sessions SET refresh_hash = ? WHERE id = ? AND refresh_hash = ? AND ended_ms IS NULL "
        "AND expires_ms > ? AND EXISTS (SELECT 1 FROM users WHERE users.id = user_id AND disabled = 0) "
        "AND NOT EXISTS (SELECT 1 FROM keys WHERE keys.id = key_id AND revoked_ms IS NOT NULL) "
        "AND (SELECT count(*) FROM spent_refreshes WHERE session_id = sessions.id) < ?");
    query_bytes(&q, r->to, sizeof r->to);
    query_bytes(&q, r->id, sizeof r->id);
    query_bytes(&q, r->from, sizeof r->from);
    query_u64(&q, r->now_ms);
    query_u64(&q, STORE_REFRESHES_MAX);
    if (!query_run(&q, err)) {
        return false;
    }
    r->result = database_changes(d) == 1 ? STORE_REFRESHED : STORE_REFRESH_REFUSED;
    return true;
}

static bool keep_spent(const session_refresh *r, database *d, error *err) {
    query q;
    query_start(&q, d, "INSERT INTO spent_refreshes (session_id, hash) VALUES (?, ?)");
    query_bytes(&q, r->id, sizeof r->id);
    query_bytes(&q, r->from, sizeof r->from);
    return query_run(&q, err);
}

static bool end_if_spent(session_refresh *r, database *d, error *err) {
    query q;
    query_start(&q, d,
                "UPDATE sessions SET ended_ms = coalesce(ended_ms, ?) WHERE id = ? AND EXISTS "
                "(SELECT 1 FROM spent_refreshes WHERE session_id = sessions.id AND hash = ?)");
    query_u64(&q, r->now_ms);
    query_bytes(&q, r->id, sizeof r->id);
    query_bytes(&q, r->from, sizeof r->from);
    if (!query_run(&q, err)) {
        return false;
    }
    r->result = database_changes(d) == 1 ? STORE_REFRESH_REUSED : STORE_REFRESH_REFUSED;
    return true;
}

static bool session_refresh_run(request *base, database *d, error *err) {
    session_refresh *r = (session_refresh *)base;
    return rotate(r, d, err) &&
           (r->result == STORE_REFRESHED ? keep_spent(r, d, err) : end_if_spent(r, d, err));
}

static void session_refresh_answer(request *base, const error *failure) {
    const session_refresh *r = (const session_refresh *)base;
    r->done(r->context, failure == NULL ? r->result : STORE_REFRESH_REFUSED, failure);
}

static const operation session_refresh_operation = {DATABASE_WRITE_SYNCED, session_refresh_run,
                                                    session_refresh_answer};

bool store_session_refresh(store *s, const uint8_t id[STORE_SESSION_ID_SIZE],
                           const uint8_t from[STORE_HASH_SIZE], const uint8_t to[STORE_HASH_SIZE],
                           uint64_t now_ms, store_session_refreshed *done, void *context, error *err) {
    if (now_ms == 0) {
        return error_set(err, ERROR_INVALID, "a refresh needs its date");
    }
    session_refresh *r = request_new(&session_refresh_operation, sizeof *r, err);
    if (r == NULL) {
        return false;
    }
    memcpy(r->id, id, sizeof r->id);
    memcpy(r->from, from, sizeof r->from);
    memcpy(r->to, to, sizeof r->to);
    r->now_ms = now_ms;
    r->done = done;
    r->context = context;
    return request_submit(s, &r->base, err);
}

typedef struct load_sessions {
    request base;
    void *sessions;
    size_t count;
    store_sessions_loaded *done;
    void *context;
} load_sessions;

static bool read_session(request *base, query *q, store_session *session, error *err) {
    query_read_bytes(q, session->id, sizeof session->id);
    query_read_bytes(q, session->refresh_hash, sizeof session->refresh_hash);
    session->user_id = query_read_u64(q);
    session->key_id = query_read_u64(q);
    session->user_name = query_read_slice(q, base->memory);
    session->role = query_read_slice(q, base->memory);
    session->verify_mode = query_read_slice(q, base->memory);
    session->issuer = query_read_slice(q, base->memory);
    session->subject = query_read_slice(q, base->memory);
    session->provider_session = query_read_slice(q, base->memory);
    session->created_ms = query_read_u64(q);
    session->expires_ms = query_read_u64(q);
    return query_columns_fit(q, err);
}

static bool load_sessions_run(request *base, database *d, error *err) {
    load_sessions *r = (load_sessions *)base;
    query q;
    query_start(
        &q, d,
        "SELECT sessions.id, refresh_hash, sessions.user_id, key_id, users.name, role, "
        "coalesce(verify_mode, 'off'), issuer, subject, provider_session, sessions.created_ms, "
        "sessions.expires_ms FROM sessions JOIN users ON users.id = sessions.user_id "
        "LEFT JOIN keys ON keys.id = key_id "
        "WHERE ended_ms IS NULL AND disabled = 0 AND revoked_ms IS NULL ORDER BY sessions.created_ms");
    for (bool row = true; query_row(&q, &row, err);) {
        if (!row) {
            return true;
        }
        store_session *session = request_add_row(base, &r->sessions, &r->count, sizeof *session, err);
        if (session == NULL || !read_session(base, &q, session, err)) {
            return false;
        }
    }
    return false;
}

static void load_sessions_answer(request *base, const error *failure) {
    const load_sessions *r = (const load_sessions *)base;
    r->done(r->context, failure == NULL ? r->sessions : NULL, failure == NULL ? r->count : 0, failure);
}

static const operation load_sessions_operation = {DATABASE_READ, load_sessions_run, load_sessions_answer};

bool store_load_sessions(store *s, store_sessions_loaded *done, void *context, error *err) {
    load_sessions *r = request_new(&load_sessions_operation, sizeof *r, err);
    if (r == NULL) {
        return false;
    }
    r->done = done;
    r->context = context;
    return request_submit(s, &r->base, err);
}
