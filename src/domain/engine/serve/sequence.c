#include "arithmetic/arithmetic.h"
#include "base/memory.h"
#include "commitment.h"
#include "model.h"
#include "text_filter.h"

enum { PROMPT_STEP = 8 }; /* tokens read in one step: bounds how long a step holds up the others */

struct engine_sequence {
    engine_model *model;
    cache cache;
    uint64_t memory;
    uint32_t *prompt;
    uint32_t prompt_count;
    uint32_t position; /* tokens computed so far */
    uint32_t drawn;
    uint32_t last; /* drawn last: computed by the next step */
    uint32_t most;
    sampler *sampler;
    bool ended; /* finished or failed */
    text_filter text;
    commitment commitment;
};

static bool check_prompt(const engine_model *m, const uint32_t *prompt, size_t count, error *err) {
    if (count == 0 || count >= m->information.context) {
        return error_set(err, ERROR_LIMIT,
                         "the prompt has %zu tokens, the context takes %u with room for an answer: "
                         "shorten the conversation",
                         count, m->information.context);
    }
    for (size_t i = 0; i < count; i++) {
        if (prompt[i] >= m->information.vocabulary) {
            return error_set(err, ERROR_INVALID, "prompt token %zu is not in the vocabulary", i);
        }
    }
    return true;
}

static bool take_memory(engine_sequence *s, uint32_t positions, error *err) {
    engine_model *m = s->model;
    uint64_t size = cache_size(&m->architecture, positions);
    if (size > m->memory_limit) {
        return error_set(err, ERROR_LIMIT,
                         "a sequence of %u tokens takes more memory than the engine was given", positions);
    }
    if (size > m->memory_limit - m->memory_used) {
        return error_set(err, ERROR_CONFLICT, "other sequences hold the engine's memory: try again later");
    }
    if (!cache_new(&s->cache, &m->architecture, positions, err)) {
        return false;
    }
    s->memory = size;
    m->memory_used += size;
    return true;
}

static bool prepare(engine_sequence *s, const uint32_t *prompt, const engine_parameters *p,
                    const uint8_t nonce[ENGINE_NONCE_SIZE], error *err) {
    if (!text_filter_start(&s->text, p->stops, p->stop_count, err) ||
        !commitment_start(&s->commitment, nonce, err)) {
        return false;
    }
    s->prompt = memory_allocate(s->prompt_count * sizeof *prompt);
    if (s->prompt == NULL) {
        return error_memory(err);
    }
    memcpy(s->prompt, prompt, s->prompt_count * sizeof *prompt);
    return take_memory(s, s->prompt_count + s->most, err);
}

static bool make_sampler(engine_sequence *s, const engine_parameters *p, uint64_t seed, error *err) {
    engine_parameters known = {.temperature = p->temperature, .top_p = p->top_p, .repetition_penalty = 1};
    s->sampler = sampler_new(s->model->sampling, &known, seed, err);
    return s->sampler != NULL;
}

engine_sequence *engine_sequence_new(engine_model *m, const uint32_t *prompt, size_t prompt_count,
                                     const engine_parameters *p, uint64_t seed,
                                     const uint8_t nonce[ENGINE_NONCE_SIZE], error *err) {
    if (!check_prompt(m, prompt, prompt_count, err)) {
        return NULL;
    }
    engine_sequence *s = memory_allocate_zeroed(1, sizeof *s);
    if (s == NULL) {
        error_memory(err);
        return NULL;
    }
    uint32_t room = m->information.context - (uint32_t)prompt_count;
    s->model = m;
    s->prompt_count = (uint32_t)prompt_count;
    s->most = p->max_tokens == 0 || p->max_tokens > room ? room : p->max_tokens;
    if (!prepare(s, prompt, p, nonce, err) || !make_sampler(s, p, seed, err)) {
        engine_sequence_free(s);
        return NULL;
    }
    return s;
}

void engine_sequence_free(engine_sequence *s) {
    if (s != NULL) {
        s->model->memory_used -= s->memory;
        cache_free(&s->cache);
        text_filter_free(&s->text);
        sampler_free(s->sampler);
        memory_free(s->prompt);
        memory_free(s);
    }
}

/* Computes what is known and not computed yet. `*logits` stays NULL while some of the prompt is left. */
static bool advance(engine_sequence *s, const float **logits, error *err) {
    *logits = NULL;
    forward *f = s->model->forward;
    if (s->drawn > 0) {
        return forward_token(f, &s->cache, s->last, s->position++, logits, err);
    }
    for (size_t i = 0; i < PROMPT_STEP && s->position < s->prompt_count; i++) {
        uint32_t at = s->position++;
        bool is_last = s->position == s->prompt_count;
        if (!forward_token(f, &s->cache, s->prompt[at], at, is_last ? logits : NULL, err)) {
            return false;
        }
    }
    return true;
}

static bool is_end(const engine_model *m, uint32_t token) {
    for (size_t i = 0; i < m->end_count; i++) {
        if (m->ends[i] == token) {
            return true;
        }
    }
    return false;
}

static bool finish(engine_sequence *s, engine_finish reason, engine_output *output, error *err) {
    s->ended = true;
    output->finish = reason;
    return commitment_close(&s->commitment, err);
}

/* Turns the drawn token into text and decides whether it was the last. */
static bool emit(engine_sequence *s, engine_output *output, error *err) {
    if (is_end(s->model, s->last)) {
        return text_filter_finish(&s->text, &output->text, err) && finish(s, ENGINE_STOP, output, err);
    }
    bool stopped = false;
    if (!text_filter_add(&s->text, tokenizer_bytes(s->model->tokens, s->last), &output->text, &stopped,
                         err)) {
        return false;
    }
    if (stopped) {
        return finish(s, ENGINE_STOP, output, err);
    }
    if (s->drawn < s->most) {
        return true;
    }
    /* The held-back text follows what was just released: give both out as one. */
    return text_filter_release_all(&s->text, &output->text, err) && finish(s, ENGINE_LENGTH, output, err);
}

static bool step(engine_sequence *s, engine_output *output, error *err) {
    const engine_model *m = s->model;
    const float *logits = NULL;
    if (!advance(s, &logits, err)) {
        return false;
    }
    if (logits == NULL) {
        return true;
    }
    draw next;
    if (!sampler_draw(s->sampler, logits, (uint64_t)s->prompt_count + s->drawn, &next, err)) {
        return false;
    }
    s->last = next.token;
    if (!commitment_add(&s->commitment, s->last, logits, m->information.vocabulary, err)) {
        return false;
    }
    s->drawn++;
    output->has_token = true;
    output->token = s->last;
    return emit(s, output, err);
}

bool engine_step(engine_sequence *s, engine_output *output, error *err) {
    *output = (engine_output){0};
    if (s->ended) {
        return error_set(err, ERROR_CONFLICT, "the sequence has ended");
    }
    arithmetic_state saved;
    if (!arithmetic_enter(&saved)) {
        return error_set(err, ERROR_INTERNAL, "the processor's rounding mode can't be set");
    }
    bool good = step(s, output, err);
    arithmetic_leave(&saved);
    s->ended = s->ended || !good;
    return good;
}

engine_usage engine_sequence_usage(const engine_sequence *s) {
    return (engine_usage){s->prompt_count, s->drawn};
}

void engine_sequence_commitment(const engine_sequence *s, uint8_t digest[ENGINE_DIGEST_SIZE]) {
    memcpy(digest, s->commitment.current, ENGINE_DIGEST_SIZE);
}
