#include "enrol/tokens.h"

#include "audit/audit.h"
#include "auth/token.h"
#include "base/log.h"
#include "crypto/secret.h"
#include "crypto/sign.h"
#include "enrol/approvals.h"
#include "ledger/receipt.h"
#include "os/clock.h"
#include "os/random.h"
#include "proof/proof.h"
#include "proto/enrolment.h"
#include "public_address.h"
#include "session.h"
#include "store/join_tokens.h"

#include <stdio.h>

enum { JOIN_ANSWER_SIZE = 1024 /* at most, without the CA's certificate */ };

static void join_token_stored(void *context, const error *failure) {
    reply_later later = reply_later_take(context);
    if (failure == NULL) {
        log_info("join token made", LOG_U64("by", later.user_id), LOG_TEXT("owner", later.name));
    }
    if (reply_later_waits(&later, failure)) {
        reply_json answer;
        reply_json_begin_in(&answer, &later);
        json_write_object_begin(&answer.w);
        json_add_text(&answer.w, "object", SLICE_LITERAL("cellule.join_token"));
        json_add_text(&answer.w, "owner", slice_of_text(later.name));
        json_add_u64(&answer.w, "minutes", later.pool->settings.join_token_minutes);
        json_add_text(&answer.w, "token", slice_of_text(later.secret));
        json_write_object_end(&answer.w);
        reply_json_end(&answer, later.request, 201);
    }
    reply_later_end(&later);
}

static bool make_token(reply_later *later, const machine_wish *wish, const token_approval *approval,
                       error *err) {
    pool *p = later->pool;
    auth_join_token token = {0};
    uint64_t now = clock_unix_ms();
    store_join_token stored = {.owner = wish->owner,
                               .tiers = wish->tiers,
                               .class_name = wish->class_name,
                               .expires_ms = now + p->settings.join_token_minutes * CLOCK_MINUTE_MS,
                               .worker_expires_ms = wish->expires_ms,
                               .created_by = later->user_id,
                               .contractor = wish->contractor,
                               .referee = wish->referee,
                               .now_ms = now};
    if (approval != NULL) {
        stored.approval = approval->id;
        stored.request = approval->request;
    }
    memcpy(token.pin, p->site.ca_pin, sizeof token.pin);
    bool made = random_bytes(token.id, sizeof token.id, err) &&
                random_bytes(token.secret, sizeof token.secret, err) &&
                pool_public_address(p, token.address, err) &&
                auth_join_token_make(&token, later->secret, err) &&
                auth_join_secret_hash(token.secret, stored.secret_hash, err);
    memcpy(stored.id, token.id, sizeof stored.id);
    secret_wipe(&token, sizeof token);
    return made && reply_later_reserve(later, JOIN_ANSWER_SIZE, err) &&
           store_join_token_add(p->store, &stored, join_token_stored, later, err);
}

void join_token_make(reply_later *later, const machine_wish *wish, const token_approval *approval) {
    error err = {0};
    snprintf(later->name, sizeof later->name, "%.*s", SLICE_FORMAT(wish->owner));
    if (!make_token(later, wish, approval, &err)) {
        reply_later_fail(later, &err);
    }
}

void admin_join_token_add(pool *p, http_request *request, const account *who, slice segment) {
    machine_wish wish;
    (void)segment;
    if (approval_is_asked(p)) {
        reply_error(request, 403, NULL, "approval_wanted",
                    "this site asks that another person approves each worker: "
                    "cellule admin enrolment request (or, for a site with one admin, approval: \"off\" in "
                    "pool.yaml)");
    } else if (machine_wish_read(p, request, &wish)) {
        reply_later *later = reply_later_new(p, request, who->user_id);
        if (later != NULL) {
            join_token_make(later, &wish, NULL);
        }
    }
}

static void worker_enrolled(void *context, const store_worker *worker, const error *failure) {
    reply_later later = reply_later_take(context);
    error err = {0};
    char id[2 * STORE_WORKER_ID_SIZE + 1];
    char approval[APPROVAL_NAME_SIZE];
    if (failure == NULL && !fleet_put_stored(later.pool->fleet, worker, &err)) {
        failure = &err;
    }
    if (failure != NULL) {
        fleet_release(later.pool->fleet, later.bytes);
    } else {
        hex_encode(slice_of(worker->id, sizeof worker->id), id);
        audit_note(later.pool, &(audit_record){.outcome = AUDIT_NOTED,
                                               .action = "worker_enrolled",
                                               .target = slice_of_text(id),
                                               .person = worker->owner,
                                               .approval = approval_name(worker->approval, approval)});
        session_enrolment_changed(fleet_find(later.pool->fleet, worker->id));
        log_info("worker enrolled", LOG_TEXT("worker", id), LOG_SLICE("name", worker->name),
                 LOG_SLICE("owner", worker->owner), LOG_U64("referee", worker->referee),
                 LOG_U64("approval", worker->approval));
    }
    if (failure == NULL && proof_shuts_out(later.pool, fleet_find(later.pool->fleet, worker->id), NULL)) {
        error_set(&err, ERROR_DENIED,
                  "this worker is convicted, or it or its owner is on the pool's blacklist");
        failure = &err;
    }
    if (reply_later_waits(&later, failure)) {
        reply_json answer;
        reply_json_begin_in(&answer, &later);
        json_write_object_begin(&answer.w);
        json_add_text(&answer.w, "object", SLICE_LITERAL("cellule.enrolment"));
        json_add_text(&answer.w, "worker_id", slice_of_text(id));
        json_add_u64(&answer.w, "expires_ms", worker->expires_ms);
        json_add_text(&answer.w, "pool_id", slice_of_text(later.pool->site.pool_id_hex));
        json_add_text(&answer.w, "ca", buffer_slice(&later.pool->site.ca_pem));
        json_write_object_end(&answer.w);
        reply_json_end(&answer, later.request, 201);
    }
    reply_later_end(&later);
}

static bool signature_holds(const proto_enrolment *wish, error *err) {
    buffer bytes = buffer_make(PROTO_ENROLMENT_MAX);
    proto_enrolment_bytes(wish, &bytes);
    bool holds = !buffer_failed(&bytes) || error_memory(err);
    holds = holds && (sign_verify(wish->public_key, buffer_slice(&bytes), wish->signature) ||
                      error_set(err, ERROR_DENIED, "the enrolment isn't signed by the key it names"));
    buffer_wipe(&bytes);
    return holds;
}

static bool read_enrolment(const pool *p, http_request *request, store_enrolment *enrolment, error *err) {
    proto_enrolment wish;
    if (!proto_enrolment_decode(http_request_body(request), http_request_arena(request), &wish, err) ||
        !signature_holds(&wish, err)) {
        return false;
    }
    *enrolment = (store_enrolment){.name = wish.name,
                                   .class_name = wish.class_name,
                                   .now_ms = clock_unix_ms(),
                                   .needs_approval = approval_is_asked(p)};
    memcpy(enrolment->token_id, wish.token_id, sizeof enrolment->token_id);
    memcpy(enrolment->public_key, wish.public_key, sizeof enrolment->public_key);
    bool read = auth_join_secret_hash(wish.token_secret, enrolment->secret_hash, err) &&
                receipt_worker_id(wish.public_key, enrolment->worker_id, err);
    secret_wipe(&wish, sizeof wish);
    return read;
}

void admin_enrol(pool *p, http_request *request) {
    store_enrolment enrolment;
    error err = {0};
    if (!read_enrolment(p, request, &enrolment, &err)) {
        reply_unreadable(request, NULL, &err);
        return;
    }
    reply_later *later = reply_later_new(p, request, 0);
    if (later == NULL) {
        return;
    }
    memcpy(later->bytes, enrolment.worker_id, sizeof enrolment.worker_id);
    bool queued = reply_later_reserve(later, JOIN_ANSWER_SIZE + 2 * buffer_length(&p->site.ca_pem), &err) &&
                  fleet_reserve(p->fleet, enrolment.worker_id, &err) &&
                  store_join_token_consume(p->store, &enrolment, worker_enrolled, later, &err);
    if (!queued) {
        fleet_release(p->fleet, enrolment.worker_id);
        reply_later_fail(later, &err);
    }
}
