#include "session_internal.h"

#include "base/log.h"
#include "base/memory.h"
#include "dispatch/job.h"
#include "os/clock.h"
#include "proof/proof.h"
#include "reply.h"
#include "work.h"

enum {
    DEADLINE_GRACE_MS = 2000, /* the pool gives a late job up before the worker does */
    JOB_ROOM = 8192,          /* for a job's message without its chat: model and stops have bounds */
    MESSAGE_ROOM = 128,
    STRANGER_MESSAGE_MAX = 65536 /* until the welcome: more than any hello */
};

bool session_send(session *s, const proto_message *message) {
    error err = {0};
    buffer text = buffer_make(PROTO_JOB_MAX);
    bool sent = proto_encode(message, &text, &err) && websocket_send_text(s->socket, buffer_slice(&text));
    buffer_free(&text);
    return sent;
}

/* Takes the session out of the dispatcher; its jobs go elsewhere. */
static void leave_dispatch(session *s) {
    dispatch_worker *handle = s->handle;
    s->handle = NULL;
    proof_worker_left(s);
    if (s->worker != NULL && s->worker->session == s) {
        s->worker->session = NULL;
    }
    if (handle != NULL) {
        dispatch_worker_remove(handle, ev_now_ms(s->pool->loop));
        pool_arm_dispatch(s->pool);
    }
}

/* The socket's on_closed frees the session. */
void session_close(session *s, unsigned code, const char *reason) {
    if (s->state == PROTO_CLOSED) {
        return;
    }
    s->state = PROTO_CLOSED;
    leave_dispatch(s);
    websocket_close(s->socket, code, reason);
}

void session_violation(session *s, unsigned code, const char *what) {
    s->pool->counters.session_violations++;
    log_warning("worker broke the protocol", LOG_TEXT("worker", s->worker == NULL ? "" : s->worker->id_hex),
                LOG_TEXT("peer", s->peer), LOG_U64("close_code", code), LOG_TEXT("cause", what));
    session_close(s, code, what);
}

static void handle_delta(session *s, const proto_delta *delta) {
    void *found = NULL;
    dispatch_id id;
    error err = {0};
    memcpy(id.bytes, delta->id, sizeof id.bytes);
    dispatch_verdict verdict =
        dispatch_job_delta(s->handle, &id, delta->seq, delta->token_count, ev_now_ms(s->pool->loop), &found);
    work *w = found;
    if (verdict == DISPATCH_VIOLATION) {
        session_violation(s, PROTO_CLOSE_JOB, "a delta that the job, its order or its credit doesn't allow");
    } else if (verdict == DISPATCH_OK && !w->kind->delta(w, delta, &err)) {
        session_violation(s, PROTO_CLOSE_JOB, err.text);
    }
    pool_arm_dispatch(s->pool);
}

static void handle_done(session *s, const proto_done *done) {
    pool *p = s->pool;
    void *found = NULL;
    dispatch_id id;
    error err = {0};
    signed_receipt entry;
    memcpy(id.bytes, done->id, sizeof id.bytes);
    work *w = dispatch_worker_job(s->handle, &id);
    if (w != NULL && w->kind->check_done == NULL) {
        session_violation(s, PROTO_CLOSE_JOB, "done, for a job that has no text");
        return;
    }
    if (w != NULL && w->kind->is_short != NULL && w->kind->is_short(w)) {
        if (s->handle == NULL) { /* it could not be told, and is lost */
            return;
        }
        w = NULL; /* from here on this message is about a job that was taken away */
    }
    bool checked = w != NULL && w->kind->check_done(w, s->worker, done, &entry, &err);
    if (w != NULL && !checked && (err.code == ERROR_INVALID || err.code == ERROR_CORRUPT)) {
        session_violation(s, PROTO_CLOSE_JOB, err.text);
        return;
    }
    dispatch_verdict verdict =
        dispatch_job_done(s->handle, &id, done->completion_tokens, ev_now_ms(s->pool->loop), &found);
    if (verdict == DISPATCH_VIOLATION) {
        session_violation(s, PROTO_CLOSE_JOB, "done, for a job not held or with a false token count");
    } else if (verdict == DISPATCH_OK && w != NULL) {
        w->kind->complete(w, s->worker, checked ? &entry : NULL); /* may end the session */
    }
    pool_arm_dispatch(p);
}

static void handle_scored(session *s, const proto_scored *scored) {
    void *found = NULL;
    dispatch_id id;
    error err = {0};
    signed_finding entry;
    memcpy(id.bytes, scored->id, sizeof id.bytes);
    work *w = dispatch_worker_job(s->handle, &id);
    if (w != NULL && w->kind->check_scored == NULL) {
        session_violation(s, PROTO_CLOSE_JOB, "scored, for a job that has text");
        return;
    }
    bool checked = w != NULL && w->kind->check_scored(w, s->worker, scored, &entry, &err);
    if (w != NULL && !checked && (err.code == ERROR_INVALID || err.code == ERROR_CORRUPT)) {
        session_violation(s, PROTO_CLOSE_JOB, err.text);
        return;
    }
    pool *p = s->pool;
    fleet_worker *worker = s->worker;
    dispatch_verdict verdict = dispatch_job_scored(s->handle, &id, ev_now_ms(s->pool->loop), &found);
    if (verdict == DISPATCH_VIOLATION) {
        session_violation(s, PROTO_CLOSE_JOB, "scored, for a job not held");
    } else if (verdict == DISPATCH_OK && w != NULL) {
        w->kind->scored(w, worker, checked ? &entry : NULL); /* may end the session */
    }
    pool_arm_dispatch(p);
}

static void handle_fail(session *s, const proto_fail *fail) {
    dispatch_id id;
    memcpy(id.bytes, fail->id, sizeof id.bytes);
    work *w = dispatch_worker_job(s->handle, &id);
    if (w != NULL) {
        w->kind->gave_up(w, s->worker, fail);
        log_info("worker gave a job up", LOG_TEXT("worker", s->worker->id_hex),
                 LOG_TEXT("kind", w->kind->name), LOG_TEXT("job", w->id_hex), LOG_SLICE("code", fail->code),
                 LOG_U64("retryable", fail->retryable));
    }
    if (dispatch_job_fail(s->handle, &id, fail->retryable, ev_now_ms(s->pool->loop)) == DISPATCH_VIOLATION) {
        session_violation(s, PROTO_CLOSE_JOB, "fail, for a job not held");
    }
    pool_arm_dispatch(s->pool);
}

static void handle_beat(session *s, const proto_beat *beat) {
    static const dispatch_availability availability[] = {[PROTO_AVAILABLE] = DISPATCH_AVAILABLE,
                                                         [PROTO_LIMITED] = DISPATCH_LIMITED,
                                                         [PROTO_PAUSED] = DISPATCH_PAUSED};
    dispatch_beat heard = {.load = beat->load,
                           .running = beat->running,
                           .slots = beat->slots,
                           .availability = availability[beat->state]};
    error err = {0};
    s->worker->last_seen_ms = clock_unix_ms();
    dispatch_worker_beat(s->handle, &heard, ev_now_ms(s->pool->loop));
    pool_arm_dispatch(s->pool);
    if (!store_worker_seen(s->pool->store, s->worker->id, s->worker->last_seen_ms, &err)) {
        log_debug("beat not noted", LOG_CAUSE(&err));
    }
    session_check_expiry(s);
}

static void handle_message(session *s, const proto_message *message) {
    switch (message->type) {
    case PROTO_HELLO:
        session_handle_hello(s, &message->hello);
        return;
    case PROTO_PROOF:
        session_handle_proof(s, &message->proof);
        return;
    case PROTO_DELTA:
        handle_delta(s, &message->delta);
        return;
    case PROTO_DONE:
        handle_done(s, &message->done);
        return;
    case PROTO_SCORED:
        handle_scored(s, &message->scored);
        return;
    case PROTO_FAIL:
        handle_fail(s, &message->fail);
        return;
    case PROTO_BEAT:
        handle_beat(s, &message->beat);
        return;
    default:
        session_violation(s, PROTO_CLOSE_VIOLATION, "a message that only the pool sends");
    }
}

static void on_message(void *context, slice text, bool is_text) {
    session *s = context;
    proto_message message;
    error err = {0};
    unsigned close_code = 0;
    if (s->state == PROTO_CLOSED) {
        return;
    }
    if (!is_text) {
        session_violation(s, PROTO_CLOSE_NOT_TEXT, "a binary message");
        return;
    }
    arena_reset(s->pool->scratch);
    if (!proto_decode(text, s->pool->scratch, &message, &err)) {
        if (err.code == ERROR_MEMORY) {
            session_close(s, PROTO_CLOSE_INTERNAL, err.text);
        } else {
            session_violation(s, PROTO_CLOSE_BAD_MESSAGE, err.text);
        }
    } else if (!proto_session_move(&s->state, PROTO_WORKER, message.type, &close_code)) {
        session_violation(s, close_code, "a message that this state of the session doesn't allow");
    } else {
        handle_message(s, &message);
    }
}

static void on_closed(void *context, unsigned code, slice reason) {
    session *s = context;
    if (s->worker != NULL) {
        log_info("worker disconnected", LOG_TEXT("worker", s->worker->id_hex), LOG_U64("close_code", code),
                 LOG_SLICE("reason", reason));
    }
    s->state = PROTO_CLOSED;
    leave_dispatch(s);
    ev_timer_stop(&s->timer);
    list_remove(&s->node);
    buffer_free(&s->names);
    memory_free(s->models);
    memory_free(s->offers);
    memory_free(s);
}

void session_accept(pool *p, http_request *request) {
    static const websocket_handlers handlers = {.on_message = on_message, .on_closed = on_closed};
    error err = {0};
    if (!http_request_is_tls(request) || !http_request_wants_websocket(request, PROTO_SUBPROTOCOL)) {
        reply_error(request, 426, NULL, "websocket_wanted",
                    "workers connect here with a WebSocket over TLS, "
                    "subprotocol " PROTO_SUBPROTOCOL);
        return;
    }
    session *s = memory_allocate_zeroed(1, sizeof *s);
    if (s == NULL) {
        reply_out_of_memory(request);
        return;
    }
    *s = (session){.pool = p, .state = PROTO_AWAITING_HELLO};
    s->socket = http_request_upgrade(request, PROTO_SUBPROTOCOL, &handlers, s, &err);
    if (s->socket == NULL) {
        memory_free(s);
        reply_failure(request, &err);
        return;
    }
    websocket_limit_messages(s->socket, STRANGER_MESSAGE_MAX);
    websocket_peer(s->socket, s->peer);
    list_append(&p->sessions, &s->node);
    session_start_handshake(s);
}

static const session_model *find_model(const session *s, slice name) {
    for (size_t i = 0; i < s->model_count; i++) {
        if (slice_equal(s->models[i].name, name)) {
            return &s->models[i];
        }
    }
    return NULL;
}

uint32_t session_context(const session *s, slice model) {
    const session_model *found = find_model(s, model);
    return found == NULL ? 0 : found->context;
}

bool session_describe_model(const session *s, slice model, receipt *fields, error *err) {
    const session_model *found = find_model(s, model);
    if (found == NULL) {
        return error_set(err, ERROR_INTERNAL, "the worker doesn't offer this model");
    }
    memcpy(fields->model_digest, found->digest, sizeof fields->model_digest);
    memcpy(fields->engine_profile, found->profile, sizeof fields->engine_profile);
    return true;
}

uint32_t session_deadline(uint64_t pool_deadline_ms) {
    uint64_t left = pool_deadline_ms + DEADLINE_GRACE_MS;
    return (uint32_t)(left < PROTO_DEADLINE_MAX_MS ? left : PROTO_DEADLINE_MAX_MS);
}

/* All of the message but what depends on the worker. */
static proto_message message_of(const work *w) {
    proto_message message = {.type = PROTO_JOB, .job = {.model = w->model, .credit = PROTO_COUNT_MAX}};
    memcpy(message.job.id, w->id.bytes, sizeof message.job.id);
    w->kind->describe(w, &message);
    return message;
}

/* As JSON a byte of text becomes at most six, and the frame around each message has room in MESSAGE_ROOM. An
 * answer to be scored always fits beside a question that did. */
static bool is_surely_small(const proto_job *told) {
    size_t bytes = JOB_ROOM;
    for (size_t i = 0; i < told->message_count; i++) {
        bytes += told->messages[i].content.length * 6 + MESSAGE_ROOM;
    }
    return bytes <= PROTO_MESSAGE_MAX;
}

bool session_check_job(const work *w, error *err) {
    proto_message message = message_of(w);
    if (w->model.length > PROTO_NAME_MAX || is_surely_small(&message.job)) {
        return true; /* no worker has a model with a longer name: the dispatcher says so */
    }
    buffer text = buffer_make(PROTO_JOB_MAX);
    bool fits = buffer_reserve(&text, proto_size_limit(&message)) != NULL || error_memory(err);
    if (fits && !proto_encode(&message, &text, err)) {
        fits = error_set(err, ERROR_LIMIT, "the messages are too long: all together may have up to 1 MiB");
    }
    buffer_wipe(&text);
    return fits;
}

void session_send_job(session *s, work *w, uint64_t credit) {
    const session_model *model = find_model(s, w->model);
    proto_message message = message_of(w);
    message.job.credit = (uint32_t)credit;
    if (model != NULL) {
        memcpy(message.job.digest, model->digest, sizeof message.job.digest);
    }
    if (model == NULL || !session_send(s, &message)) {
        session_close(s, PROTO_CLOSE_INTERNAL, "a job could not be sent");
    } else if (w->kind->placed != NULL) {
        w->kind->placed(w, s);
    }
}

void session_send_credit(session *s, const dispatch_id *id, uint64_t tokens) {
    proto_message message = {.type = PROTO_CREDIT, .credit = {.tokens = (uint32_t)tokens}};
    memcpy(message.credit.id, id->bytes, sizeof message.credit.id);
    if (!session_send(s, &message)) {
        session_close(s, PROTO_CLOSE_INTERNAL, "the worker doesn't read");
    }
}

void session_send_cancel(session *s, const dispatch_id *id) {
    proto_message message = {.type = PROTO_CANCEL};
    memcpy(message.cancel.id, id->bytes, sizeof message.cancel.id);
    if (!session_send(s, &message)) {
        session_close(s, PROTO_CLOSE_INTERNAL, "the worker doesn't read");
    }
}

void session_closed_by_dispatch(session *s, dispatch_closing reason) {
    s->handle = NULL;
    proof_worker_left(s);
    session_close(s, reason == DISPATCH_REPLACED ? PROTO_CLOSE_REPLACED : PROTO_CLOSE_DEAD,
                  dispatch_closing_name(reason));
}

void session_drained(session *s) {
    session_close(s, PROTO_CLOSE_GOING_AWAY, "drained");
}

const fleet_worker *session_worker(const session *s) {
    return s->worker;
}

uint64_t session_count_receipt(session *s) {
    return ++s->receipts;
}

void session_revoke(fleet_worker *worker, const char *reason) {
    session *s = worker->session;
    if (s == NULL) {
        return;
    }
    proto_message revoke = {.type = PROTO_REVOKE, .revoke = {.reason = slice_of_text(reason)}};
    (void)!session_send(s, &revoke);
    session_close(s, PROTO_CLOSE_REVOKED, reason);
}

static void forger_revoked(void *context, const error *failure) {
    (void)context;
    if (failure != NULL) {
        log_error("a worker that forged a receipt could not be revoked", LOG_CAUSE(failure));
    }
}

void session_revoke_forger(pool *p, const uint8_t worker_id[STORE_WORKER_ID_SIZE]) {
    fleet_worker *worker = fleet_find(p->fleet, worker_id);
    error err = {0};
    if (worker == NULL || worker->revoked_ms != 0) {
        return;
    }
    worker->revoked_ms = clock_unix_ms();
    session_revoke(worker, "a receipt signed by this worker is forged");
    if (!store_worker_revoke(p->store, worker_id, worker->revoked_ms, forger_revoked, NULL, &err)) {
        forger_revoked(NULL, &err);
    }
}

void session_drain_all(pool *p) {
    proto_message drain = {.type = PROTO_DRAIN};
    unsigned ignored = 0;
    for (list_node *node = p->sessions.next, *next = NULL; node != &p->sessions; node = next) {
        session *s = LIST_ENTRY(node, session, node);
        next = node->next;
        if (s->state == PROTO_SERVING && session_send(s, &drain) &&
            proto_session_move(&s->state, PROTO_POOL, PROTO_DRAIN, &ignored)) {
            dispatch_worker_drain(s->handle, ev_now_ms(p->loop));
        } else {
            session_close(s, PROTO_CLOSE_GOING_AWAY, "the pool is stopping");
        }
    }
    pool_arm_dispatch(p);
}

void session_describe(const session *s, session_view *view) {
    *view =
        (session_view){.state = proto_state_name(s->state), .peer = s->peer, .model_count = s->model_count};
    if (s->handle != NULL) {
        dispatch_worker_info info;
        dispatch_worker_describe(s->handle, &info);
        view->running = info.running;
        view->slots = info.slots;
        view->completed = info.completed;
    }
}

slice session_model_name(const session *s, size_t index) {
    return s->models[index].name;
}
