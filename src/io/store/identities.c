#include "request.h"
#include "store/sessions.h"

typedef struct person_log_in {
    request base;
    store_person person;
    store_known_person known;
    store_person_known *done;
    void *context;
} person_log_in;

static bool find_bound(person_log_in *r, database *d, bool *found, error *err) {
    query q;
    query_start(&q, d,
                "SELECT users.id, name, disabled, role <> ? FROM identities JOIN users ON users.id = user_id "
                "WHERE issuer = ? AND subject = ?");
    query_text(&q, r->person.role);
    query_text(&q, r->person.issuer);
    query_text(&q, r->person.subject);
    if (!query_row(&q, found, err)) {
        return false;
    }
    if (!*found) {
        return true;
    }
    r->known.user_id = query_read_u64(&q);
    r->known.user_name = query_read_slice(&q, r->base.memory);
    bool is_disabled = query_read_u64(&q) != 0;
    r->known.role_changed = query_read_u64(&q) != 0;
    return query_columns_fit(&q, err) &&
           (!is_disabled || error_set(err, ERROR_DENIED, "this user has been shut out here"));
}

static bool change_role(const person_log_in *r, database *d, error *err) {
    query q;
    query_start(&q, d, "UPDATE users SET role = ? WHERE id = ?");
    query_text(&q, r->person.role);
    query_u64(&q, r->known.user_id);
    return query_run(&q, err);
}

static bool make_user(person_log_in *r, database *d, error *err) {
    query q;
    const store_person *person = &r->person;
    if (!store_user_name_is_valid(person->name)) {
        return error_set(
            err, ERROR_DENIED,
            "the provider gives no name that a user can have here (1 to %d of a-z 0-9 . _ @ -); name "
            "another claim in sso.yaml: name_claim",
            (int)STORE_NAME_MAX);
    }
    query_start(&q, d, "INSERT INTO users (name, role, created_ms) VALUES (?, ?, ?)");
    query_text(&q, person->name);
    query_text(&q, person->role);
    query_u64(&q, person->now_ms);
    if (!query_run(&q, err)) {
        return err->code == ERROR_CONFLICT
                   ? error_set(
                         err, ERROR_CONFLICT,
                         "another user is called %.*s here already; ask the admin, or have the provider "
                         "give another name",
                         SLICE_FORMAT(person->name))
                   : false;
    }
    r->known =
        (store_known_person){.user_id = database_last_id(d), .user_name = person->name, .is_new = true};
    query_start(&q, d, "INSERT INTO identities (issuer, subject, user_id, created_ms) VALUES (?, ?, ?, ?)");
    query_text(&q, person->issuer);
    query_text(&q, person->subject);
    query_u64(&q, r->known.user_id);
    query_u64(&q, person->now_ms);
    return query_run(&q, err);
}

static bool person_log_in_run(request *base, database *d, error *err) {
    person_log_in *r = (person_log_in *)base;
    bool found = false;
    if (!find_bound(r, d, &found, err)) {
        return false;
    }
    if (!found) {
        return make_user(r, d, err);
    }
    return !r->known.role_changed || change_role(r, d, err);
}

static void person_log_in_answer(request *base, const error *failure) {
    const person_log_in *r = (const person_log_in *)base;
    r->done(r->context, failure == NULL ? &r->known : NULL, failure);
}

static const operation person_log_in_operation = {DATABASE_WRITE_SYNCED, person_log_in_run,
                                                  person_log_in_answer};

static bool is_named(slice text) {
    return text.length > 0 && request_text_is_valid(text, STORE_SUBJECT_MAX);
}

bool store_person_log_in(store *s, const store_person *person, store_person_known *done, void *context,
                         error *err) {
    if (!is_named(person->issuer) || !is_named(person->subject) || person->role.length == 0) {
        return error_set(err, ERROR_INVALID, "a provider names its person in 1 to %d bytes of text",
                         (int)STORE_SUBJECT_MAX);
    }
    person_log_in *r = request_new(&person_log_in_operation, sizeof *r, err);
    if (r == NULL) {
        return false;
    }
    r->person = (store_person){.issuer = request_copy(&r->base, person->issuer),
                               .subject = request_copy(&r->base, person->subject),
                               .name = request_copy(&r->base, person->name),
                               .role = request_copy(&r->base, person->role),
                               .now_ms = person->now_ms};
    r->done = done;
    r->context = context;
    return request_submit(s, &r->base, err);
}
