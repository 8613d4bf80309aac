#include "store/personal.h"

#include "request.h"

enum {
    PAGE_ROWS = 500,
    LOOKED_THROUGH = 5000 /* of everybody's, where there is no index by user: so that nobody waits for it */
};

typedef struct personal_list {
    request base;
    uint64_t user_id;
    store_personal_kind kind;
    store_personal_place place;
    uint8_t from[STORE_PERSONAL_ID_SIZE]; /* what the page begins behind: a statement keeps its address */
    bool more;
    void *rows;
    size_t count;
    store_personal_listed *done;
    void *context;
} personal_list;

/* Takes the columns of the row that `q` stands on. */
typedef void read_columns(query *q, personal_list *r, store_personal_row *row);

/* All rows of `q`. */
static bool read_rows(query *q, personal_list *r, read_columns *read, error *err) {
    for (bool row = true; query_row(q, &row, err);) {
        if (!row) {
            return true;
        }
        store_personal_row *added =
            request_add_row(&r->base, &r->rows, &r->count, sizeof(store_personal_row), err);
        if (added == NULL) {
            return false;
        }
        read(q, r, added);
        if (!query_columns_fit(q, err)) {
            return false;
        }
    }
    return false;
}

/* A page of them, which PAGE_ROWS bounds. */
static bool read_page(query *q, personal_list *r, read_columns *read, error *err) {
    query_u64(q, PAGE_ROWS);
    bool done = read_rows(q, r, read, err);
    r->more = r->count == PAGE_ROWS;
    return done;
}

static void read_identity(query *q, personal_list *r, store_personal_row *row) {
    row->issuer = query_read_slice(q, r->base.memory);
    row->subject = query_read_slice(q, r->base.memory);
    row->created_ms = query_read_u64(q);
}

static bool list_identities(personal_list *r, database *d, error *err) {
    query q;
    query_start(&q, d, "SELECT issuer, subject, created_ms FROM identities WHERE user_id = ? LIMIT ?");
    query_u64(&q, r->user_id);
    query_u64(&q, PAGE_ROWS);
    return read_rows(&q, r, read_identity, err);
}

static void read_session(query *q, personal_list *r, store_personal_row *row) {
    query_read_bytes(q, row->id, sizeof row->id);
    row->issuer = query_read_slice(q, r->base.memory);
    row->subject = query_read_slice(q, r->base.memory);
    row->created_ms = query_read_u64(q);
    row->expires_ms = query_read_u64(q);
    row->ended_ms = query_read_u64(q);
    memcpy(r->place.id, row->id, sizeof r->place.id);
}

static bool list_sessions(personal_list *r, database *d, error *err) {
    query q;
    query_start(&q, d,
                "SELECT id, issuer, subject, created_ms, expires_ms, coalesce(ended_ms, 0) FROM sessions "
                "WHERE user_id = ? AND id > ? ORDER BY id LIMIT ?");
    query_u64(&q, r->user_id);
    memcpy(r->from, r->place.id, sizeof r->from);
    query_bytes(&q, r->from, sizeof r->from);
    return read_page(&q, r, read_session, err);
}

/* The id that is so many behind the place; `more`: there is one. */
static bool find_step(personal_list *r, database *d, error *err) {
    query q;
    query_start(&q, d, "SELECT job_id FROM receipts WHERE job_id > ? ORDER BY job_id LIMIT 1 OFFSET ?");
    query_bytes(&q, r->from, sizeof r->from);
    query_u64(&q, LOOKED_THROUGH - 1);
    if (!query_row(&q, &r->more, err)) {
        return false;
    }
    memset(r->place.id, UINT8_MAX, sizeof r->place.id);
    if (r->more) {
        query_read_bytes(&q, r->place.id, sizeof r->place.id);
    }
    return !r->more || query_columns_fit(&q, err);
}

static void read_receipt(query *q, personal_list *r, store_personal_row *row) {
    (void)r;
    query_read_bytes(q, row->id, sizeof row->id);
    row->created_ms = query_read_u64(q);
}

static bool list_receipts(personal_list *r, database *d, error *err) {
    query q;
    memcpy(r->from, r->place.id, sizeof r->from);
    if (!find_step(r, d, err)) {
        return false;
    }
    query_start(&q, d,
                "SELECT job_id, created_ms FROM receipts WHERE job_id > ? AND job_id <= ? AND user_id = ? "
                "ORDER BY job_id");
    query_bytes(&q, r->from, sizeof r->from);
    query_bytes(&q, r->place.id, sizeof r->place.id);
    query_u64(&q, r->user_id);
    return read_rows(&q, r, read_receipt, err);
}

static void read_notice(query *q, personal_list *r, store_personal_row *row) {
    r->place.number = query_read_u64(q);
    query_read_bytes(q, row->id, sizeof row->id);
    row->text = query_read_slice(q, r->base.memory);
    row->created_ms = query_read_u64(q);
    row->told_ms = query_read_u64(q);
}

static bool list_notices(personal_list *r, database *d, error *err) {
    query q;
    query_start(&q, d,
                "SELECT id, job_id, text, created_ms, coalesce(told_ms, 0) FROM notices "
                "WHERE user_id = ? AND id > ? ORDER BY id LIMIT ?");
    query_u64(&q, r->user_id);
    query_u64(&q, r->place.number);
    return read_page(&q, r, read_notice, err);
}

static void read_check(query *q, personal_list *r, store_personal_row *row) {
    row->text = query_read_slice(q, r->base.memory);
    row->count = query_read_u64(q);
}

static bool count_checks(personal_list *r, database *d, error *err) {
    query q;
    query_start(&q, d,
                "SELECT state, count(*) FROM inference_verifications WHERE user_id = ? AND "
                "state IN ('waiting', 'running', 'disputed', 'judging') GROUP BY state");
    query_u64(&q, r->user_id);
    return read_rows(&q, r, read_check, err);
}

static void read_count(query *q, personal_list *r, store_personal_row *row) {
    (void)r;
    row->count = query_read_u64(q);
}

static bool count_answers(personal_list *r, database *d, error *err) {
    query q;
    query_start(&q, d, "SELECT count(*) FROM kept_answers WHERE user_id = ?");
    query_u64(&q, r->user_id);
    return read_rows(&q, r, read_count, err);
}

static bool personal_list_run(request *base, database *d, error *err) {
    static bool (*const kinds[])(personal_list *, database *, error *) = {
        [STORE_PERSONAL_IDENTITIES] = list_identities, [STORE_PERSONAL_SESSIONS] = list_sessions,
        [STORE_PERSONAL_RECEIPTS] = list_receipts,     [STORE_PERSONAL_NOTICES] = list_notices,
        [STORE_PERSONAL_CHECKS] = count_checks,        [STORE_PERSONAL_ANSWERS] = count_answers,
    };
    personal_list *r = (personal_list *)base;
    return kinds[r->kind](r, d, err);
}

static void personal_list_answer(request *base, const error *failure) {
    const personal_list *r = (const personal_list *)base;
    bool read = failure == NULL;
    r->done(r->context, read ? r->rows : NULL, read ? r->count : 0, read && r->more ? &r->place : NULL,
            failure);
}

static const operation personal_list_operation = {DATABASE_READ, personal_list_run, personal_list_answer};

bool store_personal_list(store *s, uint64_t user_id, store_personal_kind kind,
                         const store_personal_place *from, store_personal_listed *done, void *context,
                         error *err) {
    if ((unsigned)kind >= STORE_PERSONAL_KINDS) {
        return error_set(err, ERROR_INTERNAL, "there is no such kind of rows");
    }
    personal_list *r = request_new(&personal_list_operation, sizeof *r, err);
    if (r == NULL) {
        return false;
    }
    r->user_id = user_id;
    r->kind = kind;
    r->place = *from;
    r->done = done;
    r->context = context;
    return request_submit(s, &r->base, err);
}
