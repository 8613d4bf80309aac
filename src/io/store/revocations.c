#include "store/revocations.h"

#include "keys_internal.h"

typedef struct revoke_many {
    request base;
    slice owner;
    uint64_t user_id;
    store_new_key back;
    uint64_t now_ms;
    store_revoked revoked;
    store_loaded_key added;
    bool has_added;
    store_revoked_many *done;
    void *context;
} revoke_many;

/* `sql` has one or two parameters: the date, then the owner if there is one. */
static bool change(database *d, const char *sql, uint64_t now_ms, slice owner, uint64_t *changed,
                   error *err) {
    query q;
    query_start(&q, d, sql);
    query_u64(&q, now_ms);
    if (owner.length > 0) {
        query_text(&q, owner);
    }
    if (!query_run(&q, err)) {
        return false;
    }
    *changed = database_changes(d);
    return true;
}

/* NULL where a request names none. PostgreSQL's is a function of the schema. */
#define SQLITE_OWNER                                                                                         \
    "CASE WHEN json_valid(CAST(request AS TEXT)) THEN json_extract(CAST(request AS TEXT), '$.owner') END"
#define POSTGRESQL_OWNER "owner_of_request(request)"

#define OWNER_IS_KNOWN(owner)                                                                                \
    "SELECT 1 FROM workers WHERE owner = ?1 UNION ALL SELECT 1 FROM join_tokens WHERE owner = ?1 "           \
    "UNION ALL SELECT 1 FROM approvals WHERE " owner " = ?1 LIMIT 1"
#define END_REQUESTS(owner)                                                                                  \
    "UPDATE approvals SET expires_ms = ?1 WHERE state IN ('waiting', 'approved') AND expires_ms > ?1 "       \
    "AND " owner " = ?2"

static bool owner_is_known(database *d, slice owner, error *err) {
    query q;
    query_start(&q, d, database_choose(d, OWNER_IS_KNOWN(SQLITE_OWNER), OWNER_IS_KNOWN(POSTGRESQL_OWNER)));
    query_text(&q, owner);
    bool row = false;
    if (!query_row(&q, &row, err)) {
        return false;
    }
    return row ||
           error_set(err, ERROR_NOT_FOUND, "no worker, join token or request is %.*s's", SLICE_FORMAT(owner));
}

static bool revoke_owner_run(request *base, database *d, error *err) {
    revoke_many *r = (revoke_many *)base;
    uint64_t requests = 0; /* for further machines */
    return owner_is_known(d, r->owner, err) &&
           change(d,
                  "UPDATE workers SET state = 'revoked', revoked_ms = ? WHERE revoked_ms IS NULL AND owner = "
                  "?",
                  r->now_ms, r->owner, &r->revoked.workers, err) &&
           change(d,
                  "UPDATE join_tokens SET expires_ms = ?1 WHERE used_ms IS NULL AND expires_ms > ?1 AND "
                  "owner = ?2",
                  r->now_ms, r->owner, &r->revoked.join_tokens, err) &&
           change(d, database_choose(d, END_REQUESTS(SQLITE_OWNER), END_REQUESTS(POSTGRESQL_OWNER)),
                  r->now_ms, r->owner, &requests, err);
}

/* Who is to have the way back. */
static bool find_user(revoke_many *r, database *d, error *err) {
    query q;
    query_start(&q, d, "SELECT name, role FROM users WHERE id = ? AND disabled = 0");
    query_u64(&q, r->user_id);
    bool row = false;
    if (!query_row(&q, &row, err)) {
        return false;
    }
    if (!row) {
        return error_set(err, ERROR_NOT_FOUND, "who asks for this is disabled by now");
    }
    r->added.user_name = query_read_slice(&q, r->base.memory);
    r->added.role = query_read_slice(&q, r->base.memory);
    return query_columns_fit(&q, err);
}

static bool revoke_everything_run(request *base, database *d, error *err) {
    revoke_many *r = (revoke_many *)base;
    const slice nobody = {NULL, 0};
    uint64_t key_id = 0;
    uint64_t requests = 0; /* that were to be approved, or used */
    if (!find_user(r, d, err) ||
        !change(d, "UPDATE workers SET state = 'revoked', revoked_ms = ? WHERE revoked_ms IS NULL", r->now_ms,
                nobody, &r->revoked.workers, err) ||
        !change(d, "UPDATE keys SET revoked_ms = ? WHERE revoked_ms IS NULL", r->now_ms, nobody,
                &r->revoked.keys, err) ||
        !change(d, "UPDATE sessions SET ended_ms = ? WHERE ended_ms IS NULL", r->now_ms, nobody,
                &r->revoked.sessions, err) ||
        !change(d, "UPDATE join_tokens SET expires_ms = ?1 WHERE used_ms IS NULL AND expires_ms > ?1",
                r->now_ms, nobody, &r->revoked.join_tokens, err) ||
        !change(d,
                "UPDATE approvals SET expires_ms = ?1 WHERE state IN ('waiting', 'approved') AND expires_ms "
                "> ?1",
                r->now_ms, nobody, &requests, err) ||
        !keys_insert(d, r->user_id, &r->back, &key_id, err)) {
        return false;
    }
    r->added = keys_describe_new(&r->back, key_id, r->user_id, r->added.user_name, r->added.role);
    r->has_added = true;
    return true;
}

static void revoke_many_answer(request *base, const error *failure) {
    static const store_revoked nothing;
    const revoke_many *r = (const revoke_many *)base;
    r->done(r->context, failure == NULL ? &r->revoked : &nothing,
            failure == NULL && r->has_added ? &r->added : NULL, failure);
}

static const operation revoke_owner_operation = {DATABASE_WRITE_SYNCED, revoke_owner_run, revoke_many_answer};
static const operation revoke_everything_operation = {DATABASE_WRITE_SYNCED, revoke_everything_run,
                                                      revoke_many_answer};

static revoke_many *revoke_many_new(const operation *o, uint64_t now_ms, store_revoked_many *done,
                                    void *context, error *err) {
    if (now_ms == 0) {
        error_set(err, ERROR_INVALID, "a revocation needs its date");
        return NULL;
    }
    revoke_many *r = request_new(o, sizeof *r, err);
    if (r != NULL) {
        r->now_ms = now_ms;
        r->done = done;
        r->context = context;
    }
    return r;
}

bool store_revoke_owner(store *s, slice owner, uint64_t now_ms, store_revoked_many *done, void *context,
                        error *err) {
    if (!store_display_name_is_valid(owner)) {
        return error_set(err, ERROR_INVALID, "an owner is 1 to %d bytes of text", (int)STORE_NAME_MAX);
    }
    revoke_many *r = revoke_many_new(&revoke_owner_operation, now_ms, done, context, err);
    if (r == NULL) {
        return false;
    }
    r->owner = request_copy(&r->base, owner);
    return request_submit(s, &r->base, err);
}

bool store_revoke_everything(store *s, uint64_t user_id, const store_new_key *back, uint64_t now_ms,
                             store_revoked_many *done, void *context, error *err) {
    if (!keys_check_new(back, err)) {
        return false;
    }
    revoke_many *r = revoke_many_new(&revoke_everything_operation, now_ms, done, context, err);
    if (r == NULL) {
        return false;
    }
    r->user_id = user_id;
    r->back = keys_copy_new(&r->base, back);
    return request_submit(s, &r->base, err);
}
