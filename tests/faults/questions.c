#include "faults.h"
#include "scenarios.h"

/* --- questions --- */

static void act_chat(bench *b) {
    const reply *r = client_ask(&b->client, "POST", CHAT_PATH, b->site.admin_key, bench_question(b, false));
    b->job[0] = '\0';
    if (judge_chat(b, r) == OUTCOME_DONE) {
        snprintf(b->job, sizeof b->job, "%s", r->job);
    }
}

static void act_stream(bench *b) {
    const reply *r = client_ask(&b->client, "POST", CHAT_PATH, b->site.admin_key, bench_question(b, true));
    b->job[0] = '\0';
    if (judge_stream(b, r) == OUTCOME_DONE) {
        snprintf(b->job, sizeof b->job, "%s", r->job);
    }
}

static void check_job(bench *b) {
    if (b->job[0] != '\0') {
        bench_expect_receipt(b, b->job);
    }
}

static void hang_up(bench *b) {
    client_disconnect(&b->client);
}

static void be_connected(bench *b) {
    assert_true(client_connect(&b->client));
}

void chat_over_a_new_connection(void **state) {
    static const scenario what = {hang_up, act_chat, check_job, 100, 300};
    bench_run(*state, 1, &what);
}

void chat_over_a_kept_connection(void **state) {
    static const scenario what = {be_connected, act_chat, check_job, 300, 320};
    bench_run(*state, 1, &what);
}

void streamed_chat(void **state) {
    static const scenario what = {be_connected, act_stream, check_job, 300, 320};
    bench_run(*state, 1, &what);
}

/* --- receipts --- */

static void ask_before(bench *b) {
    const reply *r = bench_ask(b, "POST", CHAT_PATH, b->site.admin_key, bench_question(b, false), 200);
    snprintf(b->job, sizeof b->job, "%s", r->job);
    be_connected(b);
}

static void act_receipt(bench *b) {
    snprintf(b->path, sizeof b->path, "/v1/receipts/%s", b->job);
    (void)judge_json(client_ask(&b->client, "GET", b->path, b->site.admin_key, NULL), 200);
}

void a_receipt_is_fetched(void **state) {
    static const scenario what = {ask_before, act_receipt, check_job, 300, 320};
    bench_run(*state, 1, &what);
}

/* --- embeddings --- */

/* Two jobs hold so many texts. */
static void act_embed(bench *b) {
    static const char body[] =
        "{\"model\":\"" WORKER_MODEL "\",\"input\":[\"a\",\"b\",\"c\",\"d\",\"e\",\"f\",\"g\",\"h\",\"i\","
        "\"j\",\"k\",\"l\",\"m\",\"n\",\"o\",\"p\",\"q\"]}";
    const reply *r = client_ask(&b->client, "POST", "/v1/embeddings", b->site.admin_key, body);
    b->seen = 0;
    if (judge_json(r, 200) == OUTCOME_DONE) {
        b->seen =
            reply_has(r, "\"index\":16,\"embedding\":[1]}]") && reply_has(r, "\"total_tokens\":17}") ? 2 : 1;
    }
}

static void check_vectors(bench *b) {
    assert_int_not_equal(b->seen, 1);
}

void texts_are_embedded(void **state) {
    static const scenario what = {be_connected, act_embed, check_vectors, 300, 320};
    bench_run(*state, 1, &what);
}

/* --- clients that leave, workers that are lost --- */

static bool got_words(void *context) {
    const bench *b = context;
    return b->client.wire.closed || wire_received(&b->client.wire, "two") ||
           wire_received(&b->client.wire, "\"error\"");
}

static bool has_let_go(void *context) {
    const bench *b = context;
    return !b->workers[0].holds;
}

static void hold_answers(bench *b) {
    b->workers[0].hold = true;
    be_connected(b);
}

static void act_leave(bench *b) {
    if (client_send(&b->client, "POST", CHAT_PATH, b->site.admin_key, bench_question(b, true))) {
        wire_run_until(&b->site.wire, got_words, b);
    }
    client_disconnect(&b->client);
    wire_run_until(&b->site.wire, has_let_go, b);
}

static void answer_again(bench *b) {
    b->workers[0].hold = false;
}

void a_client_leaves_in_mid_answer(void **state) {
    static const scenario what = {hold_answers, act_leave, answer_again, 300, 320};
    bench_run(*state, 1, &what);
}

static bool got_job(void *context) {
    const bench *b = context;
    return b->client.wire.closed || b->workers[0].holds || b->client.wire.received.end > 0;
}

static void act_leave_whole(bench *b) {
    if (client_send(&b->client, "POST", CHAT_PATH, b->site.admin_key, bench_question(b, false))) {
        wire_run_until(&b->site.wire, got_job, b);
    }
    client_disconnect(&b->client);
    wire_run_until(&b->site.wire, has_let_go, b);
}

void a_client_leaves_before_its_answer(void **state) {
    static const scenario what = {hold_answers, act_leave_whole, answer_again, 300, 320};
    bench_run(*state, 1, &what);
}

static void lose_a_worker(bench *b) {
    b->vanish = true;
    be_connected(b);
}

static void check_resumed(bench *b) {
    b->vanish = false;
    check_job(b);
}

void a_worker_is_lost_and_another_goes_on(void **state) {
    static const scenario what = {lose_a_worker, act_stream, check_resumed, 300, 400};
    bench_run(*state, 2, &what);
}
