#include "serve/pipe_fields.h"

enum { TEXT_MAX = 64 * 1024, LOGPROB_SIZE = 8 };

void put_ready(pipe_writer *w, const pipe_ready *m) {
    put_text(w, m->model, TEXT_MAX);
    put_bytes(w, m->digest, sizeof m->digest);
    put_u32(w, m->context);
    put_u32(w, m->slots);
    put_u32(w, m->vocabulary);
    put_u32(w, m->width);
    put_bool(w, m->can_generate);
    put_bool(w, m->can_embed);
    put_text(w, m->profile, TEXT_MAX);
}

void take_ready(pipe_reader *r, pipe_ready *m) {
    m->model = take_text(r, TEXT_MAX);
    take_bytes(r, m->digest, sizeof m->digest);
    m->context = take_u32(r);
    m->slots = take_u32(r);
    m->vocabulary = take_u32(r);
    m->width = take_u32(r);
    m->can_generate = take_bool(r);
    m->can_embed = take_bool(r);
    m->profile = take_text(r, TEXT_MAX);
}

static void put_logprobs(pipe_writer *w, const pipe_logprobs *l) {
    put_f32(w, l->logprob);
    bool good = put_count(w, l->top_count, ENGINE_LOGPROBS_MAX);
    for (size_t i = 0; good && i < l->top_count; i++) {
        put_u32(w, l->top[i].token);
        put_f32(w, l->top[i].logprob);
    }
}

static void take_logprobs(pipe_reader *r, pipe_logprobs *l) {
    l->logprob = take_f32(r);
    engine_logprob *top = take_list(r, ENGINE_LOGPROBS_MAX, LOGPROB_SIZE, sizeof *top, &l->top_count);
    for (size_t i = 0; i < l->top_count; i++) {
        top[i].token = take_u32(r);
        top[i].logprob = take_f32(r);
    }
    l->top = top;
}

void put_delta(pipe_writer *w, const pipe_delta *m) {
    put_u32s(w, m->tokens, m->token_count, PIPE_DELTA_TOKENS_MAX);
    put_text(w, m->text, PIPE_FRAME_MAX);
    put_bool(w, m->logprobs != NULL);
    for (size_t i = 0; m->logprobs != NULL && !w->too_large && i < m->token_count; i++) {
        put_logprobs(w, &m->logprobs[i]);
    }
}

void take_delta(pipe_reader *r, pipe_delta *m) {
    m->tokens = take_u32s(r, PIPE_DELTA_TOKENS_MAX, &m->token_count);
    m->text = take_text(r, PIPE_FRAME_MAX);
    if (!take_bool(r)) {
        return;
    }
    pipe_logprobs *logprobs = arena_allocate_array(r->memory, m->token_count + 1, sizeof *logprobs);
    if (logprobs == NULL) {
        r->bad = true;
        r->memory_out = true;
        return;
    }
    for (size_t i = 0; i < m->token_count; i++) {
        take_logprobs(r, &logprobs[i]);
    }
    m->logprobs = logprobs;
}

static void put_usage(pipe_writer *w, const engine_usage *usage) {
    put_u32(w, usage->prompt_tokens);
    put_u32(w, usage->completion_tokens);
    put_u32(w, usage->reused_tokens);
}

static void take_usage(pipe_reader *r, engine_usage *usage) {
    usage->prompt_tokens = take_u32(r);
    usage->completion_tokens = take_u32(r);
    usage->reused_tokens = take_u32(r);
}

void put_done(pipe_writer *w, const pipe_done *m) {
    put_u8(w, (uint8_t)m->finish);
    put_usage(w, &m->usage);
    put_bytes(w, m->commitment, sizeof m->commitment);
}

void take_done(pipe_reader *r, pipe_done *m) {
    uint8_t finish = take_u8(r);
    r->bad = r->bad || (finish != ENGINE_STOP && finish != ENGINE_LENGTH);
    m->finish = finish == ENGINE_STOP ? ENGINE_STOP : ENGINE_LENGTH;
    take_usage(r, &m->usage);
    take_bytes(r, m->commitment, sizeof m->commitment);
}

void put_scored(pipe_writer *w, const pipe_scored *m) {
    put_usage(w, &m->usage);
    put_bytes(w, m->commitment, sizeof m->commitment);
    put_u32(w, (uint32_t)m->result.agreed);
    put_bool(w, m->result.complete);
    put_u32s(w, m->result.tokens, m->result.count, PIPE_ANSWER_MAX);
    put_bool(w, m->result.stopped);
    put_bytes(w, m->result.text_digest, sizeof m->result.text_digest);
}

void take_scored(pipe_reader *r, pipe_scored *m) {
    take_usage(r, &m->usage);
    take_bytes(r, m->commitment, sizeof m->commitment);
    m->result.agreed = take_u32(r);
    m->result.complete = take_bool(r);
    m->result.tokens = take_u32s(r, PIPE_ANSWER_MAX, &m->result.count);
    m->result.stopped = take_bool(r);
    take_bytes(r, m->result.text_digest, sizeof m->result.text_digest);
    r->bad = r->bad || m->result.agreed > m->result.count ||
             (m->result.complete && m->result.agreed != m->result.count);
}

void put_embedded(pipe_writer *w, const pipe_embedded *m) {
    put_usage(w, &m->usage);
    bool good = put_count(w, m->count, PIPE_WIDTH_MAX);
    for (size_t i = 0; good && i < m->count; i++) {
        put_f32(w, m->values[i]);
    }
}

void take_embedded(pipe_reader *r, pipe_embedded *m) {
    take_usage(r, &m->usage);
    float *values = take_list(r, PIPE_WIDTH_MAX, 4, sizeof *values, &m->count);
    for (size_t i = 0; i < m->count; i++) {
        values[i] = take_f32(r);
    }
    m->values = values;
}

void put_fail(pipe_writer *w, const pipe_fail *m) {
    put_u8(w, (uint8_t)m->code);
    put_text(w, m->text, TEXT_MAX);
    put_bool(w, m->retryable);
}

void take_fail(pipe_reader *r, pipe_fail *m) {
    uint8_t code = take_u8(r);
    r->bad = r->bad || code == ERROR_NONE || code > ERROR_INTERNAL;
    m->code = r->bad ? ERROR_INTERNAL : (error_code)code;
    m->text = take_text(r, TEXT_MAX);
    m->retryable = take_bool(r);
}
