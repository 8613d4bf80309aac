#include "store/honeytokens.h"

#include "request.h"

#define HONEYTOKEN_COLUMNS "id, marker, worker_id, job_id, created_ms, seen_ms, seen_where"

static bool check_marker(slice marker, error *err) {
    bool valid = marker.length > 0 && marker.length <= STORE_MARKER_MAX;
    for (size_t i = 0; valid && i < marker.length; i++) {
        uint8_t c = marker.data[i];
        valid = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
    }
    return valid || error_set(err, ERROR_INVALID, "a marker is 1 to %d of a-z 0-9 -", (int)STORE_MARKER_MAX);
}

typedef struct honeytoken_add {
    request base;
    store_honeytoken token;
    store_done *done;
    void *context;
} honeytoken_add;

static bool honeytoken_add_run(request *base, database *d, error *err) {
    const store_honeytoken *t = &((const honeytoken_add *)base)->token;
    query q;
    query_start(&q, d, "INSERT INTO honeytokens (marker, worker_id, job_id, created_ms) VALUES (?, ?, ?, ?)");
    query_text(&q, t->marker);
    query_bytes(&q, t->worker_id, sizeof t->worker_id);
    query_bytes(&q, t->job_id, sizeof t->job_id);
    query_u64(&q, t->created_ms);
    return query_run(&q, err) || error_context(err, "honeytoken");
}

static void honeytoken_add_answer(request *base, const error *failure) {
    const honeytoken_add *r = (const honeytoken_add *)base;
    r->done(r->context, failure);
}

static const operation honeytoken_add_operation = {DATABASE_WRITE | OPERATION_BLIND, honeytoken_add_run,
                                                   honeytoken_add_answer};

bool store_honeytoken_add(store *s, const store_honeytoken *token, store_done *done, void *context,
                          error *err) {
    if (!check_marker(token->marker, err)) {
        return false;
    }
    honeytoken_add *r = request_new(&honeytoken_add_operation, sizeof *r, err);
    if (r == NULL) {
        return false;
    }
    r->token = *token;
    r->token.marker = request_copy(&r->base, token->marker);
    r->done = done;
    r->context = context;
    return request_submit(s, &r->base, err);
}

static bool read_token(query *q, arena *memory, store_honeytoken *t, error *err) {
    t->id = query_read_u64(q);
    t->marker = query_read_slice(q, memory);
    query_read_bytes(q, t->worker_id, sizeof t->worker_id);
    query_read_bytes(q, t->job_id, sizeof t->job_id);
    t->created_ms = query_read_u64(q);
    t->seen_ms = query_read_u64(q);
    t->seen_where = query_read_slice(q, memory);
    return query_columns_fit(q, err);
}

typedef struct honeytoken_find {
    request base;
    slice marker;
    slice where;
    uint64_t now_ms;
    store_honeytoken token;
    store_honeytoken_found *done;
    void *context;
} honeytoken_find;

static bool honeytoken_find_run(request *base, database *d, error *err) {
    honeytoken_find *r = (honeytoken_find *)base;
    query q;
    query_start(&q, d, "SELECT " HONEYTOKEN_COLUMNS " FROM honeytokens WHERE marker = ?");
    query_text(&q, r->marker);
    bool row = false;
    if (!query_row(&q, &row, err)) {
        return false;
    }
    return row ? read_token(&q, base->memory, &r->token, err)
               : error_set(err, ERROR_NOT_FOUND, "this marker is none of this pool's");
}

static bool honeytoken_seen_run(request *base, database *d, error *err) {
    const honeytoken_find *r = (const honeytoken_find *)base;
    query q;
    query_start(&q, d,
                "UPDATE honeytokens SET seen_ms = ?, seen_where = ? WHERE marker = ? AND seen_ms IS NULL");
    query_u64(&q, r->now_ms);
    query_text(&q, r->where);
    query_text(&q, r->marker);
    return query_run(&q, err) && honeytoken_find_run(base, d, err);
}

static void honeytoken_find_answer(request *base, const error *failure) {
    const honeytoken_find *r = (const honeytoken_find *)base;
    r->done(r->context, failure == NULL ? &r->token : NULL, failure);
}

static const operation honeytoken_find_operation = {DATABASE_READ, honeytoken_find_run,
                                                    honeytoken_find_answer};
static const operation honeytoken_seen_operation = {DATABASE_WRITE_SYNCED, honeytoken_seen_run,
                                                    honeytoken_find_answer};

static bool submit_find(store *s, const operation *o, slice marker, slice where, uint64_t now_ms,
                        store_honeytoken_found *done, void *context, error *err) {
    if (!check_marker(marker, err)) {
        return false;
    }
    honeytoken_find *r = request_new(o, sizeof *r, err);
    if (r == NULL) {
        return false;
    }
    r->marker = request_copy(&r->base, marker);
    r->where = request_copy(&r->base, where);
    r->now_ms = now_ms;
    r->done = done;
    r->context = context;
    return request_submit(s, &r->base, err);
}

bool store_honeytoken_find(store *s, slice marker, store_honeytoken_found *done, void *context, error *err) {
    return submit_find(s, &honeytoken_find_operation, marker, (slice){NULL, 0}, 0, done, context, err);
}

bool store_honeytoken_seen(store *s, slice marker, slice where, uint64_t now_ms, store_honeytoken_found *done,
                           void *context, error *err) {
    if (now_ms == 0 || !request_text_is_valid(where, STORE_PLACE_MAX)) {
        return error_set(err, ERROR_INVALID, "a sighting has its date, and a place of at most %d bytes",
                         (int)STORE_PLACE_MAX);
    }
    return submit_find(s, &honeytoken_seen_operation, marker, where, now_ms, done, context, err);
}

typedef struct honeytoken_list {
    request base;
    bool seen_only;
    uint64_t after;
    size_t limit;
    void *tokens;
    size_t count;
    store_honeytokens_listed *done;
    void *context;
} honeytoken_list;

static bool honeytoken_list_run(request *base, database *d, error *err) {
    honeytoken_list *r = (honeytoken_list *)base;
    query q;
    if (r->seen_only) {
        query_start(&q, d,
                    "SELECT " HONEYTOKEN_COLUMNS
                    " FROM honeytokens WHERE seen_ms IS NOT NULL AND id > ? ORDER BY id LIMIT ?");
    } else {
        query_start(&q, d, "SELECT " HONEYTOKEN_COLUMNS " FROM honeytokens WHERE id > ? ORDER BY id LIMIT ?");
    }
    query_u64(&q, r->after);
    query_u64(&q, r->limit);
    for (bool row = true; query_row(&q, &row, err);) {
        if (!row) {
            return true;
        }
        store_honeytoken *t = request_add_row(base, &r->tokens, &r->count, sizeof *t, err);
        if (t == NULL || !read_token(&q, base->memory, t, err)) {
            return false;
        }
    }
    return false;
}

static void honeytoken_list_answer(request *base, const error *failure) {
    const honeytoken_list *r = (const honeytoken_list *)base;
    r->done(r->context, failure == NULL ? r->tokens : NULL, failure == NULL ? r->count : 0, failure);
}

static const operation honeytoken_list_operation = {DATABASE_READ, honeytoken_list_run,
                                                    honeytoken_list_answer};

bool store_honeytoken_list(store *s, bool seen_only, uint64_t after, size_t limit,
                           store_honeytokens_listed *done, void *context, error *err) {
    if (!request_check_list(limit, err)) {
        return false;
    }
    honeytoken_list *r = request_new(&honeytoken_list_operation, sizeof *r, err);
    if (r == NULL) {
        return false;
    }
    r->seen_only = seen_only;
    r->after = after;
    r->limit = limit;
    r->done = done;
    r->context = context;
    return request_submit(s, &r->base, err);
}
