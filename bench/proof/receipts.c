#include "../samples.h"

#include "base/memory.h"
#include "crypto/start.h"
#include "ev/loop.h"
#include "ledger/receipt.h"
#include "store/join_tokens.h"
#include "store/receipts.h"
#include "store/users.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Receipts as the pool and its workers make them, signed, verified, countersigned, and stored as fast as the
 * store takes them: bench_receipts DATABASE COUNT. The file must not exist. Prints one JSON object: processor
 * time of each in microseconds, that of all threads, and the receipts of one commit. */
enum { UNDER_WAY = 1024, COUNT_MAX = 10000000 };

typedef struct bench {
    ev_loop *loop;
    ev_deferred more;
    store *store;
    sign_key *worker;
    sign_key *pool;
    size_t count;
    size_t begun;
    size_t stored;
    uint64_t user;
    signed_receipt receipt;
    error failure;
    bool failed;
} bench;

static void fail(bench *b, const error *failure) {
    if (!b->failed) {
        b->failed = true;
        b->failure = *failure;
    }
    ev_loop_stop(b->loop);
}

static void done(void *context, const error *failure) {
    if (failure != NULL) {
        fail(context, failure);
    }
}

static void user_added(void *context, const store_loaded_key *key, const error *failure) {
    bench *b = context;
    b->user = key == NULL ? 0 : key->user_id;
    done(b, failure);
}

static void enrolled(void *context, const store_worker *worker, const error *failure) {
    bench *b = context;
    (void)worker;
    done(b, failure);
    ev_loop_stop(b->loop);
}

/* One user and one worker, whom the receipts are about. */
static bool fill_site(bench *b, error *err) {
    const store_new_key key = {.label = SLICE_LITERAL("bench"), .created_ms = 1};
    const store_join_token token = {
        .owner = SLICE_LITERAL("ann"), .tiers = SLICE_LITERAL("all"), .expires_ms = 1000, .created_by = 1};
    store_enrolment enrolment = {
        .name = SLICE_LITERAL("desk"), .class_name = SLICE_LITERAL("cpu"), .now_ms = 1};
    memcpy(enrolment.public_key, sign_key_public(b->worker), sizeof enrolment.public_key);
    if (!receipt_worker_id(enrolment.public_key, enrolment.worker_id, err) ||
        !store_user_add(b->store, SLICE_LITERAL("bench"), SLICE_LITERAL("it_admin"), &key, user_added, b,
                        err) ||
        !store_join_token_add(b->store, &token, done, b, err) ||
        !store_join_token_consume(b->store, &enrolment, enrolled, b, err)) {
        return false;
    }
    ev_loop_run(b->loop);
    if (b->failed) {
        *err = b->failure;
    }
    return !b->failed;
}

static bool fill_receipt(bench *b, error *err) {
    receipt *r = &b->receipt.fields;
    const receipt_message message = {SLICE_LITERAL("user"), SLICE_LITERAL("What is a receipt?")};
    *r = (receipt){.version = RECEIPT_VERSION,
                   .engine_profile = "exact-2",
                   .temperature = 0.7F,
                   .top_p = 0.9F,
                   .max_tokens = 256,
                   .seed = 7,
                   .prompt_tokens = 128,
                   .completion_tokens = 256,
                   .finish = RECEIPT_FINISH_STOP,
                   .started_ms = 1700000000000,
                   .finished_ms = 1700000005000};
    return receipt_pool_id(sign_key_public(b->pool), r->pool_id, err) &&
           receipt_worker_id(sign_key_public(b->worker), r->worker_id, err) &&
           receipt_hash_prompt(b->receipt.salt, &message, 1, r->prompt_hash, err) &&
           receipt_hash_stop(NULL, 0, r->stop_hash, err);
}

static void stored(void *context, const error *failure) {
    bench *b = context;
    b->stored++;
    if (failure != NULL) {
        fail(b, failure);
    } else if (b->stored == b->count) {
        ev_loop_stop(b->loop);
    } else {
        ev_defer(b->loop, &b->more);
    }
}

static bool begin(bench *b, error *err) {
    signed_receipt *s = &b->receipt;
    memcpy(s->fields.job_id, &b->begun, sizeof b->begun);
    s->fields.job_id[15] = 1;
    if (!receipt_sign_worker(s, b->worker, err)) {
        return false;
    }
    store_receipt row = {
        .user_id = b->user, .created_ms = s->fields.finished_ms, .receipt = slice_of(s->bytes, s->length)};
    memcpy(row.job_id, s->fields.job_id, sizeof row.job_id);
    memcpy(row.worker_id, s->fields.worker_id, sizeof row.worker_id);
    memcpy(row.worker_signature, s->worker_signature, sizeof row.worker_signature);
    memcpy(row.worker_key, s->worker_key, sizeof row.worker_key);
    memcpy(row.salt, s->salt, sizeof row.salt);
    b->begun++;
    return store_receipt_add(b->store, &row, stored, b, err);
}

/* So many are under way at any time; the store commits together what has gathered. */
static void begin_more(void *context) {
    bench *b = context;
    error err = {0};
    while (!b->failed && b->begun < b->count && b->begun - b->stored < UNDER_WAY) {
        if (!begin(b, &err)) {
            fail(b, &err);
        }
    }
}

typedef struct times {
    double sign, verify, countersign, both, wall;
} times;

typedef bool (*operation)(bench *b, error *err);

static bool sign_one(bench *b, error *err) {
    return receipt_sign_worker(&b->receipt, b->worker, err);
}

static bool verify_one(bench *b, error *err) {
    return receipt_verify_worker(&b->receipt, err);
}

static bool countersign_one(bench *b, error *err) {
    return receipt_countersign(&b->receipt, b->pool, NULL, err);
}

static bool repeat(bench *b, operation what, double *microseconds, error *err) {
    size_t count = b->count < 20000 ? b->count : 20000;
    uint64_t start = bench_processor_ns();
    for (size_t i = 0; i < count; i++) {
        if (!what(b, err)) {
            return false;
        }
    }
    *microseconds = (double)(bench_processor_ns() - start) / 1e3 / (double)count;
    return true;
}

static bool measure(bench *b, times *t, error *err) {
    if (!repeat(b, sign_one, &t->sign, err) || !repeat(b, verify_one, &t->verify, err) ||
        !repeat(b, countersign_one, &t->countersign, err)) {
        return false;
    }
    uint64_t wall = bench_now_ns();
    uint64_t start = bench_processor_ns();
    ev_defer(b->loop, &b->more);
    ev_loop_run(b->loop);
    t->both = (double)(bench_processor_ns() - start) / 1e3 / (double)b->count;
    t->wall = (double)(bench_now_ns() - wall) / 1e3 / (double)b->count;
    if (b->failed) {
        *err = b->failure;
    }
    return !b->failed;
}

static bool run(bench *b, const char *path, error *err) {
    times t = {0};
    b->worker = sign_key_generate(err);
    b->pool = b->worker == NULL ? NULL : sign_key_generate(err);
    b->loop = b->pool == NULL ? NULL : ev_loop_new(err);
    const store_options options = {.path = path, .loop = b->loop};
    b->store = b->loop == NULL ? NULL : store_open(&options, err);
    ev_deferred_init(&b->more, begin_more, b);
    bool good = b->store != NULL && fill_site(b, err) && fill_receipt(b, err) && measure(b, &t, err);
    if (good) {
        store_statistics statistics;
        store_stats(b->store, &statistics);
        printf("{\"receipts\":%zu,\"sign_us\":%.3f,\"verify_us\":%.3f,\"countersign_us\":%.3f,\"sign_and_"
               "store_us\":%.3f,"
               "\"wall_us\":%.3f,\"receipts_each_commit\":%.1f}\n",
               b->count, t.sign, t.verify, t.countersign, t.both, t.wall,
               (double)b->count / (double)(statistics.commits > 0 ? statistics.commits : 1));
    }
    store_close(b->store);
    ev_loop_free(b->loop);
    sign_key_free(b->pool);
    sign_key_free(b->worker);
    return good;
}

int main(int argc, char **argv) {
    static bench b;
    b = (bench){.count = argc == 3 ? strtoul(argv[2], NULL, 10) : 0};
    if (b.count == 0 || b.count > COUNT_MAX) {
        fprintf(stderr, "usage: bench_receipts DATABASE COUNT\n");
        return 2;
    }
    error err = {0};
    bool good = crypto_start(&err) && run(&b, argv[1], &err);
    if (!good) {
        fprintf(stderr, "bench_receipts: %s\n", err.text);
    }
    crypto_stop();
    return good ? 0 : 1;
}
