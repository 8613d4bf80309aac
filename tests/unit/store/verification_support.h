#ifndef STORE_VERIFICATION_SUPPORT_H
#define STORE_VERIFICATION_SUPPORT_H

/* Checks and notices of the site that support.h makes. */
#include "support.h"

#include "store/kept.h"
#include "store/notices.h"
#include "store/verifications.h"

#include <sqlite3.h>

/* Of a job of its own by worker 1 for user 1; the id begins with the number. */
static inline store_verification new_verification(uint64_t number, const char *state) {
    static char payload[32];
    snprintf(payload, sizeof payload, "payload of %-2llu.......", (unsigned long long)number);
    store_verification v = {.user_id = 1,
                            .model = SLICE_LITERAL("tiny"),
                            .mode = SLICE_LITERAL("spot"),
                            .state = slice_of_text(state),
                            .created_ms = NOW_MS + number,
                            .position = -1,
                            .payload = slice_of(payload, 20)};
    memcpy(v.id, &number, sizeof number);
    memcpy(v.job_id, &number, sizeof number);
    memset(v.worker_id, 1, sizeof v.worker_id);
    return v;
}

/* The answer that such a check would be about. */
static inline store_kept_answer kept_of(const store_verification *v) {
    store_kept_answer answer = {.user_id = v->user_id,
                                .created_ms = v->created_ms,
                                .model = v->model,
                                .mode = v->mode,
                                .payload = v->payload};
    memcpy(answer.id, v->id, sizeof answer.id);
    memcpy(answer.job_id, v->job_id, sizeof answer.job_id);
    memcpy(answer.worker_id, v->worker_id, sizeof answer.worker_id);
    return answer;
}

static inline store_notice new_notice(uint64_t number) {
    store_notice n = {.user_id = 1, .text = SLICE_LITERAL("it was wrong"), .created_ms = NOW_MS + number};
    memcpy(n.job_id, &number, sizeof number);
    memset(n.worker_id, 1, sizeof n.worker_id);
    return n;
}

/* Of the copy only what isn't behind a slice. */
typedef struct found_verification {
    outcome base;
    store_verification copy;
} found_verification;

static inline void on_verification(void *context, const store_verification *v, const error *failure) {
    found_verification *found = context;
    keep(&found->base, failure);
    found->copy = v == NULL ? (store_verification){0} : *v;
    keep_bytes(&found->base, v == NULL ? (slice){NULL, 0} : v->payload);
}

/* A further worker, of bytes `seed`. */
static inline void enrol_worker(store *s, uint8_t seed) {
    error err = {0};
    outcome o = {0};
    store_join_token token = new_join_token(seed, 1);
    assert_true(store_join_token_add(s, &token, on_done, &o, &err));
    store_enrolment enrolment = new_enrolment(seed, seed);
    assert_true(store_join_token_consume(s, &enrolment, on_enrolled, &o, &err));
    assert_int_equal(o.code, ERROR_NONE);
}

static inline uint64_t count_rows(const place *p, const char *table) {
    sqlite3 *reader = NULL;
    sqlite3_stmt *statement = NULL;
    char sql[200];
    snprintf(sql, sizeof sql, "SELECT count(*) FROM %s", table);
    assert_int_equal(sqlite3_open(p->path, &reader), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(reader, sql, -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    uint64_t rows = (uint64_t)sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    sqlite3_close(reader);
    return rows;
}

/* Copies of the first rows of a list. */
typedef struct page {
    outcome base;
    size_t count;
    uint64_t numbers[16];
    uint8_t first_ids[16];
    char states[16][16];
    size_t payloads[16];
    bool rechecks[16];
    uint8_t payload_of_first[64];
} page;

static inline void on_page(void *context, const store_verification *rows, size_t count,
                           const error *failure) {
    page *p = context;
    keep(&p->base, failure);
    p->count = count;
    assert_int_equal(rows == NULL, count == 0);
    for (size_t i = 0; i < count && i < 16; i++) {
        p->numbers[i] = rows[i].number;
        p->first_ids[i] = rows[i].id[0];
        p->payloads[i] = rows[i].payload.length;
        p->rechecks[i] = rows[i].recheck;
        snprintf(p->states[i], sizeof p->states[i], "%.*s", SLICE_FORMAT(rows[i].state));
    }
    if (count > 0 && rows[0].payload.length > 0) {
        memcpy(p->payload_of_first, rows[0].payload.data,
               rows[0].payload.length < 64 ? rows[0].payload.length : 64);
    }
}

/* As the store's, of what has an id. */
static inline void on_id(void *context, uint64_t id, const error *failure) {
    keep(context, failure);
    ((outcome *)context)->user_id = id;
}

#endif
