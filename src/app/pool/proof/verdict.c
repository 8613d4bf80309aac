#include "proof/verdict.h"

#include "base/log.h"
#include "base/memory.h"
#include "ledger/finding.h"
#include "os/clock.h"
#include "proof/convict.h"
#include "proof/place.h"
#include "proof/standings.h"

enum { RETRY_MS = 1000 /* times the attempts */ };

static check *check_of(work *w) {
    return (check *)(void *)w; /* its first member */
}

static void describe(const work *w, proto_message *message) {
    const check *c = (const check *)(const void *)w;
    const answer_record *record = &c->opened->record;
    const receipt *fields = &record->entry.fields;
    proto_job *out = &message->job;
    out->kind = PROTO_SCORE;
    out->messages = (const proto_chat *)(const void *)record->messages;
    out->message_count = record->message_count;
    out->temperature = fields->temperature;
    out->top_p = fields->top_p;
    out->max_tokens = fields->max_tokens;
    out->stop_count = record->stop_count;
    memcpy(out->stop, record->stops, record->stop_count * sizeof *record->stops);
    out->seed = fields->seed;
    out->deadline_ms = session_deadline(w->pool->settings.check_deadline_ms);
    out->answer = record->tokens;
    out->answer_count = record->token_count;
    memcpy(out->salt, record->entry.salt, sizeof out->salt);
    memcpy(out->nonce, c->opened->nonce, sizeof out->nonce);
}

static bool check_scored(work *w, const fleet_worker *worker, const proto_scored *scored,
                         signed_finding *entry, error *err) {
    const check *c = check_of(w);
    const receipt *fields = &c->opened->record.entry.fields;
    finding made = {.version = FINDING_VERSION,
                    .temperature = fields->temperature,
                    .top_p = fields->top_p,
                    .max_tokens = fields->max_tokens,
                    .seed = fields->seed,
                    .claimed_tokens = fields->completion_tokens,
                    .prompt_tokens = scored->prompt_tokens,
                    .agreed = scored->agreed,
                    .complete = scored->complete,
                    .has_expected = scored->has_expected,
                    .expected = scored->expected,
                    .started_ms = scored->started_ms,
                    .finished_ms = scored->finished_ms};
    memcpy(made.pool_id, fields->pool_id, sizeof made.pool_id);
    memcpy(made.check_id, w->id.bytes, sizeof made.check_id);
    memcpy(made.worker_id, worker->id, sizeof made.worker_id);
    memcpy(made.model_digest, fields->model_digest, sizeof made.model_digest);
    memcpy(made.engine_profile, fields->engine_profile, sizeof made.engine_profile);
    memcpy(made.prompt_hash, fields->prompt_hash, sizeof made.prompt_hash);
    memcpy(made.stop_hash, fields->stop_hash, sizeof made.stop_hash);
    memcpy(made.token_hash, fields->token_hash, sizeof made.token_hash);
    memcpy(made.commitment, scored->commitment, sizeof made.commitment);
    buffer bytes = buffer_make(FINDING_ENCODED_LIMIT);
    bool whole = finding_encode(&made, &bytes, err);
    if (whole) {
        *entry = (signed_finding){.length = buffer_length(&bytes)};
        memcpy(entry->bytes, bytes.bytes, entry->length);
        memcpy(entry->worker_key, worker->public_key, sizeof entry->worker_key);
        memcpy(entry->worker_signature, scored->signature, sizeof entry->worker_signature);
    }
    buffer_free(&bytes);
    return whole && finding_verify_worker(entry, err) &&
           (finding_is_about(&entry->fields, fields) ||
            error_set(err, ERROR_CORRUPT, "a finding about another answer"));
}

static verify_finding view_of(const signed_finding *entry, bool cut) {
    verify_finding view = {.agreed = entry->fields.agreed,
                           .count = entry->fields.claimed_tokens,
                           .complete = entry->fields.complete ||
                                       (cut && entry->fields.agreed == entry->fields.claimed_tokens),
                           .has_expected = entry->fields.has_expected,
                           .expected = entry->fields.expected,
                           .prompt_tokens = entry->fields.prompt_tokens};
    memcpy(view.commitment, entry->fields.commitment, sizeof view.commitment);
    return view;
}

static bool keep_finding(check *c, const signed_finding *entry) {
    if (c->findings == NULL) {
        c->findings = memory_allocate_zeroed(1, sizeof *c->findings);
    }
    if (c->findings == NULL || c->findings->count == FINDINGS_MAX) {
        return false;
    }
    c->findings->items[c->findings->count++] = *entry;
    return true;
}

static void log_check(const char *what, const check *c) {
    char id[2 * STORE_VERIFICATION_ID_SIZE + 1];
    char job_hex[2 * STORE_JOB_ID_SIZE + 1];
    char worker[2 * STORE_WORKER_ID_SIZE + 1];
    char verifier[2 * STORE_WORKER_ID_SIZE + 1];
    hex_encode(slice_of(c->id, sizeof c->id), id);
    hex_encode(slice_of(c->job_id, sizeof c->job_id), job_hex);
    hex_encode(slice_of(c->worker_id, sizeof c->worker_id), worker);
    hex_encode(slice_of(c->verifier_id, sizeof c->verifier_id), verifier);
    log_warning(what, LOG_TEXT("verification", id), LOG_TEXT("job", job_hex), LOG_TEXT("worker", worker),
                LOG_TEXT("verifier", verifier), LOG_U64("token", c->position + 1));
}

static void again_later(check *c) {
    c->not_before_ms = ev_now_ms(c->work.pool->loop) + (uint64_t)RETRY_MS * (c->v.attempts + 1);
}

/* Out of the way if it is over or a human has to decide. */
static void settle(check *c) {
    check_store_change(c);
    if (verification_is_over(&c->v) || c->v.state == VERIFICATION_OPEN) {
        proof_statistics *counts = &c->proof->statistics;
        counts->given_up += c->v.state == VERIFICATION_GIVEN_UP;
        counts->open += c->v.state == VERIFICATION_OPEN;
        if (c->v.state == VERIFICATION_OPEN) {
            c->proof->open++;
            log_check(
                "nobody has settled a dispute between two workers, and both stay out of service: enrol a "
                "referee and run cellule admin verification judge, or decide",
                c);
        }
        check_leave(c);
    }
}

void verdict_lost(check *c, bool evaded) {
    uint8_t runner[STORE_WORKER_ID_SIZE];
    memcpy(runner, c->runner, sizeof runner);
    place_released(c);
    c->proof->statistics.lost++;
    bool judging = c->v.state == VERIFICATION_JUDGING;
    if (evaded) {
        standings_move(c->proof, runner, STANDING_EVADED, 0);
    }
    if (check_move(c, judging ? VERIFICATION_REFEREE_LOST : VERIFICATION_LOST)) {
        again_later(c);
        settle(c);
    }
}

/* Many may at once, so that it is said once in a while. */
static void count_expired(const check *c) {
    proof *f = c->proof;
    uint64_t now = ev_now_ms(f->pool->loop);
    f->statistics.expired++;
    if (f->warned_of_expired_ms == 0 || now - f->warned_of_expired_ms >= CLOCK_MINUTE_MS) {
        f->warned_of_expired_ms = now;
        log_warning("answers that were drawn were not checked: no worker that may check them had time within "
                    "recheck_hours; enrol more, or raise checks_at_once",
                    LOG_U64("until_now", f->statistics.expired));
    }
}

void check_expire(check *c) {
    if (c->v.state == VERIFICATION_WAITING) {
        count_expired(c);
    }
    if (check_move(c, VERIFICATION_EXPIRED)) {
        settle(c);
    } else {
        check_leave(c); /* in no state to wait: what is stored of it is found at the next start */
    }
}

static void agreed(check *c) {
    check_move(c, VERIFICATION_HAS_AGREED);
    c->proof->statistics.agreed++;
    standings_move(c->proof, c->worker_id, STANDING_AGREED, 0);
    settle(c);
}

/* One of the two is wrong: until it is known which, neither gets a prompt. Where the worker is convicted
 * already nobody has to suspect the verifier. */
static void differed(check *c, const signed_finding *entry) {
    c->quiet = c->recheck || standings_of(c->proof->standings, c->worker_id)->state == STANDING_CONVICTED;
    c->position = entry->fields.agreed;
    c->tried_count = 0;
    check_move(c, VERIFICATION_DIFFERED);
    c->disputed_ms = ev_now_ms(c->work.pool->loop);
    c->proof->statistics.disputed++;
    log_check("two workers differ about an answer", c);
    if (!c->quiet) {
        standings_move(c->proof, c->worker_id, STANDING_DISPUTED, 0);
        standings_move(c->proof, c->verifier_id, STANDING_DISPUTED, 0);
    }
    c->not_before_ms = ev_now_ms(c->work.pool->loop);
    settle(c);
}

static bool is_party(const check *c, const uint8_t worker[STORE_WORKER_ID_SIZE]) {
    return memcmp(c->worker_id, worker, STORE_WORKER_ID_SIZE) == 0 ||
           memcmp(c->verifier_id, worker, STORE_WORKER_ID_SIZE) == 0;
}

/* Of the disputes that the worker is in quarantine for, those that aren't this one. */
static uint32_t other_disputes(const check *c, const uint8_t worker[STORE_WORKER_ID_SIZE]) {
    uint32_t count = 0;
    void *value = NULL;
    for (size_t i = 0; map_next(c->proof->checks, &i, NULL, &value);) {
        const check *other = value;
        bool disputed = other->v.state == VERIFICATION_DISPUTED || other->v.state == VERIFICATION_JUDGING;
        count += other != c && disputed && !other->quiet && is_party(other, worker);
    }
    return count;
}

/* A human may have cleared it meanwhile: then this dispute is none of those that it is in quarantine for. */
static void absolve(const check *c, const uint8_t worker[STORE_WORKER_ID_SIZE]) {
    const standing *s = standings_of(c->proof->standings, worker);
    if (!c->quiet && s->disputes > other_disputes(c, worker)) {
        standings_move(c->proof, worker, STANDING_ABSOLVED, 0);
    }
}

static void worker_is_wrong(check *c, const char *reason) {
    c->proof->statistics.worker_wrong++;
    log_check("an answer is wrong: its worker is convicted", c);
    absolve(c, c->verifier_id);
    convict(c, c->worker_id, reason);
}

static void verifier_is_wrong(check *c, const char *reason) {
    c->proof->statistics.verifier_wrong++;
    log_check("a finding is wrong: its verifier is convicted", c);
    absolve(c, c->worker_id);
    convict(c, c->verifier_id, reason);
}

bool verdict_by_human(check *c, verification_event decided, const char *reason, error *err) {
    if (!verification_move(&c->v, decided, err)) {
        return false;
    }
    if (decided == VERIFICATION_DECIDED_WORKER_WRONG) {
        worker_is_wrong(c, reason);
    } else if (decided == VERIFICATION_DECIDED_VERIFIER_WRONG) {
        verifier_is_wrong(c, reason);
    } else {
        absolve(c, c->worker_id);
        absolve(c, c->verifier_id);
    }
    return true;
}

static verify_verdict verdict_of(const check *c, const fleet_worker *judge, const signed_finding *entry,
                                 bool cut) {
    const verify_finding first = view_of(&c->findings->items[0], cut);
    const verify_finding second = view_of(entry, cut);
    const verify_bench bench = check_bench(c);
    verify_verdict verdict = verify_judge(&c->claim, &first, &second);
    return judge->referee ? verdict : verify_verdict_of_worker(verdict, &bench);
}

static void judged(check *c, const fleet_worker *judge, const signed_finding *entry, bool cut) {
    c->tried_count = 0;
    switch (verdict_of(c, judge, entry, cut)) {
    case VERDICT_WORKER_WRONG:
        check_move(c, VERIFICATION_REFEREE_FOR_VERIFIER);
        worker_is_wrong(c, NULL);
        break;
    case VERDICT_VERIFIER_WRONG:
        check_move(c, VERIFICATION_REFEREE_FOR_WORKER);
        verifier_is_wrong(c, NULL);
        break;
    case VERDICT_NEITHER:
        check_move(c, VERIFICATION_REFEREE_FOR_NEITHER);
        log_check("a third says what neither of two says, or is no referee and contradicts one", c);
        c->not_before_ms = ev_now_ms(c->work.pool->loop);
        break;
    }
    settle(c);
}

static void scored(work *w, const fleet_worker *worker, const signed_finding *entry) {
    check *c = check_of(w);
    bool judging = c->v.state == VERIFICATION_JUDGING;
    verify_finding view;
    c->handle = NULL;
    bool counts =
        judging ? standings_may_judge(c->proof, worker->id) : standings_may_serve(c->proof, worker->id);
    if (entry == NULL || !counts) {
        verdict_lost(c, false);
        return;
    }
    standings_move(c->proof, worker->id, STANDING_VERIFIED, 0);
    bool cut = receipt_may_have_been_cut(&c->opened->record.entry.fields);
    view = view_of(entry, cut);
    bool differs = judging || verify_compare(&c->claim, &view) == VERIFY_DIFFERS;
    if (differs && !keep_finding(c, entry)) {
        verdict_lost(c, false); /* memory: somebody else says it again */
        return;
    }
    if (judging) {
        c->has_referee = true;
        memcpy(c->referee_id, worker->id, sizeof c->referee_id);
    } else {
        c->has_verifier = true;
        memcpy(c->verifier_id, worker->id, sizeof c->verifier_id);
        c->independence = c->runner_independence;
    }
    place_released(c);
    if (judging) {
        judged(c, worker, entry, cut);
    } else if (differs) {
        differed(c, entry);
    } else {
        agreed(c);
    }
}

/* What doesn't fit the context that it says it has it can't check, however much it wants to. */
static void gave_up(work *w, const fleet_worker *worker, const proto_fail *fail) {
    check *c = check_of(w);
    const receipt *fields = &c->opened->record.entry.fields;
    uint64_t room = worker->session == NULL ? 0 : session_context(worker->session, w->model);
    c->unable = slice_equal_text(fail->code, PROTO_FAIL_INPUT) &&
                (uint64_t)fields->prompt_tokens + fields->completion_tokens > room;
}

static void failed(work *w, dispatch_failure reason) {
    (void)reason;
    check *c = check_of(w);
    c->handle = NULL;
    if (c->tried_count < VERIFICATION_ATTEMPTS_MAX) {
        memcpy(c->tried[c->tried_count++], c->runner, sizeof c->runner);
    }
    verdict_lost(c, !c->unable && !w->pool->draining && !c->proof->stopping);
}

const work_kind check_kind = {.name = "check",
                              .describe = describe,
                              .check_scored = check_scored,
                              .scored = scored,
                              .gave_up = gave_up,
                              .failed = failed};
