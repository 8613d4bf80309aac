#ifndef WIRE_H
#define WIRE_H

#include "base/buffer.h"
#include "net/net.h"
#include "unit.h"

/* What tests over real sockets need: a loop with a network, certificates, and a client that keeps what it
 * gets. */
typedef struct wire {
    ev_loop *loop;
    net *net;
} wire;

void wire_start(wire *w);
void wire_stop(wire *w);
/* Runs the loop until `done` says so; fails the test after 10 s. */
void wire_run_until(wire *w, bool (*done)(void *argument), void *argument);
void wire_run_until_for(wire *w, bool (*done)(void *argument), void *argument, uint64_t milliseconds);
/* Runs it for that long. */
void wire_run_for(wire *w, uint64_t milliseconds);

/* A CA, and a certificate of it for 127.0.0.1, ::1 and localhost. Made anew on each call; freed by
 * wire_site_free. */
typedef struct wire_site {
    buffer ca;
    buffer certificate; /* the chain, CA included */
    buffer key;
    uint8_t pin[NET_TLS_PIN_SIZE];
} wire_site;
void wire_site_make(wire_site *site);
void wire_site_free(wire_site *site);

typedef struct wire_client {
    net_stream *stream; /* NULL once closed */
    buffer received;
    bool open;
    bool ended;
    bool closed;
    bool failed;
    error cause;
} wire_client;

/* `tls` NULL: plain. Not waited for. */
void wire_connect(wire *w, wire_client *client, uint16_t port, net_tls *tls);
void wire_connect_to(wire *w, wire_client *client, const char *host, uint16_t port, net_tls *tls);
/* For wire_run_until with a client: open, or already closed. */
bool wire_is_settled(void *client);
/* Waits until it is connected. */
void wire_expect_open(wire *w, wire_client *client);
void wire_send(wire_client *client, slice bytes);
void wire_send_text(wire_client *client, const char *text);
/* Cuts it if it is open, waits until it is closed and frees it. */
void wire_client_free(wire *w, wire_client *client);
/* Waits until what was received holds `text`. */
void wire_expect(wire *w, wire_client *client, const char *text);
void wire_expect_closed(wire *w, wire_client *client);
bool wire_received(const wire_client *client, const char *text);

#endif
