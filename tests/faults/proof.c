#include "faults.h"
#include "scenarios.h"

/* Questions whose answers are proved: two workers at once, or a check before or after the answer goes out. */

enum { CHECKED_MS = 400, DENSE = 120, POINTS = 150, ALL = 320 };

static void be_connected(bench *b) {
    assert_true(client_connect(&b->client));
}

static void note_job(bench *b, outcome result) {
    snprintf(b->job, sizeof b->job, "%s", result == OUTCOME_DONE ? b->client.reply.job : "");
}

static void act_whole(bench *b) {
    note_job(b, judge_chat(b, client_ask(&b->client, "POST", CHAT_PATH, b->site.admin_key,
                                         bench_question(b, false))));
}

static void act_stream(bench *b) {
    note_job(b, judge_stream(b, client_ask(&b->client, "POST", CHAT_PATH, b->site.admin_key,
                                           bench_question(b, true))));
}

/* Of a proved answer the receipt is there: nothing of it came without. */
static void check_job(bench *b) {
    b->vanish = false;
    if (b->job[0] != '\0') {
        bench_expect_receipt(b, b->job);
    }
}

static const scenario streamed = {be_connected, act_stream, check_job, DENSE, POINTS};
static const scenario whole = {be_connected, act_whole, check_job, DENSE, POINTS};

void required_streamed(void **state) {
    bench_run_proof(*state, "required", &streamed);
}

void required_whole(void **state) {
    bench_run_proof(*state, "required", &whole);
}

void a_tier_asks_for_two_streamed(void **state) {
    static const scenario what = {be_connected, act_stream, check_job, ALL, ALL + 20};
    bench_run_tiers(*state, &what);
}

void a_tier_asks_for_two_whole(void **state) {
    static const scenario what = {be_connected, act_whole, check_job, ALL, ALL + 20};
    bench_run_tiers(*state, &what);
}

static void lose_a_worker(bench *b) {
    b->vanish = true;
    be_connected(b);
}

void required_without_a_worker_in_mid_answer(void **state) {
    static const scenario what = {lose_a_worker, act_stream, check_job, DENSE, POINTS};
    bench_run_proof(*state, "required", &what);
}

void proved_streamed(void **state) {
    bench_run_proof(*state, "proved", &streamed);
}

void proved_whole(void **state) {
    bench_run_proof(*state, "proved", &whole);
}

/* --- a client that leaves --- */

static bool is_over_or_held(void *context) {
    const bench *b = context;
    size_t holding = 0;
    for (size_t i = 0; i < b->worker_count; i++) {
        holding += b->workers[i].holds ? 1 : 0;
    }
    return b->client.wire.closed || holding == 2 || wire_received(&b->client.wire, "\"error\"");
}

static bool nothing_is_held(void *context) {
    const bench *b = context;
    for (size_t i = 0; i < b->worker_count; i++) {
        if (b->workers[i].holds) {
            return false;
        }
    }
    return true;
}

static void hold_answers(bench *b) {
    for (size_t i = 0; i < b->worker_count; i++) {
        b->workers[i].hold = true;
    }
    be_connected(b);
}

static void act_leave(bench *b) {
    if (client_send(&b->client, "POST", CHAT_PATH, b->site.admin_key, bench_question(b, true))) {
        wire_run_until(&b->site.wire, is_over_or_held, b);
    }
    client_disconnect(&b->client);
    wire_run_until(&b->site.wire, nothing_is_held, b);
}

static void answer_again(bench *b) {
    for (size_t i = 0; i < b->worker_count; i++) {
        b->workers[i].hold = false;
    }
}

void required_and_the_client_leaves(void **state) {
    static const scenario what = {hold_answers, act_leave, answer_again, DENSE, POINTS};
    bench_run_proof(*state, "required", &what);
}

static unsigned checks_of(const bench *b) {
    unsigned checks = 0;
    for (size_t i = 0; i < b->worker_count; i++) {
        checks += b->workers[i].checks;
    }
    return checks;
}

/* Waits for the check, or long enough for it not to come. */
static void await_check(bench *b, unsigned before) {
    for (int waited = 0; waited < CHECKED_MS && checks_of(b) == before; waited++) {
        wire_run_for(&b->site.wire, 1);
    }
}

static void act_leave_held(bench *b) {
    unsigned before = checks_of(b);
    if (client_send(&b->client, "POST", CHAT_PATH, b->site.admin_key, bench_question(b, true))) {
        await_check(b, before);
    }
    client_disconnect(&b->client);
}

void proved_and_the_client_leaves(void **state) {
    static const scenario what = {be_connected, act_leave_held, NULL, DENSE, POINTS};
    bench_run_proof(*state, "proved", &what);
}

/* --- checked afterwards --- */

static void act_every(bench *b) {
    unsigned before = checks_of(b);
    act_whole(b);
    if (b->job[0] != '\0') {
        await_check(b, before);
    }
}

void every_answer_is_checked(void **state) {
    static const scenario what = {be_connected, act_every, check_job, DENSE, POINTS};
    bench_run_proof(*state, "every", &what);
}
