#include "store/evidence.h"

#include "request.h"

typedef struct evidence_add {
    request base;
    store_evidence evidence;
    store_evidence_added *done;
    void *context;
} evidence_add;

static bool evidence_add_run(request *base, database *d, error *err) {
    store_evidence *e = &((evidence_add *)base)->evidence;
    query q;
    query_start(&q, d, "INSERT INTO evidence (worker_id, job_id, created_ms, bundle) VALUES (?, ?, ?, ?)");
    query_bytes(&q, e->worker_id, sizeof e->worker_id);
    query_bytes(&q, e->job_id, sizeof e->job_id);
    query_u64(&q, e->created_ms);
    query_text(&q, e->bundle);
    if (!query_run(&q, err)) {
        return error_context(err, "evidence");
    }
    e->id = database_last_id(d);
    return true;
}

static void evidence_add_answer(request *base, const error *failure) {
    const evidence_add *r = (const evidence_add *)base;
    r->done(r->context, failure == NULL ? r->evidence.id : 0, failure);
}

static const operation evidence_add_operation = {DATABASE_WRITE_SYNCED, evidence_add_run,
                                                 evidence_add_answer};

bool store_evidence_add(store *s, const store_evidence *evidence, store_evidence_added *done, void *context,
                        error *err) {
    if (evidence->bundle.length == 0 || evidence->bundle.length > STORE_EVIDENCE_MAX ||
        !slice_is_utf8(evidence->bundle)) {
        return error_set(err, ERROR_INVALID, "a bundle of evidence is 1 to %d bytes of UTF-8",
                         (int)STORE_EVIDENCE_MAX);
    }
    evidence_add *r = request_new(&evidence_add_operation, sizeof *r, err);
    if (r == NULL) {
        return false;
    }
    r->evidence = *evidence;
    r->evidence.bundle = request_copy(&r->base, evidence->bundle);
    r->done = done;
    r->context = context;
    return request_submit(s, &r->base, err);
}

static bool read_evidence(query *q, arena *memory, store_evidence *e, error *err) {
    e->id = query_read_u64(q);
    query_read_bytes(q, e->worker_id, sizeof e->worker_id);
    query_read_bytes(q, e->job_id, sizeof e->job_id);
    e->created_ms = query_read_u64(q);
    e->bundle = query_read_slice(q, memory);
    return query_columns_fit(q, err);
}

typedef struct evidence_get {
    request base;
    store_evidence evidence;
    store_evidence_found *done;
    void *context;
} evidence_get;

static bool evidence_get_run(request *base, database *d, error *err) {
    evidence_get *r = (evidence_get *)base;
    query q;
    query_start(&q, d, "SELECT id, worker_id, job_id, created_ms, bundle FROM evidence WHERE id = ?");
    query_u64(&q, r->evidence.id);
    bool row = false;
    if (!query_row(&q, &row, err)) {
        return false;
    }
    return row ? read_evidence(&q, base->memory, &r->evidence, err)
               : error_set(err, ERROR_NOT_FOUND, "there is no evidence %llu",
                           (unsigned long long)r->evidence.id);
}

static void evidence_get_answer(request *base, const error *failure) {
    const evidence_get *r = (const evidence_get *)base;
    r->done(r->context, failure == NULL ? &r->evidence : NULL, failure);
}

static const operation evidence_get_operation = {DATABASE_READ, evidence_get_run, evidence_get_answer};

bool store_evidence_get(store *s, uint64_t id, store_evidence_found *done, void *context, error *err) {
    evidence_get *r = request_new(&evidence_get_operation, sizeof *r, err);
    if (r == NULL) {
        return false;
    }
    r->evidence.id = id > INT64_MAX ? 0 : id; /* 0 is nobody's */
    r->done = done;
    r->context = context;
    return request_submit(s, &r->base, err);
}

typedef struct evidence_list {
    request base;
    bool of_worker;
    uint8_t worker_id[STORE_WORKER_ID_SIZE];
    uint64_t after;
    size_t limit;
    void *rows;
    size_t count;
    store_evidence_listed *done;
    void *context;
} evidence_list;

static bool evidence_list_run(request *base, database *d, error *err) {
    evidence_list *r = (evidence_list *)base;
    query q;
    if (r->of_worker) {
        query_start(&q, d,
                    "SELECT id, worker_id, job_id, created_ms, '' FROM evidence "
                    "WHERE worker_id = ? AND id > ? ORDER BY id LIMIT ?");
        query_bytes(&q, r->worker_id, sizeof r->worker_id);
    } else {
        query_start(&q, d,
                    "SELECT id, worker_id, job_id, created_ms, '' FROM evidence "
                    "WHERE id > ? ORDER BY id LIMIT ?");
    }
    query_u64(&q, r->after);
    query_u64(&q, r->limit);
    for (bool row = true; query_row(&q, &row, err);) {
        if (!row) {
            return true;
        }
        store_evidence *e = request_add_row(base, &r->rows, &r->count, sizeof *e, err);
        if (e == NULL || !read_evidence(&q, base->memory, e, err)) {
            return false;
        }
    }
    return false;
}

static void evidence_list_answer(request *base, const error *failure) {
    const evidence_list *r = (const evidence_list *)base;
    r->done(r->context, failure == NULL ? r->rows : NULL, failure == NULL ? r->count : 0, failure);
}

static const operation evidence_list_operation = {DATABASE_READ, evidence_list_run, evidence_list_answer};

bool store_evidence_list(store *s, const uint8_t *worker_id, uint64_t after, size_t limit,
                         store_evidence_listed *done, void *context, error *err) {
    if (!request_check_list(limit, err)) {
        return false;
    }
    evidence_list *r = request_new(&evidence_list_operation, sizeof *r, err);
    if (r == NULL) {
        return false;
    }
    r->of_worker = worker_id != NULL;
    if (worker_id != NULL) {
        memcpy(r->worker_id, worker_id, sizeof r->worker_id);
    }
    r->after = after;
    r->limit = limit;
    r->done = done;
    r->context = context;
    return request_submit(s, &r->base, err);
}
