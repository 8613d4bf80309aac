#include "faults.h"
#include "scenarios.h"

/* Answers of runtimes, each of which is compared with another worker's. All but one of the workers are
 * referees, so that a third is asked to learn from, and every thirty-second pair is put down in the store. */

enum { COMPARED_MS = 400, ALL = 1000 };
static const double sampled = 0.5;

static void be_connected(bench *b) {
    assert_true(client_connect(&b->client));
}

static unsigned ends_of(const bench *b) {
    unsigned ends = 0;
    for (size_t i = 0; i < b->worker_count; i++) {
        ends += b->workers[i].ends;
    }
    return ends;
}

static void act_and_wait(bench *b, unsigned answers) {
    unsigned before = ends_of(b);
    outcome result =
        judge_chat(b, client_ask(&b->client, "POST", CHAT_PATH, b->site.admin_key, bench_question(b, false)));
    snprintf(b->job, sizeof b->job, "%s", result == OUTCOME_DONE ? b->client.reply.job : "");
    for (int waited = 0; b->job[0] != '\0' && waited < COMPARED_MS && ends_of(b) < before + answers;
         waited++) {
        wire_run_for(&b->site.wire, 1);
    }
}

/* Itself, another worker's and, of an answer of the only one that is no referee, a third. */
static void act(bench *b) {
    act_and_wait(b, 2);
}

/* Its worker is asked again, too. */
static void act_sampled(bench *b) {
    act_and_wait(b, 3);
}

static void check_job(bench *b) {
    if (b->job[0] != '\0') {
        bench_expect_receipt(b, b->job);
    }
}

void an_answer_of_a_runtime_is_compared(void **state) {
    static const scenario what = {be_connected, act, check_job, ALL, ALL + 1};
    bench_run_runtimes(*state, 0, &what);
}

void a_sampled_answer_of_a_runtime_is_compared(void **state) {
    static const scenario what = {be_connected, act_sampled, check_job, ALL, ALL + 1};
    bench_run_runtimes(*state, sampled, &what);
}

/* --- workers that give no second answer --- */

static void refuse_again(bench *b) {
    for (size_t i = 0; i < b->worker_count; i++) {
        b->workers[i].refuses = 0;
    }
    be_connected(b);
}

/* What is asked between the rounds is answered twice: nobody evades many checks in a row. */
static void answer_again(bench *b) {
    for (size_t i = 0; i < b->worker_count; i++) {
        b->workers[i].refuses = -1;
    }
    check_job(b);
}

void nobody_answers_a_runtime_s_prompt_again(void **state) {
    static const scenario what = {refuse_again, act, answer_again, ALL, ALL + 1};
    bench_run_runtimes(*state, sampled, &what);
}
