#include "store/facts.h"

#include "expiry.h"

static bool no_fact(error *err) {
    return error_set(err, ERROR_NOT_FOUND, "there is no such fact");
}

static bool check_fact(const store_fact *fact, error *err) {
    return (fact->sealed.length > 0 && fact->sealed.length <= STORE_FACT_MAX &&
            fact->changed_ms <= INT64_MAX) ||
           error_set(err, ERROR_INVALID, "a fact has 1 to %d bytes and a date", (int)STORE_FACT_MAX);
}

static store_fact copy_fact(request *r, const store_fact *fact) {
    store_fact copy = *fact;
    copy.sealed = request_copy(r, fact->sealed);
    return copy;
}

typedef struct fact_add {
    request base;
    uint64_t user_id;
    store_fact fact;
    size_t most;
    store_done *done;
    void *context;
} fact_add;

static bool count_one_more(const fact_add *r, database *d, error *err) {
    query q;
    bool row = false;
    query_start(&q, d, "UPDATE vaults SET facts = facts + 1 WHERE user_id = ? AND facts < ?");
    query_u64(&q, r->user_id);
    query_u64(&q, r->most);
    if (!query_run(&q, err)) {
        return false;
    }
    if (database_changes(d) == 1) {
        return true;
    }
    query_start(&q, d, "SELECT 1 FROM vaults WHERE user_id = ?");
    query_u64(&q, r->user_id);
    if (!query_row(&q, &row, err)) {
        return false;
    }
    return row ? error_set(err, ERROR_LIMIT, "there are %zu facts already; delete one first", r->most)
               : error_set(err, ERROR_NOT_FOUND, "this user keeps nothing; begin with a vault");
}

static bool fact_add_run(request *base, database *d, error *err) {
    const fact_add *r = (const fact_add *)base;
    query q;
    if (!count_one_more(r, d, err)) {
        return false;
    }
    query_start(&q, d, "INSERT INTO facts (user_id, id, changed_ms, sealed) VALUES (?, ?, ?, ?)");
    query_u64(&q, r->user_id);
    query_bytes(&q, r->fact.id, sizeof r->fact.id);
    query_u64(&q, r->fact.changed_ms);
    query_bytes(&q, r->fact.sealed.data, r->fact.sealed.length);
    return query_run(&q, err) || error_context(err, "fact");
}

static void fact_add_answer(request *base, const error *failure) {
    const fact_add *r = (const fact_add *)base;
    r->done(r->context, failure);
}

static const operation fact_add_operation = {DATABASE_WRITE_SYNCED, fact_add_run, fact_add_answer};

bool store_fact_add(store *s, uint64_t user_id, const store_fact *fact, size_t most, store_done *done,
                    void *context, error *err) {
    fact_add *r = check_fact(fact, err) ? request_new(&fact_add_operation, sizeof *r, err) : NULL;
    if (r == NULL) {
        return false;
    }
    r->user_id = user_id;
    r->fact = copy_fact(&r->base, fact);
    r->most = most;
    r->done = done;
    r->context = context;
    return request_submit(s, &r->base, err);
}

typedef struct facts_replace {
    request base;
    uint64_t user_id;
    store_fact *facts;
    size_t count;
    bool lenient;
    store_done *done;
    void *context;
} facts_replace;

static bool replace_one(const facts_replace *r, const store_fact *fact, database *d, error *err) {
    query q;
    query_start(&q, d, "UPDATE facts SET sealed = ?, changed_ms = ? WHERE user_id = ? AND id = ?");
    query_bytes(&q, fact->sealed.data, fact->sealed.length);
    query_u64(&q, fact->changed_ms);
    query_u64(&q, r->user_id);
    query_bytes(&q, fact->id, sizeof fact->id);
    return query_run(&q, err) && (database_changes(d) == 1 || r->lenient || no_fact(err));
}

static bool facts_replace_run(request *base, database *d, error *err) {
    const facts_replace *r = (const facts_replace *)base;
    database_note_wipe(d);
    for (size_t i = 0; i < r->count; i++) {
        if (!replace_one(r, &r->facts[i], d, err)) {
            return false;
        }
    }
    return true;
}

static void facts_replace_answer(request *base, const error *failure) {
    const facts_replace *r = (const facts_replace *)base;
    r->done(r->context, failure);
}

static const operation facts_replace_operation = {DATABASE_WRITE_SYNCED, facts_replace_run,
                                                  facts_replace_answer};

static bool check_facts(const store_fact *facts, size_t count, error *err) {
    if (count == 0 || count > STORE_LIST_MAX) {
        return error_set(err, ERROR_INVALID, "replace 1 to %d facts at once", (int)STORE_LIST_MAX);
    }
    for (size_t i = 0; i < count; i++) {
        if (!check_fact(&facts[i], err)) {
            return false;
        }
    }
    return true;
}

bool store_facts_replace(store *s, uint64_t user_id, const store_fact *facts, size_t count, bool lenient,
                         store_done *done, void *context, error *err) {
    facts_replace *r =
        check_facts(facts, count, err) ? request_new(&facts_replace_operation, sizeof *r, err) : NULL;
    if (r == NULL) {
        return false;
    }
    r->user_id = user_id;
    r->facts = arena_allocate_array(r->base.memory, count, sizeof *r->facts);
    r->base.memory_out = r->facts == NULL;
    for (size_t i = 0; i < count && r->facts != NULL; i++) {
        r->facts[i] = copy_fact(&r->base, &facts[i]);
    }
    r->count = count;
    r->lenient = lenient;
    r->done = done;
    r->context = context;
    return request_submit(s, &r->base, err);
}

static bool delete_fact(database *d, uint64_t user_id, const uint8_t *id, bool *deleted, error *err) {
    query q;
    query_start(&q, d, "DELETE FROM facts WHERE user_id = ? AND id = ?");
    query_u64(&q, user_id);
    query_bytes(&q, id, STORE_FACT_ID_SIZE);
    database_note_wipe(d);
    if (!query_run(&q, err)) {
        return false;
    }
    *deleted = database_changes(d) == 1;
    return !*deleted || facts_count_fewer(d, user_id, 1, err);
}

typedef struct fact_delete {
    request base;
    uint64_t user_id;
    uint8_t id[STORE_FACT_ID_SIZE];
    store_done *done;
    void *context;
} fact_delete;

static bool fact_delete_run(request *base, database *d, error *err) {
    const fact_delete *r = (const fact_delete *)base;
    bool deleted = false;
    return delete_fact(d, r->user_id, r->id, &deleted, err) && (deleted || no_fact(err));
}

static void fact_delete_answer(request *base, const error *failure) {
    const fact_delete *r = (const fact_delete *)base;
    r->done(r->context, failure);
}

static const operation fact_delete_operation = {DATABASE_WRITE_SYNCED, fact_delete_run, fact_delete_answer};

bool store_fact_delete(store *s, uint64_t user_id, const uint8_t id[STORE_FACT_ID_SIZE], store_done *done,
                       void *context, error *err) {
    fact_delete *r = request_new(&fact_delete_operation, sizeof *r, err);
    if (r == NULL) {
        return false;
    }
    r->user_id = user_id;
    memcpy(r->id, id, sizeof r->id);
    r->done = done;
    r->context = context;
    return request_submit(s, &r->base, err);
}

typedef struct fact_list {
    request base;
    uint64_t user_id;
    uint8_t after[STORE_FACT_ID_SIZE];
    size_t after_length; /* 0: from the first; no id is empty */
    size_t limit;
    void *facts;
    size_t count;
    store_facts_listed *done;
    void *context;
} fact_list;

static bool fact_list_run(request *base, database *d, error *err) {
    fact_list *r = (fact_list *)base;
    query q;
    query_start(&q, d,
                "SELECT id, changed_ms, sealed FROM facts WHERE user_id = ? AND id > ? ORDER BY id LIMIT ?");
    query_u64(&q, r->user_id);
    query_bytes(&q, r->after, r->after_length);
    query_u64(&q, r->limit);
    for (size_t bytes = 0; bytes < STORE_FACTS_BYTES;) {
        bool row = false;
        if (!query_row(&q, &row, err)) {
            return false;
        }
        if (!row) {
            break;
        }
        store_fact *fact = request_add_row(base, &r->facts, &r->count, sizeof *fact, err);
        if (fact == NULL) {
            return false;
        }
        query_read_bytes(&q, fact->id, sizeof fact->id);
        fact->changed_ms = query_read_u64(&q);
        fact->sealed = query_read_slice(&q, base->memory);
        bytes += fact->sealed.length;
        if (!query_columns_fit(&q, err)) {
            return false;
        }
    }
    return true;
}

static void fact_list_answer(request *base, const error *failure) {
    const fact_list *r = (const fact_list *)base;
    r->done(r->context, failure == NULL ? r->facts : NULL, failure == NULL ? r->count : 0, failure);
}

static const operation fact_list_operation = {DATABASE_READ, fact_list_run, fact_list_answer};

bool store_fact_list(store *s, uint64_t user_id, const uint8_t *after, size_t limit, store_facts_listed *done,
                     void *context, error *err) {
    if (!request_check_list(limit, err)) {
        return false;
    }
    fact_list *r = request_new(&fact_list_operation, sizeof *r, err);
    if (r == NULL) {
        return false;
    }
    r->user_id = user_id;
    if (after != NULL) {
        memcpy(r->after, after, sizeof r->after);
        r->after_length = sizeof r->after;
    }
    r->limit = limit;
    r->done = done;
    r->context = context;
    return request_submit(s, &r->base, err);
}

static bool delete_expired(deletion *step, const uint8_t id[EXPIRY_ID_SIZE], error *err) {
    bool deleted = false;
    return delete_fact(step->database, step->user_id, id, &deleted, err);
}

bool store_facts_expire(store *s, uint64_t before_ms, size_t limit, store_facts_expired *done, void *context,
                        error *err) {
    static const expiry_kind facts = {
        "SELECT user_id, id FROM facts WHERE changed_ms < ? ORDER BY changed_ms LIMIT ?", delete_expired};
    return expiry_submit(s, &facts, before_ms, limit, done, context, err);
}
