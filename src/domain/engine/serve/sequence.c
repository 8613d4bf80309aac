#include "serve/sequence.h"

#include "base/memory.h"

static bool check_tokens(const engine_model *m, const uint32_t *tokens, size_t count, const char *what,
                         error *err) {
    for (size_t i = 0; i < count; i++) {
        if (tokens[i] >= m->information.vocabulary) {
            return error_set(err, ERROR_INVALID, "%s token %zu is not in the vocabulary", what, i);
        }
    }
    return true;
}

static bool check_prompt(const engine_model *m, const uint32_t *prompt, size_t count, size_t answer,
                         error *err) {
    if (count == 0) {
        return error_set(err, ERROR_INVALID, "the prompt is empty: it needs a token at least");
    }
    if (count >= m->information.context || answer > m->information.context - count) {
        return error_set(
            err, ERROR_LIMIT,
            "the prompt has %zu tokens, the context takes %u with room for an answer: shorten the "
            "conversation",
            count, m->information.context);
    }
    return check_tokens(m, prompt, count, "prompt", err);
}

/* With room for `positions` tokens, of which `prompt` is copied; belongs to no list yet. */
static engine_sequence *sequence_new(engine_model *m, sequence_kind kind, const uint32_t *prompt,
                                     size_t prompt_count, size_t room, error *err) {
    if (m->sequence_count >= ENGINE_SLOTS_MAX) {
        error_set(err, ERROR_CONFLICT, "%d sequences are being computed already: try again later",
                  ENGINE_SLOTS_MAX);
        return NULL;
    }
    engine_sequence *s = memory_allocate_zeroed(1, sizeof *s);
    if (s == NULL) {
        error_memory(err);
        return NULL;
    }
    list_init(&s->node);
    s->model = m;
    s->kind = kind;
    s->tokens = memory_allocate_zeroed(room, sizeof *s->tokens);
    if (s->tokens == NULL) {
        memory_free(s);
        error_memory(err);
        return NULL;
    }
    s->token_room = (uint32_t)room;
    s->prompt_count = (uint32_t)prompt_count;
    s->known = (uint32_t)prompt_count;
    memcpy(s->tokens, prompt, prompt_count * sizeof *prompt);
    return s;
}

/* What generate and score have in common. */
static bool prepare_answer(engine_sequence *s, const engine_parameters *p, const engine_draw *fixed,
                           error *err) {
    s->sampler = sampler_new(s->model->sampling, p, fixed->seed, err);
    if (s->sampler == NULL || !text_filter_start(&s->text, p->stops, p->stop_count, err) ||
        !commitment_start(&s->commitment, fixed->nonce, err)) {
        return false;
    }
    for (uint32_t i = 0; sampler_has_memory(s->sampler) && i < s->prompt_count; i++) {
        if (!sampler_accept(s->sampler, s->tokens[i], true, err)) {
            return false;
        }
    }
    s->shares = fixed->salt != NULL;
    return !s->shares || prefix_root(fixed->salt, s->key, err);
}

static engine_sequence *sequence_start(engine_sequence *s, bool prepared, uint32_t positions, error *err) {
    if (!prepared || !sequence_reserve(s, positions, err)) {
        engine_sequence_free(s);
        return NULL;
    }
    list_append(&s->model->sequences, &s->node);
    s->model->sequence_count++;
    return s;
}

static bool check_writes(const engine_model *m, error *err) {
    return m->information.can_generate ||
           error_set(err, ERROR_UNSUPPORTED, "this model computes embeddings: it writes no text");
}

/* Of an answer's tokens. */
static uint32_t most_tokens(const engine_model *m, size_t prompt_count, const engine_parameters *p) {
    uint32_t room = m->information.context - (uint32_t)prompt_count;
    return p->max_tokens == 0 || p->max_tokens > room ? room : p->max_tokens;
}

engine_sequence *engine_generate(engine_model *m, const uint32_t *prompt, size_t prompt_count,
                                 const engine_parameters *p, const engine_draw *fixed, error *err) {
    if (!check_writes(m, err) || !check_prompt(m, prompt, prompt_count, 1, err)) {
        return NULL;
    }
    uint32_t most = most_tokens(m, prompt_count, p);
    engine_sequence *s = sequence_new(m, SEQUENCE_GENERATE, prompt, prompt_count, prompt_count + most, err);
    if (s == NULL) {
        return NULL;
    }
    s->most = most;
    /* The token drawn last isn't computed any more. */
    return sequence_start(s, prepare_answer(s, p, fixed, err), s->prompt_count + most - 1, err);
}

engine_sequence *engine_score(engine_model *m, const uint32_t *prompt, size_t prompt_count,
                              const uint32_t *answer, size_t answer_count, const engine_parameters *p,
                              const engine_draw *fixed, error *err) {
    if (!check_writes(m, err) || !check_prompt(m, prompt, prompt_count, answer_count, err) ||
        !check_tokens(m, answer, answer_count, "answer", err)) {
        return NULL;
    }
    if (answer_count == 0) {
        error_set(err, ERROR_INVALID, "the answer to be scored is empty");
        return NULL;
    }
    engine_sequence *s =
        sequence_new(m, SEQUENCE_SCORE, prompt, prompt_count, prompt_count + answer_count, err);
    if (s == NULL) {
        return NULL;
    }
    memcpy(s->tokens + prompt_count, answer, answer_count * sizeof *answer);
    s->most = most_tokens(m, prompt_count, p);
    s->answer_count = (uint32_t)answer_count;
    s->agreed = s->answer_count;
    s->known = s->prompt_count + s->answer_count - 1;
    s->scored_text = hash_new(err);
    s->scored = memory_allocate(answer_count * sizeof *s->scored);
    if (s->scored != NULL) {
        memset(s->scored, 0xff, answer_count * sizeof *s->scored); /* ENGINE_NO_TOKEN */
    }
    bool prepared = s->scored_text != NULL && (s->scored != NULL || error_memory(err)) &&
                    prepare_answer(s, p, fixed, err);
    return sequence_start(s, prepared, s->known, err);
}

engine_sequence *engine_embed(engine_model *m, const uint32_t *tokens, size_t count, error *err) {
    if (!m->information.can_embed) {
        error_set(err, ERROR_UNSUPPORTED, "this model writes text: it computes no embeddings");
        return NULL;
    }
    if (count == 0 || count > m->information.context) {
        error_set(err, ERROR_LIMIT, "the text has %zu tokens, the model takes 1 to %u: shorten it", count,
                  m->information.context);
        return NULL;
    }
    if (!check_tokens(m, tokens, count, "text", err)) {
        return NULL;
    }
    engine_sequence *s = sequence_new(m, SEQUENCE_EMBED, tokens, count, count, err);
    if (s == NULL) {
        return NULL;
    }
    s->embedding = memory_allocate_zeroed(m->information.width, sizeof *s->embedding);
    return sequence_start(s, s->embedding != NULL || error_memory(err), s->prompt_count, err);
}

void sequence_finish(engine_sequence *s, engine_finish finish) {
    s->finish = finish;
    list_remove(&s->node);
    s->model->sequence_count--;
    sequence_release_pages(s);
}

void sequence_fail(engine_sequence *s, const error *cause) {
    s->failure = *cause;
    sequence_finish(s, ENGINE_FAILED);
}

static void wipe(void *memory, size_t size) {
    if (memory != NULL) {
        explicit_bzero(memory, size);
    }
    memory_free(memory);
}

void engine_sequence_free(engine_sequence *s) {
    if (s == NULL) {
        return;
    }
    if (!list_is_empty(&s->node)) {
        list_remove(&s->node);
        s->model->sequence_count--;
    }
    sequence_release_pages(s);
    sampler_free(s->sampler);
    text_filter_free(&s->text);
    wipe(s->tokens, s->token_room * sizeof *s->tokens);
    wipe(s->scored, s->answer_count * sizeof *s->scored);
    hash_free(s->scored_text);
    wipe(s->embedding, s->model->information.width * sizeof *s->embedding);
    wipe(s, sizeof *s);
}

engine_usage engine_sequence_usage(const engine_sequence *s) {
    return (engine_usage){s->prompt_count, s->drawn, s->reused};
}

void engine_sequence_commitment(const engine_sequence *s, uint8_t digest[ENGINE_DIGEST_SIZE]) {
    memcpy(digest, s->commitment.current, ENGINE_DIGEST_SIZE);
}

engine_score_result engine_sequence_score(const engine_sequence *s) {
    engine_score_result result = {.tokens = s->scored,
                                  .count = s->answer_count,
                                  .agreed = s->agreed,
                                  .complete = s->complete,
                                  .stopped = s->stopped};
    memcpy(result.text_digest, s->scored_text_digest, sizeof result.text_digest);
    return result;
}

const float *engine_sequence_embedding(const engine_sequence *s) {
    return s->embedding;
}
