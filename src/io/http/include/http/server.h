#ifndef HTTP_SERVER_H
#define HTTP_SERVER_H

#include "base/arena.h"
#include "http/websocket.h"
#include "net/net.h"

/* HTTP/1.1 server (RFC 9110, 9112) on one loop: keep-alive, pipelining (answers in order, one request at a
 * time), bodies whole or streamed, WebSocket upgrade. Loop thread throughout. */
typedef struct http_server http_server;

/* A request lives from on_request until exactly one of these: http_respond, http_stream_end,
 * http_stream_abort, http_request_upgrade with success, or its on_closed callback. Not used after that. */
typedef struct http_request http_request;

typedef struct http_header {
    slice name;
    slice value;
} http_header;

typedef struct http_server_config {
    size_t head_limit;         /* request line and fields; 431 beyond */
    size_t body_limit;         /* a collected body; 413 beyond */
    size_t memory_limit;       /* a request's arena, beyond head and body */
    size_t output_limit;       /* bytes of streamed answer that may wait for a slow client */
    uint32_t head_timeout_ms;  /* from a head's first byte (or the accept) to its end; 408 */
    uint32_t body_timeout_ms;  /* without a byte of an unfinished body; 408 */
    uint32_t body_rate;        /* least bytes/s of a body, averaged, after the first body_timeout_ms */
    uint32_t idle_timeout_ms;  /* between requests */
    uint32_t write_timeout_ms; /* output waiting while the client takes nothing: cut */
    uint32_t max_requests;     /* on one connection; 0: no bound */
    size_t websocket_limit;    /* a WebSocket message; close code 1009 beyond */
    size_t websocket_queue;    /* bytes of output that may wait on a WebSocket */
} http_server_config;
http_server_config http_server_config_default(void);

typedef enum http_body_mode {
    HTTP_BODY_COLLECT, /* on_request comes with the whole body */
    HTTP_BODY_STREAM   /* on_request comes at once, then on_body … on_body_end */
} http_body_mode;

typedef struct http_server_handlers {
    void (*on_request)(void *context, http_request *request);
    /* Asked after the head of a request that has a body; NULL: always collected. It may answer already (with
     * http_respond, say 401 or 413): then nothing more is called for this request. */
    http_body_mode (*choose_body)(void *context, http_request *request);
    void (*on_body)(void *context, http_request *request, slice bytes); /* streamed bodies only */
    void (*on_body_end)(void *context, http_request *request);
    /* The body for an error that the server answers itself (400, 408, 413, 417, 431, 501, 505, 503): a slice
     * that stays valid until the next call, and its media type. NULL: plain text. */
    slice (*error_body)(void *context, unsigned status, const char *reason, const char **media_type);
} http_server_handlers;

/* `handlers` and `context` outlive the server. */
MUST_CHECK http_server *http_server_new(net *n, const http_server_config *config,
                                        const http_server_handlers *handlers, void *context, error *err);
/* May be called several times. `tls` NULL: plain HTTP. The port that was bound is left in *bound (may be
 * NULL). */
MUST_CHECK bool http_server_listen(http_server *server, const char *address, uint16_t port, net_tls *tls,
                                   uint16_t *bound, error *err);
/* Of the first listener. */
uint16_t http_server_port(const http_server *server);
/* Stops accepting, closes idle connections, lets requests finish with "Connection: close". `on_empty` comes
 * when no HTTP connection is left (WebSockets are the application's to close and don't count). */
void http_server_drain(http_server *server, void (*on_empty)(void *context), void *context);
size_t http_server_connection_count(const http_server *server);
/* Cuts its HTTP connections; the on_closed of requests that are pending is called. WebSockets stay until
 * net_free. NULL is allowed. Not from inside a callback of the server. */
void http_server_free(http_server *server);

/* The request. Slices live as long as it. */
slice http_request_method(const http_request *request); /* "GET" */
slice http_request_path(const http_request *request);   /* as sent, without the query; not decoded */
slice http_request_query(const http_request *request);  /* after '?', or empty */
/* The field's value; several of one name are joined with ", " (RFC 9110 §5.3). False if absent. */
bool http_request_header(const http_request *request, const char *name, slice *value);
/* How many fields have that name: refuse a credential that is given twice. */
size_t http_request_header_count(const http_request *request, const char *name);
slice http_request_body(const http_request *request); /* empty when streamed */
arena *http_request_arena(http_request *request);
const char *http_request_peer(http_request *request); /* numeric address of the connection */
bool http_request_is_tls(const http_request *request);
/* From choose_body: a smaller bound for the body of this request than body_limit; 413 beyond. */
void http_request_limit_body(http_request *request, size_t limit);
/* While paused no on_body comes and the client is held up. */
void http_request_pause_body(http_request *request);
void http_request_resume_body(http_request *request);

/* `on_closed` comes as soon as the client has left, or was cut, while the answer is unfinished; the request
 * must not be used after it returns. It never comes from inside a function called on this request. */
void http_request_on_closed(http_request *request, void (*on_closed)(void *context), void *context);
/* `on_answered` comes once: with the status as the answer begins, from inside the function that begins it, or
 * with 0 when the request is over and none was begun. It calls nothing on this request. */
void http_request_on_answered(http_request *request, void (*on_answered)(void *context, unsigned status),
                              void *context);
/* `on_drained` comes when all output has gone, after some had to wait or a write was refused for its size. */
void http_request_on_drained(http_request *request, void (*on_drained)(void *context, http_request *request),
                             void *context);

/* The whole answer. Date, Content-Length and Connection are added. The request is over, whatever happens: if
 * memory is out the connection is cut. `body` may be freed afterwards. */
void http_respond(http_request *request, unsigned status, const http_header *headers, size_t count,
                  slice body);

/* The connection is gone or being cut: nothing can be written, and on_closed was told or follows. */
bool http_request_is_cut(const http_request *request);

/* A streamed answer: chunked, or for HTTP/1.0 ended by closing. False: memory is out; the connection is being
 * cut and on_closed follows. */
MUST_CHECK bool http_stream_begin(http_request *request, unsigned status, const http_header *headers,
                                  size_t count);
/* Queues all of it or nothing: false when output_limit would be passed (on_drained tells when to go on) or
 * the connection is being cut. */
MUST_CHECK bool http_stream_write(http_request *request, slice bytes);
/* Bytes queued that the client has not taken. */
size_t http_stream_pending(const http_request *request);
/* The request is over. */
void http_stream_end(http_request *request);
/* Cuts the connection without the last chunk, so that the client sees a failure. The request is over. */
void http_stream_abort(http_request *request);

/* True if it asks for a WebSocket (RFC 6455 §4.2.1) and offers `subprotocol` (NULL: any). */
bool http_request_wants_websocket(const http_request *request, const char *subprotocol);
/* Accepts it: the request is over and the WebSocket is open. NULL: not such a request (answer it, 400 or
 * 426), or memory is out (answer it, 503). */
MUST_CHECK websocket *http_request_upgrade(http_request *request, const char *subprotocol,
                                           const websocket_handlers *handlers, void *context, error *err);

#endif
