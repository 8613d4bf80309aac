#include "enrol/certificates.h"

#include "base/log.h"
#include "crypto/sign.h"
#include "os/clock.h"
#include "proof/proof.h"
#include "proto/certificate.h"
#include "reply.h"
#include "session.h"

bool certificates_are_asked(const pool *p) {
    return buffer_length(&p->worker_authority.certificate) > 0;
}

bool certificates_start(pool *p, error *err) {
    p->worker_authority = certificate_pair_make();
    if (p->settings.worker_certificate_minutes == 0) {
        return true;
    }
    return (certificate_make_authority("Cellule workers", clock_unix_ms(), &p->worker_authority, err) &&
            net_tls_server_ask(p->tls, buffer_slice(&p->worker_authority.certificate), err)) ||
           error_context(err, "asking workers for certificates");
}

void certificates_stop(pool *p) {
    certificate_pair_free(&p->worker_authority);
}

bool certificates_admit(const pool *p, const websocket *socket, fleet_worker *worker) {
    char name[NET_PEER_NAME_SIZE];
    uint64_t ends_ms = 0;
    if (!certificates_are_asked(p)) {
        return true;
    }
    if (!websocket_peer_certificate(socket, name, &ends_ms) || strcmp(name, worker->id_hex) != 0 ||
        ends_ms <= clock_unix_ms()) {
        return false;
    }
    worker->certificate_ms = worker->certificate_ms > ends_ms ? worker->certificate_ms : ends_ms;
    return true;
}

/* The same answer to a stranger and to a false signature. */
static fleet_worker *find_signer(const pool *p, const proto_certificate *wish, error *err) {
    fleet_worker *worker = fleet_find(p->fleet, wish->worker_id);
    buffer bytes = buffer_make(PROTO_CERTIFICATE_MAX);
    proto_certificate_bytes(wish, p->site.pool_id, &bytes);
    bool holds = !buffer_failed(&bytes) || error_memory(err);
    holds = holds &&
            ((worker != NULL && sign_verify(worker->public_key, buffer_slice(&bytes), wish->signature)) ||
             error_set(err, ERROR_DENIED, "this isn't signed by the key of a worker that is enrolled here"));
    buffer_free(&bytes);
    return holds ? worker : NULL;
}

static void answer_with(http_request *request, slice certificate, uint64_t ends_ms, uint64_t now) {
    reply_json answer;
    reply_json_begin(&answer);
    json_write_object_begin(&answer.w);
    json_add_text(&answer.w, "object", SLICE_LITERAL("cellule.certificate"));
    json_add_text(&answer.w, "certificate", certificate);
    json_add_u64(&answer.w, "expires_ms", ends_ms);
    json_add_u64(&answer.w, "lifetime_ms", ends_ms - now);
    json_write_object_end(&answer.w);
    reply_json_end(&answer, request, 201);
}

/* Never longer than the worker may serve at all. */
static void issue(pool *p, http_request *request, const proto_certificate *wish, fleet_worker *worker) {
    error err = {0};
    uint64_t now = clock_unix_ms();
    uint64_t ends_ms = now + p->settings.worker_certificate_minutes * CLOCK_MINUTE_MS;
    if (worker->expires_ms != 0 && worker->expires_ms < ends_ms) {
        ends_ms = worker->expires_ms;
    }
    certificate_client client = {.public_key = slice_of(wish->tls_key, sizeof wish->tls_key),
                                 .common_name = worker->id_hex,
                                 .until_unix_ms = ends_ms};
    buffer certificate = buffer_make(SITE_PEM_LIMIT);
    if (certificate_issue_client(&p->worker_authority, &client, now, &certificate, &err)) {
        worker->certificate_ms = ends_ms;
        session_enrolment_changed(worker);
        log_debug("certificate issued", LOG_TEXT("worker", worker->id_hex), LOG_U64("expires_ms", ends_ms));
        answer_with(request, buffer_slice(&certificate), ends_ms, now);
    } else {
        reply_failure(request, &err);
    }
    buffer_free(&certificate);
}

void certificate_request(pool *p, http_request *request) {
    proto_certificate wish;
    error err = {0};
    if (!proto_certificate_decode(http_request_body(request), &wish, &err)) {
        reply_unreadable(request, NULL, &err);
        return;
    }
    if (!certificates_are_asked(p)) {
        reply_error(request, 404, NULL, "not_found", "this pool asks workers for no certificates");
        return;
    }
    fleet_worker *worker = find_signer(p, &wish, &err);
    if (worker == NULL) {
        reply_failure(request, &err);
    } else if (fleet_refusal(worker, clock_unix_ms()) != NULL || proof_shuts_out(p, worker, NULL)) {
        log_info("certificate refused", LOG_TEXT("worker", worker->id_hex));
        reply_error(request, 403, NULL, "not_allowed", "this worker may not serve any more; ask the admin");
    } else {
        issue(p, request, &wish, worker);
    }
}
