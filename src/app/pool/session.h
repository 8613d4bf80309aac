#ifndef POOL_SESSION_H
#define POOL_SESSION_H

#include "ledger/receipt.h"
#include "proto/message.h"
#include "proto/session.h"
#include "state.h"

/* One worker's connection, from the WebSocket upgrade to its end. Its states are proto/session.h's table; a
 * session has a dispatcher handle exactly in PROTO_SERVING and PROTO_DRAINING. */

/* GET /v1/worker: upgrades and waits for the hello. */
void session_accept(pool *p, http_request *request);

/* Hooks of the dispatcher: pass a job, credit or a cancel on to the worker. */
typedef struct work work;
/* ERROR_LIMIT if the job is longer than a message may be: no worker could be told of it. */
MUST_CHECK bool session_check_job(const work *w, error *err);
void session_send_job(session *s, work *w, uint64_t credit);
/* What the worker is told of a deadline that the pool keeps: a little more. */
uint32_t session_deadline(uint64_t pool_deadline_ms);
void session_send_credit(session *s, const dispatch_id *id, uint64_t tokens);
void session_send_cancel(session *s, const dispatch_id *id);
/* The dispatcher has let go of it. */
void session_closed_by_dispatch(session *s, dispatch_closing reason);
/* A draining session holds no job any more. */
void session_drained(session *s);

/* The model's digest and engine profile into a receipt. False if the session doesn't offer it. */
MUST_CHECK bool session_describe_model(const session *s, slice model, receipt *fields, error *err);
const fleet_worker *session_worker(const session *s);
/* Tokens that it says it has room for with this model; 0 if it doesn't offer it. */
uint32_t session_context(const session *s, slice model);
/* Values of the vectors that it says this model gives; 0 if it doesn't embed with it. */
uint32_t session_dimension(const session *s, slice model);
/* It has given the logprobs of all tokens of an answer; only runtimes are asked for them. */
void session_note_logprobs(session *s);
bool session_gives_logprobs(const session *s);
/* Counts a receipt; how many there were in this session with it. */
uint64_t session_count_receipt(session *s);

/* Tells the worker why and closes its live session, if there is one. Its jobs go elsewhere. */
void session_revoke(fleet_worker *worker, const char *reason);
/* It was enrolled anew: its live session, if there is one, ends when it now says. */
void session_enrolment_changed(fleet_worker *worker);
/* A receipt of this worker is proven forged: its session is closed and it is revoked. */
void session_revoke_forger(pool *p, const uint8_t worker_id[STORE_WORKER_ID_SIZE]);
/* The pool is stopping: no new jobs, then the connection is closed. */
void session_drain_all(pool *p);

/* Who may serve has changed for all: each worker has to say hello again. Their jobs go elsewhere. */
void session_greet_again(pool *p);

/* What /v1/admin/workers shows of a live session. */
typedef struct session_view {
    const char *state;
    const char *peer;
    const uint8_t *build; /* PROTO_DIGEST_SIZE bytes */
    uint32_t running, slots;
    uint64_t completed;
    size_t model_count;
} session_view;
void session_describe(const session *s, session_view *view);
slice session_model_name(const session *s, size_t index);

#endif
