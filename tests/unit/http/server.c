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
    size_t answered;
    unsigned status; /* that the last answer began with; 0: it never did */
    bool stream_bodies;
    bool pause_bodies;
} fixture;

static void on_closed(void *context) {
    fixture *f = context;
    f->held = NULL;
    f->closed++;
}

static void on_answered(void *context, unsigned status) {
    fixture *f = context;
    f->answered++;
    f->status = status;
}

static void on_request(void *context, http_request *request) {
    fixture *f = context;
    f->requests++;
    http_request_on_answered(request, on_answered, f);
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
    if (slice_equal_text(http_request_path(request), "/small")) {
        http_request_limit_body(request, 4);
    }
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

static bool has_no_connection(void *argument) {
    return http_server_connection_count(((fixture *)argument)->server) == 0;
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

static void test_a_body_within_its_own_limit_is_taken(void **state) {
    (void)state;
    fixture f;
    wire_client client;
    start(&f);
    open_client(&f, &client);
    send_and_expect(&f, &client, "POST /small HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nabcd", "abcd");
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
        {"POST /small HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabcde", "HTTP/1.1 413 "},
        {"POST /small HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n1\r\ne\r\n",
         "HTTP/1.1 413 "},
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

static void test_what_was_answered_is_told_once_and_that_nothing_was(void **state) {
    (void)state;
    fixture f;
    wire_client client;
    start(&f);
    open_client(&f, &client);
    send_and_expect(&f, &client, "GET /a HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200 ");
    assert_int_equal(f.answered, 1);
    assert_int_equal(f.status, 200);
    wire_client_free(&f.wire, &client);
    open_client(&f, &client);
    wire_send_text(&client, "GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
    wire_run_until(&f.wire, is_held, &f);
    assert_true(http_stream_begin(f.held, 503, NULL, 0));
    assert_int_equal(f.answered, 2);
    assert_int_equal(f.status, 503);
    http_stream_end(f.held);
    f.held = NULL;
    wire_client_free(&f.wire, &client);
    open_client(&f, &client);
    wire_send_text(&client, "GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
    wire_run_until(&f.wire, is_held, &f);
    assert_int_equal(f.answered, 2);
    net_stream_abort(client.stream);
    wire_run_until(&f.wire, is_client_gone, &f);
    assert_int_equal(f.answered, 3);
    assert_int_equal(f.status, 0);
    wire_client_free(&f.wire, &client);
    stop(&f);
}

static void test_a_client_that_stops_in_the_middle_leaves_nothing(void **state) {
    (void)state;
    static const char *const beginnings[] = {"", "GET / HT", "GET / HTTP/1.1\r\nHost: a\r\n",
                                             "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf"};
    fixture f;
    start(&f);
    for (size_t i = 0; i < sizeof beginnings / sizeof *beginnings; i++) {
        wire_client client;
        open_client(&f, &client);
        wire_send_text(&client, beginnings[i]);
        wire_run_for(&f.wire, 5);
        net_stream_close(client.stream);
        wire_expect_closed(&f.wire, &client);
        wire_client_free(&f.wire, &client);
    }
    wire_run_until(&f.wire, has_no_connection, &f);
    assert_int_equal(f.requests, 0);
    stop(&f);
}

static void test_slow_heads_and_bodies_time_out(void **state) {
    (void)state;
    http_server_config config = http_server_config_default();
    config.head_timeout_ms = 60;
    config.body_timeout_ms = 60;
    config.idle_timeout_ms = 60;
    fixture f;
    wire_client client;
    start_with(&f, &config);
    open_client(&f, &client);
    send_and_expect(&f, &client, "GET / HTTP/1.1\r\nHost", "HTTP/1.1 408 ");
    wire_expect_closed(&f.wire, &client);
    wire_client_free(&f.wire, &client);
    open_client(&f, &client);
    send_and_expect(&f, &client, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nab",
                    "HTTP/1.1 408 ");
    wire_expect_closed(&f.wire, &client);
    wire_client_free(&f.wire, &client);
    open_client(&f, &client);
    send_and_expect(&f, &client, "GET /x HTTP/1.1\r\nHost: a\r\n\r\n", "/x");
    wire_expect_closed(&f.wire, &client); /* idle: closed without a word */
    assert_false(wire_received(&client, "408"));
    wire_client_free(&f.wire, &client);
    stop(&f);
}

static void test_the_body_is_invited_when_the_client_waits_for_that(void **state) {
    (void)state;
    fixture f;
    wire_client client;
    start(&f);
    open_client(&f, &client);
    send_and_expect(&f, &client,
                    "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n",
                    "HTTP/1.1 100 Continue\r\n\r\n");
    assert_int_equal(f.requests, 0);
    send_and_expect(&f, &client, "body", "body");
    wire_client_free(&f.wire, &client);
    stop(&f);
}

static void test_head_and_http_1_0_are_answered_in_their_way(void **state) {
    (void)state;
    fixture f;
    wire_client client;
    start(&f);
    open_client(&f, &client);
    send_and_expect(&f, &client, "HEAD /secret HTTP/1.1\r\nHost: a\r\n\r\n", "Content-Length: 7\r\n\r\n");
    send_and_expect(&f, &client, "GET /kept HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "/kept");
    assert_true(wire_received(&client, "Connection: keep-alive\r\n"));
    send_and_expect(&f, &client, "GET /last HTTP/1.0\r\n\r\n", "/last");
    wire_expect_closed(&f.wire, &client);
    assert_false(wire_received(&client, "/secret"));
    wire_client_free(&f.wire, &client);
    stop(&f);
}

static void test_a_streamed_answer_is_chunked_and_the_connection_goes_on(void **state) {
    (void)state;
    fixture f;
    wire_client client;
    start(&f);
    open_client(&f, &client);
    wire_send_text(&client, "GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
    wire_run_until(&f.wire, is_held, &f);
    assert_true(http_stream_begin(f.held, 200, NULL, 0));
    wire_expect(&f.wire, &client, "Transfer-Encoding: chunked\r\n\r\n");
    assert_true(http_stream_write(f.held, SLICE_LITERAL("first piece")));
    wire_expect(&f.wire, &client, "b\r\nfirst piece\r\n");
    assert_true(http_stream_write(f.held, SLICE_LITERAL("")));
    http_stream_end(f.held);
    wire_expect(&f.wire, &client, "first piece\r\n0\r\n\r\n");
    send_and_expect(&f, &client, "GET /next HTTP/1.1\r\nHost: a\r\n\r\n", "/next");
    wire_client_free(&f.wire, &client);
    stop(&f);
}

static void test_an_aborted_stream_does_not_end_like_a_complete_one(void **state) {
    (void)state;
    fixture f;
    wire_client client;
    start(&f);
    open_client(&f, &client);
    wire_send_text(&client, "GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
    wire_run_until(&f.wire, is_held, &f);
    assert_true(http_stream_begin(f.held, 200, NULL, 0));
    assert_true(http_stream_write(f.held, SLICE_LITERAL("half")));
    wire_expect(&f.wire, &client, "half");
    http_stream_abort(f.held);
    wire_expect_closed(&f.wire, &client);
    assert_true(client.failed);
    assert_false(wire_received(&client, "0\r\n\r\n"));
    assert_int_equal(f.closed, 0);
    wire_client_free(&f.wire, &client);
    stop(&f);
}

static void test_a_client_that_does_not_read_is_bounded_and_in_the_end_cut(void **state) {
    (void)state;
    static uint8_t piece[65536];
    http_server_config config = http_server_config_default();
    config.write_timeout_ms = 200;
    fixture f;
    wire_client client;
    start_with(&f, &config);
    open_client(&f, &client);
    wire_send_text(&client, "GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
    wire_run_until(&f.wire, is_held, &f);
    net_stream_pause_reading(client.stream);
    assert_true(http_stream_begin(f.held, 200, NULL, 0));
    size_t most = 0;
    for (int i = 0; i < 2000 && f.held != NULL; i++) {
        if (!http_stream_write(f.held, slice_of(piece, sizeof piece))) {
            wire_run_for(&f.wire, 1);
        }
        size_t pending = f.held == NULL ? 0 : http_stream_pending(f.held);
        most = pending > most ? pending : most;
    }
    wire_run_until(&f.wire, is_client_gone, &f);
    assert_true(most > 0);
    assert_true(most <= config.output_limit + 64);
    wire_client_free(&f.wire, &client);
    stop(&f);
}

static void fill_again(void *context, http_request *request) {
    static uint8_t piece[30000];
    fixture *f = context;
    memset(piece, 'z', sizeof piece);
    while (f->body_bytes < 8000000 && http_stream_write(request, slice_of(piece, sizeof piece))) {
        f->body_bytes += sizeof piece;
    }
    if (f->body_bytes >= 8000000) {
        f->held = NULL;
        http_stream_end(request);
    }
}

static void test_a_long_answer_flows_as_fast_as_it_is_read(void **state) {
    (void)state;
    fixture f;
    wire_client client;
    start(&f);
    open_client(&f, &client);
    wire_send_text(&client, "GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
    wire_run_until(&f.wire, is_held, &f);
    assert_true(http_stream_begin(f.held, 200, NULL, 0));
    http_request_on_drained(f.held, fill_again, &f);
    fill_again(&f, f.held);
    wire_expect(&f.wire, &client, "\r\n0\r\n\r\n");
    size_t zs = 0;
    slice got = buffer_slice(&client.received);
    for (size_t i = 0; i < got.length; i++) {
        zs += got.data[i] == 'z' ? 1U : 0U;
    }
    assert_int_equal(zs, f.body_bytes);
    wire_client_free(&f.wire, &client);
    stop(&f);
}

static bool body_has_ended(void *argument) {
    return ((fixture *)argument)->body_ends > 0;
}

static void test_a_streamed_body_is_held_up_while_it_is_paused(void **state) {
    (void)state;
    static uint8_t piece[500000];
    fixture f;
    wire_client client;
    start(&f);
    f.stream_bodies = true;
    f.pause_bodies = true;
    open_client(&f, &client);
    net_stream_set_output_limit(client.stream, SIZE_MAX / 2);
    wire_send_text(&client, "POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000\r\n\r\n");
    for (int i = 0; i < 20; i++) {
        wire_send(&client, slice_of(piece, sizeof piece));
    }
    wire_run_until(&f.wire, is_held, &f);
    wire_run_for(&f.wire, 50);
    assert_int_equal(f.body_bytes, 0);
    assert_true(net_stream_pending(client.stream) > 0);
    http_request_resume_body(f.held);
    wire_run_until(&f.wire, body_has_ended, &f);
    assert_int_equal(f.body_bytes, 10000000);
    wire_expect(&f.wire, &client, "thanks");
    wire_client_free(&f.wire, &client);
    stop(&f);
}

static void test_an_early_answer_to_a_long_body_arrives_whole(void **state) {
    (void)state;
    static uint8_t piece[300000];
    fixture f;
    wire_client client;
    start(&f);
    f.stream_bodies = true;
    open_client(&f, &client);
    wire_send_text(&client, "POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000\r\n\r\n");
    wire_run_until(&f.wire, is_held, &f);
    wire_send(&client, slice_of(piece, sizeof piece));
    http_respond(f.held, 401, NULL, 0, SLICE_LITERAL("no key"));
    wire_expect(&f.wire, &client, "no key");
    assert_true(wire_received(&client, "Connection: close\r\n"));
    wire_expect_closed(&f.wire, &client);
    assert_false(client.failed);
    wire_client_free(&f.wire, &client);
    stop(&f);
}

static void note_empty(void *context) {
    *(bool *)context = true;
}

static bool is_true(void *argument) {
    return *(bool *)argument;
}

static void test_draining_closes_the_idle_and_lets_the_busy_finish(void **state) {
    (void)state;
    fixture f;
    wire_client idle;
    wire_client busy;
    bool empty = false;
    start(&f);
    open_client(&f, &idle);
    send_and_expect(&f, &idle, "GET /x HTTP/1.1\r\nHost: a\r\n\r\n", "/x");
    open_client(&f, &busy);
    wire_send_text(&busy, "GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
    wire_run_until(&f.wire, is_held, &f);
    http_server_drain(f.server, note_empty, &empty);
    wire_expect_closed(&f.wire, &idle);
    assert_false(empty);
    http_respond(f.held, 200, NULL, 0, SLICE_LITERAL("finished"));
    wire_run_until(&f.wire, is_true, &empty);
    wire_expect_closed(&f.wire, &busy);
    assert_true(wire_received(&busy, "finished"));
    assert_true(wire_received(&busy, "Connection: close\r\n"));
    wire_client_free(&f.wire, &idle);
    wire_client_free(&f.wire, &busy);
    stop(&f);
}

static void test_a_server_freed_with_a_pending_request_tells_it(void **state) {
    (void)state;
    fixture f;
    wire_client client;
    start(&f);
    open_client(&f, &client);
    wire_send_text(&client, "GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
    wire_run_until(&f.wire, is_held, &f);
    http_server_free(f.server);
    assert_int_equal(f.closed, 1);
    wire_expect_closed(&f.wire, &client);
    wire_client_free(&f.wire, &client);
    wire_stop(&f.wire);
}

static void test_a_field_given_twice_reads_as_a_list(void **state) {
    (void)state;
    fixture f;
    wire_client client;
    slice value;
    start(&f);
    open_client(&f, &client);
    wire_send_text(&client, "GET /hold?q=1 HTTP/1.1\r\nHost: a\r\nX-Two: one\r\nx-two: two\r\n\r\n");
    wire_run_until(&f.wire, is_held, &f);
    assert_true(http_request_header(f.held, "X-Two", &value));
    assert_true(slice_equal_text(value, "one, two"));
    assert_int_equal(http_request_header_count(f.held, "x-TWO"), 2);
    assert_false(http_request_header(f.held, "X-Three", &value));
    assert_true(slice_equal_text(http_request_query(f.held), "q=1"));
    assert_true(slice_equal_text(http_request_method(f.held), "GET"));
    assert_string_equal(http_request_peer(f.held), "127.0.0.1");
    assert_false(http_request_is_tls(f.held));
    http_respond(f.held, 204, NULL, 0, SLICE_LITERAL(""));
    wire_expect(&f.wire, &client, "HTTP/1.1 204 No Content\r\n");
    assert_false(wire_received(&client, "Content-Length"));
    wire_client_free(&f.wire, &client);
    stop(&f);
}

/* Each allocation that serving a request makes fails once: an answer or a closed connection, nothing lost. */
static void test_serving_survives_every_failed_allocation(void **state) {
    (void)state;
    fixture f;
    start(&f);
    bool reached = true;
    for (int nth = 0; reached && nth < 500; nth++) {
        wire_client client;
        open_client(&f, &client);
        buffer room = buffer_make(65536); /* the client's own memory is there already */
        assert_non_null(buffer_reserve(&room, 16384));
        buffer_free(&client.received);
        client.received = room;
        wire_send_text(&client, "POST /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                                "3\r\nabc\r\n0\r\n\r\nGET /last HTTP/1.1\r\nHost: a\r\n"
                                "Connection: close\r\n\r\n");
        fault_fail_nth(nth);
        wire_expect_closed(&f.wire, &client);
        reached = fault_stop();
        assert_true(reached || wire_received(&client, "/last"));
        wire_client_free(&f.wire, &client);
    }
    assert_false(reached);
    wire_run_until(&f.wire, has_no_connection, &f);
    stop(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_was_answered_is_told_once_and_that_nothing_was),
        cmocka_unit_test(test_a_client_that_stops_in_the_middle_leaves_nothing),
        cmocka_unit_test(test_slow_heads_and_bodies_time_out),
        cmocka_unit_test(test_the_body_is_invited_when_the_client_waits_for_that),
        cmocka_unit_test(test_head_and_http_1_0_are_answered_in_their_way),
        cmocka_unit_test(test_a_streamed_answer_is_chunked_and_the_connection_goes_on),
        cmocka_unit_test(test_an_aborted_stream_does_not_end_like_a_complete_one),
        cmocka_unit_test(test_a_client_that_does_not_read_is_bounded_and_in_the_end_cut),
        cmocka_unit_test(test_a_long_answer_flows_as_fast_as_it_is_read),
        cmocka_unit_test(test_a_streamed_body_is_held_up_while_it_is_paused),
        cmocka_unit_test(test_an_early_answer_to_a_long_body_arrives_whole),
        cmocka_unit_test(test_draining_closes_the_idle_and_lets_the_busy_finish),
        cmocka_unit_test(test_a_server_freed_with_a_pending_request_tells_it),
        cmocka_unit_test(test_a_field_given_twice_reads_as_a_list),
        cmocka_unit_test(test_serving_survives_every_failed_allocation),
        cmocka_unit_test(test_a_connection_serves_one_request_after_another),
        cmocka_unit_test(test_a_request_may_come_byte_by_byte),
        cmocka_unit_test(test_pipelined_requests_are_answered_in_order),
        cmocka_unit_test(test_a_body_within_its_own_limit_is_taken),
        cmocka_unit_test(test_malformed_requests_get_their_status_and_the_end),
        cmocka_unit_test(test_a_client_that_leaves_is_noticed_while_its_answer_is_pending),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
