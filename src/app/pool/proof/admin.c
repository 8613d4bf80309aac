#include "proof/admin.h"

#include "base/log.h"
#include "codec/json.h"
#include "crypto/hash.h"
#include "os/clock.h"
#include "proof/place.h"
#include "proof/standings.h"
#include "reply.h"
#include "session.h"
#include "store/evidence.h"
#include "store/notices.h"

#include <stdio.h>

void admin_add_id(json_writer *w, const char *name, const uint8_t id[STORE_JOB_ID_SIZE]) {
    char hex[2 * STORE_JOB_ID_SIZE + 1];
    hex_encode(slice_of(id, STORE_JOB_ID_SIZE), hex);
    json_add_text(w, name, slice_of_text(hex));
}

static fleet_worker *find_worker(pool *p, http_request *request, slice worker_id) {
    uint8_t id[STORE_WORKER_ID_SIZE];
    fleet_worker *worker = hex_decode(worker_id, id, sizeof id) ? fleet_find(p->fleet, id) : NULL;
    if (worker == NULL) {
        reply_error(request, 404, NULL, "not_found",
                    "no worker with this id is enrolled; the worker list shows them");
    }
    return worker;
}

static void write_standing(json_writer *w, const pool *p, const fleet_worker *worker) {
    const standing *s = standings_of(p->proof->standings, worker->id);
    const standing_rules rules = policy_rules(&p->settings);
    json_write_object_begin(w);
    json_add_text(w, "object", SLICE_LITERAL("cellule.standing"));
    json_add_text(w, "id", slice_of_text(worker->id_hex));
    json_add_text(w, "name", slice_of_text(worker->name));
    json_add_text(w, "owner", slice_of_text(worker->owner));
    json_add_text(w, "state", slice_of_text(standing_state_name(s->state)));
    json_add_bool(w, "referee", worker->referee);
    json_add_u64(w, "answers", s->answers);
    json_add_u64(w, "checks", s->checks);
    json_add_u64(w, "agreed", s->agreed);
    json_add_u64(w, "mismatches", s->mismatches);
    json_add_u64(w, "evasions", s->evasions);
    json_add_u64(w, "disputes", s->disputes);
    json_add_u64(w, "spot_permille", (uint64_t)(standing_rate(s, &rules, VERIFY_SPOT) * 1000 + 0.5));
    json_add_u64(w, "score_permille", (uint64_t)(standing_score(s) * 1000 + 0.5));
    json_add_u64(w, "changed_ms", s->changed_ms);
    json_write_object_end(w);
}

void admin_standing_list(pool *p, http_request *request, const account *who, slice segment) {
    reply_json answer;
    const fleet_worker *worker = NULL;
    (void)who;
    (void)segment;
    reply_list_begin(&answer, "standings");
    for (size_t i = 0; (worker = fleet_next(p->fleet, &i)) != NULL;) {
        write_standing(&answer.w, p, worker);
    }
    reply_list_end(&answer, request, false);
}

void admin_standing_get(pool *p, http_request *request, const account *who, slice worker_id) {
    const fleet_worker *worker = find_worker(p, request, worker_id);
    reply_json answer;
    (void)who;
    if (worker != NULL) {
        reply_json_begin(&answer);
        write_standing(&answer.w, p, worker);
        reply_json_end(&answer, request, 200);
    }
}

/* The machine that it comes from next is its own. */
static void forget_suspicion(fleet_worker *worker) {
    worker->has_machine = worker->has_machine && worker->suspected_ms == 0;
    worker->suspected_ms = 0;
}

static void worker_trusted(void *context, const error *failure) {
    reply_later later = reply_later_take(context);
    fleet_worker *worker = fleet_find(later.pool->fleet, later.bytes);
    if (failure == NULL && worker != NULL) {
        forget_suspicion(worker);
        log_info("worker let out of quarantine", LOG_U64("by", later.user_id),
                 LOG_TEXT("worker", worker->id_hex));
    }
    if (reply_later_waits(&later, failure)) {
        reply_done(later.request);
    }
    reply_later_end(&later);
}

static void worker_restored(void *context, const error *failure) {
    reply_later later = reply_later_take(context);
    fleet_worker *worker = fleet_find(later.pool->fleet, later.bytes);
    if (failure == NULL && worker != NULL) {
        worker->revoked_ms = 0;
        forget_suspicion(worker);
        log_info("worker cleared", LOG_U64("by", later.user_id), LOG_TEXT("worker", worker->id_hex));
        standings_move(later.pool->proof, worker->id, STANDING_REHABILITATED, 0);
    }
    if (reply_later_waits(&later, failure)) {
        reply_done(later.request);
    }
    reply_later_end(&later);
}

void admin_worker_clear(pool *p, http_request *request, const account *who, slice worker_id) {
    const fleet_worker *worker = find_worker(p, request, worker_id);
    error err = {0};
    if (worker == NULL) {
        return;
    }
    bool convicted = !standing_may_serve(standings_of(p->proof->standings, worker->id));
    if (!convicted && worker->suspected_ms == 0) {
        reply_error(request, 409, NULL, "nothing_to_clear",
                    "this worker is neither convicted nor in quarantine");
        return;
    }
    reply_later *later = reply_later_new(p, request, who->user_id);
    if (later == NULL) {
        return;
    }
    memcpy(later->bytes, worker->id, sizeof worker->id);
    bool queued = convicted ? store_worker_restore(p->store, worker->id, worker_restored, later, &err)
                            : store_worker_trust(p->store, worker->id, worker_trusted, later, &err);
    if (!queued) {
        reply_later_fail(later, &err);
    }
}

static void evidence_found(void *context, const store_evidence *found, const error *failure) {
    static const http_header type = {SLICE_LITERAL("Content-Type"), SLICE_LITERAL("application/json")};
    reply_later later = reply_later_take(context);
    if (reply_later_waits(&later, failure)) {
        http_respond(later.request, 200, &type, 1, found->bundle);
    }
    reply_later_end(&later);
}

/* The first bundle is the one of the conviction. */
static void evidence_listed(void *context, const store_evidence *rows, size_t count, const error *failure) {
    error err = {0};
    reply_later *later = context;
    if (failure == NULL && count > 0 && later->request != NULL) {
        if (!store_evidence_get(later->pool->store, rows[count - 1].id, evidence_found, later, &err)) {
            reply_later_fail(later, &err);
        }
        return;
    }
    reply_later taken = reply_later_take(context);
    if (reply_later_waits(&taken, failure)) {
        reply_error(taken.request, 404, NULL, "not_found", "there is no evidence against this worker");
    }
    reply_later_end(&taken);
}

void admin_evidence_get(pool *p, http_request *request, const account *who, slice worker_id) {
    const fleet_worker *worker = find_worker(p, request, worker_id);
    error err = {0};
    if (worker == NULL) {
        return;
    }
    reply_later *later = reply_later_new(p, request, who->user_id);
    if (later != NULL &&
        !store_evidence_list(p->store, worker->id, 0, STORE_LIST_MAX, evidence_listed, later, &err)) {
        reply_later_fail(later, &err);
    }
}

static void notices_listed(void *context, const store_notice *rows, size_t count, const error *failure) {
    reply_later later = reply_later_take(context);
    if (reply_later_waits(&later, failure)) {
        reply_json answer;
        reply_list_begin(&answer, "notices");
        for (size_t i = 0; i < count; i++) {
            json_write_object_begin(&answer.w);
            json_add_u64(&answer.w, "id", rows[i].id);
            json_add_u64(&answer.w, "user", rows[i].user_id);
            admin_add_id(&answer.w, "job", rows[i].job_id);
            admin_add_id(&answer.w, "worker", rows[i].worker_id);
            json_add_u64(&answer.w, "created_ms", rows[i].created_ms);
            json_add_u64(&answer.w, "told_ms", rows[i].told_ms);
            json_write_object_end(&answer.w);
        }
        reply_list_end(&answer, later.request, count == STORE_LIST_MAX);
    }
    reply_later_end(&later);
}

void admin_notice_list(pool *p, http_request *request, const account *who, slice segment) {
    error err = {0};
    (void)segment;
    uint64_t after = 0;
    reply_later *later = reply_later_page(p, request, who->user_id, &after);
    if (later != NULL &&
        !store_notice_list(p->store, NULL, after, STORE_LIST_MAX, notices_listed, later, &err)) {
        reply_later_fail(later, &err);
    }
}
