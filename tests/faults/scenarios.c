#include "faults.h"

#include "app_engine/engine_main.h"
#include "pool/pool.h"
#include "worker/worker.h"

#include <stdlib.h>

/* --- questions --- */

static void act_chat(bench *b) {
    const reply *r = client_ask(&b->client, "POST", CHAT_PATH, b->site.admin_key, CHAT_BODY);
    b->job[0] = '\0';
    if (judge_chat(r) == OUTCOME_DONE) {
        snprintf(b->job, sizeof b->job, "%s", r->job);
    }
}

static void act_stream(bench *b) {
    const reply *r = client_ask(&b->client, "POST", CHAT_PATH, b->site.admin_key, STREAM_BODY);
    b->job[0] = '\0';
    if (judge_stream(r) == OUTCOME_DONE) {
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

static void chat_over_a_new_connection(void **state) {
    static const scenario what = {hang_up, act_chat, check_job, 100, 250};
    bench_run(*state, 1, &what);
}

static void chat_over_a_kept_connection(void **state) {
    static const scenario what = {be_connected, act_chat, check_job, 300, 320};
    bench_run(*state, 1, &what);
}

static void streamed_chat(void **state) {
    static const scenario what = {be_connected, act_stream, check_job, 300, 320};
    bench_run(*state, 1, &what);
}

/* --- receipts --- */

static void ask_before(bench *b) {
    const reply *r = bench_ask(b, "POST", CHAT_PATH, b->site.admin_key, CHAT_BODY, 200);
    snprintf(b->job, sizeof b->job, "%s", r->job);
    be_connected(b);
}

static void act_receipt(bench *b) {
    snprintf(b->path, sizeof b->path, "/v1/receipts/%s", b->job);
    (void)judge_json(client_ask(&b->client, "GET", b->path, b->site.admin_key, NULL), 200);
}

static void a_receipt_is_fetched(void **state) {
    static const scenario what = {ask_before, act_receipt, check_job, 300, 320};
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
    if (client_send(&b->client, "POST", CHAT_PATH, b->site.admin_key, STREAM_BODY)) {
        wire_run_until(&b->site.wire, got_words, b);
    }
    client_disconnect(&b->client);
    wire_run_until(&b->site.wire, has_let_go, b);
}

static void answer_again(bench *b) {
    b->workers[0].hold = false;
}

static void a_client_leaves_in_mid_answer(void **state) {
    static const scenario what = {hold_answers, act_leave, answer_again, 300, 320};
    bench_run(*state, 1, &what);
}

static bool got_job(void *context) {
    const bench *b = context;
    return b->client.wire.closed || b->workers[0].holds || b->client.wire.received.end > 0;
}

static void act_leave_whole(bench *b) {
    if (client_send(&b->client, "POST", CHAT_PATH, b->site.admin_key, CHAT_BODY)) {
        wire_run_until(&b->site.wire, got_job, b);
    }
    client_disconnect(&b->client);
    wire_run_until(&b->site.wire, has_let_go, b);
}

static void a_client_leaves_before_its_answer(void **state) {
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

static void a_worker_is_lost_and_another_goes_on(void **state) {
    static const scenario what = {lose_a_worker, act_stream, check_resumed, 300, 400};
    bench_run(*state, 2, &what);
}

/* --- users and keys --- */

/* How often the text stands in the answer. */
static size_t count(const reply *r, const char *text) {
    slice rest = buffer_slice(&r->body);
    size_t found = 0;
    for (size_t at = 0; (at = slice_find_slice(rest, slice_of_text(text))) != SIZE_MAX; found++) {
        rest = slice_after(rest, at + strlen(text));
    }
    return found;
}

static void act_user_add(bench *b) {
    snprintf(b->text, sizeof b->text, "{\"name\":\"%s\"}", b->name);
    const reply *r = client_ask(&b->client, "POST", "/v1/admin/users", b->site.admin_key, b->text);
    b->result = judge_json(r, 201);
    if (b->result == OUTCOME_DONE) {
        reply_text(r, "key", b->key, sizeof b->key);
    }
}

static size_t count_keys(bench *b) {
    snprintf(b->path, sizeof b->path, "/v1/admin/users/%s/keys", b->name);
    return count(bench_ask(b, "GET", b->path, b->site.admin_key, NULL, 200), "\"id\":");
}

static void check_user_added(bench *b) {
    size_t keys = count_keys(b);
    snprintf(b->text, sizeof b->text, "\"%s\"", b->name);
    bool there = reply_has(bench_ask(b, "GET", "/v1/admin/users", b->site.admin_key, NULL, 200), b->text);
    assert_int_equal(keys, there ? 1 : 0);
    if (b->result != OUTCOME_CUT) {
        assert_int_equal(there, b->result == OUTCOME_DONE);
    }
    if (b->result == OUTCOME_DONE) {
        bench_ask(b, "GET", "/v1/models", b->key, NULL, 200);
    }
}

static void a_user_is_added(void **state) {
    static const scenario what = {be_connected, act_user_add, check_user_added, 300, 320};
    bench_run(*state, 1, &what);
}

static void make_user(bench *b) {
    snprintf(b->text, sizeof b->text, "{\"name\":\"%s\"}", b->name);
    reply_text(bench_ask(b, "POST", "/v1/admin/users", b->site.admin_key, b->text, 201), "key", b->key,
               sizeof b->key);
    be_connected(b);
}

static void act_key_add(bench *b) {
    snprintf(b->path, sizeof b->path, "/v1/admin/users/%s/keys", b->name);
    const reply *r = client_ask(&b->client, "POST", b->path, b->site.admin_key, NULL);
    b->result = judge_json(r, 201);
    if (b->result == OUTCOME_DONE) {
        reply_text(r, "key", b->key, sizeof b->key);
    }
}

static void check_key_added(bench *b) {
    size_t keys = count_keys(b);
    if (b->result != OUTCOME_CUT) {
        assert_int_equal(keys, b->result == OUTCOME_DONE ? 2 : 1);
    }
    bench_ask(b, "GET", "/v1/models", b->key, NULL, 200);
}

static void a_key_is_added(void **state) {
    static const scenario what = {make_user, act_key_add, check_key_added, 300, 320};
    bench_run(*state, 1, &what);
}

static void find_key(bench *b) {
    make_user(b);
    snprintf(b->path, sizeof b->path, "/v1/admin/users/%s/keys", b->name);
    const reply *r = bench_ask(b, "GET", b->path, b->site.admin_key, NULL, 200);
    size_t at = slice_find_slice(buffer_slice(&r->body), SLICE_LITERAL("\"id\":"));
    assert_true(at != SIZE_MAX);
    snprintf(b->path, sizeof b->path, "/v1/admin/keys/%d/revoke",
             atoi((const char *)buffer_slice(&r->body).data + at + 5));
}

static void act_revoke(bench *b) {
    b->result = judge_json(client_ask(&b->client, "POST", b->path, b->site.admin_key, NULL), 200);
}

/* What the database says must hold in memory too. */
static void check_revoked(bench *b) {
    snprintf(b->path, sizeof b->path, "/v1/admin/users/%s/keys", b->name);
    bool valid = reply_has(bench_ask(b, "GET", b->path, b->site.admin_key, NULL, 200), "\"revoked_ms\":0");
    bench_ask(b, "GET", "/v1/models", b->key, NULL, valid ? 200 : 401);
    if (b->result != OUTCOME_CUT) {
        assert_int_equal(valid, b->result == OUTCOME_REFUSED);
    }
}

static void a_key_is_revoked(void **state) {
    static const scenario what = {find_key, act_revoke, check_revoked, 300, 320};
    bench_run(*state, 1, &what);
}

static int prepare_bench(void **state) {
    static bench b;
    b = (bench){0};
    *state = &b;
    return 0;
}

static int destroy_bench(void **state) {
    bench_destroy(*state);
    return 0;
}

#define SCENARIO(function) cmocka_unit_test_setup_teardown(function, prepare_bench, destroy_bench)

static int run_scenarios(void) {
    const struct CMUnitTest tests[] = {
        SCENARIO(chat_over_a_kept_connection),
        SCENARIO(streamed_chat),
        SCENARIO(a_receipt_is_fetched),
        SCENARIO(chat_over_a_new_connection),
        SCENARIO(a_client_leaves_in_mid_answer),
        SCENARIO(a_client_leaves_before_its_answer),
        SCENARIO(a_worker_is_lost_and_another_goes_on),
        SCENARIO(a_user_is_added),
        SCENARIO(a_key_is_added),
        SCENARIO(a_key_is_revoked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* This program is also the pool, the worker and the engine that it tests; the engine meets no faults. */
int main(int argc, char **argv) {
    if (argc < 2) {
        return run_scenarios();
    }
    if (strcmp(argv[1], "engine") == 0) {
        return engine_main(argc - 1, argv + 1);
    }
    if (!fault_control_obey()) {
        return 126;
    }
    return strcmp(argv[1], "pool") == 0 ? pool_main(argc - 1, argv + 1) : worker_main(argc - 1, argv + 1);
}
