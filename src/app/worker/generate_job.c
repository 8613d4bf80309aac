#include "worker_job_internal.h"

#include "base/memory.h"
#include "ledger/receipt.h"
#include "os/clock.h"

#include <stdio.h>

enum {
    GATHER_MS = 20,
    TEXT_LIMIT = 16 * 1024 * 1024,
    TOKENS_LIMIT = 4 * 1024 * 1024,
    PIECE_TOKENS = 256 /* most tokens of one delta */
};

/* Tokens that came together, and how many bytes of text came with them. */
typedef struct piece {
    uint32_t token;
    uint32_t text_length;
    float logprob; /* above 0: not known */
} piece;

typedef struct generate_job {
    worker_job base;
    uint8_t salt[PROTO_SALT_SIZE];
    receipt receipt; /* filled as things become known */
    buffer text;     /* the answer so far; the first `sent_text` bytes have been sent */
    buffer pieces;   /* piece[]; the first `sent` have been sent */
    size_t sent;
    size_t sent_text;
    bool wants_logprobs;
    uint64_t credit; /* tokens that may still be sent */
    uint64_t seq;
    uint64_t last_sent_ms;
    pipe_done end; /* once the engine has finished */
    ev_timer gather_timer;
} generate_job;

static generate_job *find(agent *a, const uint8_t id[PROTO_ID_SIZE]) {
    return (generate_job *)(void *)worker_job_find(a, id, PROTO_GENERATE);
}

static void release(worker_job *base) {
    generate_job *j = (generate_job *)(void *)base;
    ev_timer_stop(&j->gather_timer);
    buffer_wipe(&j->text);
    buffer_free(&j->pieces);
    memory_free(j);
}

static size_t piece_count(const generate_job *j) {
    return buffer_length(&j->pieces) / sizeof(piece);
}

static piece piece_at(const generate_job *j, size_t index) {
    piece p = {0};
    slice place = slice_part(buffer_slice(&j->pieces), index * sizeof p, sizeof p);
    if (place.length == sizeof p) {
        memcpy(&p, place.data, sizeof p);
    }
    return p;
}

static bool sign_receipt(generate_job *j, signed_receipt *entry, error *err) {
    size_t count = piece_count(j);
    uint32_t *tokens = memory_allocate_zeroed(count, sizeof *tokens);
    if (tokens == NULL) {
        return error_memory(err);
    }
    for (size_t i = 0; i < count; i++) {
        tokens[i] = piece_at(j, i).token;
    }
    *entry = (signed_receipt){.fields = j->receipt};
    memcpy(entry->salt, j->salt, sizeof entry->salt);
    bool done = receipt_hash_tokens(tokens, count, entry->fields.token_hash, err) &&
                receipt_hash_answer(j->salt, buffer_slice(&j->text), entry->fields.answer_hash, err) &&
                receipt_sign_worker(entry, j->base.agent->home.key, err);
    memory_free(tokens);
    return done;
}

static void send_done(generate_job *j) {
    agent *a = j->base.agent;
    signed_receipt entry;
    uint8_t text_hash[HASH_SIZE];
    error err = {0};
    receipt *r = &j->receipt;
    r->prompt_tokens = j->end.usage.prompt_tokens;
    r->completion_tokens = (uint32_t)piece_count(j);
    r->finish = j->end.finish == ENGINE_LENGTH ? RECEIPT_FINISH_LENGTH : RECEIPT_FINISH_STOP;
    r->finished_ms = clock_unix_ms();
    if (!hash_sha256(buffer_slice(&j->text), text_hash, &err) ||
        !receipt_commit(j->end.commitment, text_hash, r->prompt_tokens, r->finish == RECEIPT_FINISH_STOP,
                        r->commitment, &err) ||
        !sign_receipt(j, &entry, &err)) {
        worker_job_give_up(&j->base, PROTO_OTHER, slice_of_text(err.text), true);
        return;
    }
    proto_message done = {.type = PROTO_DONE,
                          .done = {.finish = j->end.finish == ENGINE_LENGTH ? PROTO_LENGTH : PROTO_STOP,
                                   .prompt_tokens = r->prompt_tokens,
                                   .completion_tokens = r->completion_tokens,
                                   .started_ms = r->started_ms,
                                   .finished_ms = r->finished_ms}};
    memcpy(done.done.id, j->base.id, sizeof done.done.id);
    memcpy(done.done.commitment, j->end.commitment, sizeof done.done.commitment);
    memcpy(done.done.signature, entry.worker_signature, sizeof done.done.signature);
    worker_job_free(&j->base);
    (void)!agent_send(a, &done);
    agent_check_stopped(a);
}

/* One delta of what has come and the credit allows. False if nothing could be sent. */
static bool send_delta(generate_job *j) {
    uint32_t tokens[PIECE_TOKENS];
    float logprobs[PIECE_TOKENS];
    bool has_logprobs = j->wants_logprobs;
    size_t count = piece_count(j) - j->sent;
    count = count > PIECE_TOKENS ? PIECE_TOKENS : count;
    count = count > j->credit ? (size_t)j->credit : count;
    if (count == 0) {
        return false;
    }
    size_t text_length = 0;
    for (size_t i = 0; i < count; i++) {
        piece p = piece_at(j, j->sent + i);
        tokens[i] = p.token;
        logprobs[i] = p.logprob;
        has_logprobs = has_logprobs && p.logprob <= 0;
        text_length += p.text_length;
    }
    proto_message delta = {.type = PROTO_DELTA,
                           .delta = {.seq = j->seq,
                                     .text = slice_part(buffer_slice(&j->text), j->sent_text, text_length),
                                     .tokens = tokens,
                                     .token_count = count,
                                     .logprobs = logprobs,
                                     .logprob_count = has_logprobs ? count : 0}};
    memcpy(delta.delta.id, j->base.id, sizeof delta.delta.id);
    if (!agent_send(j->base.agent, &delta)) {
        return false;
    }
    j->seq++;
    j->credit -= count;
    j->sent += count;
    j->sent_text += text_length;
    j->last_sent_ms = ev_now_ms(j->base.agent->loop);
    return true;
}

static void pass_on(generate_job *j) {
    ev_timer_stop(&j->gather_timer);
    while (send_delta(j)) {
    }
    if (j->base.finished && j->sent == piece_count(j)) {
        send_done(j);
    }
}

static void gathered(void *context) {
    pass_on(context);
}

static bool fill_receipt(const agent *a, const proto_job *wanted, receipt *r, error *err) {
    *r = (receipt){.version = RECEIPT_VERSION,
                   .temperature = wanted->temperature,
                   .top_p = wanted->top_p,
                   .max_tokens = wanted->max_tokens,
                   .seed = wanted->seed,
                   .started_ms = clock_unix_ms()};
    memcpy(r->pool_id, a->home.pool_id, sizeof r->pool_id);
    memcpy(r->job_id, wanted->id, sizeof r->job_id);
    memcpy(r->worker_id, a->home.worker_id, sizeof r->worker_id);
    memcpy(r->model_digest, a->model_digest, sizeof r->model_digest);
    snprintf(r->engine_profile, sizeof r->engine_profile, "%s", a->profile);
    return receipt_hash_prompt(wanted->salt, (const receipt_message *)(const void *)wanted->messages,
                               wanted->message_count, r->prompt_hash, err) &&
           receipt_hash_stop(wanted->stop, wanted->stop_count, r->stop_hash, err);
}

worker_job *generate_job_new(agent *a, const proto_job *wanted, error *err) {
    generate_job *j = memory_allocate_zeroed(1, sizeof *j);
    if (j == NULL) {
        error_memory(err);
        return NULL;
    }
    j->text = buffer_make(TEXT_LIMIT);
    j->pieces = buffer_make(TOKENS_LIMIT);
    j->credit = wanted->credit;
    j->wants_logprobs = wanted->logprobs;
    memcpy(j->salt, wanted->salt, sizeof j->salt);
    if (!fill_receipt(a, wanted, &j->receipt, err)) {
        memory_free(j);
        return NULL;
    }
    ev_timer_init(&j->gather_timer, gathered, j);
    worker_job_begin(&j->base, a, wanted, release);
    return &j->base;
}

void generate_job_credit(agent *a, const proto_credit *credit) {
    generate_job *j = find(a, credit->id);
    if (j != NULL) {
        j->credit += credit->tokens;
        pass_on(j);
    }
}

/* The text belongs to the last of the tokens: if credit cuts between them, it goes with that one. */
static bool keep_delta(generate_job *j, const pipe_delta *delta) {
    uint32_t text_length = (uint32_t)worker_job_append_text(&j->text, delta->text);
    for (size_t i = 0; i < delta->token_count; i++) {
        bool last = i + 1 == delta->token_count;
        piece p = {.token = delta->tokens[i],
                   .text_length = last ? text_length : 0,
                   .logprob = delta->logprobs == NULL ? 1 : delta->logprobs[i].logprob};
        buffer_append(&j->pieces, slice_of(&p, sizeof p));
    }
    return !buffer_failed(&j->pieces) && !buffer_failed(&j->text);
}

void generate_job_delta(agent *a, const uint8_t id[PIPE_JOB_SIZE], const pipe_delta *delta) {
    generate_job *j = find(a, id);
    if (j == NULL || j->base.finished || delta->token_count == 0) {
        return;
    }
    if (!keep_delta(j, delta)) {
        worker_job_give_up(&j->base, PROTO_OTHER, SLICE_LITERAL("out of memory"), true);
        return;
    }
    uint64_t age = ev_now_ms(a->loop) - j->last_sent_ms;
    if (j->sent == 0 || age >= GATHER_MS) {
        pass_on(j);
    } else if (!ev_timer_is_running(&j->gather_timer)) {
        ev_timer_start(a->loop, &j->gather_timer, GATHER_MS - age);
    }
}

void generate_job_done(agent *a, const uint8_t id[PIPE_JOB_SIZE], const pipe_done *done) {
    generate_job *j = find(a, id);
    if (j != NULL && !j->base.finished) {
        j->base.finished = true;
        j->end = *done;
        pass_on(j);
    }
}
