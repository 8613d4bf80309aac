#include "http/server.h"

#include "wire.h"

/* One server, and what its handlers saw. */
typedef struct fixture {
    wire wire;
    http_server *server;
    http_request *held; /* answered by the test */
    size_t requests;
    size_t closed;
    size_t body_bytes;
    size_t body_ends;
    bool stream_bodies;
    bool pause_bodies;
} fixture;

static void on_closed(void *context) {
    fixture *f = context;
    f->held = NULL;
    f->closed++;
}

static void on_request(void *context, http_request *request) {
    fixture *f = context;
    f->requests++;
    slice path = http_request_path(request);
    if (slice_equal_text(path, "/hold") || f->stream_bodies) {
        f->held = request;
        http_request_on_closed(request, on_closed, f);
        if (f->pause_bodies) {
            http_request_pause_body(request);
        }
        return;
    }
    http_header type = {SLICE_LITERAL("Content-Type"), SLICE_LITERAL("text/plain")};
    slice body = http_request_body(request);
    http_respond(request, 200, &type, 1, body.length > 0 ? body : path);
}

static http_body_mode choose_body(void *context, http_request *request) {
    (void)request;
    return ((fixture *)context)->stream_bodies ? HTTP_BODY_STREAM : HTTP_BODY_COLLECT;
}

static void on_body(void *context, http_request *request, slice bytes) {
    fixture *f = context;
    assert_ptr_equal(request, f->held);
    f->body_bytes += bytes.length;
}

static void on_body_end(void *context, http_request *request) {
    fixture *f = context;
    f->body_ends++;
    f->held = NULL;
    http_respond(request, 200, NULL, 0, SLICE_LITERAL("thanks"));
}

static slice error_body(void *context, unsigned status, const char *reason, const char **media_type) {
    (void)context;
    (void)status;
    (void)reason;
    *media_type = "application/json";
    return SLICE_LITERAL("{\"error\":\"no\"}");
}

static const http_server_handlers handlers = {.on_request = on_request,
                                              .choose_body = choose_body,
                                              .on_body = on_body,
                                              .on_body_end = on_body_end,
                                              .error_body = error_body};

static void start_with(fixture *f, const http_server_config *config) {
    memset(f, 0, sizeof *f);
    wire_start(&f->wire);
    error err;
    f->server = http_server_new(f->wire.net, config, &handlers, f, &err);
    assert_non_null(f->server);
    assert_true(http_server_listen(f->server, "127.0.0.1", 0, NULL, NULL, &err));
}

static void start(fixture *f) {
    start_with(f, NULL);
}

static void stop(fixture *f) {
    http_server_free(f->server);
    wire_stop(&f->wire);
}

static void open_client(fixture *f, wire_client *client) {
    wire_connect(&f->wire, client, http_server_port(f->server), NULL);
    wire_expect_open(&f->wire, client);
}

static void send_and_expect(fixture *f, wire_client *client, const char *text, const char *answer) {
    wire_send_text(client, text);
    wire_expect(&f->wire, client, answer);
}

static bool is_held(void *argument) {
    return ((fixture *)argument)->held != NULL;
}

static bool is_client_gone(void *argument) {
    return ((fixture *)argument)->closed > 0;
}

static void test_a_connection_serves_one_request_after_another(void **state) {
    (void)state;
    fixture f;
    wire_client client;
    start(&f);
    open_client(&f, &client);
    send_and_expect(&f, &client, "GET /one HTTP/1.1\r\nHost: a\r\n\r\n", "/one");
    send_and_expect(&f, &client, "GET /two?x=1 HTTP/1.1\r\nHost: a\r\n\r\n", "/two");
    send_and_expect(&f, &client, "POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", "hello");
    send_and_expect(&f, &client,
                    "POST /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nbye\r\n0\r\n\r\n",
                    "bye");
    assert_true(wire_received(&client, "Content-Length: 4\r\n"));
    assert_true(wire_received(&client, "Date: "));
    assert_false(wire_received(&client, "Connection: close"));
    assert_int_equal(f.requests, 4);
    assert_int_equal(http_server_connection_count(f.server), 1);
    wire_client_free(&f.wire, &client);
    stop(&f);
}

static void test_a_request_may_come_byte_by_byte(void **state) {
    (void)state;
    fixture f;
    wire_client client;
    const char *text = "POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody";
    start(&f);
    open_client(&f, &client);
    for (const char *at = text; *at != '\0'; at++) {
        wire_send(&client, slice_of(at, 1));
        wire_run_for(&f.wire, 1);
    }
    wire_expect(&f.wire, &client, "body");
    wire_client_free(&f.wire, &client);
    stop(&f);
}

static void test_pipelined_requests_are_answered_in_order(void **state) {
    (void)state;
    fixture f;
    wire_client client;
    start(&f);
    open_client(&f, &client);
    wire_send_text(&client, "GET /hold HTTP/1.1\r\nHost: a\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\n\r\n"
                            "GET /c HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    wire_run_until(&f.wire, is_held, &f);
    assert_int_equal(f.requests, 1);
    http_respond(f.held, 200, NULL, 0, SLICE_LITERAL("/held"));
    wire_expect(&f.wire, &client, "/c");
    slice got = buffer_slice(&client.received);
    assert_true(slice_find_slice(got, SLICE_LITERAL("/held")) < slice_find_slice(got, SLICE_LITERAL("/b")));
    assert_true(slice_find_slice(got, SLICE_LITERAL("/b")) < slice_find_slice(got, SLICE_LITERAL("/c")));
    wire_expect_closed(&f.wire, &client);
    wire_client_free(&f.wire, &client);
    stop(&f);
}

static void test_malformed_requests_get_their_status_and_the_end(void **state) {
    (void)state;
    static const struct {
        const char *request;
        const char *status;
    } cases[] = {
        {"GET /x HTTP/1.1\nHost: a\n\n", "HTTP/1.1 400 "},
        {"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "HTTP/1.1 400 "},
        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
         "HTTP/1.1 400 "},
        {"GET / HTTP/3.0\r\nHost: a\r\n\r\n", "HTTP/1.1 505 "},
        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n", "HTTP/1.1 413 "},
        {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "HTTP/1.1 400 "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fixture f;
        wire_client client;
        start(&f);
        open_client(&f, &client);
        send_and_expect(&f, &client, cases[i].request, cases[i].status);
        wire_expect(&f.wire, &client, "{\"error\":\"no\"}");
        wire_expect_closed(&f.wire, &client);
        assert_int_equal(f.requests, 0);
        wire_client_free(&f.wire, &client);
        stop(&f);
    }
}

static void test_a_client_that_leaves_is_noticed_while_its_answer_is_pending(void **state) {
    (void)state;
    fixture f;
    wire_client client;
    start(&f);
    open_client(&f, &client);
    wire_send_text(&client, "GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
    wire_run_until(&f.wire, is_held, &f);
    net_stream_abort(client.stream); /* a reset */
    wire_run_until(&f.wire, is_client_gone, &f);
    wire_client_free(&f.wire, &client);
    f.closed = 0;
    open_client(&f, &client);
    /* An orderly end, with a second request unread behind the first. */
    wire_send_text(&client, "GET /hold HTTP/1.1\r\nHost: a\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\n\r\n");
    wire_run_until(&f.wire, is_held, &f);
    net_stream_close(client.stream);
    wire_run_until(&f.wire, is_client_gone, &f);
    wire_client_free(&f.wire, &client);
    assert_int_equal(http_server_connection_count(f.server), 0);
    stop(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_connection_serves_one_request_after_another),
        cmocka_unit_test(test_a_request_may_come_byte_by_byte),
        cmocka_unit_test(test_pipelined_requests_are_answered_in_order),
        cmocka_unit_test(test_malformed_requests_get_their_status_and_the_end),
        cmocka_unit_test(test_a_client_that_leaves_is_noticed_while_its_answer_is_pending),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
