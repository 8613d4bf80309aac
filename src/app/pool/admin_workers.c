#include "admin_workers.h"

#include "audit/audit.h"
#include "auth/token.h"
#include "base/log.h"
#include "codec/json.h"
#include "crypto/secret.h"
#include "crypto/sign.h"
#include "ledger/receipt.h"
#include "os/clock.h"
#include "os/random.h"
#include "proof/proof.h"
#include "proto/enrolment.h"
#include "reply.h"
#include "session.h"
#include "store/join_tokens.h"

#include <stdio.h>

enum {
    BODY_DEPTH = 4,
    BODY_VALUES = 64,
    JOIN_ANSWER_SIZE = 1024 /* at most, without the CA's certificate */
};

/* Where workers dial: as configured, or this machine's first name and the port that is served. */
static bool public_address(const pool *p, char address[AUTH_ADDRESS_MAX + 1], error *err) {
    if (p->settings.public_address[0] != '\0') {
        snprintf(address, AUTH_ADDRESS_MAX + 1, "%s", p->settings.public_address);
        return true;
    }
    slice host;
    uint16_t port = 0;
    if (auth_address_split(slice_of_text(p->settings.listen), &host, &port) &&
        !slice_equal_text(host, "0.0.0.0") && !slice_equal_text(host, "::")) {
        bool is_ipv6 = slice_find(host, ':') != SIZE_MAX;
        snprintf(address, AUTH_ADDRESS_MAX + 1, "%s%.*s%s:%u", is_ipv6 ? "[" : "", SLICE_FORMAT(host),
                 is_ipv6 ? "]" : "", p->port);
        return true;
    }
    if (p->host_name[0] == '\0') {
        return error_set(err, ERROR_INVALID,
                         "this machine has no name that workers could dial: set public_address");
    }
    snprintf(address, AUTH_ADDRESS_MAX + 1, "%s:%u", p->host_name, p->port);
    return true;
}

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

/* What the admin says of the machine. */
typedef struct new_machine {
    slice owner;
    slice tiers;
    uint64_t days;
    bool referee;
} new_machine;

static bool make_join_token(pool *p, const account *who, const new_machine *machine, reply_later *later,
                            error *err) {
    auth_join_token token = {0};
    uint64_t now = clock_unix_ms();
    store_join_token stored = {.owner = machine->owner,
                               .tiers = machine->tiers,
                               .expires_ms = now + p->settings.join_token_minutes * CLOCK_MINUTE_MS,
                               .worker_expires_ms = now + machine->days * CLOCK_DAY_MS,
                               .created_by = who->user_id,
                               .referee = machine->referee};
    memcpy(token.pin, p->site.ca_pin, sizeof token.pin);
    bool made = random_bytes(token.id, sizeof token.id, err) &&
                random_bytes(token.secret, sizeof token.secret, err) &&
                public_address(p, token.address, err) && auth_join_token_make(&token, later->secret, err) &&
                auth_join_secret_hash(token.secret, stored.secret_hash, err);
    memcpy(stored.id, token.id, sizeof stored.id);
    secret_wipe(&token, sizeof token);
    return made && reply_later_reserve(later, JOIN_ANSWER_SIZE, err) &&
           store_join_token_add(p->store, &stored, join_token_stored, later, err);
}

void admin_join_token_add(pool *p, http_request *request, const account *who, slice segment) {
    (void)segment;
    error err = {0};
    new_machine machine = {0};
    slice body = http_request_body(request);
    json_value *root = json_parse(
        body, (json_limits){.size = p->settings.body_limit, .depth = BODY_DEPTH, .values = BODY_VALUES},
        &err);
    if (root == NULL || !json_get_text(root, "owner", &machine.owner, &err) ||
        !json_get_text_or(root, "tiers", (slice){0}, &machine.tiers, &err) ||
        !json_get_u64_or(root, "days", 1, 3650, p->settings.worker_days, &machine.days, &err) ||
        !json_get_bool_or(root, "referee", false, &machine.referee, &err)) {
        json_free(root);
        reply_unreadable(request, NULL, &err);
        return;
    }
    if (machine.tiers.length > STORE_TIERS_MAX) {
        json_free(root);
        reply_error(request, 400, "tiers", NULL, "tiers must be %d bytes at most", STORE_TIERS_MAX);
        return;
    }
    if (!store_display_name_is_valid(machine.owner)) {
        json_free(root);
        reply_error(request, 400, "owner", NULL, "owner must be 1 to 64 bytes without control characters");
        return;
    }
    if (proof_owner_is_blacklisted(p, machine.owner)) {
        json_free(root);
        reply_error(request, 409, "owner", "blacklisted", "this owner is on the blacklist");
        return;
    }
    reply_later *later = reply_later_new(p, request, who->user_id);
    if (later != NULL) {
        memcpy(later->name, machine.owner.data, machine.owner.length);
        if (!make_join_token(p, who, &machine, later, &err)) {
            reply_later_fail(later, &err);
        }
    }
    json_free(root);
}

static slice state_of(const pool *p, const fleet_worker *worker) {
    if (worker->revoked_ms != 0) {
        return SLICE_LITERAL("revoked");
    }
    return proof_is_blacklisted(p, worker) ? SLICE_LITERAL("blacklisted") : SLICE_LITERAL("approved");
}

static void write_worker(const pool *p, json_writer *w, const fleet_worker *worker) {
    json_write_object_begin(w);
    json_add_text(w, "id", slice_of_text(worker->id_hex));
    json_add_text(w, "name", slice_of_text(worker->name));
    json_add_text(w, "owner", slice_of_text(worker->owner));
    json_add_text(w, "tiers", slice_of_text(worker->tiers));
    json_add_text(w, "state", state_of(p, worker));
    json_add_bool(w, "blacklisted", proof_is_blacklisted(p, worker));
    json_add_u64(w, "created_ms", worker->created_ms);
    json_add_u64(w, "expires_ms", worker->expires_ms);
    json_add_u64(w, "revoked_ms", worker->revoked_ms);
    json_add_u64(w, "last_seen_ms", worker->last_seen_ms);
    json_add_bool(w, "referee", worker->referee);
    if (worker->has_machine) {
        char machine[2 * STORE_MACHINE_SIZE + 1];
        hex_encode(slice_of(worker->machine, sizeof worker->machine), machine);
        json_add_text(w, "machine", slice_of_text(machine));
    }
    json_add_bool(w, "connected", worker->session != NULL);
    if (worker->session != NULL) {
        session_view view;
        session_describe(worker->session, &view);
        json_add_text(w, "session", slice_of_text(view.state));
        json_add_text(w, "address", slice_of_text(view.peer));
        json_add_u64(w, "running", view.running);
        json_add_u64(w, "slots", view.slots);
        json_add_u64(w, "completed", view.completed);
        json_write_key(w, "models");
        json_write_array_begin(w);
        for (size_t i = 0; i < view.model_count; i++) {
            json_write_text(w, session_model_name(worker->session, i));
        }
        json_write_array_end(w);
    }
    json_write_object_end(w);
}

void admin_worker_list(pool *p, http_request *request, const account *who, slice segment) {
    reply_json answer;
    const fleet_worker *worker = NULL;
    (void)who;
    (void)segment;
    reply_json_begin(&answer);
    json_write_object_begin(&answer.w);
    json_add_text(&answer.w, "object", SLICE_LITERAL("list"));
    json_write_key(&answer.w, "workers");
    json_write_array_begin(&answer.w);
    for (size_t i = 0; (worker = fleet_next(p->fleet, &i)) != NULL;) {
        write_worker(p, &answer.w, worker);
    }
    json_write_array_end(&answer.w);
    json_write_object_end(&answer.w);
    reply_json_end(&answer, request, 200);
}

static void worker_revoked(void *context, const error *failure) {
    reply_later later = reply_later_take(context);
    if (failure != NULL) {
        log_error("revocation not stored", LOG_TEXT("worker", later.name), LOG_CAUSE(failure));
    } else {
        log_info("worker revoked", LOG_U64("by", later.user_id), LOG_TEXT("worker", later.name));
    }
    if (later.request == NULL) {
        return;
    }
    if (failure != NULL) {
        reply_error(later.request, reply_status_of(failure->code), NULL, error_code_name(failure->code),
                    "the worker is shut out until the pool restarts, but that could not be stored: %s",
                    failure->text);
        return;
    }
    reply_done(later.request);
}

void admin_worker_revoke(pool *p, http_request *request, const account *who, slice worker_id) {
    uint8_t id[STORE_WORKER_ID_SIZE];
    error err = {0};
    fleet_worker *worker = hex_decode(worker_id, id, sizeof id) ? fleet_find(p->fleet, id) : NULL;
    if (worker == NULL) {
        reply_error(request, 404, NULL, "not_found",
                    "no worker with this id is enrolled; the worker list shows them");
        return;
    }
    reply_later *later = reply_later_new(p, request, who->user_id);
    if (later == NULL) {
        return;
    }
    snprintf(later->name, sizeof later->name, "%s", worker->id_hex);
    worker->revoked_ms = worker->revoked_ms == 0 ? clock_unix_ms() : worker->revoked_ms;
    session_revoke(worker, "revoked by the admin");
    if (!store_worker_revoke(p->store, id, worker->revoked_ms, worker_revoked, later, &err)) {
        reply_later_fail(later, &err);
    }
}

static void worker_enrolled(void *context, const store_worker *worker, const error *failure) {
    reply_later later = reply_later_take(context);
    error err = {0};
    char id[2 * STORE_WORKER_ID_SIZE + 1];
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
                                               .person = worker->owner});
        log_info("worker enrolled", LOG_TEXT("worker", id), LOG_SLICE("name", worker->name),
                 LOG_SLICE("owner", worker->owner), LOG_U64("referee", worker->referee));
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

static bool read_enrolment(http_request *request, store_enrolment *enrolment, error *err) {
    proto_enrolment wish;
    if (!proto_enrolment_decode(http_request_body(request), http_request_arena(request), &wish, err) ||
        !signature_holds(&wish, err)) {
        return false;
    }
    *enrolment =
        (store_enrolment){.name = wish.name, .class_name = wish.class_name, .now_ms = clock_unix_ms()};
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
    if (!read_enrolment(request, &enrolment, &err)) {
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
