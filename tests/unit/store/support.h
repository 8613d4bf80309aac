#ifndef STORE_SUPPORT_H
#define STORE_SUPPORT_H

/* A database in a temporary folder, a site with a user, a worker and what comes with them, and callbacks that
 * keep what they were given. */
#include "outside.h"

#include "store/join_tokens.h"
#include "store/keys.h"
#include "store/meta.h"
#include "store/receipts.h"
#include "store/users.h"
#include "store/workers.h"

#define NOW_MS 1700000000000U

/* What the last callback said. */
typedef struct outcome {
    int calls;
    error_code code;
    char text[ERROR_TEXT_SIZE];
    uint64_t user_id;
    uint64_t key_id;
    size_t count;
    uint8_t bytes[4096];
    size_t length;
} outcome;

static inline void keep(outcome *o, const error *failure) {
    o->calls++;
    o->code = failure == NULL ? ERROR_NONE : failure->code;
    snprintf(o->text, sizeof o->text, "%s", failure == NULL ? "" : failure->text);
}

static inline void keep_bytes(outcome *o, slice bytes) {
    o->length = bytes.length;
    if (bytes.length > 0 && bytes.length <= sizeof o->bytes) {
        memcpy(o->bytes, bytes.data, bytes.length);
    }
}

static inline void on_done(void *context, const error *failure) {
    keep(context, failure);
}

static inline void on_user_and_key(void *context, const store_loaded_key *key, const error *failure) {
    outcome *o = context;
    keep(o, failure);
    o->user_id = key == NULL ? 0 : key->user_id;
    o->key_id = key == NULL ? 0 : key->key_id;
}

static inline void on_value(void *context, slice value, const error *failure) {
    keep(context, failure);
    keep_bytes(context, value);
}

static inline void on_receipt(void *context, const store_receipt *receipt, const error *failure) {
    keep(context, failure);
    keep_bytes(context, receipt == NULL ? (slice){NULL, 0} : receipt->receipt);
}

static inline void on_enrolled(void *context, const store_worker *worker, const error *failure) {
    keep(context, failure);
    keep_bytes(context, worker == NULL ? (slice){NULL, 0} : slice_of(worker->id, sizeof worker->id));
}

static inline store *open_at(const place *p, ev_loop *loop) {
    error err = {0};
    store_options options = {.path = p->path, .loop = loop, .busy_timeout_ms = 50};
    store *s = store_open(&options, &err);
    if (s == NULL) {
        print_error("%s\n", err.text);
    }
    assert_non_null(s);
    return s;
}

static inline store_new_key new_key(uint8_t seed) {
    store_new_key key = {.label = SLICE_LITERAL("laptop"), .created_ms = NOW_MS};
    memset(key.token_hash, seed, sizeof key.token_hash);
    return key;
}

static inline store_join_token new_join_token(uint8_t seed, uint64_t user_id) {
    store_join_token token = {.owner = SLICE_LITERAL("Ana"),
                              .tiers = SLICE_LITERAL("small,large"),
                              .expires_ms = NOW_MS + 600000,
                              .created_by = user_id};
    memset(token.id, seed, sizeof token.id);
    memset(token.secret_hash, seed, sizeof token.secret_hash);
    return token;
}

static inline store_enrolment new_enrolment(uint8_t token_seed, uint8_t worker_seed) {
    store_enrolment enrolment = {
        .name = SLICE_LITERAL("desk 4"), .class_name = SLICE_LITERAL("cpu"), .now_ms = NOW_MS};
    memset(enrolment.token_id, token_seed, sizeof enrolment.token_id);
    memset(enrolment.secret_hash, token_seed, sizeof enrolment.secret_hash);
    memset(enrolment.worker_id, worker_seed, sizeof enrolment.worker_id);
    memset(enrolment.public_key, worker_seed, sizeof enrolment.public_key);
    return enrolment;
}

/* The receipt of job `number`, for user 1 and worker 1 of the site. */
static inline store_receipt new_receipt(uint64_t number) {
    store_receipt receipt = {
        .user_id = 1, .created_ms = NOW_MS + number, .receipt = SLICE_LITERAL("signed bytes")};
    memcpy(receipt.job_id, &number, sizeof number);
    memset(receipt.worker_id, 1, sizeof receipt.worker_id);
    memset(receipt.worker_signature, 2, sizeof receipt.worker_signature);
    memset(receipt.worker_key, 1, sizeof receipt.worker_key);
    memset(receipt.salt, 3, sizeof receipt.salt);
    return receipt;
}

/* User 1 "ana" with a key of bytes 1, worker of bytes 1 enrolled by a token of bytes 1. Inline stores only.
 */
static inline void fill_site(store *s) {
    error err = {0};
    outcome o = {0};
    store_new_key key = new_key(1);
    assert_true(
        store_user_add(s, SLICE_LITERAL("ana"), SLICE_LITERAL("it_admin"), &key, on_user_and_key, &o, &err));
    assert_int_equal(o.code, ERROR_NONE);
    store_join_token token = new_join_token(1, o.user_id);
    assert_true(store_join_token_add(s, &token, on_done, &o, &err));
    assert_int_equal(o.code, ERROR_NONE);
    store_enrolment enrolment = new_enrolment(1, 1);
    assert_true(store_join_token_consume(s, &enrolment, on_enrolled, &o, &err));
    assert_int_equal(o.code, ERROR_NONE);
}

#endif
