#include "fake.h"

#include "os/random.h"
#include "proto/proof.h"

enum {
    FIRST_BACK_OFF_MS = 500,
    LONGEST_BACK_OFF_MS = 30000,
    OPEN_TIMEOUT_MS = 60000 /* thousands in one process keep each other waiting */
};

static uint64_t draw(uint64_t bound) {
    uint64_t random = 0;
    error err = {0};
    (void)!random_bytes(&random, sizeof random, &err);
    return random % (bound + 1);
}

static void session_end(fake_session *s) {
    fake *f = s->owner;
    s->ended = true;
    f->ended++;
    if (f->ended == f->options.count) {
        ev_loop_stop(f->loop);
    }
}

static void connect_later(fake_session *s) {
    uint64_t bound = s->back_off_ms;
    s->back_off_ms = s->back_off_ms * 2 < LONGEST_BACK_OFF_MS ? s->back_off_ms * 2 : LONGEST_BACK_OFF_MS;
    ev_timer_start(s->owner->loop, &s->connect_timer, draw(bound));
}

void fake_send(fake_session *s, const proto_message *message) {
    buffer *text = &s->owner->output;
    error err = {0};
    unsigned ignored = 0;
    if (s->socket == NULL || s->state == PROTO_CLOSED) {
        return;
    }
    buffer_clear(text);
    (void)!proto_session_move(&s->state, PROTO_WORKER, message->type, &ignored);
    if (!proto_encode(message, text, &err) || !websocket_send_text(s->socket, buffer_slice(text))) {
        fake_report(s, "not_sent", NULL, NULL, 0, slice_of_text(err.text));
        websocket_abort(s->socket);
    }
}

void fake_send_hello(fake_session *s) {
    fake *f = s->owner;
    const fake_options *o = &f->options;
    proto_message message = {.type = PROTO_HELLO};
    proto_hello *hello = &message.hello;
    error err = {0};
    if (!random_bytes(s->nonce, sizeof s->nonce, &err)) {
        websocket_abort(s->socket);
        return;
    }
    memcpy(hello->worker_id, s->identity->worker_id, sizeof hello->worker_id);
    memcpy(hello->public_key, s->identity->public_key, sizeof hello->public_key);
    memcpy(hello->nonce, s->nonce, sizeof hello->nonce);
    if (o->behave == OTHER_KEY) {
        hello->public_key[0] ^= 1;
    }
    hello->os = SLICE_LITERAL("linux");
    hello->arch = SLICE_LITERAL("none");
    hello->isa = SLICE_LITERAL("fake");
    hello->cores = 1;
    memcpy(hello->machine, f->machine, sizeof hello->machine);
    hello->class = f->home.class;
    hello->model_count = 1;
    hello->models[0] = (proto_model){.name = slice_of_text(o->model),
                                     .context = (uint32_t)o->context,
                                     .profile = slice_of_text(o->profile),
                                     .slots = (uint32_t)o->slots};
    memcpy(hello->models[0].digest, f->digest, sizeof f->digest);
    if (o->dimension > 0) {
        proto_model *model = &hello->models[0];
        model->has_dimension = true;
        model->dimension = (uint32_t)o->dimension;
        model->kinds[model->kind_count++] = PROTO_EMBED;
        if (o->both) {
            model->kinds[model->kind_count++] = PROTO_GENERATE;
            model->kinds[model->kind_count++] = PROTO_SCORE;
        }
    }
    fake_send(s, &message);
}

static bool sign_proof(fake_session *s, const proto_challenge *challenge,
                       uint8_t signature[PROTO_SIGNATURE_SIZE], error *err) {
    proto_proof_input input = {0};
    memcpy(input.pool_id, s->owner->home.pool_id, sizeof input.pool_id);
    memcpy(input.worker_id, s->identity->worker_id, sizeof input.worker_id);
    memcpy(input.worker_nonce, s->nonce, sizeof input.worker_nonce);
    memcpy(input.pool_nonce, challenge->nonce, sizeof input.pool_nonce);
    if (s->owner->options.behave == WRONG_POOL) {
        input.pool_id[0] ^= 1;
    }
    buffer bytes = buffer_make(1024);
    bool made = websocket_tls_exporter(s->socket, PROTO_EXPORTER_LABEL, input.exporter, err);
    proto_proof_bytes(&input, &bytes);
    if (s->owner->options.behave == WRONG_PROOF) {
        sign_key *other = sign_key_generate(err);
        made = made && other != NULL && sign_bytes(other, buffer_slice(&bytes), signature, err);
        sign_key_free(other);
    } else {
        made = made && fake_sign(s->identity, buffer_slice(&bytes), signature, err);
    }
    buffer_free(&bytes);
    return made;
}

static void handle_challenge(fake_session *s, const proto_challenge *challenge) {
    proto_message message = {.type = PROTO_PROOF};
    error err = {0};
    if (!sign_proof(s, challenge, message.proof.signature, &err)) {
        fake_report(s, "not_sent", NULL, NULL, 0, slice_of_text(err.text));
        websocket_abort(s->socket);
        return;
    }
    fake_send(s, &message);
}

static void send_beat(fake_session *s) {
    uint32_t slots = (uint32_t)s->owner->options.slots;
    uint32_t running = (uint32_t)s->job_count;
    proto_message beat = {.type = PROTO_BEAT,
                          .beat = {.load = running < slots ? (double)running / slots : 1,
                                   .running = running,
                                   .slots = slots,
                                   .state = PROTO_AVAILABLE}};
    fake_send(s, &beat);
}

static void beat_and_listen(void *context) {
    fake_session *s = context;
    if (ev_now_ms(s->owner->loop) - websocket_last_heard(s->socket) > s->lease_ms) {
        websocket_abort(s->socket);
    } else if (s->owner->options.behave != NO_BEATS) {
        send_beat(s);
        (void)!websocket_ping(s->socket);
    }
}

static void handle_welcome(fake_session *s, const proto_welcome *welcome) {
    fake *f = s->owner;
    s->back_off_ms = FIRST_BACK_OFF_MS;
    s->lease_ms = welcome->lease_ms;
    fake_report(s, "connected", welcome->session, NULL, 0, (slice){0});
    send_beat(s);
    fake_log_welcome(s, welcome);
    ev_timer_start_repeating(f->loop, &s->beat_timer, welcome->beat_ms);
    f->serving++;
    if (f->serving == f->options.count) {
        fake_report_all(f, "serving");
    }
}

static void handle_refuse(fake_session *s, const proto_refuse *refuse) {
    fake_report(s, "refused", NULL, NULL, 0, refuse->code);
    if (!slice_equal_text(refuse->code, PROTO_REFUSE_FULL) &&
        !slice_equal_text(refuse->code, PROTO_REFUSE_DRAINING)) {
        session_end(s);
    }
}

static void handle_message(fake_session *s, const proto_message *message) {
    switch (message->type) {
    case PROTO_CHALLENGE:
        handle_challenge(s, &message->challenge);
        return;
    case PROTO_WELCOME:
        handle_welcome(s, &message->welcome);
        return;
    case PROTO_REFUSE:
        handle_refuse(s, &message->refuse);
        return;
    case PROTO_JOB:
        fake_job_start(s, &message->job);
        return;
    case PROTO_CANCEL:
        fake_job_cancel(s, message->cancel.id);
        return;
    case PROTO_CREDIT:
        fake_job_credit(s, &message->credit);
        return;
    case PROTO_REKEY:
        fake_rekey(s, &message->rekey);
        return;
    case PROTO_REKEYED:
        fake_rekeyed(s, &message->rekeyed);
        return;
    case PROTO_KEYS:
        fake_log_keys(s, message->keys.keys);
        return;
    case PROTO_LOG_PROOF:
        fake_log_proof(s, &message->log_proof);
        return;
    case PROTO_REVOKE:
        fake_report(s, "revoked", NULL, NULL, 0, message->revoke.reason);
        s->revoked = true;
        return;
    default:
        fake_report(s, proto_type_name(message->type), NULL, NULL, 0, (slice){0});
    }
}

static void on_open(void *context) {
    fake_session *s = context;
    s->state = PROTO_AWAITING_HELLO;
    fake_report(s, "open", NULL, NULL, 0, (slice){0});
    if (s->owner->options.behave != NO_HELLO) {
        fake_send_hello(s);
    }
}

static void on_message(void *context, slice text, bool is_text) {
    fake_session *s = context;
    proto_message message;
    error err = {0};
    unsigned code = 0;
    arena_reset(s->owner->scratch);
    if (!is_text || !proto_decode(text, s->owner->scratch, &message, &err)) {
        fake_report(s, "bad_message", NULL, NULL, 0, slice_of_text(err.text));
        return;
    }
    if (!proto_session_move(&s->state, PROTO_POOL, message.type, &code) &&
        s->owner->options.behave == HONEST) {
        fake_report(s, "bad_state", NULL, "type", message.type, (slice){0});
        return;
    }
    handle_message(s, &message);
}

static void on_closed(void *context, unsigned code, slice reason) {
    fake_session *s = context;
    fake *f = s->owner;
    if (ev_timer_is_running(&s->beat_timer)) {
        if (f->serving == f->options.count) {
            f->since_ms = ev_now_ms(f->loop);
        }
        f->serving--;
    }
    s->socket = NULL;
    s->state = PROTO_CLOSED;
    ev_timer_stop(&s->beat_timer);
    fake_log_closed(s);
    fake_report(s, "closed", NULL, "code", code, reason);
    fake_job_drop_all(s);
    if (f->stopping || s->ended) {
        return;
    }
    if (f->options.once || s->revoked || code == PROTO_CLOSE_REVOKED || code == PROTO_CLOSE_REPLACED) {
        session_end(s);
    } else {
        connect_later(s);
    }
}

static void session_connect(void *context) {
    static const websocket_handlers handlers = {
        .on_open = on_open, .on_message = on_message, .on_closed = on_closed};
    fake_session *s = context;
    fake *f = s->owner;
    error err = {0};
    s->socket = websocket_connect(f->net,
                                  &(websocket_options){.host = f->home.host,
                                                       .port = f->home.port,
                                                       .path = PROTO_PATH,
                                                       .subprotocol = PROTO_SUBPROTOCOL,
                                                       .tls = f->tls,
                                                       .timeout_ms = OPEN_TIMEOUT_MS,
                                                       .message_limit = PROTO_JOB_MAX},
                                  &handlers, s, &err);
    if (s->socket == NULL) {
        connect_later(s);
    }
}

void fake_session_start(fake *f, size_t number) {
    fake_session *s = &f->sessions[number];
    *s = (fake_session){.owner = f,
                        .number = number,
                        .identity = &f->identities[number],
                        .state = PROTO_CLOSED,
                        .back_off_ms = FIRST_BACK_OFF_MS};
    list_init(&s->jobs);
    ev_timer_init(&s->connect_timer, session_connect, s);
    ev_timer_init(&s->beat_timer, beat_and_listen, s);
    ev_timer_start(f->loop, &s->connect_timer, draw(f->options.spread_ms));
}
