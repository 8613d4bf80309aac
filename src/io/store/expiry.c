#include "expiry.h"

typedef struct expired {
    uint64_t user_id;
    uint8_t id[EXPIRY_ID_SIZE];
} expired;

typedef struct expiry {
    request base;
    const expiry_kind *kind;
    uint64_t before_ms;
    size_t limit;
    void *rows;
    size_t found;
    size_t count;
    expiry_done *done;
    void *context;
} expiry;

static bool find(expiry *r, database *d, error *err) {
    query q;
    query_start(&q, d, r->kind->find);
    query_u64(&q, r->before_ms);
    query_u64(&q, r->limit);
    for (bool row = true; query_row(&q, &row, err);) {
        if (!row) {
            return true;
        }
        expired *one = request_add_row(&r->base, &r->rows, &r->found, sizeof *one, err);
        if (one == NULL) {
            return false;
        }
        one->user_id = query_read_u64(&q);
        query_read_bytes(&q, one->id, sizeof one->id);
        if (!query_columns_fit(&q, err)) {
            return false;
        }
    }
    return false;
}

static bool expiry_run(request *base, database *d, error *err) {
    expiry *r = (expiry *)base;
    if (!find(r, d, err)) {
        return false;
    }
    const expired *rows = r->rows;
    deletion step = deletion_of(d, 0);
    while (r->count < r->found && !deletion_is_spent(&step)) {
        const expired *one = &rows[r->count++];
        step.user_id = one->user_id;
        if (!r->kind->delete_one(&step, one->id, err)) {
            return false;
        }
    }
    return true;
}

static void expiry_answer(request *base, const error *failure) {
    const expiry *r = (const expiry *)base;
    r->done(r->context, failure == NULL ? r->count : 0, failure);
}

static const operation expiry_operation = {DATABASE_WRITE_SYNCED, expiry_run, expiry_answer};

bool expiry_submit(store *s, const expiry_kind *kind, uint64_t before_ms, size_t limit, expiry_done *done,
                   void *context, error *err) {
    if (!request_check_list(limit, err)) {
        return false;
    }
    expiry *r = request_new(&expiry_operation, sizeof *r, err);
    if (r == NULL) {
        return false;
    }
    r->kind = kind;
    r->before_ms = before_ms;
    r->limit = limit;
    r->done = done;
    r->context = context;
    return request_submit(s, &r->base, err);
}
