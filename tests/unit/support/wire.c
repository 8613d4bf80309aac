#include "wire.h"

#include "crypto/certificate.h"
#include "crypto/start.h"
#include "net/egress.h"

#include <time.h>

enum { PATIENCE_MS = 10000, RECEIVED_LIMIT = 64 * 1024 * 1024 };

static void must(bool good, const error *err) {
    if (!good) {
        fail_msg("%s", err->text);
    }
}

void wire_start(wire *w) {
    error err;
    must(crypto_start(&err), &err);
    net_egress_begin("");
    must(net_egress_allow(SLICE_LITERAL("127.0.0.0/8, [::1]"), &err), &err);
    w->loop = ev_loop_new(&err);
    must(w->loop != NULL, &err);
    w->net = net_new(w->loop, NULL, &err);
    must(w->net != NULL, &err);
}

void wire_stop(wire *w) {
    net_free(w->net);
    ev_loop_free(w->loop);
}

/* --- waiting --- */

typedef struct waiting {
    wire *wire;
    bool (*done)(void *argument);
    void *argument;
    uint64_t deadline;
    bool late;
} waiting;

static void look(void *argument) {
    waiting *w = argument;
    w->late = ev_now_ms(w->wire->loop) >= w->deadline;
    if (w->late || (w->done != NULL && w->done(w->argument))) {
        ev_loop_stop(w->wire->loop);
    }
}

static bool run(wire *w, bool (*done)(void *argument), void *argument, uint64_t milliseconds) {
    waiting state = {.wire = w, .done = done, .argument = argument};
    if (done != NULL && done(argument)) {
        return true;
    }
    state.deadline = ev_now_ms(w->loop) + milliseconds;
    ev_timer timer;
    ev_timer_init(&timer, look, &state);
    ev_timer_start_repeating(w->loop, &timer, 1);
    ev_loop_run(w->loop);
    ev_timer_stop(&timer);
    return !state.late;
}

void wire_run_until(wire *w, bool (*done)(void *argument), void *argument) {
    wire_run_until_for(w, done, argument, PATIENCE_MS);
}

void wire_run_until_for(wire *w, bool (*done)(void *argument), void *argument, uint64_t milliseconds) {
    if (!run(w, done, argument, milliseconds)) {
        fail_msg("waited in vain");
    }
}

void wire_run_for(wire *w, uint64_t milliseconds) {
    (void)run(w, NULL, NULL, milliseconds);
}

/* --- certificates --- */

void wire_site_make(wire_site *site) {
    static const char *const names[] = {"localhost"};
    static const char *const addresses[] = {"127.0.0.1", "::1"};
    const certificate_names who = {names, 1, addresses, 2};
    uint64_t now = (uint64_t)time(NULL) * 1000;
    certificate_pair authority = certificate_pair_make();
    certificate_pair server = certificate_pair_make();
    error err;
    must(certificate_make_authority("test", now, &authority, &err), &err);
    must(certificate_issue_server(&authority, &who, now, &server, &err), &err);
    must(certificate_pin(buffer_slice(&authority.certificate), site->pin, &err), &err);
    site->ca = buffer_make(65536);
    site->certificate = buffer_make(65536);
    site->key = buffer_make(65536);
    assert_true(buffer_append(&site->ca, buffer_slice(&authority.certificate)));
    assert_true(buffer_append(&site->certificate, buffer_slice(&server.certificate)));
    assert_true(buffer_append(&site->certificate, buffer_slice(&authority.certificate)));
    assert_true(buffer_append(&site->key, buffer_slice(&server.key)));
    certificate_pair_free(&authority);
    certificate_pair_free(&server);
}

void wire_site_free(wire_site *site) {
    buffer_free(&site->ca);
    buffer_free(&site->certificate);
    buffer_wipe(&site->key);
}

/* --- the client --- */

static void on_open(void *context) {
    wire_client *client = context;
    client->open = true;
}

static void on_data(void *context, slice bytes) {
    wire_client *client = context;
    assert_true(buffer_append(&client->received, bytes));
}

static void on_end(void *context) {
    wire_client *client = context;
    client->ended = true;
    net_stream_close(client->stream);
}

static void on_closed(void *context, const error *cause) {
    wire_client *client = context;
    client->stream = NULL;
    client->open = false;
    client->closed = true;
    client->failed = cause != NULL;
    if (cause != NULL) {
        client->cause = *cause;
    }
}

static const net_stream_handlers handlers = {
    .on_open = on_open, .on_data = on_data, .on_end = on_end, .on_closed = on_closed};

void wire_connect(wire *w, wire_client *client, uint16_t port, net_tls *tls) {
    wire_connect_to(w, client, "127.0.0.1", port, tls);
}

void wire_connect_to(wire *w, wire_client *client, const char *host, uint16_t port, net_tls *tls) {
    *client = (wire_client){.received = buffer_make(RECEIVED_LIMIT)};
    net_connect_options options = {.host = host, .port = port, .tls = tls};
    error err;
    client->stream = net_connect(w->net, &options, &handlers, client, &err);
    must(client->stream != NULL, &err);
}

bool wire_is_settled(void *argument) {
    const wire_client *client = argument;
    return client->open || client->closed;
}

void wire_expect_open(wire *w, wire_client *client) {
    wire_run_until(w, wire_is_settled, client);
    if (!client->open) {
        fail_msg("not connected: %s", client->failed ? client->cause.text : "closed");
    }
}

void wire_send(wire_client *client, slice bytes) {
    assert_true(client->open);
    assert_true(net_stream_write(client->stream, bytes));
}

void wire_send_text(wire_client *client, const char *text) {
    wire_send(client, slice_of_text(text));
}

static bool is_closed(void *argument) {
    return ((wire_client *)argument)->closed;
}

void wire_client_free(wire *w, wire_client *client) {
    if (client->stream != NULL) {
        net_stream_abort(client->stream);
    }
    wire_run_until(w, is_closed, client);
    buffer_free(&client->received);
}

bool wire_received(const wire_client *client, const char *text) {
    return slice_find_slice(buffer_slice(&client->received), slice_of_text(text)) != SIZE_MAX;
}

typedef struct expectation {
    wire_client *client;
    const char *text;
} expectation;

static bool is_met(void *argument) {
    expectation *e = argument;
    return e->client->closed || wire_received(e->client, e->text);
}

void wire_expect(wire *w, wire_client *client, const char *text) {
    expectation e = {client, text};
    wire_run_until(w, is_met, &e);
    if (!wire_received(client, text)) {
        slice got = buffer_slice(&client->received);
        fail_msg("closed before \"%s\" came; got: %.*s", text, SLICE_FORMAT(got));
    }
}

void wire_expect_closed(wire *w, wire_client *client) {
    wire_run_until(w, is_closed, client);
}
