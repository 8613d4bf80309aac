#include "wire.h"

#include <openssl/ssl.h>

/* An echo over TLS. */
typedef struct fixture {
    wire wire;
    wire_site site;
    net_tls *tls;
    net_listener *listener;
    net_stream *accepted;
    size_t accepts;
} fixture;

static void on_data(void *context, slice bytes) {
    fixture *f = context;
    assert_true(net_stream_write(f->accepted, bytes));
}

static void on_end(void *context) {
    net_stream_close(((fixture *)context)->accepted);
}

static void on_closed(void *context, const error *cause) {
    (void)cause;
    ((fixture *)context)->accepted = NULL;
}

static const net_stream_handlers handlers = {.on_data = on_data, .on_end = on_end, .on_closed = on_closed};

static void on_accept(void *context, net_stream *stream) {
    fixture *f = context;
    f->accepts++;
    f->accepted = stream;
    net_stream_set_handlers(stream, &handlers, f);
}

static void start(fixture *f) {
    error err;
    memset(f, 0, sizeof *f);
    wire_start(&f->wire);
    wire_site_make(&f->site);
    f->tls = net_tls_server_new(buffer_slice(&f->site.certificate), buffer_slice(&f->site.key), &err);
    assert_non_null(f->tls);
    f->listener = net_listen(f->wire.net, "127.0.0.1", 0, f->tls, on_accept, f, &err);
    assert_non_null(f->listener);
}

static void stop(fixture *f) {
    net_tls_free(f->tls);
    wire_stop(&f->wire);
    wire_site_free(&f->site);
}

static net_tls *trusting(const wire_site *site) {
    error err;
    net_tls *tls = net_tls_client_new(&(net_tls_client_options){.ca_pem = buffer_slice(&site->ca)}, &err);
    assert_non_null(tls);
    return tls;
}

static net_tls *pinning(const uint8_t *pin) {
    error err;
    net_tls *tls = net_tls_client_new(&(net_tls_client_options){.pin = pin}, &err);
    assert_non_null(tls);
    return tls;
}

/* Connects, says something and gets it back. */
static void expect_echo(fixture *f, net_tls *tls) {
    wire_client client;
    wire_connect(&f->wire, &client, net_listener_port(f->listener), tls);
    wire_expect_open(&f->wire, &client);
    wire_send_text(&client, "over and out");
    wire_expect(&f->wire, &client, "over and out");
    wire_client_free(&f->wire, &client);
}

static void expect_refusal(fixture *f, net_tls *tls) {
    wire_client client;
    wire_connect(&f->wire, &client, net_listener_port(f->listener), tls);
    wire_expect_closed(&f->wire, &client);
    assert_true(client.failed);
    assert_int_equal(client.cause.code, ERROR_DENIED);
    assert_int_equal(client.received.end, 0);
    wire_client_free(&f->wire, &client);
}

static void test_a_client_with_the_right_ca_is_served(void **state) {
    (void)state;
    fixture f;
    start(&f);
    net_tls *tls = trusting(&f.site);
    expect_echo(&f, tls);
    net_tls_free(tls);
    stop(&f);
}

static void test_a_server_of_another_ca_is_refused(void **state) {
    (void)state;
    fixture f;
    wire_site other;
    start(&f);
    wire_site_make(&other);
    net_tls *tls = trusting(&other);
    expect_refusal(&f, tls);
    net_tls_free(tls);
    wire_site_free(&other);
    stop(&f);
}

static void test_a_pin_admits_its_ca_and_no_other(void **state) {
    (void)state;
    fixture f;
    wire_site other;
    start(&f);
    wire_site_make(&other);
    net_tls *tls = pinning(f.site.pin);
    expect_echo(&f, tls);
    net_tls_free(tls);
    tls = pinning(other.pin);
    expect_refusal(&f, tls);
    net_tls_free(tls);
    wire_site_free(&other);
    stop(&f);
}

/* The right CA is presented, but it has not signed the leaf. */
static void test_a_pinned_ca_that_did_not_sign_the_leaf_is_refused(void **state) {
    (void)state;
    fixture f;
    wire_site other;
    error err;
    start(&f);
    wire_site_make(&other);
    buffer chain = buffer_make(65536);
    slice own = buffer_slice(&other.certificate);
    size_t leaf = slice_find_slice(own, SLICE_LITERAL("-----END CERTIFICATE-----")) + 26;
    assert_true(buffer_append(&chain, slice_part(own, 0, leaf)));
    assert_true(buffer_append(&chain, buffer_slice(&f.site.ca)));
    assert_true(net_tls_server_reload(f.tls, buffer_slice(&chain), buffer_slice(&other.key), &err));
    net_tls *tls = pinning(f.site.pin);
    expect_refusal(&f, tls);
    net_tls_free(tls);
    buffer_free(&chain);
    wire_site_free(&other);
    stop(&f);
}

static void test_a_server_without_the_name_is_refused(void **state) {
    (void)state;
    fixture f;
    wire_client client;
    error err;
    start(&f);
    net_tls *tls = trusting(&f.site);
    net_listener *elsewhere = net_listen(f.wire.net, "127.0.0.2", 0, f.tls, on_accept, &f, &err);
    assert_non_null(elsewhere);
    client = (wire_client){.received = buffer_make(1024)};
    wire_connect_to(&f.wire, &client, "127.0.0.2", net_listener_port(elsewhere), tls);
    wire_expect_closed(&f.wire, &client);
    assert_int_equal(client.cause.code, ERROR_DENIED);
    wire_client_free(&f.wire, &client);
    wire_connect_to(&f.wire, &client, "localhost", net_listener_port(f.listener), tls);
    wire_expect_open(&f.wire, &client); /* looked up, and named in the certificate */
    wire_client_free(&f.wire, &client);
    net_tls_free(tls);
    stop(&f);
}

/* Whether a connection to `host` was resumed. It says something, so that the server's ticket arrives. */
static bool echo_is_resumed(fixture *f, net_tls *tls, const char *host) {
    wire_client client;
    wire_connect_to(&f->wire, &client, host, net_listener_port(f->listener), tls);
    wire_expect_open(&f->wire, &client);
    wire_send_text(&client, "over and out");
    wire_expect(&f->wire, &client, "over and out");
    bool resumed = net_stream_is_resumed(client.stream);
    wire_client_free(&f->wire, &client);
    return resumed;
}

static void test_a_client_that_comes_back_resumes_but_only_with_the_host_it_verified(void **state) {
    (void)state;
    fixture f;
    start(&f);
    net_tls *tls = trusting(&f.site);
    net_tls *other = trusting(&f.site);
    assert_false(echo_is_resumed(&f, tls, "127.0.0.1"));
    assert_true(echo_is_resumed(&f, tls, "127.0.0.1"));
    assert_true(echo_is_resumed(&f, tls, "127.0.0.1"));
    assert_false(echo_is_resumed(&f, tls, "localhost"));
    assert_true(echo_is_resumed(&f, tls, "localhost"));
    assert_false(echo_is_resumed(&f, other, "localhost"));
    net_tls_free(tls);
    net_tls_free(other);
    stop(&f);
}

static void test_a_reload_changes_new_connections_only(void **state) {
    (void)state;
    fixture f;
    wire_site next;
    wire_client before;
    error err;
    start(&f);
    wire_site_make(&next);
    net_tls *old_trust = pinning(f.site.pin);
    net_tls *new_trust = pinning(next.pin);
    wire_connect(&f.wire, &before, net_listener_port(f.listener), old_trust);
    wire_expect_open(&f.wire, &before);
    wire_send_text(&before, "one");
    wire_expect(&f.wire, &before, "one");
    net_stream *first = f.accepted;
    assert_false(
        net_tls_server_reload(f.tls, buffer_slice(&next.certificate), buffer_slice(&f.site.key), &err));
    assert_false(net_tls_server_reload(f.tls, SLICE_LITERAL("junk"), buffer_slice(&next.key), &err));
    expect_echo(&f, old_trust);
    assert_true(net_tls_server_reload(f.tls, buffer_slice(&next.certificate), buffer_slice(&next.key), &err));
    expect_echo(&f, new_trust);
    f.accepted = first;
    wire_send_text(&before, "two");
    wire_expect(&f.wire, &before, "two");
    wire_client_free(&f.wire, &before);
    net_tls_free(old_trust);
    net_tls_free(new_trust);
    wire_site_free(&next);
    stop(&f);
}

/* --- a client of OpenSSL's own, on a thread, for versions that ours would not offer --- */

typedef struct foreign {
    uint16_t port;
    int version;
    bool done;
    bool connected;
    bool exported;
    uint8_t keying[32];
} foreign;

static void foreign_talk(foreign *who, SSL_CTX *context) {
    BIO *bio = BIO_new_ssl_connect(context);
    char host[32];
    snprintf(host, sizeof host, "127.0.0.1:%u", who->port);
    BIO_set_conn_hostname(bio, host);
    SSL *ssl = NULL;
    BIO_get_ssl(bio, &ssl);
    char answer[8] = "";
    if (BIO_do_connect(bio) == 1 && BIO_write(bio, "hello", 5) == 5 && BIO_read(bio, answer, 5) == 5) {
        who->connected = SSL_version(ssl) == who->version && memcmp(answer, "hello", 5) == 0;
        who->exported = SSL_export_keying_material(ssl, who->keying, sizeof who->keying, "EXPORTER-t", 10,
                                                   NULL, 0, 0) == 1;
    }
    BIO_free_all(bio);
}

static void foreign_work(void *argument) {
    foreign *who = argument;
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_security_level(context, 0);
    SSL_CTX_set_min_proto_version(context, who->version);
    SSL_CTX_set_max_proto_version(context, who->version);
    foreign_talk(who, context);
    SSL_CTX_free(context);
}

static void foreign_done(void *argument) {
    ((foreign *)argument)->done = true;
}

static bool foreign_is_done(void *argument) {
    return ((foreign *)argument)->done;
}

static void test_tls_1_2_and_1_3_are_spoken_and_1_1_is_not(void **state) {
    (void)state;
    static const int versions[] = {TLS1_1_VERSION, TLS1_2_VERSION, TLS1_3_VERSION};
    for (size_t i = 0; i < 3; i++) {
        fixture f;
        error err;
        start(&f);
        foreign who = {.port = net_listener_port(f.listener), .version = versions[i]};
        assert_true(ev_work(f.wire.loop, foreign_work, foreign_done, &who, &err));
        wire_run_until(&f.wire, foreign_is_done, &who);
        assert_int_equal(who.connected, versions[i] != TLS1_1_VERSION);
        assert_int_equal(who.exported, who.connected);
        stop(&f);
    }
}

static void test_plain_bytes_at_a_tls_port_end_the_connection(void **state) {
    (void)state;
    fixture f;
    wire_client client;
    start(&f);
    wire_connect(&f.wire, &client, net_listener_port(f.listener), NULL);
    wire_expect_open(&f.wire, &client);
    wire_send_text(&client, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    wire_expect_closed(&f.wire, &client);
    assert_int_equal(f.accepts, 0);
    wire_client_free(&f.wire, &client);
    stop(&f);
}

static void test_a_handshake_that_does_not_go_on_times_out(void **state) {
    (void)state;
    fixture f;
    wire_client client;
    error err;
    start(&f);
    net_config config = net_config_default();
    config.handshake_timeout_ms = 50;
    net *strict = net_new(f.wire.loop, &config, &err);
    assert_non_null(strict);
    net_listener *listener = net_listen(strict, "127.0.0.1", 0, f.tls, on_accept, &f, &err);
    assert_non_null(listener);
    wire_connect(&f.wire, &client, net_listener_port(listener), NULL);
    wire_expect_open(&f.wire, &client);
    wire_expect_closed(&f.wire, &client);
    assert_int_equal(f.accepts, 0);
    wire_client_free(&f.wire, &client);
    net_free(strict);
    stop(&f);
}

/* OpenSSL's allocations too: each fails once, the connection may fail with it, nothing else happens. */
static void test_handshakes_survive_every_failed_allocation(void **state) {
    (void)state;
    fixture f;
    start(&f);
    net_tls *tls = trusting(&f.site);
    expect_echo(&f, tls);
    bool reached = true;
    int nth = 0;
    for (; reached && nth < 20000; nth += nth < 60 ? 1 : 37) {
        wire_client client;
        wire_connect(&f.wire, &client, net_listener_port(f.listener), tls);
        fault_fail_nth(nth);
        wire_run_until(&f.wire, wire_is_settled, &client);
        reached = fault_stop();
        assert_true(reached || client.open);
        wire_client_free(&f.wire, &client);
    }
    assert_false(reached);
    expect_echo(&f, tls);
    net_tls_free(tls);
    stop(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_client_with_the_right_ca_is_served),
        cmocka_unit_test(test_a_server_of_another_ca_is_refused),
        cmocka_unit_test(test_a_pin_admits_its_ca_and_no_other),
        cmocka_unit_test(test_a_pinned_ca_that_did_not_sign_the_leaf_is_refused),
        cmocka_unit_test(test_a_server_without_the_name_is_refused),
        cmocka_unit_test(test_a_client_that_comes_back_resumes_but_only_with_the_host_it_verified),
        cmocka_unit_test(test_a_reload_changes_new_connections_only),
        cmocka_unit_test(test_tls_1_2_and_1_3_are_spoken_and_1_1_is_not),
        cmocka_unit_test(test_plain_bytes_at_a_tls_port_end_the_connection),
        cmocka_unit_test(test_a_handshake_that_does_not_go_on_times_out),
        cmocka_unit_test(test_handshakes_survive_every_failed_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
