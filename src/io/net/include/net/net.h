#ifndef NET_NET_H
#define NET_NET_H

#include "base/slice.h"
#include "ev/loop.h"
#include "net/tls.h"

/* TCP streams, plain or TLS, on one loop. Loop thread throughout. An idle stream holds no buffers. */
typedef struct net net;
typedef struct net_stream net_stream;
typedef struct net_listener net_listener;

typedef struct net_config {
    size_t connection_limit;   /* accepted streams at a time; further ones wait in the backlog */
    unsigned backlog;          /* of each listener */
    unsigned accept_budget;    /* connections accepted per turn and listener */
    unsigned handshake_budget; /* TLS handshake steps per turn, so that many arrivals don't stall others */
    uint32_t handshake_timeout_ms; /* for the client's first bytes, and again for the rest of the handshake */
    slice plain_answer; /* sent to who speaks plain HTTP where TLS is served; must outlive the net */
} net_config;

net_config net_config_default(void); /* 65,536; 4,096; 64; 8; 20 s */

MUST_CHECK net *net_new(ev_loop *loop, const net_config *config, error *err);
/* Cuts every stream (their on_closed is called) and listener. NULL is allowed. */
void net_free(net *n);
ev_loop *net_loop(const net *n);
/* Streams that exist, handshaking ones included. */
size_t net_connection_count(const net *n);

/* What a stream tells its user. None is called from inside a function of the stream. */
typedef struct net_stream_handlers {
    void (*on_open)(void *context);              /* net_connect only: connected, handshake done */
    void (*on_data)(void *context, slice bytes); /* valid during the call */
    void (*on_end)(void *context);               /* the peer will send no more; we may still write */
    /* All output has gone, after some had to wait or a write was refused for its size. May be NULL. */
    void (*on_drained)(void *context);
    /* The last call; the stream is gone after it. `cause` is NULL after net_stream_close or _abort. */
    void (*on_closed)(void *context, const error *cause);
} net_stream_handlers;

/* `address`: numeric IPv4 or IPv6; "::" takes IPv6 only. `port` 0 picks a free one. `tls` NULL: plain.
 * on_accept gets each stream when it is ready (after the handshake) and must give it handlers or abort it. */
MUST_CHECK net_listener *net_listen(net *n, const char *address, uint16_t port, net_tls *tls,
                                    void (*on_accept)(void *context, net_stream *stream), void *context,
                                    error *err);
uint16_t net_listener_port(const net_listener *listener);
/* Streams already accepted stay. NULL is allowed. */
void net_listener_free(net_listener *listener);

typedef struct net_connect_options {
    const char *host; /* a name (looked up off the loop) or a numeric address */
    uint16_t port;
    net_tls *tls;        /* NULL: plain. The certificate must name `host`. */
    uint32_t timeout_ms; /* look-up, connect and handshake together; 0: 10 s */
} net_connect_options;
/* on_open follows, or on_closed with the cause. NULL: memory is out, too many look-ups are under way, `tls`
 * is a server's, or nothing in net/egress.h allows `host`. What it stands for must be allowed too. */
MUST_CHECK net_stream *net_connect(net *n, const net_connect_options *options,
                                   const net_stream_handlers *handlers, void *context, error *err);

/* `handlers` must outlive the stream. */
void net_stream_set_handlers(net_stream *stream, const net_stream_handlers *handlers, void *context);
/* Queues all of it, or nothing: false when the limit (1 MiB unless set) would be passed, memory is out or the
 * stream is closing. What is written in one turn leaves in one piece at its end. */
MUST_CHECK bool net_stream_write(net_stream *stream, slice bytes);
/* The same for several pieces. */
MUST_CHECK bool net_stream_write_parts(net_stream *stream, const slice *parts, size_t count);
void net_stream_set_output_limit(net_stream *stream, size_t limit);
/* For a caller that keeps a limit of its own and has just refused: on_drained will be told. */
void net_stream_want_drained(net_stream *stream);
/* Bytes queued and not yet given to the system. */
size_t net_stream_pending(const net_stream *stream);
/* When the system last took some of the output, or when output last began to wait (ev_now_ms). */
uint64_t net_stream_last_progress(const net_stream *stream);
/* No on_data until resumed (none even for bytes that were read already). on_end is still told: then it means
 * that the peer has left, perhaps with data unread. */
void net_stream_pause_reading(net_stream *stream);
void net_stream_resume_reading(net_stream *stream);
/* Sends what is queued, then closes; cut when the peer takes nothing for 10 s. No on_data comes after it. */
void net_stream_close(net_stream *stream);
/* Cuts the connection at once with a reset, so that the peer sees an error. */
void net_stream_abort(net_stream *stream);

/* False from the moment it is being closed or was cut: on_closed is under way. */
bool net_stream_is_open(const net_stream *stream);

enum { NET_ADDRESS_SIZE = 46 };
/* The peer's numeric address, without port. IPv4 is written as IPv4. */
void net_stream_peer(const net_stream *stream, char text[NET_ADDRESS_SIZE]);
bool net_stream_is_tls(const net_stream *stream);
/* TLS was resumed: the server was verified on an earlier connection by the same client settings. */
bool net_stream_is_resumed(const net_stream *stream);
enum { NET_PEER_NAME_SIZE = 65 };
/* Of the certificate that the client has shown: its common name, and when it ends (Unix, in milliseconds; it
 * may be over by now). False: it has shown none that net_tls_server_ask's authority has issued. */
MUST_CHECK bool net_stream_peer_certificate(const net_stream *stream, char name[NET_PEER_NAME_SIZE],
                                            uint64_t *ends_unix_ms);
/* Keying material bound to this TLS connection (RFC 5705, RFC 8446 §7.5), equal at both ends, empty context.
 * Fails on a plain stream and on TLS 1.2 without extended master secret. */
MUST_CHECK bool net_stream_tls_exporter(const net_stream *stream, const char *label, uint8_t out[32],
                                        error *err);

#endif
