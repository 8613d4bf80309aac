#ifndef POOL_SESSION_INTERNAL_H
#define POOL_SESSION_INTERNAL_H

#include "dispatch/worker.h"
#include "session.h"

/* Shared by session.c (the connection and its end), session_handshake.c (hello, proof, welcome),
 * session_suspicion.c (keys that were copied) and session_work.c (messages about jobs). */

typedef struct session_model {
    slice name; /* in session.names */
    uint8_t digest[PROTO_DIGEST_SIZE];
    uint32_t context; /* tokens */
    char profile[RECEIPT_PROFILE_LIMIT + 1];
    bool does[PROTO_KIND_COUNT];
    uint32_t dimension; /* of its vectors, if it embeds */
} session_model;

typedef struct session_log_ask session_log_ask;
typedef enum session_rekey { REKEY_NONE, REKEY_WANTED, REKEY_ASKED, REKEY_STORING } session_rekey;

struct session {
    list_node node; /* in pool.sessions */
    pool *pool;
    websocket *socket;
    proto_state state;
    fleet_worker *worker; /* known from the hello on */
    dispatch_worker *handle;
    uint8_t worker_nonce[PROTO_NONCE_SIZE];
    uint8_t pool_nonce[PROTO_NONCE_SIZE];
    uint8_t machine[PROTO_MACHINE_SIZE]; /* as its hello says; zeros: it has no id */
    uint8_t build[PROTO_DIGEST_SIZE];    /* the program, as its hello says */
    buffer names;                        /* of the models */
    session_model *models;
    dispatch_offer *offers; /* until the welcome */
    size_t offer_count;
    size_t model_count;
    ev_timer timer; /* handshake, then expiry */
    bool replaced;  /* by a newer session of its worker */
    uint64_t receipts;
    size_t keys_told;         /* steps of the pool's succession that the worker has been shown */
    session_log_ask *log_ask; /* under way (session_log.c); NULL: none */
    session_rekey rekey;      /* rekey/rekey.h */
    uint64_t rekey_epoch;
    uint64_t rekey_since_ms;
    uint8_t rekey_nonce[PROTO_NONCE_SIZE];
    uint8_t ca[PROTO_PIN_SIZE]; /* of the authority that it trusts, as it says or was told; zeros: neither */
    bool gives_logprobs;        /* with an answer that was compared, of all its tokens */
    size_t party;               /* place among those who may check, from 1 (proof/parties.h); 0: none */
    char peer[NET_ADDRESS_SIZE];
};

MUST_CHECK bool session_send(session *s, const proto_message *message);
/* Takes it out of the dispatcher and closes the connection, whose end frees it. */
void session_close(session *s, unsigned code, const char *reason);
void session_violation(session *s, unsigned code, const char *what);

/* From the upgrade on: hello and proof must come within 10 s. */
void session_start_handshake(session *s);
void session_handle_hello(session *s, const proto_hello *hello);
void session_handle_proof(session *s, const proto_proof *claim);
/* Sends `keys` to a welcomed worker that hasn't been shown them all: before anything that the pool's new key
 * has signed. False: it doesn't read, and the session is for the caller to close. */
MUST_CHECK bool session_show_keys(session *s);
/* The audit log: what the welcome shows of it, a worker's question about it. */
void session_show_log(const session *s, proto_welcome *welcome);
void session_handle_log_ask(session *s, const proto_log_ask *asked);
void session_forget_log_ask(session *s);
/* Of jobs; each may end the session. */
void session_handle_delta(session *s, const proto_delta *delta);
void session_handle_done(session *s, const proto_done *done);
void session_handle_scored(session *s, const proto_scored *scored);
void session_handle_embedded(session *s, const proto_embedded *embedded);
void session_handle_fail(session *s, const proto_fail *fail);
/* Whether its worker's key belongs to another machine than this session says. */
bool session_is_elsewhere(const session *s);
/* Quarantines the worker: its live session is closed, none is welcomed, until a person clears it. */
void session_suspect(pool *p, fleet_worker *worker, const char *why);
/* At the end of a session that a newer one has replaced. */
void session_check_replaced(session *s);
/* Of a welcomed session: closes it if its worker's enrolment is over by now, else sets the timer for then.
 * Called with each beat too, for the clock may be put forward and an enrolment renewed. */
void session_check_expiry(session *s);

#endif
