#ifndef HTTP_WEBSOCKET_H
#define HTTP_WEBSOCKET_H

#include "net/net.h"

/* WebSocket (RFC 6455), either end, no extensions. Pings are answered and the close handshake is done here.
 * Loop thread throughout. An idle one holds no buffers. */
typedef struct websocket websocket;

/* Close codes, RFC 6455 §7.4.1 and the IANA registry. 1005 and 1006 are never sent. */
enum {
    WEBSOCKET_GOING_AWAY = 1001,
    WEBSOCKET_PROTOCOL_ERROR = 1002,
    WEBSOCKET_NO_CODE = 1005,
    WEBSOCKET_CUT = 1006,
    WEBSOCKET_BAD_DATA = 1007,
    WEBSOCKET_TOO_BIG = 1009
};

/* None is called from inside a function called on the WebSocket. */
typedef struct websocket_handlers {
    void (*on_open)(void *context); /* client only */
    /* A whole message, valid during the call; text is UTF-8. */
    void (*on_message)(void *context, slice message, bool is_text);
    /* All output has gone, after some had to wait or a message was refused for its size. May be NULL. */
    void (*on_drained)(void *context);
    /* The last call. `code`: what the peer gave, or else what we closed with; WEBSOCKET_CUT when the
     * connection was lost or never came about (`reason` says why). */
    void (*on_closed)(void *context, unsigned code, slice reason);
} websocket_handlers;

typedef struct websocket_options {
    const char *host;
    uint16_t port;
    const char *path;        /* "/v1/worker" */
    const char *subprotocol; /* must be accepted by the server; NULL: none asked */
    net_tls *tls;            /* NULL: plain */
    uint32_t timeout_ms;     /* until open; 0: 10 s */
    size_t message_limit;    /* 0: 1 MiB */
    size_t queue_limit;      /* 0: 4 MiB */
} websocket_options;

/* on_open or on_closed follows. `handlers` outlive it; the options' strings are copied. NULL: memory is out
 * or the options are wrong. */
MUST_CHECK websocket *websocket_connect(net *n, const websocket_options *options,
                                        const websocket_handlers *handlers, void *context, error *err);

/* The largest message taken from now on; close code 1009 beyond. */
void websocket_limit_messages(websocket *ws, size_t limit);
/* Queues the message, or nothing: false when the queue's limit would be passed, memory is out, or it is not
 * open. `text` must be UTF-8. */
MUST_CHECK bool websocket_send_text(websocket *ws, slice text);
MUST_CHECK bool websocket_send_binary(websocket *ws, slice bytes);
MUST_CHECK bool websocket_ping(websocket *ws);
/* Bytes queued and not yet given to the system. */
size_t websocket_pending(const websocket *ws);
/* Starts the close handshake; the connection ends when the peer answers, at the latest after 5 s. `reason` is
 * UTF-8, cut to 123 bytes. on_message comes no more; on_closed follows. */
void websocket_close(websocket *ws, unsigned code, const char *reason);
/* Cuts the connection now. on_closed follows, with WEBSOCKET_CUT. */
void websocket_abort(websocket *ws);
void websocket_pause_reading(websocket *ws);
void websocket_resume_reading(websocket *ws);

void websocket_peer(const websocket *ws, char text[NET_ADDRESS_SIZE]);
/* When the last byte arrived (ev_now_ms). */
uint64_t websocket_last_heard(const websocket *ws);
/* The peer has sent a close frame, of its own or in answer to ours: so it was there. */
bool websocket_peer_closed(const websocket *ws);
/* As net_stream_peer_certificate. */
MUST_CHECK bool websocket_peer_certificate(const websocket *ws, char name[NET_PEER_NAME_SIZE],
                                           uint64_t *ends_unix_ms);
/* As net_stream_tls_exporter. */
MUST_CHECK bool websocket_tls_exporter(const websocket *ws, const char *label, uint8_t out[32], error *err);

#endif
