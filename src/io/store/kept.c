#include "store/kept.h"

#include "kept_rings.h"
#include "verifications_internal.h"

enum { DELETED_WITH_ONE = 16 /* at most, when another is added: more only after `keep` has shrunk */ };

static bool delete_row(database *d, uint64_t number, error *err) {
    query q;
    query_start(&q, d, "DELETE FROM kept_answers WHERE number = ?");
    query_u64(&q, number);
    database_note_wipe(d);
    return query_run(&q, err);
}

typedef struct kept_add {
    request base;
    kept_rings *rings;
    store_kept_answer answer;
    size_t keep;
    store_done *done;
    void *context;
} kept_add;

static bool insert(database *d, const store_kept_answer *a, uint64_t number, error *err) {
    query q;
    query_start(&q, d,
                "INSERT INTO kept_answers (number, worker_id, created_ms, id, job_id, user_id, model, mode, "
                "payload) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)");
    query_u64(&q, number);
    query_bytes(&q, a->worker_id, sizeof a->worker_id);
    query_u64(&q, a->created_ms);
    query_bytes(&q, a->id, sizeof a->id);
    query_bytes(&q, a->job_id, sizeof a->job_id);
    query_u64(&q, a->user_id);
    query_text(&q, a->model);
    query_text(&q, a->mode);
    query_bytes(&q, a->payload.data, a->payload.length);
    return query_run(&q, err) || error_context(err, "kept answer");
}

static bool kept_add_run(request *base, database *d, error *err) {
    kept_add *r = (kept_add *)base;
    if (!kept_rings_load(r->rings, d, err)) {
        return false;
    }
    kept_ring *ring = kept_rings_reserve(r->rings, r->answer.worker_id, err);
    if (ring == NULL || !insert(d, &r->answer, kept_rings_next(r->rings), err)) {
        return false;
    }
    size_t beyond = ring->count < r->keep ? 0 : ring->count + 1 - r->keep;
    size_t count = beyond < DELETED_WITH_ONE ? beyond : DELETED_WITH_ONE;
    for (size_t i = 0; i < count; i++) {
        if (!delete_row(d, kept_ring_at(ring, i), err)) {
            return false;
        }
    }
    kept_rings_append(r->rings, ring);
    kept_ring_drop_oldest(ring, count);
    return true;
}

static void kept_add_answer(request *base, const error *failure) {
    const kept_add *r = (const kept_add *)base;
    r->done(r->context, failure);
}

static const operation kept_add_operation = {DATABASE_WRITE | OPERATION_BLIND, kept_add_run, kept_add_answer};

bool store_kept_add(store *s, const store_kept_answer *answer, size_t keep, store_done *done, void *context,
                    error *err) {
    if (keep == 0 || answer->payload.length == 0 || answer->payload.length > STORE_PAYLOAD_MAX ||
        !request_text_is_valid(answer->model, STORE_MODEL_MAX)) {
        return error_set(err, ERROR_INVALID, "a kept answer has a payload of 1 to %d bytes and a model",
                         (int)STORE_PAYLOAD_MAX);
    }
    kept_add *r = request_new(&kept_add_operation, sizeof *r, err);
    if (r == NULL) {
        return false;
    }
    r->rings = store_kept_rings(s);
    r->answer = *answer;
    r->answer.model = request_copy(&r->base, answer->model);
    r->answer.mode = request_copy(&r->base, answer->mode);
    r->answer.payload = request_copy(&r->base, answer->payload);
    r->keep = keep;
    r->done = done;
    r->context = context;
    return request_submit(s, &r->base, err);
}

typedef struct kept_take {
    request base;
    kept_rings *rings;
    uint8_t worker_id[STORE_WORKER_ID_SIZE];
    size_t limit;
    void *rows;
    size_t count;
    store_verifications_listed *done;
    void *context;
} kept_take;

static bool run_with_number(database *d, const char *sql, uint64_t number, error *err) {
    query q;
    query_start(&q, d, sql);
    query_u64(&q, number);
    return query_run(&q, err);
}

/* A row becomes a check's two. */
static bool move_to_checks(database *d, uint64_t number, error *err) {
    static const char check_sql[] =
        "INSERT INTO inference_verifications (id, job_id, user_id, worker_id, model, mode, state, "
        "created_ms, recheck, independence, attempts, referees, findings) "
        "SELECT id, job_id, user_id, worker_id, model, mode, 'waiting', created_ms, 1, '', 0, 0, substr(id, "
        "1, 0) "
        "FROM kept_answers WHERE number = ?";
    static const char payload_sql[] =
        "INSERT INTO inference_payloads (number, payload) "
        "SELECT last_insert_rowid(), payload FROM kept_answers WHERE number = ?";
    return run_with_number(d, check_sql, number, err) && run_with_number(d, payload_sql, number, err) &&
           delete_row(d, number, err);
}

static bool read_check(kept_take *r, database *d, size_t *bytes, error *err) {
    query q;
    bool row = false;
    query_start(&q, d, VERIFICATION_WITH_PAYLOAD "WHERE v.number = last_insert_rowid()");
    if (!query_row(&q, &row, err)) {
        return false;
    }
    if (!row) {
        return error_set(err, ERROR_CORRUPT, "a kept answer is gone");
    }
    store_verification *v = request_add_row(&r->base, &r->rows, &r->count, sizeof *v, err);
    bool read = v != NULL && verifications_read(&q, r->base.memory, v, err);
    database_end_queries(d);
    *bytes += read ? v->payload.length : 0;
    return read;
}

static bool kept_take_run(request *base, database *d, error *err) {
    kept_take *r = (kept_take *)base;
    if (!kept_rings_load(r->rings, d, err)) {
        return false;
    }
    kept_ring *ring = kept_rings_find(r->rings, r->worker_id);
    size_t bytes = 0;
    size_t taken = 0;
    while (ring != NULL && taken < ring->count && taken < r->limit && bytes < STORE_PAGE_BYTES) {
        uint64_t number = kept_ring_at(ring, ring->count - 1 - taken++);
        if (!move_to_checks(d, number, err) || !read_check(r, d, &bytes, err)) {
            return false;
        }
    }
    if (ring != NULL) {
        kept_ring_drop_newest(ring, taken);
    }
    return true;
}

static void kept_take_answer(request *base, const error *failure) {
    const kept_take *r = (const kept_take *)base;
    r->done(r->context, failure == NULL ? r->rows : NULL, failure == NULL ? r->count : 0, failure);
}

static const operation kept_take_operation = {DATABASE_WRITE, kept_take_run, kept_take_answer};

bool store_kept_take(store *s, const uint8_t worker_id[STORE_WORKER_ID_SIZE], size_t limit,
                     store_verifications_listed *done, void *context, error *err) {
    if (!request_check_list(limit, err)) {
        return false;
    }
    kept_take *r = request_new(&kept_take_operation, sizeof *r, err);
    if (r == NULL) {
        return false;
    }
    r->rings = store_kept_rings(s);
    memcpy(r->worker_id, worker_id, sizeof r->worker_id);
    r->limit = limit;
    r->done = done;
    r->context = context;
    return request_submit(s, &r->base, err);
}

typedef struct kept_expire {
    request base;
    kept_rings *rings;
    size_t keep;
    uint64_t from_ms, to_ms;
    size_t count;
    store_kept_expired *done;
    void *context;
} kept_expire;

/* Rings are set right after all has been deleted: `beyond` says how many of each. */
static size_t beyond(const kept_expire *r, const kept_ring *ring, size_t left) {
    size_t count = ring->count > r->keep ? ring->count - r->keep : 0;
    return count < left ? count : left;
}

static bool delete_beyond(const kept_expire *r, database *d, size_t *deleted, error *err) {
    const kept_ring *ring = NULL;
    for (size_t i = 0; *deleted < STORE_LIST_MAX && (ring = kept_rings_each(r->rings, &i)) != NULL;) {
        size_t count = beyond(r, ring, STORE_LIST_MAX - *deleted);
        for (size_t j = 0; j < count; j++) {
            if (!delete_row(d, kept_ring_at(ring, j), err)) {
                return false;
            }
        }
        *deleted += count;
    }
    return true;
}

static void drop_beyond(const kept_expire *r) {
    kept_ring *ring = NULL;
    size_t dropped = 0;
    for (size_t i = 0; dropped < STORE_LIST_MAX && (ring = kept_rings_each(r->rings, &i)) != NULL;) {
        size_t count = beyond(r, ring, STORE_LIST_MAX - dropped);
        kept_ring_drop_oldest(ring, count);
        dropped += count;
    }
}

typedef struct aged {
    uint64_t number;
    uint8_t worker_id[STORE_WORKER_ID_SIZE];
} aged;

/* Rows stand nearly in the order of their dates, so the oldest are among the first. */
static bool find_aged(kept_expire *r, database *d, size_t limit, void **found, size_t *count, error *err) {
    query q;
    query_start(&q, d,
                "SELECT number, worker_id FROM (SELECT number, worker_id, created_ms FROM kept_answers "
                "ORDER BY number LIMIT ?) AS oldest WHERE created_ms < ? OR created_ms > ?");
    query_u64(&q, limit);
    query_u64(&q, r->from_ms);
    query_u64(&q, r->to_ms);
    for (bool row = true; query_row(&q, &row, err);) {
        if (!row) {
            return true;
        }
        aged *one = request_add_row(&r->base, found, count, sizeof *one, err);
        if (one == NULL) {
            return false;
        }
        one->number = query_read_u64(&q);
        query_read_bytes(&q, one->worker_id, sizeof one->worker_id);
        if (!query_columns_fit(&q, err)) {
            return false;
        }
    }
    return false;
}

static bool kept_expire_run(request *base, database *d, error *err) {
    kept_expire *r = (kept_expire *)base;
    void *found = NULL;
    size_t found_count = 0;
    if (!kept_rings_load(r->rings, d, err) || !delete_beyond(r, d, &r->count, err) ||
        !find_aged(r, d, STORE_LIST_MAX - r->count, &found, &found_count, err)) {
        return false;
    }
    database_end_queries(d);
    const aged *old = found;
    for (size_t i = 0; i < found_count; i++) {
        if (!delete_row(d, old[i].number, err)) {
            return false;
        }
    }
    r->count += found_count;
    drop_beyond(r);
    for (size_t i = 0; i < found_count; i++) {
        kept_ring_drop(kept_rings_find(r->rings, old[i].worker_id), old[i].number);
    }
    return true;
}

static void kept_expire_answer(request *base, const error *failure) {
    const kept_expire *r = (const kept_expire *)base;
    r->done(r->context, failure == NULL ? r->count : 0, failure);
}

static const operation kept_expire_operation = {DATABASE_WRITE, kept_expire_run, kept_expire_answer};

bool store_kept_expire(store *s, size_t keep, uint64_t from_ms, uint64_t to_ms, store_kept_expired *done,
                       void *context, error *err) {
    kept_expire *r = request_new(&kept_expire_operation, sizeof *r, err);
    if (r == NULL) {
        return false;
    }
    r->rings = store_kept_rings(s);
    r->keep = keep;
    r->from_ms = from_ms;
    r->to_ms = to_ms;
    r->done = done;
    r->context = context;
    return request_submit(s, &r->base, err);
}
