#include "request.h"
#include "store/audit.h"

typedef struct salts_get {
    request base;
    store_audit_salt *salts;
    size_t count;
    store_audit_salts_found *done;
    void *context;
} salts_get;

static bool read_salt(database *d, store_audit_salt *salt, error *err) {
    query q;
    query_start(&q, d, "SELECT salt FROM audit_salts WHERE person = ?");
    query_text(&q, salt->person);
    if (!query_row(&q, &salt->known, err)) {
        return false;
    }
    if (salt->known) {
        query_read_bytes(&q, salt->salt, sizeof salt->salt);
    }
    return !salt->known || query_columns_fit(&q, err);
}

static bool salts_get_run(request *base, database *d, error *err) {
    salts_get *r = (salts_get *)base;
    for (size_t i = 0; i < r->count; i++) {
        if (!read_salt(d, &r->salts[i], err)) {
            return error_context(err, "a person's salt");
        }
    }
    return true;
}

static void salts_get_answer(request *base, const error *failure) {
    const salts_get *r = (const salts_get *)base;
    r->done(r->context, failure == NULL ? r->salts : NULL, failure == NULL ? r->count : 0, failure);
}

static const operation salts_get_operation = {DATABASE_READ, salts_get_run, salts_get_answer};

static bool person_is_valid(slice person, error *err) {
    return (person.length > 0 && request_text_is_valid(person, STORE_NAME_MAX)) ||
           error_set(err, ERROR_INVALID, "a person's name is 1 to %d bytes of UTF-8", (int)STORE_NAME_MAX);
}

bool store_audit_get_salts(store *s, const slice *persons, size_t count, store_audit_salts_found *done,
                           void *context, error *err) {
    if (count == 0 || count > STORE_AUDIT_PERSONS_MAX) {
        return error_set(err, ERROR_INVALID, "ask for the salts of 1 to %d persons",
                         (int)STORE_AUDIT_PERSONS_MAX);
    }
    for (size_t i = 0; i < count; i++) {
        if (!person_is_valid(persons[i], err)) {
            return false;
        }
    }
    salts_get *r = request_new(&salts_get_operation, sizeof *r, err);
    if (r == NULL) {
        return false;
    }
    r->salts = arena_allocate_array(r->base.memory, count, sizeof *r->salts);
    r->base.memory_out = r->salts == NULL;
    for (size_t i = 0; r->salts != NULL && i < count; i++) {
        r->salts[i] = (store_audit_salt){.person = request_copy(&r->base, persons[i])};
    }
    r->count = count;
    r->done = done;
    r->context = context;
    return request_submit(s, &r->base, err);
}

typedef struct salt_erase {
    request base;
    slice person;
    store_done *done;
    void *context;
} salt_erase;

static bool salt_erase_run(request *base, database *d, error *err) {
    const salt_erase *r = (const salt_erase *)base;
    query q;
    query_start(&q, d, "DELETE FROM audit_salts WHERE person = ?");
    query_text(&q, r->person);
    if (!query_run(&q, err)) {
        return false;
    }
    database_note_wipe(d);
    return database_changes(d) > 0 ||
           error_set(err, ERROR_NOT_FOUND, "the audit log has no salt of this person: nothing tells of it");
}

static void salt_erase_answer(request *base, const error *failure) {
    const salt_erase *r = (const salt_erase *)base;
    r->done(r->context, failure);
}

static const operation salt_erase_operation = {DATABASE_WRITE_SYNCED, salt_erase_run, salt_erase_answer};

bool store_audit_erase_salt(store *s, slice person, store_done *done, void *context, error *err) {
    if (!person_is_valid(person, err)) {
        return false;
    }
    salt_erase *r = request_new(&salt_erase_operation, sizeof *r, err);
    if (r == NULL) {
        return false;
    }
    r->person = request_copy(&r->base, person);
    r->done = done;
    r->context = context;
    return request_submit(s, &r->base, err);
}
