#include "session_internal.h"

#include "audit/audit.h"
#include "base/log.h"
#include "base/memory.h"
#include "crypto/sign.h"
#include "enrol/certificates.h"
#include "model_files.h"
#include "os/clock.h"
#include "os/random.h"
#include "proof/proof.h"
#include "proto/certificate.h"
#include "proto/proof.h"
#include "rekey/rekey.h"
#include "secrets/secrets.h"

enum { HANDSHAKE_MS = 10000 };

static void session_refuse(session *s, const char *code, const char *text) {
    log_info("worker refused", LOG_TEXT("worker", s->worker == NULL ? "" : s->worker->id_hex),
             LOG_TEXT("peer", s->peer), LOG_TEXT("code", code));
    proto_message refuse = {.type = PROTO_REFUSE,
                            .refuse = {.code = slice_of_text(code), .text = slice_of_text(text)}};
    (void)!session_send(s, &refuse);
    session_close(s, PROTO_CLOSE_REFUSED, code);
}

static void offer(session *s, const session_model *model, dispatch_kind kind, uint32_t slots) {
    dispatch_offer *added = &s->offers[s->offer_count++];
    *added =
        (dispatch_offer){.model = model->name,
                         .kind = kind,
                         .slots = slots,
                         .exact = slice_starts_with(slice_of_text(model->profile), SLICE_LITERAL("exact-"))};
    memcpy(added->digest, model->digest, sizeof added->digest);
}

/* Copies what outlives the message. */
static bool keep_models(session *s, const proto_hello *hello) {
    s->models = memory_allocate_zeroed(hello->model_count, sizeof *s->models);
    s->offers = memory_allocate_zeroed(2 * hello->model_count, sizeof *s->offers);
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
        s->models[i].context = model->context;
        memcpy(s->models[i].profile, model->profile.data, model->profile.length);
        s->models[i].dimension = model->dimension;
        for (unsigned kind = 0; kind < PROTO_KIND_COUNT; kind++) {
            s->models[i].does[kind] = proto_model_does(model, (proto_kind)kind);
        }
        if (s->models[i].does[PROTO_GENERATE]) {
            offer(s, &s->models[i], DISPATCH_GENERATE, model->slots);
        }
        if (s->models[i].does[PROTO_EMBED]) {
            offer(s, &s->models[i], DISPATCH_EMBED, model->slots);
        }
    }
    s->model_count = hello->model_count;
    return true;
}

/* What is checked has to be of a kind that can be, and the file that the site knows by its name. */
static bool is_wanted(const pool *p, const proto_model *model) {
    bool checkable = slice_starts_with(model->profile, SLICE_LITERAL("exact-")) ||
                     slice_starts_with(model->profile, SLICE_LITERAL("runtime-"));
    return (checkable || policy_of_model(&p->settings, model->name) == VERIFY_OFF) &&
           model_files_allow(p->settings.model_files, model->name, model->digest, model->profile);
}

static bool release_is_accepted(const pool *p, const proto_hello *hello, error *err) {
    release_acceptance wanted;
    release_claim claim = {.manifest = hello->release};
    memcpy(claim.program, hello->build, sizeof claim.program);
    return release_acceptance_parse(slice_of_text(p->settings.worker_releases), &wanted, err) &&
           release_status_accepts(&p->release, &wanted, &claim, err);
}

void session_handle_hello(session *s, const proto_hello *hello) {
    pool *p = s->pool;
    error err = {0};
    fleet_worker *worker = fleet_find(p->fleet, hello->worker_id);
    if (worker == NULL || !hash_equal(worker->public_key, hello->public_key, sizeof worker->public_key)) {
        session_refuse(s, PROTO_REFUSE_UNKNOWN, "this worker is not enrolled here; join with a new token");
        return;
    }
    s->worker = worker;
    if (!slice_equal_text(slice_of_text(worker->class_name), proto_class_name(hello->class))) {
        session_refuse(s, PROTO_REFUSE_CLASS, "this worker is enrolled with another class; join anew");
        return;
    }
    if (!certificates_admit(p, s->socket, worker)) {
        session_refuse(s, PROTO_REFUSE_CERTIFICATE, "show a certificate: POST " PROTO_CERTIFICATE_PATH);
        return;
    }
    if (p->draining) {
        session_refuse(s, PROTO_REFUSE_DRAINING, "the pool is stopping; come back in a moment");
        return;
    }
    for (size_t i = 0; i < hello->model_count; i++) {
        if (!is_wanted(p, &hello->models[i])) {
            session_refuse(s, PROTO_REFUSE_MODEL,
                           "a model of this name is another file or profile here; ask the admin for it");
            return;
        }
    }
    if (!release_is_accepted(p, hello, &err)) {
        session_refuse(s, err.code == ERROR_MEMORY ? PROTO_OTHER : PROTO_REFUSE_RELEASE, err.text);
        return;
    }
    if (!keep_models(s, hello) || !random_bytes(s->pool_nonce, sizeof s->pool_nonce, &err)) {
        session_close(s, PROTO_CLOSE_INTERNAL, "out of memory");
        return;
    }
    memcpy(s->worker_nonce, hello->nonce, sizeof s->worker_nonce);
    memcpy(s->machine, hello->machine, sizeof s->machine);
    memcpy(s->build, hello->build, sizeof s->build);
    memcpy(s->ca, hello->ca, sizeof s->ca);
    proto_message challenge = {.type = PROTO_CHALLENGE};
    memcpy(challenge.challenge.pool_id, p->site.pool_id, sizeof challenge.challenge.pool_id);
    memcpy(challenge.challenge.nonce, s->pool_nonce, sizeof challenge.challenge.nonce);
    if (!session_send(s, &challenge)) {
        session_close(s, PROTO_CLOSE_INTERNAL, "out of memory");
    }
}

/* ERROR_DENIED: the proof is false. */
static bool proof_holds(const session *s, const proto_proof *claim, error *err) {
    proto_proof_input input = {0};
    memcpy(input.pool_id, s->pool->site.pool_id, sizeof input.pool_id);
    memcpy(input.worker_id, s->worker->id, sizeof input.worker_id);
    memcpy(input.worker_nonce, s->worker_nonce, sizeof input.worker_nonce);
    memcpy(input.pool_nonce, s->pool_nonce, sizeof input.pool_nonce);
    if (!websocket_tls_exporter(s->socket, PROTO_EXPORTER_LABEL, input.exporter, err)) {
        return false;
    }
    buffer bytes = buffer_make(1024);
    proto_proof_bytes(&input, &bytes);
    bool holds = !buffer_failed(&bytes) || error_memory(err);
    holds = holds && (sign_verify(s->worker->public_key, buffer_slice(&bytes), claim->signature) ||
                      error_set(err, ERROR_DENIED, "the proof doesn't hold"));
    buffer_free(&bytes);
    return holds;
}

void session_check_expiry(session *s) {
    uint64_t now = clock_unix_ms();
    uint64_t end = s->worker->expires_ms;
    ev_timer_stop(&s->timer);
    if (end != 0 && end <= now) {
        audit_note_event(s->pool, "worker_expired", slice_of_text(s->worker->id_hex), NULL);
        session_revoke(s->worker, "this worker's enrolment has expired");
        return;
    }
    if (certificates_are_asked(s->pool)) {
        uint64_t shown = s->worker->certificate_ms;
        if (shown <= now) {
            session_close(s, PROTO_CLOSE_GOING_AWAY, "its certificate has ended");
            return;
        }
        end = end == 0 || shown < end ? shown : end;
    }
    if (end != 0) {
        ev_timer_start(s->pool->loop, &s->timer, end - now);
    }
}

/* Of the handshake, later of the enrolment: that one is a date, so the clock is asked again. */
static void time_is_over(void *context) {
    session *s = context;
    if (s->state == PROTO_SERVING || s->state == PROTO_DRAINING) {
        session_check_expiry(s);
    } else {
        session_close(s, PROTO_CLOSE_TIMEOUT, "hello and proof must come within 10 seconds");
    }
}

/* A second session under one id has proven the same key, on the same machine: it is the same worker, whose
 * first connection is dead or about to be. The dispatcher replaces the first; session_check_replaced sees to
 * it if that one is alive after all. */
static void welcome(session *s) {
    pool *p = s->pool;
    error err = {0};
    dispatch_id id;
    proto_message message = {.type = PROTO_WELCOME,
                             .welcome = {.lease_ms = PROTO_LEASE_BEATS * (uint32_t)p->settings.beat_ms,
                                         .beat_ms = (uint32_t)p->settings.beat_ms,
                                         .release = buffer_slice(&p->release.manifest)}};
    memcpy(message.welcome.build, p->release.program, sizeof message.welcome.build);
    memcpy(id.bytes, s->worker->id, sizeof id.bytes);
    message.welcome.keys = secrets_keys(p);
    s->keys_told = p->site.keys.count;
    session_show_log(s, &message.welcome);
    bool ready = random_bytes(message.welcome.session, sizeof message.welcome.session, &err);
    session *before = s->worker->session;
    s->worker->session = s;
    if (ready) {
        s->handle =
            dispatch_worker_add(p->dispatch, &id, s, s->offers, s->offer_count, ev_now_ms(p->loop), &err);
    }
    memory_free(s->offers);
    s->offers = NULL;
    unsigned ignored = 0;
    if (s->handle != NULL && !proof_worker_ready(s, &err)) {
        dispatch_worker_remove(s->handle, ev_now_ms(p->loop));
        s->handle = NULL;
    }
    if (s->handle == NULL) {
        s->worker->session = before;
        session_refuse(s, PROTO_OTHER, err.text);
        return;
    }
    if (!session_send(s, &message) || !proto_session_move(&s->state, PROTO_POOL, PROTO_WELCOME, &ignored)) {
        session_close(s, PROTO_CLOSE_INTERNAL, "out of memory");
        return;
    }
    websocket_limit_messages(s->socket, PROTO_MESSAGE_MAX);
    p->counters.sessions_opened++;
    log_info("worker connected", LOG_TEXT("worker", s->worker->id_hex), LOG_TEXT("name", s->worker->name),
             LOG_TEXT("peer", s->peer));
    dispatch_worker_ready(s->handle, ev_now_ms(p->loop));
    pool_arm_dispatch(p);
    rekey_look(s);
    secrets_look(s);
    session_check_expiry(s);
}

static void machine_noted(void *context, const error *failure) {
    (void)context;
    if (failure != NULL) {
        log_warning("a worker's machine was not stored", LOG_CAUSE(failure));
    }
}

/* So that a machine can be put on the blacklist, whatever key it comes with. */
static void note_machine(session *s) {
    static const uint8_t none[PROTO_MACHINE_SIZE];
    fleet_worker *worker = s->worker;
    error err = {0};
    if (memcmp(s->machine, none, sizeof none) == 0 ||
        (worker->has_machine && memcmp(worker->machine, s->machine, sizeof worker->machine) == 0)) {
        return;
    }
    memcpy(worker->machine, s->machine, sizeof worker->machine);
    worker->has_machine = true;
    if (!store_worker_set_machine(s->pool->store, worker->id, s->machine, machine_noted, NULL, &err)) {
        machine_noted(NULL, &err);
    }
}

void session_handle_proof(session *s, const proto_proof *claim) {
    const char *refusal = fleet_refusal(s->worker, clock_unix_ms());
    error err = {0};
    if (refusal != NULL) {
        session_refuse(s, refusal, "this worker may not serve any more; ask the admin");
    } else if (proof_lists(s->pool, s->worker, s->machine)) {
        session_refuse(s, PROTO_REFUSE_REVOKED,
                       "this worker, its owner or its machine is on the pool's blacklist; once the admin has "
                       "taken it off, start this worker again: no new enrolment is needed");
    } else if (proof_shuts_out(s->pool, s->worker, s->machine)) {
        session_refuse(s, PROTO_REFUSE_REVOKED, "this worker is convicted of a wrong answer; ask the admin");
    } else if (proof_holds(s, claim, &err)) {
        if (session_is_elsewhere(s)) {
            session_suspect(s->pool, s->worker, "its key came from another machine");
            session_refuse(s, PROTO_REFUSE_QUARANTINED, "this worker's key belongs to another machine");
            return;
        }
        note_machine(s);
        welcome(s);
    } else if (err.code == ERROR_DENIED) {
        session_refuse(s, PROTO_REFUSE_PROOF, "the proof doesn't hold for this key, pool and connection");
    } else {
        session_close(s, PROTO_CLOSE_INTERNAL, err.text);
    }
}

void session_start_handshake(session *s) {
    ev_timer_init(&s->timer, time_is_over, s);
    ev_timer_start(s->pool->loop, &s->timer, HANDSHAKE_MS);
}
