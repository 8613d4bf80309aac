#include "honest_worker.h"

#include "ledger/finding.h"
#include "os/clock.h"

/* What an honest worker signs: receipts of its answer, findings about that of others. It has no logits, so
 * that its chain of commitments is one for all. */

const uint32_t worker_tokens[WORKER_WORDS] = {11, 12, 13, 14, 15, 16};
const char worker_profile[8] = "exact-2";
const char worker_runtime_profile[13] = "runtime-test";
const uint8_t worker_digest[PROTO_DIGEST_SIZE] = {1, 2, 3};
static const uint8_t chain[HASH_SIZE];

static void must(bool good, const error *err) {
    if (!good) {
        fail_msg("%s", err->text);
    }
}

static bool commit(const uint8_t own[HASH_SIZE], uint32_t prompt_tokens, uint8_t commitment[HASH_SIZE],
                   error *err) {
    uint8_t text_hash[HASH_SIZE];
    return hash_sha256(SLICE_LITERAL(WORKER_ANSWER), text_hash, err) &&
           receipt_commit(own, text_hash, prompt_tokens, true, commitment, err);
}

void honest_worker_sign_done(const honest_worker *w, const proto_job *job, proto_done *done) {
    signed_receipt entry = {.fields = {.version = RECEIPT_VERSION,
                                       .temperature = job->temperature,
                                       .top_p = job->top_p,
                                       .max_tokens = job->max_tokens,
                                       .seed = job->seed,
                                       .prompt_tokens = 1,
                                       .completion_tokens = WORKER_WORDS,
                                       .finish = RECEIPT_FINISH_STOP,
                                       .started_ms = clock_unix_ms(),
                                       .finished_ms = clock_unix_ms()}};
    receipt *r = &entry.fields;
    error err = {0};
    uint8_t own[HASH_SIZE] = {0}; /* what it commits to */
    if (w->profile == worker_runtime_profile) {
        uint8_t text[HASH_SIZE];
        must(hash_sha256(SLICE_LITERAL(WORKER_ANSWER), text, &err) &&
                 receipt_commit_text(job->nonce, text, own, &err),
             &err);
    }
    memcpy(r->pool_id, w->pool_id, sizeof r->pool_id);
    memcpy(r->job_id, job->id, sizeof r->job_id);
    memcpy(r->worker_id, w->id, sizeof r->worker_id);
    memcpy(r->model_digest, worker_digest, sizeof r->model_digest);
    snprintf(r->engine_profile, sizeof r->engine_profile, "%s", w->profile);
    must(receipt_hash_prompt(job->salt, (const receipt_message *)(const void *)job->messages,
                             job->message_count, r->prompt_hash, &err) &&
             receipt_hash_answer(job->salt, SLICE_LITERAL(WORKER_ANSWER), r->answer_hash, &err) &&
             receipt_hash_stop(job->stop, job->stop_count, r->stop_hash, &err) &&
             receipt_hash_tokens(worker_tokens, WORKER_WORDS, r->token_hash, &err) &&
             commit(own, r->prompt_tokens, r->commitment, &err) && receipt_sign_worker(&entry, w->key, &err),
         &err);
    *done = (proto_done){.finish = PROTO_STOP,
                         .prompt_tokens = r->prompt_tokens,
                         .completion_tokens = r->completion_tokens,
                         .started_ms = r->started_ms,
                         .finished_ms = r->finished_ms};
    memcpy(done->id, job->id, sizeof done->id);
    memcpy(done->commitment, own, sizeof done->commitment);
    memcpy(done->signature, entry.worker_signature, sizeof done->signature);
}

void honest_worker_sign_scored(const honest_worker *w, const proto_job *job, proto_scored *scored) {
    signed_finding entry = {.fields = {.version = FINDING_VERSION,
                                       .temperature = job->temperature,
                                       .top_p = job->top_p,
                                       .max_tokens = job->max_tokens,
                                       .seed = job->seed,
                                       .claimed_tokens = (uint32_t)job->answer_count,
                                       .prompt_tokens = 1,
                                       .started_ms = clock_unix_ms(),
                                       .finished_ms = clock_unix_ms()}};
    finding *f = &entry.fields;
    error err = {0};
    while (f->agreed < job->answer_count && f->agreed < WORKER_WORDS &&
           job->answer[f->agreed] == worker_tokens[f->agreed]) {
        f->agreed++;
    }
    f->complete = f->agreed == job->answer_count && f->agreed == WORKER_WORDS;
    f->has_expected = !f->complete && f->agreed < WORKER_WORDS;
    f->expected = f->has_expected ? worker_tokens[f->agreed] : 0;
    memcpy(f->pool_id, w->pool_id, sizeof f->pool_id);
    memcpy(f->check_id, job->id, sizeof f->check_id);
    memcpy(f->worker_id, w->id, sizeof f->worker_id);
    memcpy(f->model_digest, worker_digest, sizeof f->model_digest);
    memcpy(f->engine_profile, worker_profile, sizeof worker_profile);
    must(receipt_hash_prompt(job->salt, (const receipt_message *)(const void *)job->messages,
                             job->message_count, f->prompt_hash, &err) &&
             receipt_hash_stop(job->stop, job->stop_count, f->stop_hash, &err) &&
             receipt_hash_tokens(job->answer, job->answer_count, f->token_hash, &err) &&
             commit(chain, f->prompt_tokens, f->commitment, &err) &&
             finding_sign_worker(&entry, w->key, &err),
         &err);
    *scored = (proto_scored){.prompt_tokens = f->prompt_tokens,
                             .agreed = f->agreed,
                             .complete = f->complete,
                             .has_expected = f->has_expected,
                             .expected = f->expected,
                             .started_ms = f->started_ms,
                             .finished_ms = f->finished_ms};
    memcpy(scored->id, job->id, sizeof scored->id);
    memcpy(scored->commitment, f->commitment, sizeof scored->commitment);
    memcpy(scored->signature, entry.worker_signature, sizeof scored->signature);
}
