#include "serve/pipe_fields.h"

enum { MESSAGE_LEAST = 5 * 4, BIAS_SIZE = 8 };

static void put_messages(pipe_writer *w, const engine_message *messages, size_t count) {
    bool good = put_count(w, count, ENGINE_MESSAGES_MAX);
    for (size_t i = 0; good && i < count; i++) {
        const engine_message *m = &messages[i];
        put_text(w, m->role, PIPE_FRAME_MAX);
        put_text(w, m->content, PIPE_FRAME_MAX);
        put_text(w, m->tool_calls, PIPE_FRAME_MAX);
        put_text(w, m->tool_call_id, PIPE_FRAME_MAX);
        put_text(w, m->name, PIPE_FRAME_MAX);
    }
}

static const engine_message *take_messages(pipe_reader *r, size_t *count) {
    engine_message *messages = take_list(r, ENGINE_MESSAGES_MAX, MESSAGE_LEAST, sizeof *messages, count);
    for (size_t i = 0; i < *count; i++) {
        messages[i] = (engine_message){.role = take_text(r, PIPE_FRAME_MAX)};
        messages[i].content = take_text(r, PIPE_FRAME_MAX);
        messages[i].tool_calls = take_text(r, PIPE_FRAME_MAX);
        messages[i].tool_call_id = take_text(r, PIPE_FRAME_MAX);
        messages[i].name = take_text(r, PIPE_FRAME_MAX);
    }
    return messages;
}

static void put_parameters(pipe_writer *w, const engine_parameters *p) {
    put_f32(w, p->temperature);
    put_f32(w, p->top_p);
    put_f32(w, p->min_p);
    put_u32(w, p->top_k);
    put_f32(w, p->repetition_penalty);
    put_f32(w, p->presence_penalty);
    put_f32(w, p->frequency_penalty);
    put_u32(w, p->max_tokens);
    put_u32(w, p->logprobs);
    put_bool(w, p->with_logprob);
    bool good = put_count(w, p->stop_count, ENGINE_STOPS_MAX);
    for (size_t i = 0; good && i < p->stop_count; i++) {
        put_text(w, p->stops[i], ENGINE_STOP_LENGTH_MAX);
    }
    good = put_count(w, p->bias_count, ENGINE_BIASES_MAX);
    for (size_t i = 0; good && i < p->bias_count; i++) {
        put_u32(w, p->biases[i].token);
        put_f32(w, p->biases[i].value);
    }
    put_text(w, p->schema, ENGINE_SCHEMA_MAX);
    put_text(w, p->grammar, ENGINE_SCHEMA_MAX);
}

static void take_biases(pipe_reader *r, engine_parameters *p) {
    engine_bias *biases = take_list(r, ENGINE_BIASES_MAX, BIAS_SIZE, sizeof *biases, &p->bias_count);
    for (size_t i = 0; i < p->bias_count; i++) {
        biases[i].token = take_u32(r);
        biases[i].value = take_f32(r);
    }
    p->biases = biases;
}

static void take_parameters(pipe_reader *r, engine_parameters *p) {
    p->temperature = take_f32(r);
    p->top_p = take_f32(r);
    p->min_p = take_f32(r);
    p->top_k = take_u32(r);
    p->repetition_penalty = take_f32(r);
    p->presence_penalty = take_f32(r);
    p->frequency_penalty = take_f32(r);
    p->max_tokens = take_u32(r);
    p->logprobs = take_u32(r);
    p->with_logprob = take_bool(r);
    p->stop_count = take_u32(r);
    if (p->stop_count > ENGINE_STOPS_MAX) {
        r->bad = true;
        p->stop_count = 0;
    }
    for (size_t i = 0; i < p->stop_count; i++) {
        p->stops[i] = take_text(r, ENGINE_STOP_LENGTH_MAX);
    }
    take_biases(r, p);
    p->schema = take_text(r, ENGINE_SCHEMA_MAX);
    p->grammar = take_text(r, ENGINE_SCHEMA_MAX);
}

void put_generate(pipe_writer *w, const pipe_generate *g) {
    put_messages(w, g->messages, g->message_count);
    put_text(w, g->tools, PIPE_FRAME_MAX);
    put_parameters(w, &g->parameters);
    put_u64(w, g->seed);
    put_bytes(w, g->nonce, sizeof g->nonce);
    put_bool(w, g->has_salt);
    if (g->has_salt) {
        put_bytes(w, g->salt, sizeof g->salt);
    }
}

void take_generate(pipe_reader *r, pipe_generate *g) {
    g->messages = take_messages(r, &g->message_count);
    g->tools = take_text(r, PIPE_FRAME_MAX);
    take_parameters(r, &g->parameters);
    g->seed = take_u64(r);
    take_bytes(r, g->nonce, sizeof g->nonce);
    g->has_salt = take_bool(r);
    if (g->has_salt) {
        take_bytes(r, g->salt, sizeof g->salt);
    }
}

void put_score(pipe_writer *w, const pipe_score *s) {
    put_generate(w, &s->claim);
    put_u32s(w, s->answer, s->answer_count, PIPE_ANSWER_MAX);
}

void take_score(pipe_reader *r, pipe_score *s) {
    take_generate(r, &s->claim);
    s->answer = take_u32s(r, PIPE_ANSWER_MAX, &s->answer_count);
}
