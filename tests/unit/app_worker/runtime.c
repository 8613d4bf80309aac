#include "runtime.h"

#include "codec/json.h"
#include "crypto/hash.h"
#include "crypto/start.h"
#include "http/server.h"
#include "ledger/receipt.h"
#include "wire.h"

#define EVENT(content, finish)                                                                               \
    "data: {\"choices\":[{\"delta\":{\"content\":\"" content "\"},\"finish_reason\":" finish "}]}\n\n"

typedef struct fixture {
    wire wire;
    http_server *server;
    backend *backend;
    http_request *held; /* a stream that the test ends */
    bool hold;
    bool closed; /* the client left the held one */
    char url[64];
    /* What came from the backend. */
    size_t readies;
    size_t losses;
    bool over;
    bool failed;
    pipe_done done;
    size_t tokens;
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
    if (!f->hold) {
        http_respond(request, 200, &type, 1, slice_of_text(events));
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
        wanted.generate = (pipe_generate){.messages = &message,
                                          .message_count = 1,
                                          .parameters = {.top_p = 1, .max_tokens = 9},
                                          .nonce = {7}};
    }
    memcpy(wanted.job, job_id, sizeof job_id);
    f->over = f->failed = f->closed = false;
    f->tokens = 0;
    f->text[0] = '\0';
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
