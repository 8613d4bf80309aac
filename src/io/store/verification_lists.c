#include "verifications_internal.h"

typedef struct verification_list {
    request base;
    bool of_worker;
    uint8_t worker_id[STORE_WORKER_ID_SIZE];
    uint64_t from; /* a number */
    size_t limit;
    void *rows;
    size_t count;
    store_verifications_listed *done;
    void *context;
} verification_list;

/* Stops once the rows together pass STORE_PAGE_BYTES. */
static bool read_rows(verification_list *r, query *q, error *err) {
    size_t bytes = 0;
    for (bool row = true; bytes < STORE_PAGE_BYTES && query_row(q, &row, err);) {
        if (!row) {
            return true;
        }
        store_verification *v = request_add_row(&r->base, &r->rows, &r->count, sizeof *v, err);
        if (v == NULL || !verifications_read(q, r->base.memory, v, err)) {
            return false;
        }
        bytes += v->payload.length + v->findings.length;
    }
    return bytes >= STORE_PAGE_BYTES;
}

static void verification_list_answer(request *base, const error *failure) {
    const verification_list *r = (const verification_list *)base;
    r->done(r->context, failure == NULL ? r->rows : NULL, failure == NULL ? r->count : 0, failure);
}

static bool submit(store *s, const operation *o, const uint8_t *worker_id, uint64_t from, size_t limit,
                   store_verifications_listed *done, void *context, error *err) {
    if (!request_check_list(limit, err)) {
        return false;
    }
    verification_list *r = request_new(o, sizeof *r, err);
    if (r == NULL) {
        return false;
    }
    r->of_worker = worker_id != NULL;
    if (worker_id != NULL) {
        memcpy(r->worker_id, worker_id, sizeof r->worker_id);
    }
    r->from = from;
    r->limit = limit;
    r->done = done;
    r->context = context;
    return request_submit(s, &r->base, err);
}

static bool load_waiting_run(request *base, database *d, error *err) {
    verification_list *r = (verification_list *)base;
    query q;
    query_start(&q, d,
                VERIFICATION_WITH_PAYLOAD "WHERE state IN ('waiting', 'running', 'disputed', 'judging') "
                                          "AND v.number > ? ORDER BY v.number LIMIT ?");
    query_u64(&q, r->from);
    query_u64(&q, r->limit);
    return read_rows(r, &q, err);
}

static const operation load_waiting_operation = {DATABASE_READ, load_waiting_run, verification_list_answer};

bool store_verification_load_waiting(store *s, uint64_t after, size_t limit, store_verifications_listed *done,
                                     void *context, error *err) {
    return submit(s, &load_waiting_operation, NULL, after, limit, done, context, err);
}

static bool verification_list_run(request *base, database *d, error *err) {
    verification_list *r = (verification_list *)base;
    query q;
    if (r->of_worker) {
        query_start(&q, d,
                    VERIFICATION_ALONE "WHERE worker_id = ? AND v.number < ? ORDER BY v.number DESC LIMIT ?");
        query_bytes(&q, r->worker_id, sizeof r->worker_id);
    } else {
        query_start(&q, d, VERIFICATION_ALONE "WHERE v.number < ? ORDER BY v.number DESC LIMIT ?");
    }
    query_u64(&q, r->from == 0 ? INT64_MAX : r->from);
    query_u64(&q, r->limit);
    return read_rows(r, &q, err);
}

static const operation verification_list_operation = {DATABASE_READ, verification_list_run,
                                                      verification_list_answer};

bool store_verification_list(store *s, const uint8_t *worker_id, uint64_t before, size_t limit,
                             store_verifications_listed *done, void *context, error *err) {
    return submit(s, &verification_list_operation, worker_id, before, limit, done, context, err);
}

static bool list_open_run(request *base, database *d, error *err) {
    verification_list *r = (verification_list *)base;
    query q;
    query_start(&q, d,
                VERIFICATION_ALONE "WHERE state = 'open' AND v.number < ? ORDER BY v.number DESC LIMIT ?");
    query_u64(&q, r->from == 0 ? INT64_MAX : r->from);
    query_u64(&q, r->limit);
    return read_rows(r, &q, err);
}

static const operation list_open_operation = {DATABASE_READ, list_open_run, verification_list_answer};

bool store_verification_list_open(store *s, uint64_t before, size_t limit, store_verifications_listed *done,
                                  void *context, error *err) {
    return submit(s, &list_open_operation, NULL, before, limit, done, context, err);
}
