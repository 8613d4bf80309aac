#include "runtime.h"

#include "codec/json.h"
#include "crypto/hash.h"
#include "crypto/start.h"
#include "http/server.h"
#include "ledger/receipt.h"
#include "wire.h"

#define TOLD(content, logprob)                                                                               \
    "data: {\"choices\":[{\"delta\":{\"content\":\"" content                                                 \
    "\"},\"logprobs\":{\"content\":[{\"logprob\":" logprob "}]}}]}\n\n"
#define EVENT(content, finish)                                                                               \
    "data: {\"choices\":[{\"delta\":{\"content\":\"" content "\"},\"finish_reason\":" finish "}]}\n\n"

typedef struct fixture {
    wire wire;
    http_server *server;
    backend *backend;
    http_request *held; /* a stream that the test ends */
    bool hold;
    bool with_logprobs;    /* they are asked for */
    bool refuses_logprobs; /* with 400 */
    bool refuses_all;
    const char *events;   /* in place of the usual ones */
    size_t asked;         /* for an answer */
    size_t asked_to_tell; /* and for logprobs */
    bool closed;          /* the client left the held one */
    char url[64];
    /* What came from the backend. */
    size_t readies;
    size_t losses;
    bool over;
    bool failed;
    pipe_done done;
    size_t tokens;
    char logprobs[256]; /* of each token; "-" for none */
    char text[256];
} fixture;

static const uint8_t job_id[PIPE_JOB_SIZE] = {1, 2, 3};

static void on_left(void *context) {
    fixture *f = context;
    f->held = NULL;
    f->closed = true;
}

static void answer_chat(fixture *f, http_request *request) {
    static const char events[] = EVENT("a", "null") EVENT(" b", "\"stop\"") "data: [DONE]\n\n";
    http_header type = {SLICE_LITERAL("Content-Type"), SLICE_LITERAL("text/event-stream")};
    bool tell = slice_find_slice(http_request_body(request), SLICE_LITERAL("\"logprobs\":true")) != SIZE_MAX;
    f->asked++;
    f->asked_to_tell += tell;
    if (f->refuses_all || (f->refuses_logprobs && tell)) {
        http_respond(request, 400, NULL, 0, SLICE_LITERAL("{}"));
    } else if (!f->hold) {
        http_respond(request, 200, &type, 1, slice_of_text(f->events == NULL ? events : f->events));
    } else if (http_stream_begin(request, 200, &type, 1) &&
               http_stream_write(request, SLICE_LITERAL(EVENT("a", "null")))) {
        f->held = request;
        http_request_on_closed(request, on_left, f);
    }
}

static void on_request(void *context, http_request *request) {
    fixture *f = context;
    if (slice_equal_text(http_request_path(request), "/v1/models")) {
        http_respond(request, 200, NULL, 0,
                     SLICE_LITERAL("{\"data\":[{\"id\":\"tiny\",\"owned_by\":\"llamacpp\"}]}"));
    } else if (slice_equal_text(http_request_path(request), "/props")) {
        http_respond(request, 200, NULL, 0, SLICE_LITERAL("{\"total_slots\":4}"));
    } else {
        answer_chat(f, request);
    }
}

static void on_message(void *context, const pipe_message *message) {
    fixture *f = context;
    if (message->type == PIPE_READY) {
        f->readies++;
        return;
    }
    assert_memory_equal(message->job, job_id, sizeof job_id);
    assert_false(f->over);
    if (message->type == PIPE_DELTA) {
        f->tokens += message->delta.token_count;
        for (size_t i = 0; i < message->delta.token_count; i++) {
            char number[32] = "- ";
            if (message->delta.logprobs != NULL) {
                snprintf(number, sizeof number, "%g ", (double)message->delta.logprobs[i].logprob);
            }
            strcat(f->logprobs, number);
        }
        snprintf(f->text + strlen(f->text), sizeof f->text - strlen(f->text), "%.*s",
                 SLICE_FORMAT(message->delta.text));
        return;
    }
    f->over = true;
    f->failed = message->type == PIPE_FAIL;
    if (message->type == PIPE_DONE) {
        f->done = message->done;
    }
}

static void on_lost(void *context, const char *reason) {
    fixture *f = context;
    assert_true(strlen(reason) > 0);
    f->losses++;
    f->over = true;
    f->failed = true;
}

static void start(fixture *f) {
    static const http_server_handlers handlers = {.on_request = on_request};
    static const backend_handlers listener = {.on_message = on_message, .on_lost = on_lost};
    error err;
    uint16_t port = 0;
    memset(f, 0, sizeof *f);
    wire_start(&f->wire);
    f->server = http_server_new(f->wire.net, NULL, &handlers, f, &err);
    assert_non_null(f->server);
    assert_true(http_server_listen(f->server, "127.0.0.1", 0, NULL, &port, &err));
    snprintf(f->url, sizeof f->url, "http://127.0.0.1:%u/v1", port);
    runtime_options options = {.url = f->url, .model = "tiny", .silent_ms = 5000, .pause_ms = 1};
    f->backend = runtime_new(f->wire.loop, &options, &listener, f, &err);
    assert_non_null(f->backend);
}

static void stop(fixture *f) {
    backend_free(f->backend);
    http_server_free(f->server);
    wire_stop(&f->wire);
}

static bool is_ready(void *context) {
    const fixture *f = context;
    return f->readies > f->losses;
}

static bool is_over(void *context) {
    return ((fixture *)context)->over;
}

static bool is_held(void *context) {
    fixture *f = context;
    return f->held != NULL && f->tokens > 0;
}

static bool is_closed(void *context) {
    return ((fixture *)context)->closed;
}

static bool ask(fixture *f, pipe_type type) {
    static const engine_message message = {.role = SLICE_LITERAL("user"), .content = SLICE_LITERAL("Hi")};
    pipe_message wanted = {.type = type};
    if (type == PIPE_GENERATE || type == PIPE_SCORE) {
        wanted.generate =
            (pipe_generate){.messages = &message,
                            .message_count = 1,
                            .parameters = {.top_p = 1, .max_tokens = 9, .with_logprob = f->with_logprobs},
                            .nonce = {7}};
    }
    memcpy(wanted.job, job_id, sizeof job_id);
    f->over = f->failed = f->closed = false;
    f->tokens = 0;
    f->text[0] = f->logprobs[0] = '\0';
    return backend_send(f->backend, &wanted);
}

static void test_an_answer_commits_to_its_text(void **state) {
    (void)state;
    fixture f;
    error err;
    const uint8_t nonce[ENGINE_NONCE_SIZE] = {7};
    uint8_t text_hash[HASH_SIZE];
    uint8_t commitment[HASH_SIZE];
    start(&f);
    wire_run_until(&f.wire, is_ready, &f);
    assert_true(ask(&f, PIPE_GENERATE));
    wire_run_until(&f.wire, is_over, &f);
    assert_false(f.failed);
    assert_string_equal(f.text, "a b");
    assert_int_equal(f.tokens, 2);
    assert_int_equal(f.done.finish, ENGINE_STOP);
    assert_true(hash_sha256(SLICE_LITERAL("a b"), text_hash, &err));
    assert_true(receipt_commit_text(nonce, text_hash, commitment, &err));
    assert_memory_equal(f.done.commitment, commitment, sizeof commitment);
    stop(&f);
}

static void answer(fixture *f) {
    assert_true(ask(f, PIPE_GENERATE));
    wire_run_until(&f->wire, is_over, f);
}

static void test_logprobs_are_told_if_there_is_one_of_every_token(void **state) {
    (void)state;
    static const struct {
        const char *events;
        const char *wanted;
    } cases[] = {
        {TOLD("a", "-0.5") TOLD(" b", "-2") EVENT("", "\"stop\"") "data: [DONE]\n\n", "-0.5 -2 "},
        {TOLD("a", "-0.5") EVENT("", "\"stop\"") "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1,"
                                                 "\"completion_tokens\":3}}\n\ndata: [DONE]\n\n",
         "-0.5 0 0 "},
        {TOLD("a", "0.5") TOLD(" b", "-2") EVENT("", "\"stop\"") "data: [DONE]\n\n", "- - "},
        {TOLD("a", "-0.5") EVENT(" b", "null") TOLD("c", "-2") EVENT("", "\"stop\"") "data: [DONE]\n\n",
         "-0.5 - - "},
        {TOLD("a", "-0.5") "data: {\"choices\":[{\"delta\":{\"reasoning\":\"hm\"}}]}\n\n" EVENT(
             "", "\"stop\"") "data: [DONE]\n\n",
         "-0.5 - "},
        {TOLD("1", "-1") TOLD("2", "-2") TOLD("3", "-3") TOLD("4", "-4") TOLD("5", "-5") TOLD("6", "-6")
             TOLD("7", "-7") TOLD("8", "-8") TOLD("9", "-9") EVENT("", "\"length\"") "data: [DONE]\n\n",
         "-1 -2 -3 -4 -5 -6 -7 -8 -9 "},
        {TOLD("1", "-1") TOLD("2", "-2") TOLD("3", "-3") TOLD("4", "-4") TOLD("5", "-5") TOLD("6", "-6")
             TOLD("7", "-7") TOLD("8", "-8") TOLD("9", "-9") TOLD("10", "-10")
                 EVENT("", "\"length\"") "data: [DONE]\n\n",
         "-1 -2 -3 -4 -5 -6 -7 -8 - "},
    };
    fixture f;
    start(&f);
    wire_run_until(&f.wire, is_ready, &f);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        f.events = cases[i].events;
        f.with_logprobs = true;
        answer(&f);
        assert_false(f.failed);
        assert_string_equal(f.logprobs, cases[i].wanted);
        size_t asked = f.asked_to_tell;
        f.with_logprobs = false;
        answer(&f);
        assert_int_equal(f.asked_to_tell, asked);
        assert_null(strpbrk(f.logprobs, "0123456789"));
    }
    stop(&f);
}

static void test_a_runtime_that_refuses_logprobs_is_asked_without_and_remembered(void **state) {
    (void)state;
    fixture f;
    start(&f);
    wire_run_until(&f.wire, is_ready, &f);
    f.with_logprobs = f.refuses_logprobs = f.refuses_all = true;
    answer(&f); /* both ways: so they aren't the reason */
    assert_true(f.failed);
    assert_int_equal(f.asked, 2);
    assert_int_equal(f.asked_to_tell, 1);
    f.refuses_all = false;
    answer(&f);
    assert_false(f.failed);
    assert_string_equal(f.text, "a b");
    assert_string_equal(f.logprobs, "- - ");
    assert_int_equal(f.asked, 4);
    assert_int_equal(f.asked_to_tell, 2);
    answer(&f);
    assert_false(f.failed);
    assert_int_equal(f.asked, 5);
    assert_int_equal(f.asked_to_tell, 2);
    stop(&f);
}

static void test_what_isn_t_generating_is_refused(void **state) {
    (void)state;
    fixture f;
    start(&f);
    assert_false(ask(&f, PIPE_GENERATE)); /* not ready */
    wire_run_until(&f.wire, is_ready, &f);
    assert_false(ask(&f, PIPE_SCORE));
    assert_false(ask(&f, PIPE_EMBED));
    assert_true(ask(&f, PIPE_CANCEL)); /* of a job that isn't there */
    stop(&f);
}

static void test_a_cancelled_request_is_closed_and_nothing_more_comes(void **state) {
    (void)state;
    fixture f;
    start(&f);
    wire_run_until(&f.wire, is_ready, &f);
    f.hold = true;
    assert_true(ask(&f, PIPE_GENERATE));
    wire_run_until(&f.wire, is_held, &f);
    assert_true(ask(&f, PIPE_CANCEL));
    wire_run_until(&f.wire, is_closed, &f);
    assert_false(f.over);
    f.hold = false;
    assert_true(ask(&f, PIPE_GENERATE));
    wire_run_until(&f.wire, is_over, &f);
    assert_string_equal(f.text, "a b");
    stop(&f);
}

static void test_one_that_breaks_off_fails_and_freeing_in_mid_answer_is_quiet(void **state) {
    (void)state;
    fixture f;
    start(&f);
    wire_run_until(&f.wire, is_ready, &f);
    f.hold = true;
    assert_true(ask(&f, PIPE_GENERATE));
    wire_run_until(&f.wire, is_held, &f);
    http_request *held = f.held;
    f.held = NULL;
    http_stream_abort(held);
    wire_run_until(&f.wire, is_over, &f);
    assert_true(f.failed);
    assert_int_equal(f.losses, 0);
    assert_true(ask(&f, PIPE_GENERATE));
    wire_run_until(&f.wire, is_held, &f);
    stop(&f);
    assert_false(f.over);
}

/* Server and client share the memory: either of them may be the one that fails. */
static void test_memory_that_runs_out_costs_the_answer_alone(void **state) {
    (void)state;
    fixture f;
    bool reached = true;
    start(&f);
    wire_run_until(&f.wire, is_ready, &f);
    f.with_logprobs = f.refuses_logprobs = true;
    for (int nth = 0; reached; nth++) {
        fault_fail_nth(nth);
        bool sent = ask(&f, PIPE_GENERATE);
        if (sent) {
            wire_run_until(&f.wire, is_over, &f);
        }
        reached = fault_stop();
        if (sent && !f.failed) {
            assert_string_equal(f.text, "a b");
        } else {
            assert_true(reached);
        }
        wire_run_until(&f.wire, is_ready, &f);
        assert_true(ask(&f, PIPE_GENERATE));
        wire_run_until(&f.wire, is_over, &f);
        assert_string_equal(f.text, "a b");
    }
    stop(&f);
}

static void test_memory_that_runs_out_at_the_start_is_told_or_waited_out(void **state) {
    (void)state;
    static const backend_handlers listener = {.on_message = on_message, .on_lost = on_lost};
    fixture f;
    bool reached = true;
    start(&f);
    for (int nth = 0; reached; nth++) {
        error err = {0};
        runtime_options options = {.url = f.url, .model = "tiny", .silent_ms = 5000, .pause_ms = 1};
        backend_free(f.backend);
        f.readies = f.losses = 0;
        fault_fail_nth(nth);
        f.backend = runtime_new(f.wire.loop, &options, &listener, &f, &err);
        if (f.backend != NULL) {
            wire_run_until(&f.wire, is_ready, &f);
        }
        reached = fault_stop();
        assert_true(f.backend != NULL || (reached && err.code == ERROR_MEMORY));
    }
    stop(&f);
}

int main(void) {
    error err;
    json_start(7);
    if (!crypto_start(&err)) {
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_answer_commits_to_its_text),
        cmocka_unit_test(test_logprobs_are_told_if_there_is_one_of_every_token),
        cmocka_unit_test(test_a_runtime_that_refuses_logprobs_is_asked_without_and_remembered),
        cmocka_unit_test(test_what_isn_t_generating_is_refused),
        cmocka_unit_test(test_a_cancelled_request_is_closed_and_nothing_more_comes),
        cmocka_unit_test(test_one_that_breaks_off_fails_and_freeing_in_mid_answer_is_quiet),
        cmocka_unit_test(test_memory_that_runs_out_costs_the_answer_alone),
        cmocka_unit_test(test_memory_that_runs_out_at_the_start_is_told_or_waited_out),
    };
    int failures = cmocka_run_group_tests(tests, NULL, NULL);
    crypto_stop();
    return failures;
}
