#include "admin_workers.h"

#include "base/log.h"
#include "os/clock.h"
#include "proof/proof.h"
#include "reply.h"
#include "session.h"

#include <stdio.h>

static slice state_of(const pool *p, const fleet_worker *worker) {
    return worker->revoked_ms == 0 && proof_is_blacklisted(p, worker)
               ? SLICE_LITERAL("blacklisted")
               : slice_of_text(fleet_state_name(worker));
}

static void write_worker(const pool *p, json_writer *w, const fleet_worker *worker) {
    json_write_object_begin(w);
    json_add_text(w, "id", slice_of_text(worker->id_hex));
    json_add_text(w, "name", slice_of_text(worker->name));
    json_add_text(w, "owner", slice_of_text(worker->owner));
    json_add_text(w, "tiers", slice_of_text(worker->tiers));
    json_add_text(w, "class", slice_of_text(worker->class_name));
    json_add_text(w, "state", state_of(p, worker));
    json_add_bool(w, "blacklisted", proof_is_blacklisted(p, worker));
    json_add_u64(w, "created_ms", worker->created_ms);
    json_add_u64(w, "expires_ms", worker->expires_ms);
    json_add_u64(w, "revoked_ms", worker->revoked_ms);
    json_add_u64(w, "suspected_ms", worker->suspected_ms);
    json_add_u64(w, "last_seen_ms", worker->last_seen_ms);
    json_add_u64(w, "requested_by", worker->requested_by);
    json_add_u64(w, "approved_by", worker->approved_by);
    if (worker->approval != 0) {
        json_add_u64(w, "approval", worker->approval);
    }
    json_add_bool(w, "contractor", worker->contractor);
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
        char program[2 * PROTO_DIGEST_SIZE + 1];
        hex_encode(slice_of(view.build, PROTO_DIGEST_SIZE), program);
        json_add_text(w, "program", slice_of_text(program));
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
