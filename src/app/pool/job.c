#include "job_internal.h"

#include "answer.h"
#include "base/log.h"
#include "crypto/hash.h"
#include "dispatch/job.h"
#include "hold/proved.h"
#include "hold/required.h"
#include "memory/keep.h"
#include "os/clock.h"
#include "os/random.h"
#include "proof/proof.h"
#include "receipts.h"
#include "reply.h"
#include "session.h"

#include <stdio.h>

enum {
    TEXT_LIMIT = 16 * 1024 * 1024,
    TEXT_PER_TOKEN = 1024 /* more bytes than any vocabulary's longest token */
};

/* The kind's functions come at the end. */
static const work_kind job_kind;
static void ask_two(void *context);

static job *job_of(work *w) {
    return (job *)(void *)w; /* its first member */
}

/* Whatever ends the job: afterwards the request may be answered, and nothing points at the job any more. */
void job_release(job *j) {
    if (j->handle != NULL) {
        dispatch_job *handle = j->handle;
        j->handle = NULL;
        dispatch_job_cancel(handle, ev_now_ms(j->work.pool->loop));
        pool_arm_dispatch(j->work.pool);
    }
    if (j->required != NULL) {
        required_release(j->required);
        j->required = NULL;
    }
    if (j->proved != NULL) {
        proved_release(j->proved);
        j->proved = NULL;
    }
    if (j->storing != NULL) {
        receipts_forget(j->storing);
        j->storing = NULL;
    }
    if (j->keep != NULL) {
        keep_end(j->keep, j);
        j->keep = NULL;
    }
    ev_timer_stop(&j->queue_timer);
    ev_timer_stop(&j->expiry_timer);
    ev_defer_cancel(&j->by_two);
    list_remove(&j->node);
    list_remove(&j->stalled_node);
    buffer_wipe(&j->text);
    buffer_wipe(&j->end);
    buffer_free(&j->tokens);
}

static void client_left(void *context) {
    job *j = context;
    j->work.pool->counters.clients_left++;
    job_release(j);
}

/* As UUIDv7 has it (RFC 9562 §5.7): 48 bits of time before the random ones, so that receipts come to stand in
 * the database's index in the order in which they are written, and not each on a page of its own. */
static void put_time(dispatch_id *id, uint64_t unix_ms) {
    for (size_t i = 0; i < 6; i++) {
        id->bytes[i] = (uint8_t)(unix_ms >> (40 - 8 * i));
    }
}

bool job_draw_id(dispatch_id *id, error *err) {
    if (!random_bytes(id, sizeof *id, err)) {
        return false;
    }
    put_time(id, clock_unix_ms());
    return true;
}

static job *job_make(pool *p, http_request *request, const account *who, const chat_request *chat,
                     verify_mode mode) {
    job *j = arena_allocate(http_request_arena(request), sizeof *j);
    error err;
    struct {
        dispatch_id id;
        uint8_t salt[sizeof j->salt];
        uint64_t seed;
        uint64_t check;
    } drawn;
    uint8_t nonce[sizeof j->nonce];
    if (j == NULL || !random_bytes(&drawn, sizeof drawn, &err) || !receipt_nonce(drawn.salt, nonce, &err)) {
        return NULL;
    }
    *j = (job){.work = {.kind = &job_kind, .pool = p, .id = drawn.id, .model = chat->model},
               .request = request,
               .user_id = who->user_id,
               .key_id = who->key_id,
               .login = who->login,
               .expires_ms = who->expires_ms,
               .chat = *chat,
               .mode = mode,
               .hold = mode == VERIFY_PROVED,
               .seed = chat->has_seed ? chat->seed : drawn.seed,
               .check_draw = (uint8_t)drawn.check,
               .created_ms = clock_unix_ms(),
               .submitted_ms = ev_now_ms(p->loop),
               .text = buffer_make(TEXT_LIMIT),
               .tokens = buffer_make(TEXT_LIMIT)};
    put_time(&j->work.id, j->created_ms);
    memcpy(j->nonce, nonce, sizeof j->nonce);
    memcpy(j->salt, drawn.salt, sizeof j->salt);
    hex_encode(slice_of(j->work.id.bytes, sizeof j->work.id.bytes), j->work.id_hex);
    list_init(&j->node);
    list_init(&j->stalled_node);
    ev_deferred_init(&j->by_two, ask_two, j);
    job_watch_expiry(j);
    job_stream_prepare(j);
    return j;
}

void job_describe_question(const job *j, proto_message *message) {
    proto_job *out = &message->job;
    out->messages = (const proto_chat *)(const void *)j->chat.messages;
    out->message_count = j->chat.message_count;
    out->temperature = j->chat.temperature;
    out->top_p = j->chat.top_p;
    out->max_tokens = j->chat.max_tokens;
    out->stop_count = j->chat.stop_count;
    out->seed = j->seed;
    out->deadline_ms = session_deadline(j->work.pool->settings.job_deadline_ms);
    memcpy(out->stop, j->chat.stops, sizeof j->chat.stops);
    memcpy(out->nonce, j->nonce, sizeof out->nonce);
    memcpy(out->salt, j->salt, sizeof out->salt);
}

static void job_describe(const work *w, proto_message *message) {
    job_describe_question((const job *)(const void *)w, message);
}

static void refuse(job *j, const error *failure) {
    http_request *request = j->request;
    const pool *p = j->work.pool;
    slice model = j->chat.model;
    job_release(j);
    if (failure->code == ERROR_NOT_FOUND && dispatch_has_model(p->dispatch, model, DISPATCH_EMBED)) {
        reply_error(request, 400, "model", "model_embeds",
                    "the model \"%.*s\" computes embeddings alone; POST /v1/embeddings", SLICE_FORMAT(model));
    } else if (failure->code == ERROR_NOT_FOUND) {
        reply_error(request, 404, "model", "model_not_found",
                    "no connected worker has the model \"%.*s\"; GET /v1/models lists those there are",
                    SLICE_FORMAT(model));
    } else if (failure->code == ERROR_UNSUPPORTED) {
        reply_error(request, 503, NULL, "not_enough_workers", "%s", failure->text);
    } else if (failure->code == ERROR_LIMIT) {
        reply_error(request, 429, NULL, "queue_full", "%s", failure->text);
    } else {
        reply_failure(request, failure);
    }
}

static bool submit(job *j, error *err) {
    pool *p = j->work.pool;
    if (j->mode == VERIFY_REQUIRED) {
        j->required = required_start(j, err);
        return j->required != NULL;
    }
    dispatch_spec spec = {.id = j->work.id,
                          .user = j->user_id,
                          .model = j->chat.model,
                          .context = &j->work,
                          .deadline_ms = job_time_left(j)};
    j->handle = dispatch_submit(p->dispatch, &spec, ev_now_ms(p->loop), err);
    pool_arm_dispatch(p);
    return j->handle != NULL;
}

void job_start(pool *p, http_request *request, const account *who, const chat_request *chat, verify_mode mode,
               keepsake *kept) {
    job *j = job_make(p, request, who, chat, mode);
    if (j == NULL) {
        if (kept != NULL) {
            keep_drop(kept);
        }
        reply_out_of_memory(request);
        return;
    }
    error err = {0};
    j->keep = kept;
    if (!session_check_job(&j->work, &err)) {
        job_release(j);
        reply_unreadable(request, "messages", &err);
        return;
    }
    if (!submit(j, &err)) {
        refuse(j, &err);
        return;
    }
    p->counters.chats++;
    list_append(&p->jobs, &j->node);
    http_request_on_closed(request, client_left, j);
    if (j->handle != NULL) {
        job_stream_expect_news(j);
    }
}

/* Of the text that the current worker repeats: how much of `text` must equal what is known. */
static size_t repeated_length(const job *j, slice text) {
    size_t known = buffer_length(&j->text) - j->replayed;
    return text.length < known ? text.length : known;
}

/* After a resumed restart the same bytes must come again. */
static bool is_different(const job *j, slice text) {
    size_t length = repeated_length(j, text);
    return length > 0 &&
           !slice_equal(slice_part(buffer_slice(&j->text), j->replayed, length), slice_part(text, 0, length));
}

/* What is repeated is left out; returns what is new. */
static bool take_text(job *j, slice text, slice *fresh, error *err) {
    size_t repeated = repeated_length(j, text);
    j->replayed += repeated;
    *fresh = slice_after(text, repeated);
    if (fresh->length > TEXT_LIMIT - buffer_length(&j->text)) {
        return error_set(err, ERROR_LIMIT, "the answer is too long");
    }
    j->replayed += fresh->length;
    return buffer_append(&j->text, *fresh) || error_memory(err);
}

/* Two workers gave different answers where the model promises the same. Which of them is wrong can't be told
 * here, so neither is thrown out: else one that lies and leaves could have that done to the others. But the
 * one that left before it signed its words has evaded whatever they could be held against. */
static void end_as_different(job *j) {
    if (j->writer != NULL) {
        log_warning("a worker left in mid-answer, and another says something else",
                    LOG_TEXT("job", j->work.id_hex), LOG_TEXT("worker", j->writer->id_hex));
        proof_evaded(j->work.pool, j->writer);
    }
    job_end_with_error(j, 502, "answer_differs",
                       "two workers computed different answers, so neither can be relied on; ask again");
}

bool job_check_delta(const proto_delta *delta, error *err) {
    return delta->text.length <= (delta->token_count + 1) * TEXT_PER_TOKEN ||
           error_set(err, ERROR_INVALID, "a delta has more text than its tokens can hold");
}

/* Who gives none with the first token has given none. */
static void keep_logprobs(job *j, const proto_delta *delta, size_t before) {
    if (j->token_count == 0 && delta->logprob_count > 0 && !(j->chat.temperature > 0)) {
        j->logprobs = arena_allocate(http_request_arena(j->request), sizeof *j->logprobs);
        if (j->logprobs != NULL) {
            *j->logprobs = (agreement_logprobs){0};
        }
    }
    if (j->logprobs != NULL) {
        agreement_logprobs_add(j->logprobs, delta->logprobs, delta->logprob_count, delta->token_count, before,
                               j->replayed);
    }
}

static bool job_delta(work *w, const proto_delta *delta, error *err) {
    job *j = job_of(w);
    pool *p = j->work.pool;
    slice fresh = {0};
    size_t before = j->replayed;
    if (!job_check_delta(delta, err)) {
        return false;
    }
    if (delta->token_count > j->chat.max_tokens - j->token_count) {
        return error_set(err, ERROR_INVALID, "more tokens than were asked for");
    }
    if (is_different(j, delta->text)) {
        end_as_different(j);
        return true;
    }
    if (!take_text(j, delta->text, &fresh, err)) {
        if (err->code != ERROR_MEMORY) {
            return false;
        }
        job_end_for_memory(j);
        return true;
    }
    if (fresh.length > 0) {
        j->writer = session_worker(dispatch_job_worker(j->handle));
    }
    buffer_append(&j->tokens, slice_of(delta->tokens, delta->token_count * sizeof delta->tokens[0]));
    keep_logprobs(j, delta, before);
    j->token_count += delta->token_count;
    p->counters.tokens += delta->token_count;
    if (!j->hold) {
        ev_timer_stop(&j->queue_timer);
    }
    if (buffer_failed(&j->tokens) || !job_stream_text(j, fresh)) {
        job_end_for_memory(j);
        return true;
    }
    job_tell_consumed(j); /* may end the job: if the credit can't be sent, the worker is lost */
    pool_arm_dispatch(p);
    return true;
}

static bool job_is_short(work *w) {
    job *j = job_of(w);
    bool is_short = j->replayed < buffer_length(&j->text);
    if (is_short) {
        end_as_different(j);
    }
    return is_short;
}

bool job_submit_again(job *j, error *err) {
    buffer_clear(&j->tokens);
    buffer_clear(&j->text);
    j->writer = NULL;
    j->replayed = 0;
    j->token_count = 0;
    j->logprobs = NULL;
    return submit(j, err);
}

/* Nothing of the answer has gone out yet, so it can begin anew. */
static void ask_two(void *context) {
    job *j = context;
    pool *p = j->work.pool;
    dispatch_job *handle = j->handle;
    error err = {0};
    if (handle == NULL) {
        return;
    }
    ev_timer_stop(&j->queue_timer);
    j->handle = NULL;
    j->hold = false;
    j->mode = VERIFY_REQUIRED;
    dispatch_job_cancel(handle, ev_now_ms(p->loop));
    pool_arm_dispatch(p);
    if (!job_submit_again(j, &err)) {
        bool full = err.code == ERROR_LIMIT;
        job_end_with_error(j, full ? 429 : 503, full ? "queue_full" : "not_enough_workers", err.text);
    }
}

/* What the worker's tiers ask for is known only now. */
static void job_placed(work *w, session *s) {
    job *j = job_of(w);
    verify_mode mode = proof_mode_of_worker(w->pool, session_worker(s));
    if (j->started || j->proved != NULL || mode < VERIFY_PROVED) {
        return;
    }
    if (mode == VERIFY_REQUIRED) {
        ev_defer(w->pool->loop, &j->by_two);
    }
    if (!j->hold) {
        j->hold = true;
        job_stream_expect_news(j);
    }
}

static void job_restarted(work *w, bool resumed) {
    job *j = job_of(w);
    log_info("answer restarted on another worker", LOG_TEXT("job", j->work.id_hex),
             LOG_U64("resumed", resumed));
    buffer_clear(&j->tokens);
    j->replayed = 0;
    j->token_count = 0;
    j->logprobs = NULL;
    if (!resumed) {
        j->writer = NULL;
        buffer_clear(&j->text);
    }
}

/* What is still to be sent once the receipt is stored. */
static bool write_end(job *j, const receipt *fields) {
    j->end = buffer_make(2 * TEXT_LIMIT);
    if (!j->chat.stream) {
        answer_write_whole(j, fields, &j->end);
        return !buffer_failed(&j->end);
    }
    if (!j->started) {
        j->chunk_prefix = answer_chunk_prefix(j);
        answer_write_role(j->chunk_prefix, &j->end);
    }
    answer_write_end(j, j->chunk_prefix, fields, &j->end);
    return j->chunk_prefix.length > 0 && !buffer_failed(&j->end);
}

bool job_keep_answer(job *j, slice text, receipt_finish finish, error *err) {
    return j->keep == NULL || keep_answer(j->keep, j, text, finish == RECEIPT_FINISH_LENGTH, err);
}

bool job_is_kept(const job *j, error *err) {
    return j->keep == NULL || keep_is_kept(j->keep, err);
}

static void hold(job *j, const fleet_worker *worker, const signed_receipt *entry) {
    error err = {0};
    if (j->proved == NULL) {
        j->proved = proved_start(j, &err);
    }
    if (j->proved == NULL) {
        job_end_for_memory(j);
    } else {
        proved_hold(j->proved, worker, entry);
    }
}

/* The same file has answered what it called impossible, and there was room in its own context. */
static void settle_doubt(const job *j, const receipt *fields) {
    if (j->doubted != NULL && fields->prompt_tokens < j->doubted_context &&
        memcmp(j->doubted_digest, fields->model_digest, sizeof j->doubted_digest) == 0 &&
        slice_starts_with(slice_of_text(fields->engine_profile), SLICE_LITERAL("exact-"))) {
        log_warning("a worker refused a question that another has answered", LOG_TEXT("job", j->work.id_hex),
                    LOG_TEXT("worker", j->doubted->id_hex));
        proof_evaded(j->work.pool, j->doubted);
    }
}

static void job_complete(work *w, const fleet_worker *worker, const signed_receipt *entry) {
    job *j = job_of(w);
    error err = {0};
    j->handle = NULL;
    list_remove(&j->stalled_node);
    if (entry != NULL) {
        settle_doubt(j, &entry->fields);
    }
    if (j->hold) {
        hold(j, worker, entry);
        return;
    }
    if (entry == NULL || !write_end(j, &entry->fields)) {
        job_end_for_memory(j);
        return;
    }
    /* Put down before the receipt, so that a crash between the two can't lose a check. */
    if (!job_keep_answer(j, buffer_slice(&j->text), entry->fields.finish, &err)) {
        job_end_not_kept(j, &err);
        return;
    }
    if (proof_answer_done(j->work.pool, j, worker, entry, &err)) {
        j->storing = receipts_store(j->work.pool, j, worker, entry, &err);
    }
    if (j->storing == NULL) {
        job_receipt_stored(j, &err);
    }
}

void job_finish_whole(job *j) {
    http_request *request = j->request;
    job_head head;
    size_t count = job_head_fields(j, SLICE_LITERAL("application/json"), &head);
    buffer body = j->end;
    j->end = buffer_make(0);
    job_release(j); /* before the answer: the job lives in the request's arena, which ends with it */
    http_respond(request, 200, head.fields, count, buffer_slice(&body));
    buffer_wipe(&body);
}

void job_receipt_stored(job *j, const error *failure) {
    error err = {0};
    j->storing = NULL;
    if (failure != NULL) {
        job_end_unstored(j, failure);
        return;
    }
    if (!job_is_kept(j, &err)) {
        job_end_not_kept(j, &err);
        return;
    }
    j->work.pool->counters.answers++;
    if (j->chat.stream) {
        job_stream_finish(j);
    } else {
        job_finish_whole(j);
    }
}

uint64_t job_time_left(const job *j) {
    uint64_t spent = ev_now_ms(j->work.pool->loop) - j->submitted_ms;
    uint64_t all = j->work.pool->settings.job_deadline_ms;
    return spent < all ? all - spent : 1;
}

void job_note_refusal(job *j, const proto_fail *fail) {
    j->input_refused = slice_equal_text(fail->code, PROTO_FAIL_INPUT);
    snprintf(j->refusal, sizeof j->refusal, "%.*s",
             SLICE_FORMAT(slice_part(fail->text, 0, sizeof j->refusal - 1)));
}

static void job_gave_up(work *w, const fleet_worker *worker, const proto_fail *fail) {
    (void)worker;
    job_note_refusal(job_of(w), fail);
}

/* One worker's word doesn't end a question while another can be asked. What the prompt's length is nobody
 * knows before it was answered. */
static bool job_doubts(work *w, const fleet_worker *worker, const proto_fail *fail) {
    job *j = job_of(w);
    receipt fields = {0};
    error ignored = {0};
    if (j->doubted != NULL || !slice_equal_text(fail->code, PROTO_FAIL_INPUT) || j->handle == NULL ||
        !dispatch_job_has_another(j->handle) ||
        !session_describe_model(worker->session, w->model, &fields, &ignored)) {
        return false;
    }
    j->doubted = worker;
    j->doubted_context = session_context(worker->session, w->model);
    memcpy(j->doubted_digest, fields.model_digest, sizeof j->doubted_digest);
    return true;
}

static const work_kind job_kind = {.name = "question",
                                   .describe = job_describe,
                                   .delta = job_delta,
                                   .is_short = job_is_short,
                                   .check_done = job_check_receipt,
                                   .complete = job_complete,
                                   .placed = job_placed,
                                   .gave_up = job_gave_up,
                                   .doubts = job_doubts,
                                   .restarted = job_restarted,
                                   .failed = job_failed};
