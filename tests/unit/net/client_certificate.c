#include "crypto/certificate.h"
#include "crypto/start.h"
#include "os/clock.h"
#include "wire.h"

/* A server that asks its clients for certificates of one authority. */
typedef struct fixture {
    wire wire;
    wire_site site;
    net_tls *tls;
    net_listener *listener;
    certificate_pair authority;
    bool shown; /* these are of the latest stream */
    bool resumed;
    char name[NET_PEER_NAME_SIZE];
    uint64_t ends_ms;
} fixture;

static void on_data(void *context, slice bytes) {
    (void)context, (void)bytes;
}

static void on_end(void *context) {
    (void)context;
}

static void on_closed(void *context, const error *cause) {
    (void)context, (void)cause;
}

static const net_stream_handlers handlers = {.on_data = on_data, .on_end = on_end, .on_closed = on_closed};

static void on_accept(void *context, net_stream *stream) {
    fixture *f = context;
    f->shown = net_stream_peer_certificate(stream, f->name, &f->ends_ms);
    net_stream_set_handlers(stream, &handlers, f);
    assert_true(net_stream_write(stream, SLICE_LITERAL("welcome")));
}

static void start(fixture *f) {
    error err;
    memset(f, 0, sizeof *f);
    wire_start(&f->wire);
    wire_site_make(&f->site);
    f->authority = certificate_pair_make();
    assert_true(certificate_make_authority("Clients", clock_unix_ms(), &f->authority, &err));
    f->tls = net_tls_server_new(buffer_slice(&f->site.certificate), buffer_slice(&f->site.key), &err);
    assert_non_null(f->tls);
    assert_true(net_tls_server_ask(f->tls, buffer_slice(&f->authority.certificate), &err));
    f->listener = net_listen(f->wire.net, "127.0.0.1", 0, f->tls, on_accept, f, &err);
    assert_non_null(f->listener);
}

static void stop(fixture *f) {
    net_tls_free(f->tls);
    wire_stop(&f->wire);
    wire_site_free(&f->site);
    certificate_pair_free(&f->authority);
}

/* A client with a certificate of `authority` until then; with none if it is NULL. */
static net_tls *client_of(const fixture *f, const certificate_pair *authority, uint64_t until_ms) {
    error err;
    buffer key = buffer_make(4096);
    buffer public_key = buffer_make(CERTIFICATE_PUBLIC_KEY_MAX);
    buffer pem = buffer_make(65536);
    if (authority != NULL) {
        assert_true(certificate_make_client_key(&key, &public_key, &err));
        certificate_client client = {buffer_slice(&public_key), "worker 7", until_ms};
        assert_true(certificate_issue_client(authority, &client, clock_unix_ms(), &pem, &err));
    }
    net_tls *tls = net_tls_client_new(&(net_tls_client_options){.ca_pem = buffer_slice(&f->site.ca),
                                                                .certificate_pem = buffer_slice(&pem),
                                                                .key_pem = buffer_slice(&key)},
                                      &err);
    assert_non_null(tls);
    buffer_wipe(&key);
    buffer_free(&public_key);
    buffer_free(&pem);
    return tls;
}

/* Whoever connects is served; whether the server then knows who it is. */
static bool is_known(fixture *f, net_tls *tls) {
    wire_client client;
    f->shown = false;
    f->name[0] = '\0';
    wire_connect(&f->wire, &client, net_listener_port(f->listener), tls);
    wire_expect_open(&f->wire, &client);
    wire_expect(&f->wire, &client, "welcome"); /* comes after the ticket */
    f->resumed = net_stream_is_resumed(client.stream);
    wire_client_free(&f->wire, &client);
    return f->shown;
}

static void test_a_client_is_known_by_its_certificate(void **state) {
    (void)state;
    fixture f;
    uint64_t until = clock_unix_ms() / 1000 * 1000 + 3600 * 1000;
    start(&f);
    net_tls *tls = client_of(&f, &f.authority, until);
    assert_true(is_known(&f, tls));
    assert_string_equal(f.name, "worker 7");
    assert_int_equal(f.ends_ms, until);
    net_tls_free(tls);
    stop(&f);
}

static void test_a_client_that_shows_none_is_served_and_unknown(void **state) {
    (void)state;
    fixture f;
    start(&f);
    net_tls *tls = client_of(&f, NULL, 0);
    assert_false(is_known(&f, tls));
    net_tls_free(tls);
    stop(&f);
}

static void test_another_authoritys_client_is_unknown(void **state) {
    (void)state;
    fixture f;
    error err;
    start(&f);
    certificate_pair other = certificate_pair_make();
    assert_true(certificate_make_authority("Clients", clock_unix_ms(), &other, &err));
    net_tls *tls = client_of(&f, &other, clock_unix_ms() + 3600 * 1000);
    assert_false(is_known(&f, tls));
    net_tls_free(tls);
    certificate_pair_free(&other);
    stop(&f);
}

static void test_a_certificate_that_is_over_is_none(void **state) {
    (void)state;
    fixture f;
    start(&f);
    net_tls *tls = client_of(&f, &f.authority, clock_unix_ms() - 1000);
    assert_false(is_known(&f, tls));
    net_tls_free(tls);
    stop(&f);
}

/* The certificate is not sent again then: the ticket says who it is. */
static void test_a_client_that_comes_back_is_known_again(void **state) {
    (void)state;
    fixture f;
    start(&f);
    net_tls *tls = client_of(&f, &f.authority, clock_unix_ms() + 3600 * 1000);
    assert_true(is_known(&f, tls));
    assert_false(f.resumed);
    assert_true(is_known(&f, tls));
    assert_true(f.resumed);
    assert_string_equal(f.name, "worker 7");
    net_tls_free(tls);
    stop(&f);
}

static void test_a_reload_goes_on_asking(void **state) {
    (void)state;
    fixture f;
    error err;
    start(&f);
    net_tls *tls = client_of(&f, &f.authority, clock_unix_ms() + 3600 * 1000);
    assert_true(
        net_tls_server_reload(f.tls, buffer_slice(&f.site.certificate), buffer_slice(&f.site.key), &err));
    assert_true(is_known(&f, tls));
    net_tls_free(tls);
    stop(&f);
}

static void test_what_is_no_certificate_is_refused(void **state) {
    (void)state;
    fixture f;
    error err;
    start(&f);
    net_tls *other = net_tls_server_new(buffer_slice(&f.site.certificate), buffer_slice(&f.site.key), &err);
    assert_false(net_tls_server_ask(other, SLICE_LITERAL("junk"), &err));
    net_tls_free(other);
    net_tls_client_options options = {.ca_pem = buffer_slice(&f.site.ca),
                                      .certificate_pem = buffer_slice(&f.site.certificate),
                                      .key_pem = buffer_slice(&f.authority.key)};
    assert_null(net_tls_client_new(&options, &err));
    options.key_pem = (slice){NULL, 0};
    assert_null(net_tls_client_new(&options, &err));
    stop(&f);
}

static int start_crypto(void **state) {
    error err;
    (void)state;
    return crypto_start(&err) ? 0 : -1;
}

static int stop_crypto(void **state) {
    (void)state;
    crypto_stop();
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_client_is_known_by_its_certificate),
        cmocka_unit_test(test_a_client_that_shows_none_is_served_and_unknown),
        cmocka_unit_test(test_another_authoritys_client_is_unknown),
        cmocka_unit_test(test_a_certificate_that_is_over_is_none),
        cmocka_unit_test(test_a_client_that_comes_back_is_known_again),
        cmocka_unit_test(test_a_reload_goes_on_asking),
        cmocka_unit_test(test_what_is_no_certificate_is_refused),
    };
    return cmocka_run_group_tests(tests, start_crypto, stop_crypto);
}
