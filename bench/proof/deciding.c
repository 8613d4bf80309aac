#include "../samples.h"
#include "site.h"

#include "crypto/start.h"
#include "job.h"
#include "os/clock.h"
#include "proof/check.h"
#include "proof/place.h"
#include "store/receipts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Processor time that the pool's own functions take to decide about an answer, to choose a verifier, and to
 * store what follows: bench_deciding DATABASE WORKERS ANSWERS. The file must not exist. Prints one JSON
 * object, times in microseconds for each answer. */
enum {
    WORKERS_MAX = 100000,
    UNDER_WAY = 32,
    ANSWERING = 10,
    TOKENS = 64,
    CHOICES = 2000,
    KEPT = 100,
    APPROVERS = 4,
    EVERY_MAX = 20000
};

static const char question[] =
    "You are a careful assistant of the IT department. A colleague asks: the printer on the third floor says "
    "that its drum is worn, who orders a new one, and how long does that take?";

typedef struct bench {
    bench_site site;
    ev_deferred more;
    job job;
    receipt_message message;
    uint32_t tokens[TOKENS];
    signed_receipt entries[ANSWERING]; /* one of each worker that answers */
    sign_key *keys[ANSWERING];
    size_t wanted, begun, stored;
    uint64_t number;      /* of the answer, over all runs */
    uint64_t deciding_ns; /* of the loop's time, in proof_answer_done */
    uint64_t signing_ns;  /* of the loop's time, the workers' work */
    error failure;
} bench;

typedef struct result {
    double deciding, loop, all, drawn;
} result;

static void fail(bench *b, const error *failure) {
    if (b->failure.code == ERROR_NONE) {
        b->failure = *failure;
    }
    ev_loop_stop(b->site.pool.loop);
}

static bool fill_entries(bench *b, error *err) {
    for (size_t i = 0; i < ANSWERING; i++) {
        b->keys[i] = bench_site_key(BENCH_REFEREES + i, err);
        if (b->keys[i] == NULL ||
            !bench_site_receipt(&b->site, BENCH_REFEREES + i, &b->entries[i].fields, err)) {
            return false;
        }
    }
    return true;
}

static void fill_job(bench *b) {
    b->message = (receipt_message){SLICE_LITERAL("user"), slice_of_text(question)};
    b->job = (job){.user_id = b->site.user, .created_ms = clock_unix_ms()};
    b->job.work.pool = &b->site.pool;
    b->job.chat.model = bench_site_model();
    b->job.chat.messages = &b->message;
    b->job.chat.message_count = 1;
    b->job.text = buffer_make(TOKENS * 6);
    b->job.tokens = buffer_make(sizeof b->tokens);
    for (uint32_t i = 0; i < TOKENS; i++) {
        b->tokens[i] = i * 1000;
    }
    b->job.token_count = TOKENS;
}

/* The same receipt each time, but for what tells jobs apart and what is drawn by. */
static signed_receipt *next_entry(bench *b, error *err) {
    uint64_t start = bench_thread_ns();
    size_t who = ++b->number % ANSWERING;
    signed_receipt *entry = &b->entries[who];
    memcpy(entry->fields.job_id, &b->number, sizeof b->number);
    memcpy(entry->fields.commitment, &b->number, sizeof b->number);
    bool made = receipt_sign_worker(entry, b->keys[who], err);
    b->signing_ns += bench_thread_ns() - start;
    return made ? entry : NULL;
}

static void stored(void *context, const error *failure) {
    bench *b = context;
    b->stored++;
    if (failure != NULL) {
        fail(b, failure);
    } else if (b->stored == b->wanted) {
        ev_loop_stop(b->site.pool.loop);
    } else {
        ev_defer(b->site.pool.loop, &b->more);
    }
}

static bool store_one(bench *b, const signed_receipt *entry, error *err) {
    store_receipt row = {.user_id = b->site.user,
                         .created_ms = b->job.created_ms,
                         .receipt = slice_of(entry->bytes, entry->length)};
    memcpy(row.job_id, entry->fields.job_id, sizeof row.job_id);
    memcpy(row.worker_id, entry->fields.worker_id, sizeof row.worker_id);
    memcpy(row.worker_signature, entry->worker_signature, sizeof row.worker_signature);
    memcpy(row.worker_key, entry->worker_key, sizeof row.worker_key);
    return store_receipt_add(b->site.pool.store, &row, stored, b, err);
}

/* So many are under way at any time, as with so many clients. */
static void begin_more(void *context) {
    bench *b = context;
    pool *p = &b->site.pool;
    error err = {0};
    while (b->failure.code == ERROR_NONE && b->begun < b->wanted && b->begun - b->stored < UNDER_WAY) {
        const signed_receipt *entry = next_entry(b, &err);
        if (entry == NULL) {
            fail(b, &err);
            return;
        }
        const fleet_worker *worker = bench_site_worker(&b->site, BENCH_REFEREES + b->number % ANSWERING);
        b->begun++;
        b->job.created_ms = clock_unix_ms();
        uint64_t start = bench_thread_ns();
        bool decided = proof_answer_done(p, &b->job, worker, entry, &err);
        b->deciding_ns += bench_thread_ns() - start;
        if (!decided || !store_one(b, entry, &err)) {
            fail(b, &err);
        }
    }
}

static bool run(bench *b, size_t answers, verify_mode mode, uint64_t keep, result *r, error *err) {
    pool *p = &b->site.pool;
    proof_statistics before;
    proof_statistics after;
    b->wanted = answers;
    b->begun = b->stored = 0;
    b->deciding_ns = b->signing_ns = 0;
    b->job.mode = mode;
    p->settings.recheck_answers = keep;
    proof_read_statistics(p, &before);
    uint64_t all = bench_processor_ns();
    uint64_t loop = bench_thread_ns();
    ev_defer(p->loop, &b->more);
    ev_loop_run(p->loop);
    r->all = (double)(bench_processor_ns() - all - b->signing_ns) / 1e3 / (double)answers;
    r->loop = (double)(bench_thread_ns() - loop - b->signing_ns) / 1e3 / (double)answers;
    r->deciding = (double)b->deciding_ns / 1e3 / (double)answers;
    proof_read_statistics(p, &after);
    r->drawn = (double)(after.drawn - before.drawn) / (double)answers;
    if (b->failure.code != ERROR_NONE) {
        *err = b->failure;
    }
    return b->failure.code == ERROR_NONE;
}

static bool choose(bench *b, double *microseconds, error *err) {
    buffer sealed = buffer_make(0);
    check *c = check_new(b->site.pool.proof, b->entries[0].fields.job_id, &b->entries[0].fields,
                         bench_site_model(), &sealed, err);
    verify_choice choice;
    size_t found = 0;
    if (c == NULL) {
        return false;
    }
    uint64_t start = bench_thread_ns();
    for (size_t i = 0; i < CHOICES; i++) {
        found += place_choose(c, &choice, err) != NULL;
    }
    *microseconds = (double)(bench_thread_ns() - start) / 1e3 / CHOICES;
    check_free(c);
    return found == CHOICES || error_set(err, ERROR_INTERNAL, "nobody fits as a verifier");
}

static void print_run(const char *name, const result *r) {
    printf(",\"%s\":{\"drawn\":%.5f,\"deciding_us\":%.3f,\"loop_us\":%.3f,\"all_us\":%.3f}", name, r->drawn,
           r->deciding, r->loop, r->all);
}

static bool measure(bench *b, size_t answers, error *err) {
    result off;
    result spot;
    result kept;
    result every;
    double chosen = 0;
    if (!run(b, answers, VERIFY_OFF, 0, &off, err) || !choose(b, &chosen, err) ||
        !run(b, answers, VERIFY_SPOT, 0, &spot, err) || !run(b, answers, VERIFY_SPOT, KEPT, &kept, err) ||
        !run(b, answers < EVERY_MAX ? answers : EVERY_MAX, VERIFY_EVERY, 0, &every, err)) {
        return false;
    }
    printf("{\"workers\":%zu,\"answers\":%zu,\"choosing_us\":%.3f", b->site.count, answers, chosen);
    print_run("off", &off);
    print_run("spot", &spot);
    print_run("kept", &kept);
    print_run("every", &every);
    printf("}\n");
    return true;
}

int main(int argc, char **argv) {
    static bench b;
    size_t workers = argc == 4 ? strtoul(argv[2], NULL, 10) : 0;
    size_t answers = argc == 4 ? strtoul(argv[3], NULL, 10) : 0;
    if (workers < 100 || workers > WORKERS_MAX || answers == 0) {
        fprintf(stderr, "usage: bench_deciding DATABASE WORKERS ANSWERS, with 100 workers at least\n");
        return 2;
    }
    error err = {0};
    ev_deferred_init(&b.more, begin_more, &b);
    bool good =
        crypto_start(&err) &&
        bench_site_open(&b.site, argv[1], workers, argc == 5 ? strtoul(argv[4], NULL, 10) : 4, &err) &&
        fill_entries(&b, &err);
    if (good) {
        fill_job(&b);
        good =
            buffer_append(&b.job.tokens, slice_of(b.tokens, sizeof b.tokens)) && measure(&b, answers, &err);
    }
    if (!good) {
        fprintf(stderr, "bench_deciding: %s\n", err.text);
    }
    buffer_free(&b.job.tokens);
    buffer_free(&b.job.text);
    for (size_t i = 0; i < ANSWERING; i++) {
        sign_key_free(b.keys[i]);
    }
    bench_site_close(&b.site);
    crypto_stop();
    return good ? 0 : 1;
}
