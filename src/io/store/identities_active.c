#include "request.h"
#include "store/sessions.h"

/* Whom a provider knows here, and those whom it shuts out. */

typedef struct identity_list {
    request base;
    store_identity_choice choice;
    void *identities;
    size_t count;
    size_t total;
    store_identities_listed *done;
    void *context;
} identity_list;

static bool identity_list_run(request *base, database *d, error *err) {
    identity_list *r = (identity_list *)base;
    query q;
    query_start(&q, d,
                "SELECT users.id, name, subject, disabled, count(*) OVER () FROM identities "
                "JOIN users ON users.id = user_id WHERE issuer = ?1 AND (?2 = 0 OR user_id = ?2) "
                "AND (?3 = '' OR name = ?3) AND (?4 = '' OR subject = ?4) ORDER BY users.id, subject "
                "LIMIT ?5 OFFSET ?6");
    query_text(&q, r->choice.issuer);
    query_u64(&q, r->choice.user_id);
    query_text(&q, r->choice.user_name);
    query_text(&q, r->choice.subject);
    query_u64(&q, r->choice.limit);
    query_u64(&q, r->choice.skip);
    for (bool row = true; query_row(&q, &row, err);) {
        if (!row) {
            return true;
        }
        store_identity *identity = request_add_row(base, &r->identities, &r->count, sizeof *identity, err);
        if (identity == NULL) {
            return false;
        }
        identity->user_id = query_read_u64(&q);
        identity->user_name = query_read_slice(&q, base->memory);
        identity->subject = query_read_slice(&q, base->memory);
        identity->active = query_read_u64(&q) == 0;
        r->total = (size_t)query_read_u64(&q);
        if (!query_columns_fit(&q, err)) {
            return false;
        }
    }
    return false;
}

static void identity_list_answer(request *base, const error *failure) {
    const identity_list *r = (const identity_list *)base;
    bool listed = failure == NULL;
    r->done(r->context, listed ? r->identities : NULL, listed ? r->count : 0, listed ? r->total : 0, failure);
}

static const operation identity_list_operation = {DATABASE_READ, identity_list_run, identity_list_answer};

bool store_identity_list(store *s, const store_identity_choice *choice, store_identities_listed *done,
                         void *context, error *err) {
    if (!request_check_list(choice->limit, err)) {
        return false;
    }
    if (choice->skip > INT64_MAX || choice->user_id > INT64_MAX) {
        return error_set(err, ERROR_INVALID, "there are not so many users");
    }
    identity_list *r = request_new(&identity_list_operation, sizeof *r, err);
    if (r == NULL) {
        return false;
    }
    r->choice = *choice;
    r->choice.issuer = request_copy(&r->base, choice->issuer);
    r->choice.user_name = request_copy(&r->base, choice->user_name);
    r->choice.subject = request_copy(&r->base, choice->subject);
    r->done = done;
    r->context = context;
    return request_submit(s, &r->base, err);
}

typedef struct identity_set_active {
    request base;
    slice issuer;
    uint64_t user_id;
    bool active;
    uint64_t now_ms;
    store_done *done;
    void *context;
} identity_set_active;

static bool run_for(database *d, const char *sql, uint64_t user_id, error *err) {
    query q;
    query_start(&q, d, sql);
    query_u64(&q, user_id);
    return query_run(&q, err);
}

static bool is_known(const identity_set_active *r, database *d, error *err) {
    query q;
    bool row = false;
    query_start(&q, d, "SELECT 1 FROM identities WHERE issuer = ? AND user_id = ?");
    query_text(&q, r->issuer);
    query_u64(&q, r->user_id);
    if (!query_row(&q, &row, err)) {
        return false;
    }
    return (row && query_columns_fit(&q, err)) ||
           error_set(err, ERROR_NOT_FOUND, "the provider knows no such user here");
}

/* Whom an admin has shut out stays so, whatever the provider says later. */
static bool shut_out(const identity_set_active *r, database *d, error *err) {
    query q;
    query_start(&q, d,
                "UPDATE identities SET inactive = 1 WHERE issuer = ? AND user_id = ? "
                "AND EXISTS (SELECT 1 FROM users WHERE users.id = user_id AND disabled = 0)");
    query_text(&q, r->issuer);
    query_u64(&q, r->user_id);
    if (!query_run(&q, err) || !run_for(d, "UPDATE users SET disabled = 1 WHERE id = ?", r->user_id, err)) {
        return false;
    }
    query_start(&q, d, "UPDATE keys SET revoked_ms = ? WHERE user_id = ? AND revoked_ms IS NULL");
    query_u64(&q, r->now_ms);
    query_u64(&q, r->user_id);
    if (!query_run(&q, err)) {
        return false;
    }
    query_start(&q, d, "UPDATE sessions SET ended_ms = ? WHERE user_id = ? AND ended_ms IS NULL");
    query_u64(&q, r->now_ms);
    query_u64(&q, r->user_id);
    return query_run(&q, err);
}

static bool let_in(const identity_set_active *r, database *d, error *err) {
    query q;
    query_start(&q, d,
                "UPDATE identities SET inactive = 0 WHERE issuer = ? AND user_id = ? AND inactive = 1");
    query_text(&q, r->issuer);
    query_u64(&q, r->user_id);
    if (!query_run(&q, err)) {
        return false;
    }
    return database_changes(d) == 0 ||
           run_for(d, "UPDATE users SET disabled = 0 WHERE id = ?", r->user_id, err);
}

static bool identity_set_active_run(request *base, database *d, error *err) {
    const identity_set_active *r = (const identity_set_active *)base;
    return is_known(r, d, err) && (r->active ? let_in(r, d, err) : shut_out(r, d, err));
}

static void identity_set_active_answer(request *base, const error *failure) {
    const identity_set_active *r = (const identity_set_active *)base;
    r->done(r->context, failure);
}

static const operation identity_set_active_operation = {DATABASE_WRITE_SYNCED, identity_set_active_run,
                                                        identity_set_active_answer};

bool store_identity_set_active(store *s, slice issuer, uint64_t user_id, bool active, uint64_t now_ms,
                               store_done *done, void *context, error *err) {
    if (now_ms == 0) {
        return error_set(err, ERROR_INVALID, "an end needs its date");
    }
    identity_set_active *r = request_new(&identity_set_active_operation, sizeof *r, err);
    if (r == NULL) {
        return false;
    }
    r->issuer = request_copy(&r->base, issuer);
    r->user_id = user_id;
    r->active = active;
    r->now_ms = now_ms;
    r->done = done;
    r->context = context;
    return request_submit(s, &r->base, err);
}
