#include "wire.h"

#include <sys/resource.h>
#include <unistd.h>

enum { STREAMS_MAX = 16 };

/* The accepting side, plain. */
typedef struct fixture {
    wire wire;
    net *net; /* with its own limits */
    net_listener *listener;
    net_stream *accepted[STREAMS_MAX];
    size_t accepts;
    size_t received;
    size_t ends;
    size_t closes;
    size_t drains;
} fixture;

static fixture *current;

static void on_data(void *context, slice bytes) {
    (void)context;
    current->received += bytes.length;
}

static void on_end(void *context) {
    (void)context;
    current->ends++;
}

static void on_drained(void *context) {
    (void)context;
    current->drains++;
}

static void on_closed(void *context, const error *cause) {
    (void)cause;
    *(net_stream **)context = NULL;
    current->closes++;
}

static const net_stream_handlers handlers = {
    .on_data = on_data, .on_end = on_end, .on_drained = on_drained, .on_closed = on_closed};

static void on_accept(void *context, net_stream *stream) {
    fixture *f = context;
    assert_true(f->accepts < STREAMS_MAX);
    net_stream **place = &f->accepted[f->accepts++];
    *place = stream;
    net_stream_set_handlers(stream, &handlers, place);
}

static void start(fixture *f, const char *address, size_t limit) {
    error err;
    net_config config = net_config_default();
    config.connection_limit = limit;
    memset(f, 0, sizeof *f);
    current = f;
    wire_start(&f->wire);
    f->net = net_new(f->wire.loop, &config, &err);
    assert_non_null(f->net);
    f->listener = net_listen(f->net, address, 0, NULL, on_accept, f, &err);
    assert_non_null(f->listener);
}

static void stop(fixture *f) {
    net_free(f->net);
    wire_stop(&f->wire);
}

static void open_client(fixture *f, wire_client *client) {
    wire_connect(&f->wire, client, net_listener_port(f->listener), NULL);
    wire_expect_open(&f->wire, client);
}

static bool has_accepted_one(void *argument) {
    return ((fixture *)argument)->accepts >= 1;
}

static bool has_accepted_three(void *argument) {
    return ((fixture *)argument)->accepts >= 3;
}

static bool has_ended(void *argument) {
    return ((fixture *)argument)->ends > 0;
}

static bool has_closed(void *argument) {
    return ((fixture *)argument)->closes > 0;
}

static bool has_drained(void *argument) {
    return ((fixture *)argument)->drains > 0;
}

static void test_a_paused_stream_reads_nothing_but_hears_of_the_end(void **state) {
    (void)state;
    fixture f;
    wire_client client;
    start(&f, "127.0.0.1", 8);
    open_client(&f, &client);
    wire_run_until(&f.wire, has_accepted_one, &f);
    net_stream_pause_reading(f.accepted[0]);
    wire_send_text(&client, "held up");
    wire_run_for(&f.wire, 20);
    assert_int_equal(f.received, 0);
    net_stream_close(client.stream);
    wire_run_until(&f.wire, has_ended, &f);
    assert_int_equal(f.received, 0);
    net_stream_resume_reading(f.accepted[0]);
    wire_run_for(&f.wire, 20);
    assert_int_equal(f.received, 7);
    assert_int_equal(f.ends, 1);
    wire_client_free(&f.wire, &client);
    stop(&f);
}

static void test_after_the_peers_end_we_may_still_write(void **state) {
    (void)state;
    fixture f;
    wire_client client;
    start(&f, "127.0.0.1", 8);
    open_client(&f, &client);
    wire_run_until(&f.wire, has_accepted_one, &f);
    wire_send_text(&client, "question");
    net_stream_pause_reading(client.stream);
    net_stream_close(client.stream); /* half: our bytes still reach it until it lets go */
    wire_run_until(&f.wire, has_ended, &f);
    assert_int_equal(f.received, 8);
    assert_true(net_stream_write(f.accepted[0], SLICE_LITERAL("answer")));
    net_stream_close(f.accepted[0]);
    wire_run_until(&f.wire, has_closed, &f);
    wire_client_free(&f.wire, &client);
    stop(&f);
}

static void test_output_is_bounded_and_drains(void **state) {
    (void)state;
    static uint8_t piece[100000];
    fixture f;
    wire_client client;
    start(&f, "127.0.0.1", 8);
    open_client(&f, &client);
    wire_run_until(&f.wire, has_accepted_one, &f);
    net_stream *stream = f.accepted[0];
    net_stream_set_output_limit(stream, 300000);
    net_stream_pause_reading(client.stream);
    size_t written = 0;
    for (int round = 0; round < 500; round++) {
        while (net_stream_write(stream, slice_of(piece, sizeof piece))) {
            written += sizeof piece;
        }
        assert_true(net_stream_pending(stream) <= 300000);
        wire_run_for(&f.wire, 1);
        if (net_stream_pending(stream) > 200000 && round > 100) {
            break;
        }
    }
    f.drains = 0;
    net_stream_resume_reading(client.stream);
    wire_run_until(&f.wire, has_drained, &f);
    net_stream_close(stream);
    wire_expect_closed(&f.wire, &client);
    assert_int_equal(buffer_length(&client.received), written);
    wire_client_free(&f.wire, &client);
    stop(&f);
}

static void test_beyond_the_limit_connections_wait_their_turn(void **state) {
    (void)state;
    fixture f;
    wire_client clients[3];
    start(&f, "127.0.0.1", 2);
    for (size_t i = 0; i < 3; i++) {
        open_client(&f, &clients[i]);
    }
    wire_run_for(&f.wire, 30);
    assert_int_equal(f.accepts, 2);
    assert_int_equal(net_connection_count(f.net), 2);
    net_stream_abort(f.accepted[0]);
    wire_run_until(&f.wire, has_accepted_three, &f);
    for (size_t i = 0; i < 3; i++) {
        wire_client_free(&f.wire, &clients[i]);
    }
    stop(&f);
}

static void test_out_of_descriptors_it_waits_and_goes_on(void **state) {
    (void)state;
    fixture f;
    wire_client client;
    struct rlimit before;
    start(&f, "127.0.0.1", 8);
    open_client(&f, &client); /* in the backlog or accepted */
    wire_run_until(&f.wire, has_accepted_one, &f);
    wire_client second;
    wire_connect(&f.wire, &second, net_listener_port(f.listener), NULL);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    /* Room for the client's socket and no other. */
    int next = dup(0);
    close(next);
    struct rlimit tight = {.rlim_cur = (rlim_t)next + 1, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
    wire_expect_open(&f.wire, &second);
    wire_run_for(&f.wire, 30);
    assert_int_equal(f.accepts, 1);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    while (f.accepts < 2) {
        wire_run_for(&f.wire, 10);
    }
    wire_client_free(&f.wire, &client);
    wire_client_free(&f.wire, &second);
    stop(&f);
}

static void test_a_port_nobody_listens_on_is_told(void **state) {
    (void)state;
    fixture f;
    wire_client client;
    start(&f, "127.0.0.1", 8);
    uint16_t port = net_listener_port(f.listener);
    net_listener_free(f.listener);
    wire_connect(&f.wire, &client, port, NULL);
    wire_expect_closed(&f.wire, &client);
    assert_true(client.failed);
    assert_non_null(strstr(client.cause.text, "Connection refused"));
    wire_client_free(&f.wire, &client);
    wire_connect_to(&f.wire, &client, "no-such-host.invalid", port, NULL);
    wire_expect_closed(&f.wire, &client);
    assert_true(client.failed);
    assert_int_equal(client.cause.code, ERROR_NOT_FOUND);
    wire_client_free(&f.wire, &client);
    stop(&f);
}

static void test_addresses_are_checked_and_written_as_they_are(void **state) {
    (void)state;
    fixture f;
    wire_client client;
    error err;
    char peer[NET_ADDRESS_SIZE];
    start(&f, "::1", 8);
    wire_connect_to(&f.wire, &client, "::1", net_listener_port(f.listener), NULL);
    wire_expect_open(&f.wire, &client);
    wire_run_until(&f.wire, has_accepted_one, &f);
    net_stream_peer(f.accepted[0], peer);
    assert_string_equal(peer, "::1");
    assert_null(net_listen(f.net, "localhost", 0, NULL, on_accept, &f, &err));
    assert_int_equal(err.code, ERROR_INVALID);
    assert_null(net_listen(f.net, "::1", net_listener_port(f.listener), NULL, on_accept, &f, &err));
    assert_int_equal(err.code, ERROR_CONFLICT);
    uint8_t keying[32];
    assert_false(net_stream_tls_exporter(f.accepted[0], "EXPORTER-t", keying, &err));
    wire_client_free(&f.wire, &client);
    stop(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_paused_stream_reads_nothing_but_hears_of_the_end),
        cmocka_unit_test(test_after_the_peers_end_we_may_still_write),
        cmocka_unit_test(test_output_is_bounded_and_drains),
        cmocka_unit_test(test_beyond_the_limit_connections_wait_their_turn),
        cmocka_unit_test(test_out_of_descriptors_it_waits_and_goes_on),
        cmocka_unit_test(test_a_port_nobody_listens_on_is_told),
        cmocka_unit_test(test_addresses_are_checked_and_written_as_they_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
