#include "worker_job_internal.h"

#include "base/memory.h"
#include "ledger/finding.h"
#include "os/clock.h"

#include <stdio.h>

typedef struct score_job {
    worker_job base;
    finding finding; /* filled as things become known */
    size_t known;    /* claimed ids before the first that this model doesn't have */
} score_job;

static void release(worker_job *base) {
    memory_free((score_job *)(void *)base);
}

static bool fill_finding(const agent *a, const proto_job *wanted, finding *f, error *err) {
    *f = (finding){.version = FINDING_VERSION,
                   .temperature = wanted->temperature,
                   .top_p = wanted->top_p,
                   .max_tokens = wanted->max_tokens,
                   .seed = wanted->seed,
                   .claimed_tokens = (uint32_t)wanted->answer_count,
                   .started_ms = clock_unix_ms()};
    memcpy(f->pool_id, a->home.pool_id, sizeof f->pool_id);
    memcpy(f->check_id, wanted->id, sizeof f->check_id);
    memcpy(f->worker_id, a->home.worker_id, sizeof f->worker_id);
    memcpy(f->model_digest, a->model_digest, sizeof f->model_digest);
    snprintf(f->engine_profile, sizeof f->engine_profile, "%s", a->profile);
    return receipt_hash_prompt(wanted->salt, (const receipt_message *)(const void *)wanted->messages,
                               wanted->message_count, f->prompt_hash, err) &&
           receipt_hash_stop(wanted->stop, wanted->stop_count, f->stop_hash, err) &&
           receipt_hash_tokens(wanted->answer, wanted->answer_count, f->token_hash, err);
}

static size_t count_known(const agent *a, const proto_job *wanted) {
    size_t known = 0;
    while (known < wanted->answer_count && (a->vocabulary == 0 || wanted->answer[known] < a->vocabulary)) {
        known++;
    }
    return known;
}

worker_job *score_job_new(agent *a, const proto_job *wanted, error *err) {
    score_job *j = memory_allocate_zeroed(1, sizeof *j);
    if (j == NULL) {
        error_memory(err);
        return NULL;
    }
    j->known = count_known(a, wanted);
    if (!fill_finding(a, wanted, &j->finding, err)) {
        memory_free(j);
        return NULL;
    }
    worker_job_begin(&j->base, a, wanted, release);
    return &j->base;
}

/* Up to the first unknown id, which no model can have drawn: the engine is given another there, since what it
 * would have drawn in that place doesn't depend on it. */
static size_t count_sent(const score_job *j) {
    return j->known < j->finding.claimed_tokens ? j->known + 1 : j->known;
}

bool score_job_describe(const worker_job *base, const proto_job *wanted, pipe_score *score) {
    const score_job *j = (const score_job *)(const void *)base;
    score->answer = wanted->answer;
    score->answer_count = count_sent(j);
    if (j->known == wanted->answer_count) {
        return true;
    }
    uint32_t *answer = arena_allocate_array(base->agent->scratch, score->answer_count, sizeof *answer);
    if (answer == NULL) {
        return false;
    }
    memcpy(answer, wanted->answer, j->known * sizeof *answer);
    answer[j->known] = 0;
    score->answer = answer;
    return true;
}

static bool take_result(score_job *j, const pipe_scored *scored, error *err) {
    finding *f = &j->finding;
    const engine_score_result *result = &scored->result;
    size_t agreed = result->agreed < j->known ? result->agreed : j->known;
    f->prompt_tokens = scored->usage.prompt_tokens;
    f->agreed = (uint32_t)agreed;
    f->complete = result->complete && agreed == f->claimed_tokens;
    f->has_expected = agreed < result->count && result->tokens[agreed] != ENGINE_NO_TOKEN;
    f->expected = f->has_expected ? result->tokens[agreed] : 0;
    f->finished_ms = clock_unix_ms();
    return receipt_commit(scored->commitment, result->text_digest, f->prompt_tokens, result->stopped,
                          f->commitment, err);
}

static void send_scored(score_job *j) {
    agent *a = j->base.agent;
    const finding *f = &j->finding;
    signed_finding entry = {.fields = *f};
    error err = {0};
    if (!finding_sign_worker(&entry, j->base.key, &err)) {
        worker_job_give_up(&j->base, PROTO_OTHER, slice_of_text(err.text), true);
        return;
    }
    proto_message message = {.type = PROTO_SCORED,
                             .scored = {.prompt_tokens = f->prompt_tokens,
                                        .agreed = f->agreed,
                                        .complete = f->complete,
                                        .has_expected = f->has_expected,
                                        .expected = f->expected,
                                        .started_ms = f->started_ms,
                                        .finished_ms = f->finished_ms}};
    memcpy(message.scored.id, j->base.id, sizeof message.scored.id);
    memcpy(message.scored.commitment, f->commitment, sizeof message.scored.commitment);
    memcpy(message.scored.signature, entry.worker_signature, sizeof message.scored.signature);
    worker_job_free(&j->base);
    (void)!agent_send(a, &message);
    agent_check_stopped(a);
}

void score_job_scored(agent *a, const uint8_t id[PIPE_JOB_SIZE], const pipe_scored *scored) {
    score_job *j = (score_job *)(void *)worker_job_find(a, id, PROTO_SCORE);
    if (j == NULL) {
        return;
    }
    error err = {0};
    j->base.finished = true;
    if (scored->result.count != count_sent(j)) {
        worker_job_give_up(&j->base, PROTO_FAIL_ENGINE, SLICE_LITERAL("the engine scored another answer"),
                           true);
        return;
    }
    if (!take_result(j, scored, &err)) {
        worker_job_give_up(&j->base, PROTO_OTHER, slice_of_text(err.text), true);
        return;
    }
    send_scored(j);
}
