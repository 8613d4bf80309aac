#include "session.h"

#include "base/log.h"
#include "base/memory.h"
#include "crypto/sign.h"
#include "dispatch/job.h"
#include "dispatch/worker.h"
#include "job.h"
#include "os/clock.h"
#include "os/random.h"
#include "proto/proof.h"
#include "reply.h"

enum {
    HANDSHAKE_MS = 10000,
    CHECKED_FIRST = 20,      /* receipts of a session that are always verified */
    CHECKED_PER_SECOND = 50, /* and these after it */
    CHECKED_SHARE = 16,      /* beyond, one in this many */
    CHECK_NOW_THRESHOLD = 256 / CHECKED_SHARE
};

typedef struct session_model {
    slice name; /* in session.names */
    uint8_t digest[PROTO_DIGEST_SIZE];
    char profile[RECEIPT_PROFILE_LIMIT + 1];
} session_model;

struct session {
    list_node node; /* in pool.sessions */
    pool *pool;
    websocket *socket;
    proto_state state;
    fleet_worker *worker; /* known from the hello on */
    dispatch_worker *handle;
    uint8_t worker_nonce[PROTO_NONCE_SIZE];
    uint8_t pool_nonce[PROTO_NONCE_SIZE];
    buffer names; /* of the models */
    session_model *models;
    dispatch_offer *offers; /* until the welcome */
    size_t model_count;
    ev_timer timer; /* handshake, then expiry */
    uint64_t receipts;
    uint64_t check_second; /* the second that `checked` counts in */
    uint32_t checked;
    char peer[NET_ADDRESS_SIZE];
};

static bool send_message(session *s, const proto_message *message) {
    error err = {0};
    buffer text = buffer_make(PROTO_MESSAGE_MAX);
    bool sent = proto_encode(message, &text, &err) && websocket_send_text(s->socket, buffer_slice(&text));
    buffer_free(&text);
    return sent;
}

/* Takes the session out of the dispatcher; its jobs go elsewhere. */
static void leave_dispatch(session *s) {
    dispatch_worker *handle = s->handle;
    s->handle = NULL;
    if (s->worker != NULL && s->worker->session == s) {
        s->worker->session = NULL;
    }
    if (handle != NULL) {
        dispatch_worker_remove(handle, ev_now_ms(s->pool->loop));
        pool_arm_dispatch(s->pool);
    }
}

/* The socket's on_closed frees the session. */
static void session_close(session *s, unsigned code, const char *reason) {
    if (s->state == PROTO_CLOSED) {
        return;
    }
    s->state = PROTO_CLOSED;
    leave_dispatch(s);
    websocket_close(s->socket, code, reason);
}

static void session_violation(session *s, unsigned code, const char *what) {
    s->pool->counters.session_violations++;
    log_warning("worker broke the protocol", LOG_TEXT("worker", s->worker == NULL ? "" : s->worker->id_hex),
                LOG_TEXT("peer", s->peer), LOG_U64("close_code", code), LOG_TEXT("cause", what));
    session_close(s, code, what);
}

static void session_refuse(session *s, const char *code, const char *text) {
    log_info("worker refused", LOG_TEXT("worker", s->worker == NULL ? "" : s->worker->id_hex),
             LOG_TEXT("peer", s->peer), LOG_TEXT("code", code));
    proto_message refuse = {.type = PROTO_REFUSE,
                            .refuse = {.code = slice_of_text(code), .text = slice_of_text(text)}};
    (void)!send_message(s, &refuse);
    session_close(s, PROTO_CLOSE_REFUSED, code);
}

/* Copies what outlives the message. */
static bool keep_models(session *s, const proto_hello *hello) {
    s->models = memory_allocate_zeroed(hello->model_count, sizeof *s->models);
    s->offers = memory_allocate_zeroed(hello->model_count, sizeof *s->offers);
    s->names = buffer_make((size_t)PROTO_MODELS_MAX * PROTO_NAME_MAX);
    for (size_t i = 0; i < hello->model_count; i++) {
        buffer_append(&s->names, hello->models[i].name);
    }
    if (s->models == NULL || s->offers == NULL || buffer_failed(&s->names)) {
        return false;
    }
    size_t start = 0;
    for (size_t i = 0; i < hello->model_count; i++) {
        const proto_model *model = &hello->models[i];
        s->models[i].name = slice_part(buffer_slice(&s->names), start, model->name.length);
        start += model->name.length;
        memcpy(s->models[i].digest, model->digest, sizeof s->models[i].digest);
        memcpy(s->models[i].profile, model->profile.data, model->profile.length);
        s->offers[i] = (dispatch_offer){.model = s->models[i].name,
                                        .slots = model->slots,
                                        .exact = slice_starts_with(model->profile, SLICE_LITERAL("exact-"))};
        memcpy(s->offers[i].digest, model->digest, sizeof s->offers[i].digest);
    }
    s->model_count = hello->model_count;
    return true;
}

static void handle_hello(session *s, const proto_hello *hello) {
    pool *p = s->pool;
    error err = {0};
    fleet_worker *worker = fleet_find(p->fleet, hello->worker_id);
    if (worker == NULL || !hash_equal(worker->public_key, hello->public_key, sizeof worker->public_key)) {
        session_refuse(s, PROTO_REFUSE_UNKNOWN, "this worker is not enrolled here; join with a new token");
        return;
    }
    s->worker = worker;
    if (p->draining) {
        session_refuse(s, PROTO_REFUSE_DRAINING, "the pool is stopping; come back in a moment");
        return;
    }
    if (!keep_models(s, hello) || !random_bytes(s->pool_nonce, sizeof s->pool_nonce, &err)) {
        session_close(s, PROTO_CLOSE_INTERNAL, "out of memory");
        return;
    }
    memcpy(s->worker_nonce, hello->nonce, sizeof s->worker_nonce);
    proto_message challenge = {.type = PROTO_CHALLENGE};
    memcpy(challenge.challenge.pool_id, p->site.pool_id, sizeof challenge.challenge.pool_id);
    memcpy(challenge.challenge.nonce, s->pool_nonce, sizeof challenge.challenge.nonce);
    if (!send_message(s, &challenge)) {
        session_close(s, PROTO_CLOSE_INTERNAL, "out of memory");
    }
}

static bool proof_holds(const session *s, const proto_proof *proof) {
    proto_proof_input input = {0};
    error err = {0};
    memcpy(input.pool_id, s->pool->site.pool_id, sizeof input.pool_id);
    memcpy(input.worker_id, s->worker->id, sizeof input.worker_id);
    memcpy(input.worker_nonce, s->worker_nonce, sizeof input.worker_nonce);
    memcpy(input.pool_nonce, s->pool_nonce, sizeof input.pool_nonce);
    if (!websocket_tls_exporter(s->socket, PROTO_EXPORTER_LABEL, input.exporter, &err)) {
        return false;
    }
    buffer bytes = buffer_make(1024);
    proto_proof_bytes(&input, &bytes);
    bool holds =
        !buffer_failed(&bytes) && sign_verify(s->worker->public_key, buffer_slice(&bytes), proof->signature);
    buffer_free(&bytes);
    return holds;
}

static void session_expired(void *context) {
    session *s = context;
    if (s->state == PROTO_SERVING || s->state == PROTO_DRAINING) {
        session_revoke(s->worker, "this worker's enrolment has expired");
    } else {
        session_close(s, PROTO_CLOSE_TIMEOUT, "hello and proof must come within 10 seconds");
    }
}

static void arm_expiry(session *s) {
    uint64_t now = clock_unix_ms();
    ev_timer_stop(&s->timer);
    if (s->worker->expires_ms > now) {
        ev_timer_start(s->pool->loop, &s->timer, s->worker->expires_ms - now);
    }
}

/* A second session under one id has proven the same key: it is the same worker, whose first connection is
 * dead or about to be. The dispatcher replaces the first. */
static void welcome(session *s) {
    pool *p = s->pool;
    error err = {0};
    dispatch_id id;
    proto_message message = {
        .type = PROTO_WELCOME,
        .welcome = {.lease_ms = PROTO_LEASE_MS, .beat_ms = (uint32_t)p->settings.beat_ms}};
    memcpy(id.bytes, s->worker->id, sizeof id.bytes);
    bool ready = random_bytes(message.welcome.session, sizeof message.welcome.session, &err);
    session *before = s->worker->session;
    s->worker->session = s;
    if (ready) {
        s->handle =
            dispatch_worker_add(p->dispatch, &id, s, s->offers, s->model_count, ev_now_ms(p->loop), &err);
    }
    memory_free(s->offers);
    s->offers = NULL;
    unsigned ignored = 0;
    if (s->handle == NULL) {
        s->worker->session = before;
        session_refuse(s, PROTO_OTHER, err.text);
        return;
    }
    if (!send_message(s, &message) || !proto_session_move(&s->state, PROTO_POOL, PROTO_WELCOME, &ignored)) {
        session_close(s, PROTO_CLOSE_INTERNAL, "out of memory");
        return;
    }
    p->counters.sessions_opened++;
    arm_expiry(s);
    log_info("worker connected", LOG_TEXT("worker", s->worker->id_hex), LOG_TEXT("name", s->worker->name),
             LOG_TEXT("peer", s->peer));
    dispatch_worker_ready(s->handle, ev_now_ms(p->loop));
    pool_arm_dispatch(p);
}

static void handle_proof(session *s, const proto_proof *proof) {
    const char *refusal = fleet_refusal(s->worker, clock_unix_ms());
    if (refusal != NULL) {
        session_refuse(s, refusal, "this worker may not serve any more; ask the admin");
    } else if (!proof_holds(s, proof)) {
        session_refuse(s, PROTO_REFUSE_PROOF, "the proof doesn't hold for this key, pool and connection");
    } else {
        welcome(s);
    }
}

static void handle_delta(session *s, const proto_delta *delta) {
    void *found = NULL;
    dispatch_id id;
    error err = {0};
    memcpy(id.bytes, delta->id, sizeof id.bytes);
    dispatch_verdict verdict =
        dispatch_job_delta(s->handle, &id, delta->seq, delta->token_count, ev_now_ms(s->pool->loop), &found);
    if (verdict == DISPATCH_VIOLATION) {
        session_violation(s, PROTO_CLOSE_JOB, "a delta that the job, its order or its credit doesn't allow");
    } else if (verdict == DISPATCH_OK && !job_delta(found, delta, &err)) {
        session_violation(s, PROTO_CLOSE_JOB, err.text);
    }
    pool_arm_dispatch(s->pool);
}

static void handle_done(session *s, const proto_done *done) {
    void *found = NULL;
    dispatch_id id;
    error err = {0};
    signed_receipt entry;
    memcpy(id.bytes, done->id, sizeof id.bytes);
    job *j = dispatch_worker_job(s->handle, &id);
    if (j != NULL && !job_check_receipt(j, s->worker, done, &entry, &err)) {
        session_violation(s, PROTO_CLOSE_JOB, err.text);
        return;
    }
    dispatch_verdict verdict =
        dispatch_job_done(s->handle, &id, done->completion_tokens, ev_now_ms(s->pool->loop), &found);
    if (verdict == DISPATCH_VIOLATION) {
        session_violation(s, PROTO_CLOSE_JOB, "done, for a job not held or with a false token count");
    } else if (verdict == DISPATCH_OK) {
        job_complete(j, s->worker, &entry);
    }
    pool_arm_dispatch(s->pool);
}

static void handle_fail(session *s, const proto_fail *fail) {
    dispatch_id id;
    memcpy(id.bytes, fail->id, sizeof id.bytes);
    job *j = dispatch_worker_job(s->handle, &id);
    if (j != NULL) {
        job_note_refusal(j, fail->text);
        log_info("worker gave a job up", LOG_TEXT("worker", s->worker->id_hex), LOG_TEXT("job", j->id_hex),
                 LOG_SLICE("code", fail->code), LOG_U64("retryable", fail->retryable));
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
}

static void handle_message(session *s, const proto_message *message) {
    switch (message->type) {
    case PROTO_HELLO:
        handle_hello(s, &message->hello);
        return;
    case PROTO_PROOF:
        handle_proof(s, &message->proof);
        return;
    case PROTO_DELTA:
        handle_delta(s, &message->delta);
        return;
    case PROTO_DONE:
        handle_done(s, &message->done);
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
        session_violation(s, err.code == ERROR_MEMORY ? PROTO_CLOSE_INTERNAL : PROTO_CLOSE_BAD_MESSAGE,
                          err.text);
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
        reply_error(request, 503, NULL, "memory", "out of memory; try again later");
        return;
    }
    *s = (session){.pool = p, .state = PROTO_AWAITING_HELLO};
    s->socket = http_request_upgrade(request, PROTO_SUBPROTOCOL, &handlers, s, &err);
    if (s->socket == NULL) {
        memory_free(s);
        reply_failure(request, &err);
        return;
    }
    websocket_peer(s->socket, s->peer);
    list_append(&p->sessions, &s->node);
    ev_timer_init(&s->timer, session_expired, s);
    ev_timer_start(p->loop, &s->timer, HANDSHAKE_MS);
}

static const session_model *find_model(const session *s, slice name) {
    for (size_t i = 0; i < s->model_count; i++) {
        if (slice_equal(s->models[i].name, name)) {
            return &s->models[i];
        }
    }
    return NULL;
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

/* 0 when the time left is over: the worker gives the job up at once. */
static uint32_t milliseconds_left(const job *j) {
    uint64_t age = clock_unix_ms() - j->created_ms;
    uint64_t whole = j->pool->settings.job_deadline_ms;
    return (uint32_t)(age < whole ? whole - age : 1);
}

void session_send_job(session *s, job *j, uint64_t credit) {
    const session_model *model = find_model(s, j->chat.model);
    proto_message message = {.type = PROTO_JOB,
                             .job = {.model = j->chat.model,
                                     .messages = (const proto_chat *)(const void *)j->chat.messages,
                                     .message_count = j->chat.message_count,
                                     .temperature = j->chat.temperature,
                                     .top_p = j->chat.top_p,
                                     .max_tokens = j->chat.max_tokens,
                                     .stop_count = j->chat.stop_count,
                                     .seed = j->seed,
                                     .deadline_ms = milliseconds_left(j),
                                     .credit = (uint32_t)credit}};
    memcpy(message.job.id, j->id.bytes, sizeof message.job.id);
    memcpy(message.job.stop, j->chat.stops, sizeof j->chat.stops);
    memcpy(message.job.nonce, j->nonce, sizeof message.job.nonce);
    memcpy(message.job.salt, j->salt, sizeof message.job.salt);
    if (model != NULL) {
        memcpy(message.job.digest, model->digest, sizeof message.job.digest);
    }
    if (model == NULL || !send_message(s, &message)) {
        session_close(s, PROTO_CLOSE_INTERNAL, "a job could not be sent");
    }
}

void session_send_credit(session *s, const dispatch_id *id, uint64_t tokens) {
    proto_message message = {.type = PROTO_CREDIT, .credit = {.tokens = (uint32_t)tokens}};
    memcpy(message.credit.id, id->bytes, sizeof message.credit.id);
    if (!send_message(s, &message)) {
        session_close(s, PROTO_CLOSE_INTERNAL, "the worker doesn't read");
    }
}

void session_send_cancel(session *s, const dispatch_id *id) {
    proto_message message = {.type = PROTO_CANCEL};
    memcpy(message.cancel.id, id->bytes, sizeof message.cancel.id);
    if (!send_message(s, &message)) {
        session_close(s, PROTO_CLOSE_INTERNAL, "the worker doesn't read");
    }
}

void session_closed_by_dispatch(session *s, dispatch_closing reason) {
    s->handle = NULL;
    session_close(s, reason == DISPATCH_REPLACED ? PROTO_CLOSE_REPLACED : PROTO_CLOSE_DEAD,
                  dispatch_closing_name(reason));
}

void session_drained(session *s) {
    session_close(s, PROTO_CLOSE_GOING_AWAY, "drained");
}

/* A cheap generator is enough for the draw: the worker can't see it, and whatever it lets pass is verified
 * when the receipt is fetched. */
bool session_wants_receipt_check(session *s) {
    uint64_t second = ev_now_ms(s->pool->loop) / 1000;
    uint8_t draw = 0;
    error err = {0};
    s->receipts++;
    if (second != s->check_second) {
        s->check_second = second;
        s->checked = 0;
    }
    if (s->receipts <= CHECKED_FIRST || s->checked < CHECKED_PER_SECOND) {
        s->checked++;
        return true;
    }
    return !random_bytes(&draw, sizeof draw, &err) || draw < CHECK_NOW_THRESHOLD;
}

void session_revoke(fleet_worker *worker, const char *reason) {
    session *s = worker->session;
    if (s == NULL) {
        return;
    }
    proto_message revoke = {.type = PROTO_REVOKE, .revoke = {.reason = slice_of_text(reason)}};
    (void)!send_message(s, &revoke);
    session_close(s, PROTO_CLOSE_REVOKED, reason);
}

static void forger_revoked(void *context, const error *failure) {
    (void)context;
    if (failure != NULL) {
        log_error("a worker that forged a receipt could not be revoked", LOG_CAUSE(failure));
    }
}

void session_close_forger(pool *p, const uint8_t worker_id[STORE_WORKER_ID_SIZE]) {
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
        if (s->state == PROTO_SERVING && send_message(s, &drain) &&
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
