#ifndef HTTP_SERVER_INTERNAL_H
#define HTTP_SERVER_INTERNAL_H

#include "base/buffer.h"
#include "codec/http1.h"
#include "http/server.h"

enum { SPARE_ARENAS = 16, DATE_SIZE = 32, INPUT_SLACK = 131072 };

typedef struct http_connection http_connection;

typedef struct http_listener {
    struct http_listener *next;
    http_server *server;
    net_listener *listener;
} http_listener;

struct http_server {
    net *net;
    http_server_config config;
    http1_limits limits;
    const http_server_handlers *handlers;
    void *context;
    http_listener *listeners; /* the first one last */
    list_node connections;
    size_t connection_count;
    arena *spares[SPARE_ARENAS]; /* of finished requests, for the next ones */
    size_t spare_count;
    buffer head; /* where each answer's head is written */
    uint64_t date_second;
    char date[DATE_SIZE];
    bool draining;
    void (*on_empty)(void *context);
    void *empty_context;
    ev_deferred empty;
};

typedef enum connection_state {
    CONNECTION_IDLE,   /* between requests: no byte of the next has come */
    CONNECTION_HEAD,   /* part of a head has come */
    CONNECTION_BODY,   /* the head is there, the body isn't complete */
    CONNECTION_ANSWER, /* the request is complete and with the application */
    CONNECTION_CLOSING /* our side is done with it; nothing that comes is read */
} connection_state;

struct http_connection {
    list_node node;
    http_server *server;
    net_stream *stream;
    http_request *request; /* from a head's first byte until it is answered */
    buffer input;          /* came, but is not taken yet */
    ev_timer timer;        /* of the state */
    ev_deferred go_on;     /* with the input that is kept */
    uint64_t timer_mark;
    uint32_t served;
    connection_state state;
    bool taking;         /* inside connection_take: it continues, whatever a callback did */
    websocket *upgraded; /* what takes over the stream */
};

struct http_request {
    http_connection *connection;
    arena *arena;
    http1_head head;
    http1_body body;
    buffer collected;
    slice content;
    const char *peer;
    void (*on_closed)(void *context);
    void *closed_context;
    void (*on_answered)(void *context, unsigned status);
    void *answered_context;
    void (*on_drained)(void *context, http_request *request);
    void *drained_context;
    bool delivered;    /* on_request was called */
    bool streams_body; /* the application takes it piece by piece */
    bool body_paused;
    bool body_complete;
    bool begun;   /* the answer's head was written */
    bool is_head; /* HEAD: no content in the answer */
    bool chunked;
    bool keep_alive; /* decided when the answer's head is written */
    bool over;       /* told as closed: further answers are ignored */
};

/* connection.c */
void connection_accept(void *context, net_stream *stream);
/* The answer is complete: the next request, or the end. */
void connection_answered(http_connection *connection);
/* The client is gone, or has to go: tells the application and cuts. */
void connection_cut(http_connection *connection);
/* An answer of the server's own, then the end. */
void connection_refuse(http_connection *connection, unsigned status, const char *reason);
/* Lets go of the stream, which `ws` has taken over, and hands it the input that is left. */
void connection_upgraded(http_connection *connection, websocket *ws);
void connection_free(http_connection *connection);
/* Takes input again, as far as the state allows. */
void connection_go_on(http_connection *connection);

/* request.c */
http_request *http_request_new(http_connection *connection);
void http_request_free(http_request *request);
void request_tell_answered(http_request *request, unsigned status);

/* response.c */
/* Status line and fields, without the empty line, in the server's buffer. */
buffer *response_head(http_server *server, unsigned status, const http_header *headers, size_t count);
bool response_send(http_connection *connection, buffer *head, slice body);

/* server.c */
void server_connection_gone(http_server *server);
const char *server_date(http_server *server);

#endif
