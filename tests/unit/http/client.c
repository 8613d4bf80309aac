#include "http/client.h"

#include "http/server.h"
#include "wire.h"

typedef struct fixture {
    wire wire;
    wire_site site;
    net_tls *tls;
    http_server *server;
    http_client *client;
    http_request *held;
    char base[64];
    bool answered;
    unsigned status;
    error cause;
    buffer body;
    size_t streamed;
    char type[64];
    bool left;
} fixture;

static void on_left(void *context) {
    ((fixture *)context)->left = true;
    ((fixture *)context)->held = NULL;
}

static void on_request(void *context, http_request *request) {
    fixture *f = context;
    slice path = http_request_path(request);
    slice value;
    static uint8_t large[100000];
    if (slice_equal_text(path, "/hold")) {
        f->held = request;
        http_request_on_closed(request, on_left, f);
    } else if (slice_equal_text(path, "/large")) {
        http_respond(request, 200, NULL, 0, slice_of(large, sizeof large));
    } else if (slice_equal_text(path, "/elsewhere")) {
        http_header location = {SLICE_LITERAL("Location"), SLICE_LITERAL("/large")};
        http_respond(request, 302, &location, 1, SLICE_LITERAL("moved"));
    } else if (http_request_header(request, "X-Ask", &value)) {
        http_header type = {SLICE_LITERAL("Content-Type"), SLICE_LITERAL("text/x-test")};
        slice body = http_request_body(request);
        http_respond(request, 200, &type, 1, body.length > 0 ? body : value);
    } else {
        http_respond(request, 404, NULL, 0, SLICE_LITERAL("nothing here"));
    }
}

static const http_server_handlers handlers = {.on_request = on_request};

static void start(fixture *f, bool with_tls) {
    error err;
    uint16_t port = 0;
    memset(f, 0, sizeof *f);
    wire_start(&f->wire);
    f->body = buffer_make(SIZE_MAX / 2);
    if (with_tls) {
        wire_site_make(&f->site);
        f->tls = net_tls_server_new(buffer_slice(&f->site.certificate), buffer_slice(&f->site.key), &err);
        assert_non_null(f->tls);
    }
    f->server = http_server_new(f->wire.net, NULL, &handlers, f, &err);
    assert_non_null(f->server);
    assert_true(http_server_listen(f->server, "127.0.0.1", 0, f->tls, &port, &err));
    f->client = http_client_new(f->wire.loop, &err);
    assert_non_null(f->client);
    snprintf(f->base, sizeof f->base, "%s://127.0.0.1:%u", with_tls ? "https" : "http", port);
}

static void stop(fixture *f) {
    http_client_free(f->client);
    http_server_free(f->server);
    net_tls_free(f->tls);
    wire_stop(&f->wire);
    if (f->tls != NULL) {
        wire_site_free(&f->site);
    }
    buffer_free(&f->body);
}

static void on_answer(void *context, const http_client_answer *answer) {
    fixture *f = context;
    slice type;
    f->answered = true;
    f->status = answer->status;
    f->cause = (error){ERROR_NONE, ""};
    if (answer->cause != NULL) {
        f->cause = *answer->cause;
    }
    buffer_clear(&f->body);
    assert_true(buffer_append(&f->body, answer->body));
    f->type[0] = '\0';
    if (http_exchange_header(answer->exchange, "content-type", &type)) {
        snprintf(f->type, sizeof f->type, "%.*s", SLICE_FORMAT(type));
    }
}

static bool is_answered(void *argument) {
    return ((fixture *)argument)->answered;
}

static bool is_held(void *argument) {
    return ((fixture *)argument)->held != NULL;
}

static bool has_left(void *argument) {
    return ((fixture *)argument)->left;
}

static http_exchange *ask(fixture *f, const char *method, const char *path, slice body,
                          const http_client_options *options) {
    static const char *const headers[] = {"X-Ask: please", "Content-Type: text/plain", NULL};
    char url[128];
    error err;
    snprintf(url, sizeof url, "%s%s", f->base, path);
    f->answered = false;
    http_exchange *exchange =
        http_client_request(f->client, method, url, headers, body, options, on_answer, f, &err);
    if (exchange == NULL) {
        fail_msg("%s", err.text);
    }
    return exchange;
}

static void ask_and_wait(fixture *f, const char *method, const char *path, slice body,
                         const http_client_options *options) {
    (void)ask(f, method, path, body, options);
    wire_run_until(&f->wire, is_answered, f);
}

static void test_requests_of_all_kinds_are_answered(void **state) {
    (void)state;
    fixture f;
    start(&f, false);
    ask_and_wait(&f, "GET", "/", slice_of(NULL, 0), NULL);
    assert_int_equal(f.status, 200);
    assert_true(slice_equal_text(buffer_slice(&f.body), "please"));
    assert_string_equal(f.type, "text/x-test");
    ask_and_wait(&f, "POST", "/", SLICE_LITERAL("a body"), NULL);
    assert_true(slice_equal_text(buffer_slice(&f.body), "a body"));
    ask_and_wait(&f, "DELETE", "/", slice_of(NULL, 0), NULL);
    assert_int_equal(f.status, 200);
    ask_and_wait(&f, "GET", "/elsewhere", slice_of(NULL, 0), NULL);
    assert_int_equal(f.status, 302); /* not followed */
    stop(&f);
}

static void test_an_answer_beyond_the_limit_is_an_error(void **state) {
    (void)state;
    fixture f;
    start(&f, false);
    ask_and_wait(&f, "GET", "/large", slice_of(NULL, 0), &(http_client_options){.max_bytes = 1000});
    assert_int_equal(f.status, 0);
    assert_int_equal(f.cause.code, ERROR_LIMIT);
    stop(&f);
}

static fixture *streaming;

static bool on_stream(void *context, slice bytes) {
    fixture *f = context;
    assert_ptr_equal(f, streaming);
    f->streamed += bytes.length;
    return true;
}

static void test_an_answer_can_be_streamed(void **state) {
    (void)state;
    fixture f;
    start(&f, false);
    streaming = &f;
    ask_and_wait(&f, "GET", "/large", slice_of(NULL, 0), &(http_client_options){.on_data = on_stream});
    assert_int_equal(f.status, 200);
    assert_int_equal(f.streamed, 100000);
    assert_int_equal(buffer_length(&f.body), 0);
    stop(&f);
}

static void test_a_cut_answer_is_an_error(void **state) {
    (void)state;
    fixture f;
    start(&f, false);
    (void)ask(&f, "GET", "/hold", slice_of(NULL, 0), NULL);
    wire_run_until(&f.wire, is_held, &f);
    assert_true(http_stream_begin(f.held, 200, NULL, 0));
    assert_true(http_stream_write(f.held, SLICE_LITERAL("half")));
    wire_run_for(&f.wire, 5);
    http_stream_abort(f.held);
    wire_run_until(&f.wire, is_answered, &f);
    assert_int_equal(f.status, 0);
    assert_int_equal(f.cause.code, ERROR_IO);
    stop(&f);
}

static void test_a_late_answer_is_given_up(void **state) {
    (void)state;
    fixture f;
    start(&f, false);
    ask_and_wait(&f, "GET", "/hold", slice_of(NULL, 0), &(http_client_options){.timeout_ms = 50});
    assert_int_equal(f.cause.code, ERROR_TIMEOUT);
    wire_run_until(&f.wire, has_left, &f);
    stop(&f);
}

static void test_a_cancelled_request_is_not_heard_of_again(void **state) {
    (void)state;
    fixture f;
    start(&f, false);
    http_exchange *exchange = ask(&f, "GET", "/hold", slice_of(NULL, 0), NULL);
    wire_run_until(&f.wire, is_held, &f);
    http_exchange_cancel(exchange);
    wire_run_until(&f.wire, has_left, &f);
    assert_false(f.answered);
    ask_and_wait(&f, "GET", "/", slice_of(NULL, 0), NULL);
    assert_int_equal(f.status, 200);
    stop(&f);
}

static void test_trust_is_a_ca_or_a_pin_and_nothing_else(void **state) {
    (void)state;
    fixture f;
    wire_site other;
    start(&f, true);
    wire_site_make(&other);
    ask_and_wait(&f, "GET", "/", slice_of(NULL, 0),
                 &(http_client_options){.ca_pem = buffer_slice(&f.site.ca)});
    assert_int_equal(f.status, 200);
    ask_and_wait(&f, "GET", "/", slice_of(NULL, 0), &(http_client_options){.pin = f.site.pin});
    assert_int_equal(f.status, 200);
    ask_and_wait(&f, "GET", "/", slice_of(NULL, 0), &(http_client_options){.pin = other.pin});
    assert_int_equal(f.cause.code, ERROR_DENIED);
    ask_and_wait(&f, "GET", "/", slice_of(NULL, 0),
                 &(http_client_options){.ca_pem = buffer_slice(&other.ca)});
    assert_int_equal(f.cause.code, ERROR_DENIED);
    ask_and_wait(&f, "GET", "/", slice_of(NULL, 0), NULL);
    assert_int_equal(f.cause.code, ERROR_DENIED);
    wire_site_free(&other);
    stop(&f);
}

static void test_only_http_and_https_are_spoken(void **state) {
    (void)state;
    fixture f;
    start(&f, false);
    static const char *const others[] = {"file:///etc/passwd", "ftp://127.0.0.1/", "gopher://127.0.0.1:70/",
                                         "dict://127.0.0.1:2628/", "127.0.0.1"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        error err = {0};
        assert_null(http_client_request(f.client, "GET", others[i], NULL, slice_of(NULL, 0), NULL, on_answer,
                                        &f, &err));
        assert_int_equal(err.code, ERROR_INVALID);
    }
    stop(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests_of_all_kinds_are_answered),
        cmocka_unit_test(test_an_answer_beyond_the_limit_is_an_error),
        cmocka_unit_test(test_an_answer_can_be_streamed),
        cmocka_unit_test(test_a_cut_answer_is_an_error),
        cmocka_unit_test(test_a_late_answer_is_given_up),
        cmocka_unit_test(test_a_cancelled_request_is_not_heard_of_again),
        cmocka_unit_test(test_trust_is_a_ca_or_a_pin_and_nothing_else),
        cmocka_unit_test(test_only_http_and_https_are_spoken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
