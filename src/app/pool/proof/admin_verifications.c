#include "base/log.h"
#include "base/memory.h"
#include "codec/json.h"
#include "crypto/hash.h"
#include "ledger/evidence.h"
#include "proof/admin.h"
#include "proof/place.h"
#include "proof/verdict.h"
#include "reply.h"

#include <stdio.h>

/* Checks of answers, and what humans decide of those that nobody else could settle. */

enum { LISTED = 200, BODY_DEPTH = 4, BODY_VALUES = 64 };

static void write_verification(json_writer *w, const proof *f, const store_verification *row) {
    json_write_object_begin(w);
    json_add_text(w, "object", SLICE_LITERAL("cellule.verification"));
    admin_add_id(w, "id", row->id);
    json_add_u64(w, "number", row->number);
    admin_add_id(w, "job", row->job_id);
    admin_add_id(w, "worker", row->worker_id);
    if (row->has_verifier) {
        admin_add_id(w, "verifier", row->verifier_id);
        json_add_text(w, "independence", row->independence);
    }
    if (row->has_referee) {
        admin_add_id(w, "referee", row->referee_id);
    }
    json_add_text(w, "model", row->model);
    json_add_text(w, "mode", row->mode);
    json_add_text(w, "state", row->state);
    json_add_bool(w, "doubtful", proof_is_doubtful(f->pool, row));
    json_add_bool(w, "recheck", row->recheck);
    if (row->position >= 0) {
        json_add_u64(w, "token", (uint64_t)row->position + 1); /* counted as everywhere that users look */
    }
    json_add_u64(w, "created_ms", row->created_ms);
    json_add_u64(w, "decided_ms", row->decided_ms);
    json_write_object_end(w);
}

static void verifications_listed(void *context, const store_verification *rows, size_t count,
                                 const error *failure) {
    reply_later later = reply_later_take(context);
    if (reply_later_waits(&later, failure)) {
        reply_json answer;
        reply_list_begin(&answer, "verifications");
        for (size_t i = 0; i < count; i++) {
            write_verification(&answer.w, later.pool->proof, &rows[i]);
        }
        reply_list_end(&answer, later.request, count == LISTED);
    }
    reply_later_end(&later);
}

void admin_verification_list(pool *p, http_request *request, const account *who, slice segment) {
    error err = {0};
    (void)segment;
    uint64_t after = 0;
    reply_later *later = reply_later_page(p, request, who->user_id, &after);
    if (later != NULL &&
        !store_verification_list(p->store, NULL, after, LISTED, verifications_listed, later, &err)) {
        reply_later_fail(later, &err);
    }
}

void admin_dispute_list(pool *p, http_request *request, const account *who, slice segment) {
    error err = {0};
    (void)segment;
    uint64_t after = 0;
    reply_later *later = reply_later_page(p, request, who->user_id, &after);
    if (later != NULL &&
        !store_verification_list_open(p->store, after, LISTED, verifications_listed, later, &err)) {
        reply_later_fail(later, &err);
    }
}

static bool read_id(http_request *request, slice text, uint8_t id[STORE_VERIFICATION_ID_SIZE]) {
    if (hex_decode(text, id, STORE_VERIFICATION_ID_SIZE)) {
        return true;
    }
    reply_error(request, 404, NULL, "not_found",
                "a verification's id is 32 lower-case hexadecimal digits; the list shows them");
    return false;
}

static void verification_found(void *context, const store_verification *row, const error *failure) {
    reply_later later = reply_later_take(context);
    if (reply_later_waits(&later, failure)) {
        reply_json answer;
        reply_json_begin(&answer);
        write_verification(&answer.w, later.pool->proof, row);
        reply_json_end(&answer, later.request, 200);
    }
    reply_later_end(&later);
}

void admin_verification_get(pool *p, http_request *request, const account *who, slice id_hex) {
    uint8_t id[STORE_VERIFICATION_ID_SIZE];
    error err = {0};
    if (!read_id(request, id_hex, id)) {
        return;
    }
    reply_later *later = reply_later_new(p, request, who->user_id);
    if (later != NULL && !store_verification_get(p->store, id, verification_found, later, &err)) {
        reply_later_fail(later, &err);
    }
}

/* What a human wants of a dispute, until it is on disk; in proof.decisions, so that there is one of each. */
typedef struct decision {
    list_node node;
    reply_later *later;
    uint8_t id[STORE_VERIFICATION_ID_SIZE];
    verification_event event;
    char reason[EVIDENCE_REASON_MAX + 1];
} decision;

static void end_decision(decision *d, const error *failure) {
    reply_later later = reply_later_take(d->later);
    char id[2 * STORE_VERIFICATION_ID_SIZE + 1];
    hex_encode(slice_of(d->id, sizeof d->id), id);
    if (failure == NULL) {
        log_warning("a human decided about a dispute", LOG_U64("by", later.user_id),
                    LOG_TEXT("verification", id), LOG_TEXT("decision", verification_event_name(d->event)),
                    LOG_TEXT("reason", d->reason));
    }
    if (reply_later_waits(&later, failure)) {
        reply_done(later.request);
    }
    reply_later_end(&later);
    list_remove(&d->node);
    memory_free(d);
}

static void decision_stored(void *context, const error *failure) {
    end_decision(context, failure);
}

/* Back to the referees, as if it had just begun. */
static bool resume(decision *d, check *c, error *err) {
    if (!verification_move(&c->v, d->event, err) || !check_enter(c, err)) {
        check_free(c);
        return false;
    }
    c->proof->open -= c->proof->open > 0;
    c->work.kind = &check_kind;
    place_arm(c->proof);
    return check_store_change_then(c, decision_stored, d, err);
}

static bool settle(decision *d, check *c, error *err) {
    bool settled = verdict_by_human(c, d->event, d->reason, err);
    if (settled) {
        c->proof->open -= c->proof->open > 0;
        settled = check_store_change_then(c, decision_stored, d, err);
    }
    check_free(c);
    return settled;
}

static void dispute_found(void *context, const store_verification *row, const error *failure) {
    decision *d = context;
    error err = {0};
    proof *f = d->later->pool->proof;
    if (failure != NULL || f == NULL) {
        end_decision(d,
                     failure != NULL ? failure : (error_set(&err, ERROR_IO, "the pool is stopping"), &err));
        return;
    }
    if (!slice_equal_text(row->state, verification_state_name(VERIFICATION_OPEN))) {
        error_set(&err, ERROR_CONFLICT, "this verification is %.*s: only open ones are for a human to decide",
                  SLICE_FORMAT(row->state));
        end_decision(d, &err);
        return;
    }
    check *c = check_from_stored(f, row, &err);
    if (c != NULL) {
        check_resume_dispute(c);
    }
    if (c == NULL || !(d->event == VERIFICATION_RESUMED ? resume(d, c, &err) : settle(d, c, &err))) {
        end_decision(d, &err);
    }
}

static bool is_being_decided(const proof *f, const uint8_t id[STORE_VERIFICATION_ID_SIZE]) {
    for (const list_node *node = f->decisions.next; node != &f->decisions; node = node->next) {
        if (memcmp(LIST_ENTRY(node, const decision, node)->id, id, STORE_VERIFICATION_ID_SIZE) == 0) {
            return true;
        }
    }
    return false;
}

static void begin(pool *p, http_request *request, const account *who, const decision *wanted) {
    error err = {0};
    if (is_being_decided(p->proof, wanted->id)) {
        reply_error(request, 409, NULL, "conflict", "somebody decides this just now; see what it was");
        return;
    }
    decision *d = memory_allocate(sizeof *d);
    if (d == NULL) {
        reply_out_of_memory(request);
        return;
    }
    *d = *wanted;
    list_init(&d->node);
    d->later = reply_later_new(p, request, who->user_id);
    if (d->later == NULL) {
        memory_free(d);
        return;
    }
    list_append(&p->proof->decisions, &d->node);
    if (!store_verification_get(p->store, d->id, dispute_found, d, &err)) {
        end_decision(d, &err);
    }
}

static bool read_guilty(slice guilty, verification_event *event) {
    static const struct {
        const char *name;
        verification_event event;
    } names[] = {{"worker", VERIFICATION_DECIDED_WORKER_WRONG},
                 {"verifier", VERIFICATION_DECIDED_VERIFIER_WRONG},
                 {"nobody", VERIFICATION_DECIDED_NEITHER}};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (slice_equal_text(guilty, names[i].name)) {
            *event = names[i].event;
            return true;
        }
    }
    return false;
}

/* Answers the request itself if it can't be read. */
static bool read_decision(pool *p, http_request *request, decision *d) {
    error err = {0};
    slice guilty = {0};
    slice reason = {0};
    json_value *root = json_parse(
        http_request_body(request),
        (json_limits){.size = p->settings.body_limit, .depth = BODY_DEPTH, .values = BODY_VALUES}, &err);
    bool read = root != NULL && json_get_text(root, "guilty", &guilty, &err) &&
                json_get_text(root, "reason", &reason, &err);
    if (!read) {
        reply_unreadable(request, NULL, &err);
    } else if (!read_guilty(guilty, &d->event)) {
        reply_error(request, 400, "guilty", NULL, "guilty is worker, verifier or nobody");
        read = false;
    } else if (reason.length == 0 || reason.length > EVIDENCE_REASON_MAX ||
               slice_find(reason, '\0') != SIZE_MAX) {
        reply_error(request, 400, "reason", NULL, "reason is 1 to %d bytes of text", EVIDENCE_REASON_MAX);
        read = false;
    } else {
        snprintf(d->reason, sizeof d->reason, "%.*s", SLICE_FORMAT(reason));
    }
    json_free(root);
    return read;
}

void admin_verification_decide(pool *p, http_request *request, const account *who, slice id) {
    decision d = {.reason = ""};
    if (read_id(request, id, d.id) && read_decision(p, request, &d)) {
        begin(p, request, who, &d);
    }
}

void admin_verification_judge(pool *p, http_request *request, const account *who, slice id) {
    decision d = {.event = VERIFICATION_RESUMED};
    if (read_id(request, id, d.id)) {
        begin(p, request, who, &d);
    }
}
