#include "agent.h"

#include "base/log.h"
#include "crypto/sign.h"
#include "os/random.h"
#include "proto/proof.h"
#include "rekey.h"
#include "trust.h"
#include "worker_job.h"

enum {
    FIRST_BACK_OFF_MS = 500, /* doubles up to the longest; each wait is drawn from half of it to all of it */
    LONGEST_BACK_OFF_MS = 30000
};

/* Jitter, so that many workers that lost their pool at once don't all come back at once. */
static uint32_t draw_back_off(agent *a) {
    uint32_t random = 0;
    error err = {0};
    uint32_t half = a->back_off_ms / 2;
    (void)!random_bytes(&random, sizeof random, &err);
    a->back_off_ms = a->back_off_ms * 2 < LONGEST_BACK_OFF_MS ? a->back_off_ms * 2 : LONGEST_BACK_OFF_MS;
    return half + random % (half + 1);
}

void link_connect_later(agent *a) {
    if (!a->stopping) {
        ev_timer_start(a->loop, &a->connect_timer, draw_back_off(a));
    }
}

bool agent_send(agent *a, const proto_message *message) {
    error err = {0};
    unsigned ignored = 0;
    if (a->socket == NULL || a->state == PROTO_CLOSED) {
        return false;
    }
    buffer text = buffer_make(PROTO_MESSAGE_MAX);
    bool sent = proto_encode(message, &text, &err) &&
                proto_session_move(&a->state, PROTO_WORKER, message->type, &ignored) &&
                websocket_send_text(a->socket, buffer_slice(&text));
    buffer_wipe(&text);
    if (!sent) {
        log_error("message to the pool not sent", LOG_TEXT("type", proto_type_name(message->type)),
                  LOG_CAUSE(&err));
        link_close(a, PROTO_CLOSE_INTERNAL, "a message could not be sent");
    }
    return sent;
}

static void describe_model(const agent *a, proto_model *model) {
    *model = (proto_model){.name = slice_of_text(a->model_name),
                           .context = a->context,
                           .profile = slice_of_text(a->profile),
                           .slots = a->slots,
                           .has_dimension = a->dimension > 0,
                           .dimension = a->dimension};
    memcpy(model->digest, a->model_digest, sizeof a->model_digest);
    if (a->can_generate) {
        model->kinds[model->kind_count++] = PROTO_GENERATE;
    }
    if (a->can_generate && agent_is_exact(a)) {
        model->kinds[model->kind_count++] = PROTO_SCORE;
    }
    if (a->dimension > 0) {
        model->kinds[model->kind_count++] = PROTO_EMBED;
    }
}

static void send_hello(agent *a) {
    error err = {0};
    proto_message message = {.type = PROTO_HELLO};
    proto_hello *hello = &message.hello;
    if (!random_bytes(a->nonce, sizeof a->nonce, &err)) {
        link_close(a, PROTO_CLOSE_INTERNAL, err.text);
        return;
    }
    memcpy(hello->worker_id, rekey_worker_id(a), sizeof hello->worker_id);
    memcpy(hello->public_key, sign_key_public(rekey_key(a)), sizeof hello->public_key);
    memcpy(hello->nonce, a->nonce, sizeof hello->nonce);
    memcpy(hello->build, a->release.program, sizeof hello->build);
    hello->release = buffer_slice(&a->release.manifest);
    hello->os = slice_of_text(a->host.os);
    hello->arch = slice_of_text(a->host.architecture);
    hello->isa = slice_part(slice_of_text(a->host.isa), 0, PROTO_PROFILE_MAX);
    hello->cores = a->host.cores;
    hello->ram = a->host.ram_bytes;
    memcpy(hello->machine, a->machine, sizeof hello->machine);
    hello->class = a->home.class;
    memcpy(hello->ca, a->home.ca_pin, sizeof hello->ca);
    hello->model_count = 1;
    describe_model(a, &hello->models[0]);
    a->state = PROTO_AWAITING_HELLO;
    (void)!agent_send(a, &message);
}

/* The pool proves itself by its certificate; the worker by this signature over the connection they share. */
static void send_proof(agent *a, const proto_challenge *challenge) {
    error err = {0};
    proto_message message = {.type = PROTO_PROOF};
    proto_proof_input input = {0};
    if (memcmp(challenge->pool_id, a->home.pool_id, sizeof a->home.pool_id) != 0) {
        link_close(a, PROTO_CLOSE_VIOLATION, "this isn't the pool that enrolled me");
        return;
    }
    memcpy(input.pool_id, a->home.pool_id, sizeof input.pool_id);
    memcpy(input.worker_id, rekey_worker_id(a), sizeof input.worker_id);
    memcpy(input.worker_nonce, a->nonce, sizeof input.worker_nonce);
    memcpy(input.pool_nonce, challenge->nonce, sizeof input.pool_nonce);
    buffer bytes = buffer_make(1024);
    bool made = websocket_tls_exporter(a->socket, PROTO_EXPORTER_LABEL, input.exporter, &err);
    proto_proof_bytes(&input, &bytes);
    made = made && (!buffer_failed(&bytes) || error_memory(&err)) &&
           sign_bytes(rekey_key(a), buffer_slice(&bytes), message.proof.signature, &err);
    buffer_free(&bytes);
    if (!made) {
        link_close(a, PROTO_CLOSE_INTERNAL, err.text);
        return;
    }
    (void)!agent_send(a, &message);
}

void agent_beat(agent *a) {
    if (a->state != PROTO_SERVING && a->state != PROTO_DRAINING) {
        return;
    }
    bool free_to_work = a->engine_ready && !a->stopping && !a->log_doubted;
    proto_message beat = {.type = PROTO_BEAT,
                          .beat = {.load = a->slots == 0 ? 1 : (double)a->job_count / a->slots,
                                   .running = (uint32_t)a->job_count,
                                   .slots = a->slots,
                                   .state = free_to_work ? PROTO_AVAILABLE : PROTO_PAUSED}};
    (void)!agent_send(a, &beat);
}

static void beat_and_listen(void *context) {
    agent *a = context;
    uint64_t silence = ev_now_ms(a->loop) - websocket_last_heard(a->socket);
    if (silence > a->lease_ms) {
        log_warning("the pool has gone silent", LOG_U64("ms", silence));
        websocket_abort(a->socket);
        return;
    }
    agent_beat(a);
    link_log_beat(a);
    certificate_check(a);
    if (a->socket != NULL && !websocket_ping(a->socket)) {
        log_debug("ping not sent");
    }
}

/* A pool with another program isn't computed for; it may be put right, so it is asked again, seldom. */
static bool pool_is_accepted(agent *a, const proto_welcome *welcome) {
    error err = {0};
    release_claim claim = {.manifest = welcome->release};
    memcpy(claim.program, welcome->build, sizeof claim.program);
    if (release_status_accepts(&a->release, &a->pool_releases, &claim, &err)) {
        return true;
    }
    log_error("the pool's release isn't one that --pool-release accepts: nothing is computed for it",
              LOG_CAUSE(&err));
    a->back_off_ms = LONGEST_BACK_OFF_MS;
    link_close(a, PROTO_CLOSE_GOING_AWAY, "the pool's release isn't accepted here");
    return false;
}

static void handle_welcome(agent *a, const proto_welcome *welcome) {
    if (!pool_is_accepted(a, welcome) || !link_keys_take(a, welcome->keys) || !link_log_welcome(a, welcome)) {
        return;
    }
    a->back_off_ms = FIRST_BACK_OFF_MS;
    a->lease_ms = welcome->lease_ms;
    rekey_welcomed(a);
    ev_timer_start_repeating(a->loop, &a->beat_timer, welcome->beat_ms);
    log_info("connected to the pool", LOG_TEXT("host", a->home.host),
             LOG_TEXT("worker", a->home.worker_id_hex), LOG_TEXT("model", a->model_name));
    agent_beat(a);
}

/* Some refusals can't heal by themselves: then the process ends and says what to do. */
void link_give_up(agent *a, slice reason) {
    log_error("the pool doesn't want this worker; ask the admin", LOG_SLICE("reason", reason));
    agent_end_revoked(a);
}

/* Coming back would throw the other one out, and so on for ever. */
static void step_aside(agent *a) {
    log_error(
        "another process runs with this worker's key: stop it, or join here with a new token and --state",
        LOG_TEXT("worker", a->home.worker_id_hex));
    a->exit_status = 1;
    a->stopping = true;
}

static bool refusal_is_final(slice code) {
    return !slice_equal_text(code, PROTO_REFUSE_FULL) && !slice_equal_text(code, PROTO_REFUSE_DRAINING) &&
           !slice_equal_text(code, PROTO_OTHER);
}

static void handle_refuse(agent *a, const proto_refuse *refuse) {
    if (rekey_refused(a, refuse->code)) {
        log_warning("the pool doesn't know this key: the other one is tried",
                    LOG_SLICE("code", refuse->code));
    } else if (slice_equal_text(refuse->code, PROTO_REFUSE_CERTIFICATE)) {
        certificate_refused(a);
    } else if (refusal_is_final(refuse->code)) {
        link_give_up(a, refuse->text);
    } else {
        log_warning("refused for now", LOG_SLICE("code", refuse->code), LOG_SLICE("reason", refuse->text));
    }
}

static void handle_message(agent *a, const proto_message *message) {
    switch (message->type) {
    case PROTO_CHALLENGE:
        send_proof(a, &message->challenge);
        return;
    case PROTO_WELCOME:
        handle_welcome(a, &message->welcome);
        return;
    case PROTO_REFUSE:
        handle_refuse(a, &message->refuse);
        return;
    case PROTO_JOB:
        worker_job_start(a, &message->job);
        return;
    case PROTO_CANCEL:
        worker_job_cancel(a, message->cancel.id);
        return;
    case PROTO_CREDIT:
        generate_job_credit(a, &message->credit);
        return;
    case PROTO_DRAIN:
        log_info("the pool drains this session");
        return;
    case PROTO_REKEY:
        rekey_start(a, &message->rekey);
        return;
    case PROTO_REKEYED:
        rekey_finish(a, &message->rekeyed);
        return;
    case PROTO_KEYS:
        (void)!link_keys_take(a, message->keys.keys);
        return;
    case PROTO_TRUST:
        trust_take(a, &message->trust);
        return;
    case PROTO_REVOKE:
        link_give_up(a, message->revoke.reason);
        return;
    case PROTO_LOG_PROOF:
        link_log_proof(a, &message->log_proof);
        return;
    default:
        link_close(a, PROTO_CLOSE_VIOLATION, "a message that only workers send");
    }
}

static void on_open(void *context) {
    send_hello(context);
}

static void on_message(void *context, slice text, bool is_text) {
    agent *a = context;
    proto_message message;
    error err = {0};
    unsigned code = 0;
    arena_wipe(a->scratch);
    if (a->state == PROTO_CLOSED) {
        return;
    }
    bool decoded = is_text && proto_decode(text, a->scratch, &message, &err);
    if (!decoded && err.code == ERROR_MEMORY) {
        log_error("a message from the pool can't be read", LOG_CAUSE(&err));
        link_close(a, PROTO_CLOSE_INTERNAL, err.text);
    } else if (!decoded) {
        log_error("the pool sent what isn't a message", LOG_CAUSE(&err));
        link_close(a, PROTO_CLOSE_BAD_MESSAGE, "not a message of this protocol");
    } else if (!proto_session_move(&a->state, PROTO_POOL, message.type, &code)) {
        link_close(a, code, "a message that this state doesn't allow");
    } else {
        handle_message(a, &message);
    }
}

static void on_closed(void *context, unsigned code, slice reason) {
    agent *a = context;
    a->socket = NULL;
    a->state = PROTO_CLOSED;
    ev_timer_stop(&a->beat_timer);
    link_log_closed(a);
    if (!a->stopping) {
        log_warning("not connected to the pool", LOG_TEXT("host", a->home.host), LOG_U64("close_code", code),
                    LOG_SLICE("reason", reason));
    }
    if (code == PROTO_CLOSE_REPLACED && !a->stopping) {
        step_aside(a);
    }
    worker_job_drop_all(a);
    link_connect_later(a);
}

void link_close(agent *a, unsigned code, const char *reason) {
    if (a->socket != NULL && a->state != PROTO_CLOSED) {
        a->state = PROTO_CLOSED;
        websocket_close(a->socket, code, reason);
    }
}

void link_init(agent *a) {
    a->state = PROTO_CLOSED;
    a->back_off_ms = FIRST_BACK_OFF_MS;
    ev_timer_init(&a->connect_timer, link_connect, a);
    ev_timer_init(&a->beat_timer, beat_and_listen, a);
    certificate_init(a);
}

void link_connect(void *agent_context) {
    static const websocket_handlers handlers = {
        .on_open = on_open, .on_message = on_message, .on_closed = on_closed};
    agent *a = agent_context;
    error err = {0};
    if (a->stopping || a->socket != NULL || !a->engine_ready) {
        return;
    }
    if (a->certificate.missing) {
        certificate_fetch(a);
        return;
    }
    a->socket = websocket_connect(a->net,
                                  &(websocket_options){.host = a->home.host,
                                                       .port = a->home.port,
                                                       .path = PROTO_PATH,
                                                       .subprotocol = PROTO_SUBPROTOCOL,
                                                       .tls = a->tls,
                                                       .message_limit = PROTO_JOB_MAX},
                                  &handlers, a, &err);
    if (a->socket == NULL) {
        log_error("not connected to the pool", LOG_CAUSE(&err));
        link_connect_later(a);
    }
}
