#include "http/websocket.h"

#include "http/server.h"
#include "wire.h"

enum { MESSAGE_LIMIT = 100000 };

/* One end of a WebSocket and what it was told. */
typedef struct end {
    websocket *ws; /* NULL once closed */
    buffer text;   /* all messages, with a newline behind each */
    size_t messages;
    unsigned code;
    char reason[128];
    bool open;
    bool closed;
    bool echoes;
} end;

typedef struct fixture {
    wire wire;
    wire_site site;
    net_tls *server_tls;
    net_tls *client_tls;
    http_server *server;
    end there; /* the server's */
    end here;  /* the client's */
    size_t expected;
} fixture;

static void on_open(void *context) {
    ((end *)context)->open = true;
}

static void on_message(void *context, slice message, bool is_text) {
    end *e = context;
    e->messages++;
    assert_true(buffer_append(&e->text, message));
    assert_true(buffer_append_byte(&e->text, '\n'));
    if (e->echoes) {
        bool sent = is_text ? websocket_send_text(e->ws, message) : websocket_send_binary(e->ws, message);
        if (!sent) {
            websocket_abort(e->ws);
        }
    }
}

static void on_closed(void *context, unsigned code, slice reason) {
    end *e = context;
    e->ws = NULL;
    e->open = false;
    e->closed = true;
    e->code = code;
    snprintf(e->reason, sizeof e->reason, "%.*s", SLICE_FORMAT(reason));
}

static const websocket_handlers end_handlers = {
    .on_open = on_open, .on_message = on_message, .on_closed = on_closed};

static void say_hello(void *context) {
    end *e = context;
    e->open = true;
    if (!websocket_send_text(e->ws, SLICE_LITERAL("hello, is there anybody?"))) {
        websocket_abort(e->ws);
    }
}

static const websocket_handlers say_hello_handlers = {
    .on_open = say_hello, .on_message = on_message, .on_closed = on_closed};

static void on_request(void *context, http_request *request) {
    fixture *f = context;
    error err;
    if (!http_request_wants_websocket(request, NULL)) {
        http_respond(request, 426, NULL, 0, SLICE_LITERAL("upgrade"));
        return;
    }
    f->there.ws = http_request_upgrade(request, "cellule.test", &end_handlers, &f->there, &err);
    if (f->there.ws == NULL) {
        http_respond(request, 400, NULL, 0, SLICE_LITERAL("not the right subprotocol"));
        return;
    }
    f->there.open = true;
}

static const http_server_handlers handlers = {.on_request = on_request};

static void start(fixture *f, bool with_tls) {
    memset(f, 0, sizeof *f);
    wire_start(&f->wire);
    error err;
    http_server_config config = http_server_config_default();
    config.websocket_limit = MESSAGE_LIMIT;
    f->server = http_server_new(f->wire.net, &config, &handlers, f, &err);
    assert_non_null(f->server);
    f->there.text = buffer_make(SIZE_MAX / 2);
    f->here.text = buffer_make(SIZE_MAX / 2);
    if (with_tls) {
        wire_site_make(&f->site);
        f->server_tls =
            net_tls_server_new(buffer_slice(&f->site.certificate), buffer_slice(&f->site.key), &err);
        f->client_tls = net_tls_client_new(&(net_tls_client_options){.pin = f->site.pin}, &err);
        assert_non_null(f->server_tls);
        assert_non_null(f->client_tls);
    }
    assert_true(http_server_listen(f->server, "127.0.0.1", 0, f->server_tls, NULL, &err));
}

static void stop(fixture *f) {
    http_server_free(f->server);
    wire_stop(&f->wire);
    net_tls_free(f->server_tls);
    net_tls_free(f->client_tls);
    if (f->server_tls != NULL) {
        wire_site_free(&f->site);
    }
    buffer_free(&f->there.text);
    buffer_free(&f->here.text);
}

static void connect_here(fixture *f, const char *subprotocol) {
    error err;
    websocket_options options = {.host = "127.0.0.1",
                                 .port = http_server_port(f->server),
                                 .path = "/socket",
                                 .subprotocol = subprotocol,
                                 .tls = f->client_tls,
                                 .message_limit = MESSAGE_LIMIT};
    f->here.ws = websocket_connect(f->wire.net, &options, &end_handlers, &f->here, &err);
    assert_non_null(f->here.ws);
}

static bool both_open(void *argument) {
    fixture *f = argument;
    return f->here.open && f->there.open;
}

static bool both_closed(void *argument) {
    fixture *f = argument;
    return f->here.closed && (f->there.closed || !f->there.open);
}

static bool here_has_three(void *argument) {
    return ((fixture *)argument)->here.messages >= 3;
}

static bool here_has_expected(void *argument) {
    fixture *f = argument;
    return f->here.messages >= f->expected;
}

static bool there_has_one(void *argument) {
    return ((fixture *)argument)->there.messages == 1;
}

static bool there_has_two(void *argument) {
    return ((fixture *)argument)->there.messages >= 2;
}

static bool there_is_closed(void *argument) {
    return ((fixture *)argument)->there.closed;
}

static void echo(fixture *f) {
    f->there.echoes = true;
    connect_here(f, "cellule.test");
    wire_run_until(&f->wire, both_open, f);
    buffer big = buffer_make(MESSAGE_LIMIT);
    for (size_t i = 0; i < MESSAGE_LIMIT; i++) {
        assert_true(buffer_append_byte(&big, (uint8_t)('a' + i % 26)));
    }
    assert_true(websocket_send_text(f->here.ws, SLICE_LITERAL("")));
    assert_true(websocket_send_text(f->here.ws, SLICE_LITERAL("h\xC3\xA9llo")));
    assert_true(websocket_send_text(f->here.ws, buffer_slice(&big)));
    wire_run_until(&f->wire, here_has_three, f);
    slice got = buffer_slice(&f->here.text);
    assert_int_equal(got.length, 1 + 7 + MESSAGE_LIMIT + 1);
    assert_memory_equal(got.data, "\nh\xC3\xA9llo\n", 8);
    assert_memory_equal(got.data + 8, buffer_slice(&big).data, MESSAGE_LIMIT);
    buffer_free(&big);
}

static void test_messages_come_back_from_an_echo(void **state) {
    (void)state;
    fixture f;
    start(&f, false);
    echo(&f);
    websocket_close(f.here.ws, 4001, "done");
    wire_run_until(&f.wire, both_closed, &f);
    assert_int_equal(f.there.code, 4001);
    assert_string_equal(f.there.reason, "done");
    assert_int_equal(f.here.code, 4001);
    stop(&f);
}

static void test_messages_come_back_over_tls_and_both_ends_share_keying_material(void **state) {
    (void)state;
    fixture f;
    uint8_t here[32];
    uint8_t there[32];
    error err;
    start(&f, true);
    echo(&f);
    assert_true(websocket_tls_exporter(f.here.ws, "EXPORTER-cellule-test", here, &err));
    assert_true(websocket_tls_exporter(f.there.ws, "EXPORTER-cellule-test", there, &err));
    assert_memory_equal(here, there, sizeof here);
    assert_true(websocket_tls_exporter(f.there.ws, "EXPORTER-cellule-other", there, &err));
    assert_memory_not_equal(here, there, sizeof here);
    websocket_close(f.there.ws, WEBSOCKET_GOING_AWAY, "restarting");
    wire_run_until(&f.wire, both_closed, &f);
    assert_int_equal(f.here.code, WEBSOCKET_GOING_AWAY);
    assert_string_equal(f.here.reason, "restarting");
    stop(&f);
}

static void test_a_refused_handshake_is_told_with_its_status(void **state) {
    (void)state;
    fixture f;
    start(&f, false);
    connect_here(&f, "another.protocol");
    wire_run_until(&f.wire, both_closed, &f);
    assert_int_equal(f.here.code, WEBSOCKET_CUT);
    assert_non_null(strstr(f.here.reason, "400"));
    stop(&f);
}

static void test_a_paused_end_gets_nothing_until_it_is_resumed(void **state) {
    (void)state;
    fixture f;
    start(&f, false);
    connect_here(&f, "cellule.test");
    wire_run_until(&f.wire, both_open, &f);
    websocket_pause_reading(f.there.ws);
    assert_true(websocket_send_text(f.here.ws, SLICE_LITERAL("one")));
    assert_true(websocket_send_text(f.here.ws, SLICE_LITERAL("two")));
    wire_run_for(&f.wire, 30);
    assert_int_equal(f.there.messages, 0);
    websocket_resume_reading(f.there.ws);
    wire_run_until(&f.wire, there_has_two, &f);
    slice got = buffer_slice(&f.there.text);
    assert_true(slice_equal_text(got, "one\ntwo\n"));
    stop(&f);
}

static void test_a_cut_connection_is_told_as_such(void **state) {
    (void)state;
    fixture f;
    start(&f, false);
    connect_here(&f, "cellule.test");
    wire_run_until(&f.wire, both_open, &f);
    websocket_abort(f.here.ws);
    wire_run_until(&f.wire, both_closed, &f);
    assert_int_equal(f.there.code, WEBSOCKET_CUT);
    stop(&f);
}

static void test_a_full_queue_refuses_and_loses_nothing(void **state) {
    (void)state;
    fixture f;
    static uint8_t piece[90000];
    memset(piece, 'x', sizeof piece);
    start(&f, false);
    connect_here(&f, "cellule.test");
    wire_run_until(&f.wire, both_open, &f);
    websocket_pause_reading(f.here.ws);
    size_t sent = 0;
    for (int round = 0; round < 1000; round++) {
        while (websocket_send_text(f.there.ws, slice_of(piece, sizeof piece))) {
            sent++;
        }
        wire_run_for(&f.wire, 1);
        if (websocket_pending(f.there.ws) > 3 * 1024 * 1024 && round > 50) {
            break;
        }
    }
    assert_true(websocket_pending(f.there.ws) <= 4 * 1024 * 1024 + 4096);
    assert_false(websocket_send_text(f.there.ws, slice_of(piece, sizeof piece)) &&
                 websocket_send_text(f.there.ws, slice_of(piece, sizeof piece)) &&
                 websocket_send_text(f.there.ws, slice_of(piece, sizeof piece)));
    websocket_resume_reading(f.here.ws);
    f.expected = sent;
    wire_run_until(&f.wire, here_has_expected, &f);
    stop(&f);
}

/* --- a client that writes its own frames --- */

static void raw_open(fixture *f, wire_client *client) {
    wire_connect(&f->wire, client, http_server_port(f->server), NULL);
    wire_expect_open(&f->wire, client);
    wire_send_text(client, "GET /socket HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                           "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
                           "Sec-WebSocket-Protocol: cellule.test\r\n\r\n");
    /* RFC 6455 §1.3's example. */
    wire_expect(&f->wire, client, "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n");
    wire_expect(&f->wire, client, "\r\n\r\n");
}

/* A frame masked with zeros. */
static void raw_frame(wire_client *client, uint8_t first, slice payload) {
    uint8_t header[8] = {first};
    size_t length = 2;
    if (payload.length > 125) {
        header[1] = 0x80 | 126;
        header[2] = (uint8_t)(payload.length >> 8);
        header[3] = (uint8_t)payload.length;
        length = 4;
    } else {
        header[1] = (uint8_t)(0x80 | payload.length);
    }
    wire_send(client, slice_of(header, length));
    static const uint8_t mask[4] = {0};
    wire_send(client, slice_of(mask, 4));
    wire_send(client, payload);
}

static void test_fragments_are_put_together_around_control_frames(void **state) {
    (void)state;
    fixture f;
    wire_client client;
    start(&f, false);
    raw_open(&f, &client);
    raw_frame(&client, 0x01, SLICE_LITERAL("one "));
    raw_frame(&client, 0x89, SLICE_LITERAL("ping?"));
    raw_frame(&client, 0x00, SLICE_LITERAL("two "));
    raw_frame(&client, 0x80, SLICE_LITERAL("three"));
    raw_frame(&client, 0x81, SLICE_LITERAL("four"));
    wire_run_until(&f.wire, there_has_two, &f);
    assert_true(slice_equal_text(buffer_slice(&f.there.text), "one two three\nfour\n"));
    wire_expect(&f.wire, &client, "\x8A\x05ping?");
    wire_client_free(&f.wire, &client);
    stop(&f);
}

static void test_frames_may_come_byte_by_byte(void **state) {
    (void)state;
    static const uint8_t bytes[] = {0x81,    0x83, 1,    2, 3, 4, 'a' ^ 1, 'b' ^ 2,
                                    'c' ^ 3, 0x81, 0x81, 9, 9, 9, 9,       'd' ^ 9};
    fixture f;
    wire_client client;
    start(&f, false);
    raw_open(&f, &client);
    for (size_t i = 0; i < sizeof bytes; i++) {
        wire_send(&client, slice_of(bytes + i, 1));
        wire_run_for(&f.wire, 1);
    }
    wire_run_until(&f.wire, there_has_two, &f);
    assert_true(slice_equal_text(buffer_slice(&f.there.text), "abc\nd\n"));
    wire_client_free(&f.wire, &client);
    stop(&f);
}

static void test_what_the_protocol_forbids_ends_with_its_code(void **state) {
    (void)state;
    static const struct {
        slice bytes;
        unsigned code;
    } cases[] = {
        {SLICE_LITERAL("\x81\x03"
                       "abc"),
         WEBSOCKET_PROTOCOL_ERROR},                                    /* not masked */
        {SLICE_LITERAL("\xC1\x80\0\0\0\0"), WEBSOCKET_PROTOCOL_ERROR}, /* reserved bit */
        {SLICE_LITERAL("\x83\x80\0\0\0\0"), WEBSOCKET_PROTOCOL_ERROR}, /* unknown opcode */
        {SLICE_LITERAL("\x80\x80\0\0\0\0"), WEBSOCKET_PROTOCOL_ERROR}, /* nothing to continue */
        {SLICE_LITERAL("\x09\x80\0\0\0\0"), WEBSOCKET_PROTOCOL_ERROR}, /* ping in pieces */
        {SLICE_LITERAL("\x01\x80\0\0\0\0\x81\x80\0\0\0\0"), WEBSOCKET_PROTOCOL_ERROR}, /* two begin */
        {SLICE_LITERAL("\x81\xFE\0\x01\0\0\0\0a"), WEBSOCKET_PROTOCOL_ERROR},          /* length too wide */
        {SLICE_LITERAL("\x81\x82\0\0\0\0\xC3\x28"), WEBSOCKET_BAD_DATA},
        {SLICE_LITERAL("\x88\x82\0\0\0\0\x03\xEE"), WEBSOCKET_PROTOCOL_ERROR}, /* 1006 on the wire */
        {SLICE_LITERAL("\x88\x81\0\0\0\0\x03"), WEBSOCKET_PROTOCOL_ERROR},     /* half a code */
        {SLICE_LITERAL("\x88\x84\0\0\0\0\x03\xE8\xC3\x28"), WEBSOCKET_BAD_DATA},
        {SLICE_LITERAL("\x82\xFF\0\0\0\0\0\x10\0\0\0\0\0\0x"), WEBSOCKET_TOO_BIG},
        {SLICE_LITERAL("\x82\xFF\x80\0\0\0\0\x10\0\0\0\0\0\0x"), WEBSOCKET_PROTOCOL_ERROR}, /* sign bit */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fixture f;
        wire_client client;
        start(&f, false);
        raw_open(&f, &client);
        wire_send(&client, cases[i].bytes);
        wire_run_until(&f.wire, there_is_closed, &f);
        assert_int_equal(f.there.code, cases[i].code);
        wire_expect_closed(&f.wire, &client);
        slice got = buffer_slice(&client.received);
        size_t at = slice_find_slice(got, SLICE_LITERAL("\r\n\r\n"));
        slice frame = slice_after(got, at + 4);
        assert_true(frame.length >= 4);
        assert_int_equal(frame.data[0], 0x88);
        assert_int_equal(frame.data[2] << 8 | frame.data[3], cases[i].code);
        assert_int_equal(f.there.messages, 0);
        wire_client_free(&f.wire, &client);
        stop(&f);
    }
}

static void test_fragments_may_not_add_up_beyond_the_limit(void **state) {
    (void)state;
    static uint8_t piece[40000];
    memset(piece, 'x', sizeof piece);
    fixture f;
    wire_client client;
    start(&f, false);
    raw_open(&f, &client);
    raw_frame(&client, 0x01, slice_of(piece, sizeof piece));
    raw_frame(&client, 0x00, slice_of(piece, sizeof piece));
    raw_frame(&client, 0x00, slice_of(piece, sizeof piece));
    wire_run_until(&f.wire, there_is_closed, &f);
    assert_int_equal(f.there.code, WEBSOCKET_TOO_BIG);
    wire_client_free(&f.wire, &client);
    stop(&f);
}

static void test_the_limit_may_be_changed_while_it_is_open(void **state) {
    (void)state;
    fixture f;
    wire_client client;
    start(&f, false);
    raw_open(&f, &client);
    websocket_limit_messages(f.there.ws, 2);
    wire_send(&client, SLICE_LITERAL("\x81\x82\0\0\0\0ab"));
    wire_run_until(&f.wire, there_has_one, &f);
    websocket_limit_messages(f.there.ws, 3);
    wire_send(&client, SLICE_LITERAL("\x81\x83\0\0\0\0cde"));
    wire_run_until(&f.wire, there_has_two, &f);
    websocket_limit_messages(f.there.ws, 2);
    wire_send(&client, SLICE_LITERAL("\x81\x83\0\0\0\0cde"));
    wire_run_until(&f.wire, there_is_closed, &f);
    assert_int_equal(f.there.code, WEBSOCKET_TOO_BIG);
    wire_client_free(&f.wire, &client);
    stop(&f);
}

static void test_frames_right_behind_the_request_are_taken(void **state) {
    (void)state;
    fixture f;
    wire_client client;
    start(&f, false);
    wire_connect(&f.wire, &client, http_server_port(f.server), NULL);
    wire_expect_open(&f.wire, &client);
    wire_send(&client,
              SLICE_LITERAL("GET /socket HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
                            "Sec-WebSocket-Protocol: cellule.test\r\n\r\n"
                            "\x81\x81\0\0\0\0a\x81\x81\0\0\0\0b"));
    wire_run_until(&f.wire, there_has_two, &f);
    assert_true(slice_equal_text(buffer_slice(&f.there.text), "a\nb\n"));
    wire_client_free(&f.wire, &client);
    stop(&f);
}

static bool over_or_answered(void *argument) {
    fixture *f = argument;
    return f->here.closed || f->here.messages > 0;
}

static bool none_is_left(void *argument) {
    fixture *f = argument;
    return f->here.closed && f->there.ws == NULL;
}

/* Each allocation fails once: a message comes back or the connection ends, at both ends. */
static void test_a_conversation_survives_every_failed_allocation(void **state) {
    (void)state;
    fixture f;
    start(&f, false);
    f.there.echoes = true;
    bool reached = true;
    for (int nth = 0; reached && nth < 500; nth++) {
        error err;
        websocket_options options = {.host = "127.0.0.1",
                                     .port = http_server_port(f.server),
                                     .path = "/socket",
                                     .subprotocol = "cellule.test"};
        f.here.closed = f.there.closed = false;
        f.here.messages = 0;
        assert_non_null(buffer_reserve(&f.here.text, 1000)); /* the test's own memory is there already */
        assert_non_null(buffer_reserve(&f.there.text, 1000));
        fault_fail_nth(nth);
        f.here.ws = websocket_connect(f.wire.net, &options, &say_hello_handlers, &f.here, &err);
        if (f.here.ws != NULL) {
            wire_run_until(&f.wire, over_or_answered, &f);
        }
        reached = fault_stop();
        assert_true(reached || f.here.messages == 1);
        f.here.closed = f.here.closed || f.here.ws == NULL;
        if (f.here.ws != NULL) {
            websocket_abort(f.here.ws);
        }
        wire_run_until(&f.wire, none_is_left, &f);
        buffer_clear(&f.here.text);
        buffer_clear(&f.there.text);
    }
    assert_false(reached);
    stop(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_messages_come_back_from_an_echo),
        cmocka_unit_test(test_messages_come_back_over_tls_and_both_ends_share_keying_material),
        cmocka_unit_test(test_a_refused_handshake_is_told_with_its_status),
        cmocka_unit_test(test_a_paused_end_gets_nothing_until_it_is_resumed),
        cmocka_unit_test(test_a_cut_connection_is_told_as_such),
        cmocka_unit_test(test_a_full_queue_refuses_and_loses_nothing),
        cmocka_unit_test(test_fragments_are_put_together_around_control_frames),
        cmocka_unit_test(test_frames_may_come_byte_by_byte),
        cmocka_unit_test(test_what_the_protocol_forbids_ends_with_its_code),
        cmocka_unit_test(test_fragments_may_not_add_up_beyond_the_limit),
        cmocka_unit_test(test_the_limit_may_be_changed_while_it_is_open),
        cmocka_unit_test(test_frames_right_behind_the_request_are_taken),
        cmocka_unit_test(test_a_conversation_survives_every_failed_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
