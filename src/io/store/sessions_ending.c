#include "request.h"
#include "store/sessions.h"

/* Sessions that end, and those that are over. */

typedef struct sessions_end {
    request base;
    bool by_id;
    uint8_t id[STORE_SESSION_ID_SIZE];
    uint64_t user_id;
    uint64_t key_id;
    slice issuer;
    slice subject;
    slice provider_session;
    uint64_t now_ms;
    store_done *done;
    void *context;
} sessions_end;

static bool sessions_end_run(request *base, database *d, error *err) {
    const sessions_end *r = (const sessions_end *)base;
    query q;
    if (r->by_id) {
        query_start(&q, d, "UPDATE sessions SET ended_ms = ? WHERE ended_ms IS NULL AND id = ?");
        query_u64(&q, r->now_ms);
        query_bytes(&q, r->id, sizeof r->id);
    } else if (r->issuer.length > 0) {
        query_start(&q, d,
                    "UPDATE sessions SET ended_ms = ?1 WHERE ended_ms IS NULL AND issuer = ?2 "
                    "AND (?3 = '' OR subject = ?3) AND (?4 = '' OR provider_session = ?4 "
                    "OR (?3 <> '' AND provider_session = ''))");
        query_u64(&q, r->now_ms);
        query_text(&q, r->issuer);
        query_text(&q, r->subject);
        query_text(&q, r->provider_session);
    } else {
        query_start(
            &q, d,
            "UPDATE sessions SET ended_ms = ?1 WHERE ended_ms IS NULL AND (user_id = ?2 OR key_id = ?3)");
        query_u64(&q, r->now_ms);
        query_u64(&q, r->user_id);
        query_u64(&q, r->key_id);
    }
    return query_run(&q, err);
}

static void sessions_end_answer(request *base, const error *failure) {
    const sessions_end *r = (const sessions_end *)base;
    r->done(r->context, failure);
}

static const operation sessions_end_operation = {DATABASE_WRITE_SYNCED, sessions_end_run,
                                                 sessions_end_answer};

static bool check_choice(const store_session_choice *choice, error *err) {
    int kinds =
        (choice->id != NULL) + (choice->user_id != 0) + (choice->key_id != 0) + (choice->issuer.length > 0);
    bool named = choice->subject.length > 0 || choice->provider_session.length > 0;
    return (kinds == 1 && named == (choice->issuer.length > 0)) ||
           error_set(err, ERROR_INVALID, "say in one way whose sessions end");
}

bool store_sessions_end(store *s, const store_session_choice *choice, uint64_t now_ms, store_done *done,
                        void *context, error *err) {
    if (!check_choice(choice, err)) {
        return false;
    }
    if (now_ms == 0) {
        return error_set(err, ERROR_INVALID, "an end needs its date");
    }
    sessions_end *r = request_new(&sessions_end_operation, sizeof *r, err);
    if (r == NULL) {
        return false;
    }
    r->by_id = choice->id != NULL;
    if (r->by_id) {
        memcpy(r->id, choice->id, sizeof r->id);
    }
    r->user_id = choice->user_id;
    r->key_id = choice->key_id;
    r->issuer = request_copy(&r->base, choice->issuer);
    r->subject = request_copy(&r->base, choice->subject);
    r->provider_session = request_copy(&r->base, choice->provider_session);
    r->now_ms = now_ms;
    r->done = done;
    r->context = context;
    return request_submit(s, &r->base, err);
}

typedef struct sessions_delete {
    request base;
    uint64_t before_ms;
    uint64_t limit;
    uint64_t count;
    store_sessions_deleted *done;
    void *context;
} sessions_delete;

#define OVER_BEFORE                                                                                          \
    "(SELECT id FROM sessions WHERE expires_ms < ?1 OR ended_ms < ?1 ORDER BY expires_ms, id LIMIT ?2)"

static bool sessions_delete_run(request *base, database *d, error *err) {
    sessions_delete *r = (sessions_delete *)base;
    query q;
    query_start(&q, d, "DELETE FROM spent_refreshes WHERE session_id IN " OVER_BEFORE);
    query_u64(&q, r->before_ms);
    query_u64(&q, r->limit);
    if (!query_run(&q, err)) {
        return false;
    }
    query_start(&q, d, "DELETE FROM sessions WHERE id IN " OVER_BEFORE);
    query_u64(&q, r->before_ms);
    query_u64(&q, r->limit);
    if (!query_run(&q, err)) {
        return false;
    }
    r->count = database_changes(d);
    return true;
}

static void sessions_delete_answer(request *base, const error *failure) {
    const sessions_delete *r = (const sessions_delete *)base;
    r->done(r->context, failure == NULL ? (size_t)r->count : 0, failure);
}

static const operation sessions_delete_operation = {DATABASE_WRITE, sessions_delete_run,
                                                    sessions_delete_answer};

bool store_sessions_delete_before(store *s, uint64_t before_ms, size_t limit, store_sessions_deleted *done,
                                  void *context, error *err) {
    if (!request_check_list(limit, err)) {
        return false;
    }
    sessions_delete *r = request_new(&sessions_delete_operation, sizeof *r, err);
    if (r == NULL) {
        return false;
    }
    r->before_ms = before_ms;
    r->limit = limit;
    r->done = done;
    r->context = context;
    return request_submit(s, &r->base, err);
}
