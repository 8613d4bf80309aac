#include "proof/check.h"

#include "base/log.h"
#include "base/memory.h"
#include "os/clock.h"
#include "proof/await.h"
#include "proof/place.h"
#include "proof/standings.h"

#include <stdio.h>

enum {
    CHECKS_MAX = 4096,                   /* in memory; more wait in the store */
    SEALED_BYTES_MAX = 64 * 1024 * 1024, /* of these, all payloads together */
    WORKER_SHARE = 16,                   /* one in so many may be of one worker's answers */
    OPENED_MEMORY_MAX = 16 * 1024 * 1024
};

static const char seal_table[] = "inference_verifications";

static void copy_text(char *target, size_t size, slice text) {
    snprintf(target, size, "%.*s", SLICE_FORMAT(slice_part(text, 0, size - 1)));
}

check *check_new(proof *f, const uint8_t id[STORE_VERIFICATION_ID_SIZE], const receipt *fields, slice model,
                 buffer *sealed, error *err) {
    check *c = memory_allocate_zeroed(1, sizeof *c);
    if (c == NULL) {
        error_memory(err);
        return NULL;
    }
    c->proof = f;
    c->work.pool = f->pool;
    list_init(&c->node);
    memcpy(c->id, id, sizeof c->id);
    memcpy(c->job_id, fields->job_id, sizeof c->job_id);
    memcpy(c->worker_id, fields->worker_id, sizeof c->worker_id);
    copy_text(c->model, sizeof c->model, model);
    c->work.model = slice_of_text(c->model);
    memcpy(c->digest, fields->model_digest, sizeof c->digest);
    memcpy(c->profile, fields->engine_profile, sizeof c->profile);
    c->claim = (verify_claim){.tokens = fields->completion_tokens, .prompt_tokens = fields->prompt_tokens};
    memcpy(c->claim.commitment, fields->commitment, sizeof c->claim.commitment);
    c->position = -1;
    c->sealed = *sealed;
    *sealed = buffer_make(0);
    return c;
}

void check_free(check *c) {
    if (c != NULL) {
        opened_free(c->opened);
        buffer_free(&c->sealed);
        memory_free(c->findings);
        memory_free(c);
    }
}

void opened_free(opened_answer *opened) {
    if (opened == NULL) {
        return;
    }
    if (opened->memory != NULL) {
        arena_wipe(opened->memory);
        arena_free(opened->memory);
    }
    buffer_wipe(&opened->plain);
    memory_free(opened);
}

static opened_answer *open_payload(const proof *f, const uint8_t id[STORE_VERIFICATION_ID_SIZE], slice sealed,
                                   error *err) {
    opened_answer *opened = memory_allocate_zeroed(1, sizeof *opened);
    if (opened == NULL) {
        error_memory(err);
        return NULL;
    }
    opened->plain = buffer_make(RECORD_LIMIT);
    opened->memory = arena_new(OPENED_MEMORY_MAX);
    bool whole = opened->memory != NULL || error_memory(err);
    whole = whole && site_open_sealed(&f->pool->site, seal_table, id, sealed, &opened->plain, err) &&
            record_decode(buffer_slice(&opened->plain), opened->memory, &opened->record, err) &&
            receipt_nonce(opened->record.entry.salt, opened->nonce, err);
    if (!whole) {
        opened_free(opened);
        return NULL;
    }
    return opened;
}

opened_answer *check_open(const check *c, error *err) {
    return open_payload(c->proof, c->id, buffer_slice(&c->sealed), err);
}

static bool take_stored(check *c, const store_verification *stored, error *err) {
    c->user_id = stored->user_id;
    c->created_ms = stored->created_ms;
    c->recheck = stored->recheck;
    c->position = stored->position;
    c->has_verifier = stored->has_verifier;
    c->has_referee = stored->has_referee;
    memcpy(c->verifier_id, stored->verifier_id, sizeof c->verifier_id);
    memcpy(c->referee_id, stored->referee_id, sizeof c->referee_id);
    c->independence = slice_equal_text(stored->independence, verify_independence_name(VERIFY_FULL))
                          ? VERIFY_FULL
                          : VERIFY_WEAK;
    c->v = (verification){.attempts = stored->attempts, .referees = stored->referees};
    if (!verification_state_parse(stored->state, &c->v.state) || !verify_mode_parse(stored->mode, &c->mode)) {
        return error_set(err, ERROR_CORRUPT, "a stored check is in a state or mode that doesn't exist");
    }
    if (stored->findings.length > 0) {
        c->findings = memory_allocate_zeroed(1, sizeof *c->findings);
        if (c->findings == NULL) {
            return error_memory(err);
        }
        if (!findings_decode(stored->findings, c->findings, err)) {
            return false;
        }
    }
    bool disputed = c->v.state == VERIFICATION_DISPUTED || c->v.state == VERIFICATION_OPEN;
    bool has_finding = c->findings != NULL && c->findings->count > 0;
    if ((c->v.state != VERIFICATION_WAITING && !disputed) ||
        (disputed && (!has_finding || !c->has_verifier))) {
        return error_set(err, ERROR_CORRUPT, "a stored check doesn't hold together");
    }
    return verification_check(&c->v, err);
}

check *check_from_stored(proof *f, const store_verification *stored, error *err) {
    opened_answer *opened = open_payload(f, stored->id, stored->payload, err);
    if (opened == NULL) {
        return NULL;
    }
    buffer sealed = buffer_make(STORE_PAYLOAD_MAX);
    check *c = NULL;
    if (!buffer_append(&sealed, stored->payload)) {
        error_memory(err);
    } else {
        c = check_new(f, stored->id, &opened->record.entry.fields, opened->record.model, &sealed, err);
    }
    buffer_free(&sealed);
    opened_free(opened);
    if (c != NULL && !take_stored(c, stored, err)) {
        check_free(c);
        c = NULL;
    }
    return c;
}

/* Both parties are in quarantine for it, unless the worker was convicted before. */
void check_resume_dispute(check *c) {
    standing_state worker = standings_of(c->proof->standings, c->worker_id)->state;
    standing_state verifier = standings_of(c->proof->standings, c->verifier_id)->state;
    c->quiet = c->recheck || (worker == STANDING_CONVICTED && verifier != STANDING_QUARANTINED &&
                              verifier != STANDING_CONVICTED);
}

static bool is_referee(const check *c, const uint8_t id[STORE_WORKER_ID_SIZE]) {
    const fleet_worker *worker = fleet_find(c->work.pool->fleet, id);
    return worker != NULL && worker->referee;
}

verify_bench check_bench(const check *c) {
    return (verify_bench){.site_has_referees = fleet_has_referee(c->work.pool->fleet),
                          .worker_is_referee = is_referee(c, c->worker_id),
                          .verifier_is_referee = c->has_verifier && is_referee(c, c->verifier_id)};
}

bool check_has_any_room(const proof *f) {
    return map_count(f->checks) < CHECKS_MAX && f->sealed_bytes < SEALED_BYTES_MAX;
}

bool check_has_room(const proof *f, const uint8_t worker_id[STORE_WORKER_ID_SIZE], size_t sealed_bytes) {
    const fleet_worker *worker = fleet_find(f->pool->fleet, worker_id);
    size_t count = worker == NULL ? 0 : worker->checks;
    size_t bytes = worker == NULL ? 0 : worker->checks_bytes;
    return check_has_any_room(f) && sealed_bytes <= SEALED_BYTES_MAX - f->sealed_bytes &&
           count < CHECKS_MAX / WORKER_SHARE && sealed_bytes <= SEALED_BYTES_MAX / WORKER_SHARE &&
           bytes <= SEALED_BYTES_MAX / WORKER_SHARE - sealed_bytes;
}

static void take_room(check *c) {
    c->proof->sealed_bytes += buffer_length(&c->sealed);
    c->counted = fleet_find(c->proof->pool->fleet, c->worker_id);
    if (c->counted != NULL) {
        c->counted->checks++;
        c->counted->checks_bytes += buffer_length(&c->sealed);
    }
}

static void give_room_back(check *c) {
    c->proof->sealed_bytes -= buffer_length(&c->sealed);
    if (c->counted != NULL) {
        c->counted->checks--;
        c->counted->checks_bytes -= buffer_length(&c->sealed);
        c->counted = NULL;
    }
}

bool check_enter(check *c, error *err) {
    proof *f = c->proof;
    if (!check_has_room(f, c->worker_id, buffer_length(&c->sealed))) {
        return error_set(err, ERROR_LIMIT, "too many checks wait");
    }
    if (!map_put(f->checks, slice_of(c->id, sizeof c->id), c)) {
        return error_memory(err);
    }
    take_room(c);
    list_append(&f->pending, &c->node);
    return true;
}

void check_leave(check *c) {
    proof *f = c->proof;
    place_release_claim(c);
    map_remove(f->checks, slice_of(c->id, sizeof c->id));
    give_room_back(c);
    list_remove(&c->node);
    await_tell(c);
    check_free(c);
}

static void stored(void *context, const error *failure) {
    (void)context;
    if (failure != NULL) {
        log_error("a check was not stored", LOG_CAUSE(failure));
    }
}

static store_verification row_of(const check *c) {
    store_verification row = {.user_id = c->user_id,
                              .model = slice_of_text(c->model),
                              .mode = slice_of_text(verify_mode_name(c->mode)),
                              .state = slice_of_text(verification_state_name(c->v.state)),
                              .created_ms = c->created_ms,
                              .recheck = c->recheck,
                              .has_verifier = c->has_verifier,
                              .has_referee = c->has_referee,
                              .position = c->position,
                              .attempts = c->v.attempts,
                              .referees = c->v.referees};
    if (c->has_verifier) {
        row.independence = slice_of_text(verify_independence_name(c->independence));
    }
    memcpy(row.id, c->id, sizeof row.id);
    memcpy(row.job_id, c->job_id, sizeof row.job_id);
    memcpy(row.worker_id, c->worker_id, sizeof row.worker_id);
    memcpy(row.verifier_id, c->verifier_id, sizeof row.verifier_id);
    memcpy(row.referee_id, c->referee_id, sizeof row.referee_id);
    return row;
}

bool check_store_new(check *c, slice payload, error *err) {
    store_verification row = row_of(c);
    row.payload = payload;
    return store_verification_add(c->proof->pool->store, &row, stored, NULL, err);
}

/* Running and judging are not stored: after a restart nobody has it any more. */
bool check_store_change_then(check *c, store_done *done, void *context, error *err) {
    store_verification row = row_of(c);
    bool over = verification_is_over(&c->v);
    row.decided_ms = over ? clock_unix_ms() : 0;
    buffer findings = buffer_make(STORE_FINDINGS_MAX);
    bool written = c->findings == NULL || findings_encode(c->findings, &findings, err);
    row.findings = buffer_slice(&findings);
    written = written && store_verification_update(c->proof->pool->store, &row, over, done, context, err);
    buffer_free(&findings);
    return written;
}

void check_store_change(check *c) {
    error err = {0};
    if (!check_store_change_then(c, stored, NULL, &err)) {
        stored(NULL, &err);
    }
}

bool check_move(check *c, verification_event event) {
    error err = {0};
    if (verification_move(&c->v, event, &err)) {
        return true;
    }
    log_error("a check could not be moved", LOG_TEXT("event", verification_event_name(event)),
              LOG_TEXT("state", verification_state_name(c->v.state)), LOG_CAUSE(&err));
    return false;
}
