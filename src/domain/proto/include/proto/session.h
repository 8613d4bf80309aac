#ifndef PROTO_SESSION_H
#define PROTO_SESSION_H

#include "proto/message.h"

/* The states of a worker's session, as one table for both ends: each runs every message it sends or receives
 * through proto_session_move. */
typedef enum proto_state {
    PROTO_AWAITING_HELLO,
    PROTO_CHALLENGED, /* hello came; challenge, then proof */
    PROTO_PROVEN,     /* proof came; the pool decides */
    PROTO_SERVING,
    PROTO_DRAINING, /* no new jobs; the running ones end */
    PROTO_CLOSED,
    PROTO_STATE_COUNT
} proto_state;

typedef enum proto_side { PROTO_POOL, PROTO_WORKER } proto_side;

/* WebSocket close codes (RFC 6455 §7.4): what the pool closes with. */
enum {
    PROTO_CLOSE_NORMAL = 1000,
    PROTO_CLOSE_GOING_AWAY = 1001,  /* the pool stops, or a drain is complete: connect again, with back-off */
    PROTO_CLOSE_VIOLATION = 1002,   /* a message that the state doesn't allow */
    PROTO_CLOSE_NOT_TEXT = 1003,    /* a binary message */
    PROTO_CLOSE_BAD_MESSAGE = 1007, /* not a message of this protocol: syntax, type or bounds of a field */
    PROTO_CLOSE_TOO_BIG = 1009,
    PROTO_CLOSE_INTERNAL = 1011,
    PROTO_CLOSE_REFUSED = 4001,  /* after `refuse`: its code says whether to come back */
    PROTO_CLOSE_REVOKED = 4002,  /* after `revoke`: don't come back */
    PROTO_CLOSE_REPLACED = 4003, /* a newer session of the same worker has taken over */
    PROTO_CLOSE_DEAD = 4004,     /* no beat for too long, or a job that is never given up */
    PROTO_CLOSE_JOB = 4005,      /* about a job the session doesn't hold, wrong order, count or credit */
    PROTO_CLOSE_TIMEOUT = 4006   /* hello or proof didn't come in time */
};

/* Moves `state` as the message demands. False: not allowed in this state or not for this sender; `state` is
 * unchanged and the pool closes with `close_code` (always PROTO_CLOSE_VIOLATION). */
MUST_CHECK bool proto_session_move(proto_state *state, proto_side sender, proto_type type,
                                   unsigned *close_code);

proto_side proto_type_sender(proto_type type);
/* "serving"; static text. */
const char *proto_state_name(proto_state state);

#endif
