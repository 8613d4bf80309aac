#include "base/log.h"
#include "os/clock.h"
#include "os/random.h"
#include "proof/bait.h"
#include "proof/place.h"
#include "proof/standings.h"
#include "proof/statistical.h"
#include "proof/verdict.h"
#include "reply.h"
#include "store/kept.h"
#include "verify/draw.h"

/* Which answers are checked. */

bool proof_mode_of(pool *p, const account *who, slice model, http_request *request, verify_mode *mode) {
    verify_mode modes[] = {policy_of_model(&p->settings, model), VERIFY_REQUIRED, VERIFY_OFF};
    slice value = {0};
    size_t headers = http_request_header_count(request, "x-cellule-verify");
    *mode = VERIFY_REQUIRED;
    if (!verify_mode_parse(slice_of_text(who->verify_mode), &modes[1])) {
        modes[1] = VERIFY_REQUIRED;
    }
    if (headers > 0 &&
        (!http_request_header(request, "x-cellule-verify", &value) || !verify_mode_parse(value, &modes[2]))) {
        reply_error(request, 400, "X-Cellule-Verify", "unknown_mode",
                    "X-Cellule-Verify is one of off, spot, every, proved, required, and comes once");
        return false;
    }
    *mode = verify_strictest(modes, sizeof modes / sizeof modes[0]);
    return true;
}

static bool seal_record(const job *j, const signed_receipt *entry, const uint8_t id[], buffer *sealed,
                        error *err) {
    const answer_record record = {.entry = *entry,
                                  .model = j->chat.model,
                                  .messages = j->chat.messages,
                                  .message_count = j->chat.message_count,
                                  .stops = j->chat.stops,
                                  .stop_count = j->chat.stop_count,
                                  .tokens = (const uint32_t *)(const void *)j->tokens.bytes,
                                  .token_count = (size_t)j->token_count};
    buffer plain = buffer_make(RECORD_LIMIT);
    bool made = buffer_reserve(&plain, record_size(&record)) != NULL || error_memory(err);
    made = made && record_encode(&record, &plain, err) &&
           site_seal(&j->work.pool->site, "inference_verifications", id, buffer_slice(&plain), sealed, err);
    buffer_wipe(&plain);
    return made;
}

static void answer_kept(void *context, const error *failure) {
    (void)context;
    if (failure != NULL) {
        log_error("an answer was not kept", LOG_CAUSE(failure));
    }
}

/* Not every receipt's signature is verified when it comes, but without one nothing can be held against the
 * worker. */
static bool is_signed(const proof *f, const signed_receipt *entry, error *err) {
    signed_receipt copy = *entry;
    if (receipt_verify_worker(&copy, err)) {
        return true;
    }
    if (err->code == ERROR_CORRUPT) {
        f->pool->counters.receipts_refused++;
        session_revoke_forger(f->pool, entry->fields.worker_id);
    }
    return false;
}

/* For a re-check, in the store alone. */
static bool keep(const proof *f, const job *j, const signed_receipt *entry, verify_mode mode, error *err) {
    store_kept_answer answer = {.user_id = j->user_id,
                                .created_ms = j->created_ms,
                                .model = j->chat.model,
                                .mode = slice_of_text(verify_mode_name(mode))};
    memcpy(answer.job_id, entry->fields.job_id, sizeof answer.job_id);
    memcpy(answer.worker_id, entry->fields.worker_id, sizeof answer.worker_id);
    buffer sealed = buffer_make(STORE_PAYLOAD_MAX);
    bool kept =
        random_bytes(answer.id, sizeof answer.id, err) && seal_record(j, entry, answer.id, &sealed, err);
    answer.payload = buffer_slice(&sealed);
    kept = kept && store_kept_add(f->pool->store, &answer, (size_t)f->pool->settings.recheck_answers,
                                  answer_kept, NULL, err);
    buffer_free(&sealed);
    return kept;
}

/* In the store first; if there is no room in memory it waits there alone, for a minute or more: too long for
 * a client, who is told then. */
static bool put_down(proof *f, const job *j, const signed_receipt *entry, verify_mode mode, error *err) {
    uint8_t id[STORE_VERIFICATION_ID_SIZE];
    if (!is_signed(f, entry, err)) {
        return false;
    }
    buffer sealed = buffer_make(STORE_PAYLOAD_MAX);
    check *c = NULL;
    if (random_bytes(id, sizeof id, err) && seal_record(j, entry, id, &sealed, err)) {
        c = check_new(f, id, &entry->fields, j->chat.model, &sealed, err);
    }
    buffer_free(&sealed);
    if (c == NULL) {
        return false;
    }
    c->work.kind = &check_kind;
    c->user_id = j->user_id;
    c->created_ms = j->created_ms;
    c->mode = mode;
    c->v.state = VERIFICATION_WAITING;
    if (!check_store_new(c, buffer_slice(&c->sealed), err)) {
        check_free(c);
        return false;
    }
    bool waits = mode == VERIFY_PROVED; /* somebody, now */
    error failure = {0};
    if (mode >= VERIFY_PROVED) {
        c->not_before_ms = ev_now_ms(f->pool->loop);
    } else {
        place_delay(c);
    }
    if (!check_enter(c, &failure)) {
        f->more_stored = true;
        check_free(c);
        if (waits) {
            *err = failure;
            return false;
        }
    }
    place_arm(f);
    return true;
}

/* Only the exact engine's answers can be computed again to the bit. They all fit a score job: they have a
 * token at least (job_receipt.c) and max_tokens_limit at most. */
bool proof_can_check(const receipt *fields) {
    return slice_starts_with(slice_of_text(fields->engine_profile), SLICE_LITERAL("exact-"));
}

/* One answer in this mode. */
static bool decide(proof *f, const job *j, const fleet_worker *worker, const signed_receipt *entry,
                   verify_mode mode, bool *drawn, error *err) {
    pool *p = f->pool;
    bool alike = statistical_applies(&entry->fields); /* is all that it can be */
    bait_search_answer(f, worker, entry->fields.job_id, buffer_slice(&j->text));
    bait_consider(f, worker, entry, j->chat.model);
    *drawn = false;
    if (mode == VERIFY_OFF || (!alike && !proof_can_check(&entry->fields))) {
        return true;
    }
    const standing_rules rules = policy_rules(&p->settings);
    double rate = standing_rate(standings_of(f->standings, worker->id), &rules, mode);
    double draw = 0;
    if (!verify_draw(p->site.verify->draw, VERIFY_DRAW_CHECK, entry->fields.job_id, entry->fields.commitment,
                     &draw, err)) {
        return false;
    }
    *drawn = draw < rate;
    bool kept = !alike && !*drawn && p->settings.recheck_answers > 0;
    if ((*drawn && !alike && !put_down(f, j, entry, mode, err)) || (kept && !keep(f, j, entry, mode, err))) {
        return false;
    }
    if (*drawn && alike) {
        statistical_check(f->statistical, j, worker, entry);
    }
    f->statistics.answers++;
    f->statistics.drawn += *drawn;
    standings_move(f, worker->id, STANDING_ANSWERED, 0);
    return true;
}

bool proof_answer_done(pool *p, const job *j, const fleet_worker *worker, const signed_receipt *entry,
                       error *err) {
    const verify_mode modes[] = {j->mode, policy_of_tiers(&p->settings, slice_of_text(worker->tiers))};
    bool drawn = false;
    return decide(p->proof, j, worker, entry, verify_strictest(modes, 2), &drawn, err);
}

bool proof_two_agreed(pool *p, const job *j, const fleet_worker *worker, const signed_receipt *entry,
                      error *err) {
    bool drawn = false;
    if (!decide(p->proof, j, worker, entry, VERIFY_SPOT, &drawn, err)) {
        return false;
    }
    if (!drawn && proof_can_check(&entry->fields)) {
        standings_move(p->proof, worker->id, STANDING_AGREED, 0);
    }
    return true;
}

static void pair_kept(void *context, const error *failure) {
    (void)context;
    if (failure != NULL) {
        log_error("that two workers agreed was not stored", LOG_CAUSE(failure));
    }
}

/* Nobody signed a finding: in its place is the id of the partner's receipt. */
bool proof_pair_agreed(pool *p, const job *j, const signed_receipt *entry, const signed_receipt *other,
                       bool weak, error *err) {
    store_verification row = {.user_id = j->user_id,
                              .model = j->chat.model,
                              .mode = slice_of_text(verify_mode_name(VERIFY_REQUIRED)),
                              .state = slice_of_text(verification_state_name(VERIFICATION_AGREED)),
                              .created_ms = j->created_ms,
                              .decided_ms = clock_unix_ms(),
                              .has_verifier = true,
                              .independence =
                                  slice_of_text(verify_independence_name(weak ? VERIFY_WEAK : VERIFY_FULL)),
                              .position = -1,
                              .findings = slice_of(other->fields.job_id, sizeof other->fields.job_id)};
    memcpy(row.job_id, j->work.id.bytes, sizeof row.job_id);
    memcpy(row.worker_id, entry->fields.worker_id, sizeof row.worker_id);
    memcpy(row.verifier_id, other->fields.worker_id, sizeof row.verifier_id);
    return random_bytes(row.id, sizeof row.id, err) &&
           store_verification_add(p->store, &row, pair_kept, NULL, err);
}

bool proof_read_pair(const store_verification *row, uint8_t other_job_id[STORE_JOB_ID_SIZE]) {
    if (!slice_equal_text(row->mode, verify_mode_name(VERIFY_REQUIRED)) ||
        !slice_equal_text(row->state, verification_state_name(VERIFICATION_AGREED)) ||
        row->findings.length != STORE_JOB_ID_SIZE) {
        return false;
    }
    memcpy(other_job_id, row->findings.data, STORE_JOB_ID_SIZE);
    return true;
}

void proof_evaded(pool *p, const fleet_worker *worker) {
    standings_move(p->proof, worker->id, STANDING_EVADED, 0);
}

verify_mode proof_mode_of_worker(const pool *p, const fleet_worker *worker) {
    return policy_of_tiers(&p->settings, slice_of_text(worker->tiers));
}
