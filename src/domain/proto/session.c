#include "proto/session.h"

/* Where each message leads from each state. What is not written here is not allowed. */
typedef struct move {
    bool allowed;
    proto_state next;
} move;

#define TO(state)                                                                                            \
    { true, state }

static const move moves[PROTO_STATE_COUNT][PROTO_TYPE_COUNT] = {
    [PROTO_AWAITING_HELLO] = {[PROTO_HELLO] = TO(PROTO_CHALLENGED), [PROTO_REFUSE] = TO(PROTO_CLOSED)},
    [PROTO_CHALLENGED] = {[PROTO_CHALLENGE] = TO(PROTO_CHALLENGED),
                          [PROTO_PROOF] = TO(PROTO_PROVEN),
                          [PROTO_REFUSE] = TO(PROTO_CLOSED)},
    [PROTO_PROVEN] = {[PROTO_WELCOME] = TO(PROTO_SERVING), [PROTO_REFUSE] = TO(PROTO_CLOSED)},
    [PROTO_SERVING] = {[PROTO_JOB] = TO(PROTO_SERVING),
                       [PROTO_DELTA] = TO(PROTO_SERVING),
                       [PROTO_DONE] = TO(PROTO_SERVING),
                       [PROTO_SCORED] = TO(PROTO_SERVING),
                       [PROTO_EMBEDDED] = TO(PROTO_SERVING),
                       [PROTO_FAIL] = TO(PROTO_SERVING),
                       [PROTO_CANCEL] = TO(PROTO_SERVING),
                       [PROTO_CREDIT] = TO(PROTO_SERVING),
                       [PROTO_BEAT] = TO(PROTO_SERVING),
                       [PROTO_LOG_ASK] = TO(PROTO_SERVING),
                       [PROTO_LOG_PROOF] = TO(PROTO_SERVING),
                       [PROTO_DRAIN] = TO(PROTO_DRAINING),
                       [PROTO_REVOKE] = TO(PROTO_CLOSED),
                       [PROTO_REKEY] = TO(PROTO_SERVING),
                       [PROTO_NEW_KEY] = TO(PROTO_SERVING),
                       [PROTO_REKEYED] = TO(PROTO_SERVING),
                       [PROTO_TRUST] = TO(PROTO_SERVING),
                       [PROTO_KEYS] = TO(PROTO_SERVING)},
    [PROTO_DRAINING] = {[PROTO_DELTA] = TO(PROTO_DRAINING),
                        [PROTO_DONE] = TO(PROTO_DRAINING),
                        [PROTO_SCORED] = TO(PROTO_DRAINING),
                        [PROTO_EMBEDDED] = TO(PROTO_DRAINING),
                        [PROTO_FAIL] = TO(PROTO_DRAINING),
                        [PROTO_CANCEL] = TO(PROTO_DRAINING),
                        [PROTO_CREDIT] = TO(PROTO_DRAINING),
                        [PROTO_BEAT] = TO(PROTO_DRAINING),
                        [PROTO_LOG_ASK] = TO(PROTO_DRAINING),
                        [PROTO_LOG_PROOF] = TO(PROTO_DRAINING),
                        [PROTO_REVOKE] = TO(PROTO_CLOSED),
                        [PROTO_NEW_KEY] = TO(PROTO_DRAINING),
                        [PROTO_REKEYED] = TO(PROTO_DRAINING),
                        [PROTO_TRUST] = TO(PROTO_DRAINING),
                        [PROTO_KEYS] = TO(PROTO_DRAINING)},
};

static const proto_side senders[] = {
#define X(type, name, sender) [type] = sender,
    PROTO_TYPES(X)
#undef X
};

static const char *const state_names[PROTO_STATE_COUNT] = {[PROTO_AWAITING_HELLO] = "awaiting_hello",
                                                           [PROTO_CHALLENGED] = "challenged",
                                                           [PROTO_PROVEN] = "proven",
                                                           [PROTO_SERVING] = "serving",
                                                           [PROTO_DRAINING] = "draining",
                                                           [PROTO_CLOSED] = "closed"};

proto_side proto_type_sender(proto_type type) {
    return senders[type];
}

const char *proto_state_name(proto_state state) {
    return (unsigned)state < PROTO_STATE_COUNT ? state_names[state] : "unknown";
}

bool proto_session_move(proto_state *state, proto_side sender, proto_type type, unsigned *close_code) {
    *close_code = PROTO_CLOSE_VIOLATION;
    if ((unsigned)*state >= PROTO_STATE_COUNT || (unsigned)type >= PROTO_TYPE_COUNT ||
        senders[type] != sender || !moves[*state][type].allowed) {
        return false;
    }
    *state = moves[*state][type].next;
    *close_code = 0;
    return true;
}
