#include "job.h"

#include "receipts.h"
#include "session.h"

enum { FORMAT_TOKENS = 64 /* that a chat format may add per message */ };

/* Every field is the pool's own knowledge but those that only the worker can know; of these the counts are
 * held against what is possible. */
static bool fill_receipt(const job *j, const answer_said *said, const fleet_worker *worker,
                         const proto_done *done, receipt *r, error *err) {
    static const receipt_finish finishes[] = {[PROTO_STOP] = RECEIPT_FINISH_STOP,
                                              [PROTO_LENGTH] = RECEIPT_FINISH_LENGTH,
                                              [PROTO_CANCELLED] = RECEIPT_FINISH_CANCELLED};
    uint8_t text_hash[HASH_SIZE];
    *r = (receipt){.version = RECEIPT_VERSION,
                   .temperature = j->chat.temperature,
                   .top_p = j->chat.top_p,
                   .max_tokens = j->chat.max_tokens,
                   .seed = j->seed,
                   .prompt_tokens = done->prompt_tokens,
                   .completion_tokens = (uint32_t)said->token_count,
                   .finish = finishes[done->finish],
                   .started_ms = done->started_ms,
                   .finished_ms = done->finished_ms};
    memcpy(r->pool_id, j->work.pool->site.pool_id, sizeof r->pool_id);
    memcpy(r->job_id, said->id.bytes, sizeof r->job_id);
    memcpy(r->worker_id, worker->id, sizeof r->worker_id);
    return hash_sha256(said->text, text_hash, err) &&
           receipt_commit(done->commitment, text_hash, r->prompt_tokens, r->finish == RECEIPT_FINISH_STOP,
                          r->commitment, err) &&
           session_describe_model(fleet_newest(worker)->session, j->chat.model, r, err) &&
           receipt_hash_prompt(j->salt, j->chat.messages, j->chat.message_count, r->prompt_hash, err) &&
           receipt_hash_answer(j->salt, said->text, r->answer_hash, err) &&
           receipt_hash_stop(j->chat.stops, j->chat.stop_count, r->stop_hash, err) &&
           receipt_hash_tokens(said->tokens, said->token_count, r->token_hash, err);
}

static uint64_t prompt_tokens_limit(const chat_request *chat) {
    uint64_t bytes = 0;
    for (size_t i = 0; i < chat->message_count; i++) {
        bytes += chat->messages[i].content.length;
    }
    return bytes + (chat->message_count + 1) * FORMAT_TOKENS;
}

/* A runtime commits to the text alone, which the pool has. */
static bool check_commitment(const job *j, slice text, const proto_done *done, const receipt *fields,
                             error *err) {
    uint8_t text_hash[HASH_SIZE];
    uint8_t commitment[HASH_SIZE];
    if (!slice_starts_with(slice_of_text(fields->engine_profile), SLICE_LITERAL("runtime-"))) {
        return true;
    }
    return hash_sha256(text, text_hash, err) && receipt_commit_text(j->nonce, text_hash, commitment, err) &&
           (memcmp(commitment, done->commitment, sizeof commitment) == 0 ||
            error_set(err, ERROR_INVALID, "the commitment isn't that of the text"));
}

/* An exact worker draws a token at least, be it the one that ends the answer: without any nothing could be
 * computed again. It ends an answer for its length where the client said so, or where its context is full:
 * else it could leave out what it likes. */
static bool check_length(const session *s, slice model, const receipt *fields, error *err) {
    uint64_t room = session_context(s, model);
    uint64_t used = (uint64_t)fields->prompt_tokens + fields->completion_tokens;
    if (!slice_starts_with(slice_of_text(fields->engine_profile), SLICE_LITERAL("exact-"))) {
        return true;
    }
    if (fields->completion_tokens == 0) {
        return error_set(err, ERROR_INVALID, "an answer without a token, not even one that ends it");
    }
    if (used > room) {
        return error_set(err, ERROR_INVALID, "prompt and answer are longer than the worker's context");
    }
    return fields->finish != RECEIPT_FINISH_LENGTH || fields->completion_tokens == fields->max_tokens ||
           used == room ||
           error_set(err, ERROR_INVALID, "the answer ends for its length, and there was room for more");
}

bool job_make_receipt(const job *j, const answer_said *said, const fleet_worker *worker,
                      const proto_done *done, signed_receipt *signed_by_worker, error *err) {
    if (done->finish == PROTO_CANCELLED) {
        return error_set(err, ERROR_INVALID, "the worker says that a job was cancelled which wasn't");
    }
    if (done->prompt_tokens > prompt_tokens_limit(&j->chat)) {
        return error_set(err, ERROR_INVALID, "the count of the prompt's tokens can't be true");
    }
    receipt fields;
    buffer bytes = buffer_make(RECEIPT_ENCODED_LIMIT);
    bool made = fill_receipt(j, said, worker, done, &fields, err) &&
                check_commitment(j, said->text, done, &fields, err) &&
                check_length(fleet_newest(worker)->session, j->chat.model, &fields, err) &&
                receipt_encode(&fields, &bytes, err);
    if (made) {
        *signed_by_worker = (signed_receipt){.fields = fields, .length = buffer_length(&bytes)};
        memcpy(signed_by_worker->bytes, bytes.bytes, signed_by_worker->length);
        memcpy(signed_by_worker->worker_key, worker->public_key, sizeof signed_by_worker->worker_key);
        memcpy(signed_by_worker->worker_signature, done->signature,
               sizeof signed_by_worker->worker_signature);
        memcpy(signed_by_worker->salt, j->salt, sizeof signed_by_worker->salt);
    }
    buffer_free(&bytes);
    return made;
}

bool job_check_receipt(work *w, const fleet_worker *worker, const proto_done *done, signed_receipt *entry,
                       error *err) {
    job *j = (job *)(void *)w;
    const answer_said said = {.id = j->work.id,
                              .text = buffer_slice(&j->text),
                              .tokens = (const uint32_t *)(const void *)j->tokens.bytes,
                              .token_count = (size_t)j->token_count};
    return job_make_receipt(j, &said, worker, done, entry, err) &&
           receipts_check(j, fleet_newest(worker)->session, entry, err);
}
