#include "honest_worker.h"

#include "auth/token.h"
#include "os/random.h"
#include "proto/enrolment.h"
#include "proto/proof.h"

enum { BACK_MS = 5, WORDS = WORKER_WORDS, WORDS_HELD = 2, SCRATCH_LIMIT = 4 * 1024 * 1024 };

static const char *const words[WORDS] = {"One ", "two ", "three ", "four ", "five ", "six."};

static void must(bool good, const error *err) {
    if (!good) {
        fail_msg("%s", err->text);
    }
}

static bool send_message(honest_worker *w, const proto_message *message) {
    error err = {0};
    buffer text = buffer_make(PROTO_MESSAGE_MAX);
    must(proto_encode(message, &text, &err), &err);
    bool sent = websocket_send_text(w->socket, buffer_slice(&text));
    buffer_free(&text);
    return sent;
}

static void blame(honest_worker *w, const char *kind, unsigned code, slice text) {
    w->blamed++;
    snprintf(w->blame, sizeof w->blame, "%s %u: %.*s", kind, code, SLICE_FORMAT(text));
}

static void on_open(void *context) {
    honest_worker *w = context;
    proto_message message = {.type = PROTO_HELLO,
                             .hello = {.os = SLICE_LITERAL("linux"),
                                       .arch = SLICE_LITERAL("x86_64"),
                                       .isa = SLICE_LITERAL("none"),
                                       .cores = 1,
                                       .ram = 1,
                                       .model_count = 1}};
    error err = {0};
    must(random_bytes(w->nonce, sizeof w->nonce, &err), &err);
    memcpy(message.hello.worker_id, w->id, sizeof w->id);
    memcpy(message.hello.public_key, sign_key_public(w->key), SIGN_PUBLIC_SIZE);
    memcpy(message.hello.nonce, w->nonce, sizeof w->nonce);
    message.hello.models[0] = (proto_model){.name = SLICE_LITERAL(WORKER_MODEL),
                                            .context = 4096,
                                            .profile = slice_of_text(w->profile),
                                            .slots = 2,
                                            .kinds = {PROTO_GENERATE, PROTO_SCORE, PROTO_EMBED},
                                            .kind_count = 3,
                                            .has_dimension = true,
                                            .dimension = 1};
    memcpy(message.hello.models[0].digest, worker_digest, sizeof worker_digest);
    (void)send_message(w, &message);
}

static void send_proof(honest_worker *w, const proto_challenge *challenge) {
    proto_proof_input input = {0};
    proto_message message = {.type = PROTO_PROOF};
    error err = {0};
    buffer bytes = buffer_make(1024);
    memcpy(w->pool_id, challenge->pool_id, sizeof w->pool_id);
    memcpy(input.pool_id, challenge->pool_id, sizeof input.pool_id);
    memcpy(input.worker_id, w->id, sizeof input.worker_id);
    memcpy(input.worker_nonce, w->nonce, sizeof input.worker_nonce);
    memcpy(input.pool_nonce, challenge->nonce, sizeof input.pool_nonce);
    must(websocket_tls_exporter(w->socket, PROTO_EXPORTER_LABEL, input.exporter, &err), &err);
    proto_proof_bytes(&input, &bytes);
    must(sign_bytes(w->key, buffer_slice(&bytes), message.proof.signature, &err), &err);
    buffer_free(&bytes);
    (void)send_message(w, &message);
}

static void embed(honest_worker *w, const proto_job *job) {
    slice vectors[PROTO_TEXTS_MAX];
    proto_message message = {.type = PROTO_EMBEDDED,
                             .embedded = {.prompt_tokens = (uint32_t)job->text_count,
                                          .dimension = 1,
                                          .vectors = vectors,
                                          .vector_count = job->text_count}};
    for (size_t i = 0; i < job->text_count; i++) {
        vectors[i] = SLICE_LITERAL("AACAPw"); /* 1.0 */
    }
    memcpy(message.embedded.id, job->id, sizeof message.embedded.id);
    (void)send_message(w, &message);
}

static void check(honest_worker *w, const proto_job *job) {
    proto_message message = {.type = PROTO_SCORED};
    honest_worker_sign_scored(w, job, &message.scored);
    (void)send_message(w, &message);
    w->checks++;
}

static void refuse(honest_worker *w, const proto_job *job) {
    proto_message message = {.type = PROTO_FAIL,
                             .fail = {.code = SLICE_LITERAL(PROTO_FAIL_ENGINE), .retryable = true}};
    memcpy(message.fail.id, job->id, sizeof message.fail.id);
    (void)send_message(w, &message);
    w->ends++;
}

static void answer(honest_worker *w, const proto_job *job) {
    proto_message message = {.type = PROTO_DELTA};
    bool vanish = *w->vanish;
    w->jobs++;
    if (job->temperature == w->refuses) {
        refuse(w, job);
        return;
    }
    for (size_t i = 0; i < (w->hold || vanish ? WORDS_HELD : WORDS); i++) {
        message.delta = (proto_delta){
            .seq = i, .text = slice_of_text(words[i]), .tokens = &worker_tokens[i], .token_count = 1};
        memcpy(message.delta.id, job->id, sizeof message.delta.id);
        if (!send_message(w, &message)) {
            return;
        }
    }
    if (vanish) {
        *w->vanish = false;
        websocket_close(w->socket, WEBSOCKET_GOING_AWAY, "lost");
    } else if (w->hold) {
        w->holds = true;
        memcpy(w->held, job->id, sizeof w->held);
    } else {
        message.type = PROTO_DONE;
        honest_worker_sign_done(w, job, &message.done);
        (void)send_message(w, &message);
        w->ends++;
    }
}

static void give_up(honest_worker *w, const proto_cancel *cancel) {
    proto_message message = {.type = PROTO_FAIL,
                             .fail = {.code = SLICE_LITERAL(PROTO_FAIL_CANCELLED), .retryable = true}};
    w->cancels++;
    if (!w->holds || memcmp(w->held, cancel->id, sizeof w->held) != 0) {
        return; /* its done is on the way */
    }
    w->holds = false;
    memcpy(message.fail.id, cancel->id, sizeof message.fail.id);
    (void)send_message(w, &message);
}

static void on_message(void *context, slice text, bool is_text) {
    honest_worker *w = context;
    proto_message message;
    error err = {0};
    assert_true(is_text);
    arena_reset(w->memory);
    must(proto_decode(text, w->memory, &message, &err), &err);
    switch (message.type) {
    case PROTO_CHALLENGE:
        send_proof(w, &message.challenge);
        return;
    case PROTO_WELCOME:
        w->serving = true;
        message = (proto_message){.type = PROTO_BEAT, .beat = {.slots = 2, .state = PROTO_AVAILABLE}};
        (void)send_message(w, &message);
        return;
    case PROTO_JOB:
        if (message.job.kind == PROTO_SCORE) {
            check(w, &message.job);
        } else if (message.job.kind == PROTO_EMBED) {
            embed(w, &message.job);
        } else {
            answer(w, &message.job);
        }
        return;
    case PROTO_CANCEL:
        give_up(w, &message.cancel);
        return;
    case PROTO_REFUSE:
        if (!slice_equal_text(message.refuse.code, PROTO_OTHER) &&
            !slice_equal_text(message.refuse.code, PROTO_REFUSE_FULL)) {
            blame(w, "refused", 0, message.refuse.code);
        }
        return;
    case PROTO_REVOKE:
        blame(w, "revoked", 0, message.revoke.reason);
        return;
    default:
        return;
    }
}

static void connect_again(void *context);

static void on_closed(void *context, unsigned code, slice reason) {
    honest_worker *w = context;
    w->socket = NULL;
    w->serving = false;
    w->holds = false;
    w->closes++;
    if (code == PROTO_CLOSE_VIOLATION || code == PROTO_CLOSE_NOT_TEXT || code == PROTO_CLOSE_BAD_MESSAGE ||
        code == PROTO_CLOSE_JOB || code == PROTO_CLOSE_REPLACED) {
        blame(w, "closed", code, reason);
    }
    if (!w->away) {
        ev_timer_start(w->site->wire.loop, &w->back, BACK_MS);
    }
}

static void connect_again(void *context) {
    static const websocket_handlers handlers = {
        .on_open = on_open, .on_message = on_message, .on_closed = on_closed};
    honest_worker *w = context;
    error err = {0};
    w->socket = websocket_connect(w->site->wire.net,
                                  &(websocket_options){.host = "127.0.0.1",
                                                       .port = w->site->port,
                                                       .path = PROTO_PATH,
                                                       .subprotocol = PROTO_SUBPROTOCOL,
                                                       .tls = w->site->tls},
                                  &handlers, w, &err);
    must(w->socket != NULL, &err);
}

void honest_worker_make(honest_worker *w, site *s, bool *vanish) {
    error err = {0};
    *w = (honest_worker){.site = s, .profile = worker_profile, .refuses = -1, .away = true, .vanish = vanish};
    w->key = sign_key_generate(&err);
    w->memory = arena_new(SCRATCH_LIMIT);
    must(w->key != NULL && w->memory != NULL, &err);
    must(receipt_worker_id(sign_key_public(w->key), w->id, &err), &err);
    ev_timer_init(&w->back, connect_again, w);
}

void honest_worker_go(honest_worker *w) {
    w->away = false;
    ev_timer_start(w->site->wire.loop, &w->back, 0);
}

static bool is_gone(void *context) {
    return ((honest_worker *)context)->socket == NULL;
}

void honest_worker_leave(honest_worker *w) {
    w->away = true;
    ev_timer_stop(&w->back);
    if (w->socket != NULL) {
        websocket_close(w->socket, WEBSOCKET_GOING_AWAY, "");
        wire_run_until(&w->site->wire, is_gone, w);
    }
}

void honest_worker_free(honest_worker *w) {
    if (w->key != NULL) {
        honest_worker_leave(w);
        sign_key_free(w->key);
        arena_free(w->memory);
        w->key = NULL;
    }
}

void honest_worker_write_enrolment(const honest_worker *w, const char *token, char *body, size_t size) {
    auth_join_token join;
    proto_enrolment wish = {.name = SLICE_LITERAL("machine"), .class_name = SLICE_LITERAL("cpu")};
    error err = {0};
    buffer bytes = buffer_make(PROTO_ENROLMENT_MAX);
    buffer text = buffer_make(PROTO_ENROLMENT_MAX);
    must(auth_join_token_parse(slice_of_text(token), &join, &err), &err);
    memcpy(wish.token_id, join.id, sizeof wish.token_id);
    memcpy(wish.token_secret, join.secret, sizeof wish.token_secret);
    memcpy(wish.public_key, sign_key_public(w->key), sizeof wish.public_key);
    proto_enrolment_bytes(&wish, &bytes);
    must(sign_bytes(w->key, buffer_slice(&bytes), wish.signature, &err), &err);
    must(proto_enrolment_encode(&wish, &text, &err), &err);
    snprintf(body, size, "%.*s", SLICE_FORMAT(buffer_slice(&text)));
    buffer_free(&bytes);
    buffer_free(&text);
}
