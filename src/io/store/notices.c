#include "store/notices.h"

#include "request.h"

typedef struct notice_add {
    request base;
    store_notice notice;
    store_notice_added *done;
    void *context;
} notice_add;

static bool notice_add_run(request *base, database *d, error *err) {
    store_notice *n = &((notice_add *)base)->notice;
    query q;
    query_start(&q, d,
                "INSERT INTO notices (user_id, job_id, worker_id, text, created_ms) VALUES (?, ?, ?, ?, ?)");
    query_u64(&q, n->user_id);
    query_bytes(&q, n->job_id, sizeof n->job_id);
    query_bytes(&q, n->worker_id, sizeof n->worker_id);
    query_text(&q, n->text);
    query_u64(&q, n->created_ms);
    if (!query_run(&q, err)) {
        return error_context(err, "notice");
    }
    n->id = database_last_id(d);
    return true;
}

static void notice_add_answer(request *base, const error *failure) {
    const notice_add *r = (const notice_add *)base;
    r->done(r->context, failure == NULL ? r->notice.id : 0, failure);
}

static const operation notice_add_operation = {DATABASE_WRITE_SYNCED, notice_add_run, notice_add_answer};

bool store_notice_add(store *s, const store_notice *notice, store_notice_added *done, void *context,
                      error *err) {
    if (notice->text.length == 0 || !request_text_is_valid(notice->text, STORE_NOTICE_MAX)) {
        return error_set(err, ERROR_INVALID, "a notice is one line of 1 to %d bytes", (int)STORE_NOTICE_MAX);
    }
    notice_add *r = request_new(&notice_add_operation, sizeof *r, err);
    if (r == NULL) {
        return false;
    }
    r->notice = *notice;
    r->notice.text = request_copy(&r->base, notice->text);
    r->done = done;
    r->context = context;
    return request_submit(s, &r->base, err);
}

typedef struct notice_tell {
    request base;
    uint64_t id;
    uint64_t now_ms;
    store_done *done;
    void *context;
} notice_tell;

static bool notice_tell_run(request *base, database *d, error *err) {
    const notice_tell *r = (const notice_tell *)base;
    query q;
    query_start(&q, d, "UPDATE notices SET told_ms = coalesce(told_ms, ?) WHERE id = ?");
    query_u64(&q, r->now_ms);
    query_u64(&q, r->id);
    if (!query_run(&q, err)) {
        return false;
    }
    return database_changes(d) == 1 || error_set(err, ERROR_NOT_FOUND, "there is no such notice");
}

static void notice_tell_answer(request *base, const error *failure) {
    const notice_tell *r = (const notice_tell *)base;
    r->done(r->context, failure);
}

static const operation notice_tell_operation = {DATABASE_WRITE_SYNCED, notice_tell_run, notice_tell_answer};

bool store_notice_told(store *s, uint64_t id, uint64_t now_ms, store_done *done, void *context, error *err) {
    if (now_ms == 0) {
        return error_set(err, ERROR_INVALID, "telling needs its date");
    }
    notice_tell *r = request_new(&notice_tell_operation, sizeof *r, err);
    if (r == NULL) {
        return false;
    }
    r->id = id;
    r->now_ms = now_ms;
    r->done = done;
    r->context = context;
    return request_submit(s, &r->base, err);
}

typedef struct notice_list {
    request base;
    bool of_worker;
    uint8_t worker_id[STORE_WORKER_ID_SIZE];
    uint64_t after;
    size_t limit; /* 0: all that weren't told */
    void *notices;
    size_t count;
    store_notices_listed *done;
    void *context;
} notice_list;

#define NOTICE_COLUMNS "id, user_id, job_id, worker_id, text, created_ms, told_ms"

static bool read_notice(query *q, arena *memory, store_notice *n, error *err) {
    n->id = query_read_u64(q);
    n->user_id = query_read_u64(q);
    query_read_bytes(q, n->job_id, sizeof n->job_id);
    query_read_bytes(q, n->worker_id, sizeof n->worker_id);
    n->text = query_read_slice(q, memory);
    n->created_ms = query_read_u64(q);
    n->told_ms = query_read_u64(q);
    return query_columns_fit(q, err);
}

static void start_notice_list(query *q, database *d, const notice_list *r) {
    if (r->limit == 0) {
        query_start(q, d, "SELECT " NOTICE_COLUMNS " FROM notices WHERE told_ms IS NULL ORDER BY id");
        return;
    }
    if (r->of_worker) {
        query_start(q, d,
                    "SELECT " NOTICE_COLUMNS
                    " FROM notices WHERE worker_id = ? AND id > ? ORDER BY id LIMIT ?");
        query_bytes(q, r->worker_id, sizeof r->worker_id);
    } else {
        query_start(q, d, "SELECT " NOTICE_COLUMNS " FROM notices WHERE id > ? ORDER BY id LIMIT ?");
    }
    query_u64(q, r->after);
    query_u64(q, r->limit);
}

static bool notice_list_run(request *base, database *d, error *err) {
    notice_list *r = (notice_list *)base;
    query q;
    start_notice_list(&q, d, r);
    for (bool row = true; query_row(&q, &row, err);) {
        if (!row) {
            return true;
        }
        store_notice *n = request_add_row(base, &r->notices, &r->count, sizeof *n, err);
        if (n == NULL || !read_notice(&q, base->memory, n, err)) {
            return false;
        }
    }
    return false;
}

static void notice_list_answer(request *base, const error *failure) {
    const notice_list *r = (const notice_list *)base;
    r->done(r->context, failure == NULL ? r->notices : NULL, failure == NULL ? r->count : 0, failure);
}

static const operation notice_list_operation = {DATABASE_READ, notice_list_run, notice_list_answer};

static bool submit_list(store *s, const uint8_t *worker_id, uint64_t after, size_t limit,
                        store_notices_listed *done, void *context, error *err) {
    notice_list *r = request_new(&notice_list_operation, sizeof *r, err);
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

bool store_load_notices(store *s, store_notices_listed *done, void *context, error *err) {
    return submit_list(s, NULL, 0, 0, done, context, err);
}

bool store_notice_list(store *s, const uint8_t *worker_id, uint64_t after, size_t limit,
                       store_notices_listed *done, void *context, error *err) {
    return request_check_list(limit, err) && submit_list(s, worker_id, after, limit, done, context, err);
}
