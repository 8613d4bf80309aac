#ifndef WEBSOCKET_INTERNAL_H
#define WEBSOCKET_INTERNAL_H

#include "base/buffer.h"
#include "http/websocket.h"

#include <wslay/wslay.h>

enum {
    WEBSOCKET_MESSAGE_LIMIT = 1024 * 1024,
    WEBSOCKET_QUEUE_LIMIT = 16 * 1024 * 1024,
    WEBSOCKET_CONTROL_MAX = 125, /* RFC 6455 §5.5 */
    WEBSOCKET_ACCEPT_SIZE = 29,
    WEBSOCKET_KEY_SIZE = 25,
};

typedef enum websocket_state {
    WEBSOCKET_OPENING, /* client: until the server has agreed */
    WEBSOCKET_OPEN,
    WEBSOCKET_CLOSING, /* our close frame is sent */
    WEBSOCKET_ENDING   /* nothing that comes is read any more */
} websocket_state;

/* wslay's context is 4 KiB, so it exists only while part of a frame has come. */
typedef struct frame_reader {
    wslay_frame_context_ptr context;
    slice input;
    uint64_t given; /* bytes that wslay took */
    uint64_t whole; /* bytes of whole frames, headers included */
    bool in_frame;
    uint8_t opcode;
    bool final;
    uint64_t left; /* of the frame's payload */
    uint8_t control[WEBSOCKET_CONTROL_MAX];
    size_t control_length;
} frame_reader;

typedef struct websocket_opening websocket_opening;

struct websocket {
    net *net;
    net_stream *stream;
    const websocket_handlers *handlers;
    void *context;
    websocket_opening *opening; /* client, until open */
    frame_reader *reader;
    buffer message; /* fragments so far */
    buffer early;   /* came before it could be taken */
    ev_timer timer; /* opening and closing */
    ev_deferred again;
    uint64_t last_heard;
    size_t message_limit;
    size_t queue_limit;
    websocket_state state;
    uint16_t code;
    uint8_t reason_length;
    uint8_t message_opcode; /* 0: no message has begun */
    bool is_client;
    bool peer_closed;
    bool paused;
    bool taking;
    char *reason;
};

extern const net_stream_handlers websocket_stream_handlers;

/* Open, on a stream that is connected; its input is paused until the loop comes round. */
websocket *websocket_new(net *n, const websocket_handlers *handlers, void *context, error *err);
void websocket_free(websocket *ws);
void websocket_attach(websocket *ws, net_stream *stream);
/* Bytes that came behind the handshake. */
void websocket_take_early(websocket *ws, slice bytes);
/* Ends it: a close frame with `code` if it was open, then the connection. */
void websocket_fail(websocket *ws, unsigned code, const char *reason);
void websocket_keep_reason(websocket *ws, unsigned code, slice reason);
void websocket_is_open(websocket *ws);
/* The client's side of the handshake. */
void websocket_opening_connected(websocket *ws);
void websocket_opening_data(websocket *ws, slice bytes);
void websocket_opening_free(websocket_opening *opening);

/* frame.c: takes frames from `input` until it is used up, the WebSocket is paused or not to be read on; the
 * rest is returned. */
slice frames_take(websocket *ws, slice input);
void frame_reader_free(websocket *ws);
MUST_CHECK bool frame_send(websocket *ws, uint8_t opcode, slice payload);
/* What a frame came to, in websocket.c. */
void websocket_message(websocket *ws, slice message, bool is_text);
void websocket_control(websocket *ws, uint8_t opcode, slice payload);

/* Sec-WebSocket-Accept for a key (RFC 6455 §4.2.2). */
MUST_CHECK bool websocket_accept_of(slice key, char accept[WEBSOCKET_ACCEPT_SIZE]);

#endif
