#include "arithmetic/arithmetic.h"
#include "serve/sequence.h"

/* One row of logits: the token that they give, and what it means for the answer. */

static bool finish(engine_sequence *s, engine_finish reason, engine_output *output, error *err) {
    if (!commitment_close(&s->commitment, err)) {
        return false;
    }
    output->finish = reason;
    return true;
}

/* Turns the token into text and decides whether it was the last. */
static bool emit(engine_sequence *s, uint32_t token, engine_output *output, error *err) {
    const tokenizer *tokens = s->model->tokens;
    if (tokenizer_is_end(tokens, token)) {
        return text_filter_finish(&s->text, &output->text, err) && finish(s, ENGINE_STOP, output, err);
    }
    bool stopped = false;
    if (!text_filter_add(&s->text, tokenizer_bytes(tokens, token), &output->text, &stopped, err)) {
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

/* What was drawn, beside what is claimed. */
static void compare(engine_sequence *s, uint32_t claimed) {
    s->scored[s->drawn] = s->draw.token;
    if (s->draw.token != claimed && s->agreed > s->drawn) {
        s->agreed = s->drawn;
    }
}

/* The claimed token stands, whatever was drawn; where an answer would have ended scoring ends. */
static bool score(engine_sequence *s, uint32_t claimed, engine_output *output, error *err) {
    if (!emit(s, claimed, output, err)) {
        return false;
    }
    bool ended = output->finish != ENGINE_RUNNING;
    if (!ended && s->drawn < s->answer_count) {
        return true;
    }
    if (s->agreed > s->drawn) {
        s->agreed = s->drawn;
    }
    s->complete = ended && s->agreed == s->answer_count;
    *output = (engine_output){.finish = ENGINE_SCORED};
    return commitment_close(&s->commitment, err);
}

static bool next_token(engine_sequence *s, const float *logits, engine_output *output, error *err) {
    const uint32_t vocabulary = s->model->information.vocabulary;
    const uint32_t position = s->prompt_count + s->drawn;
    if (!is_finite(logits[0])) {
        return error_set(err, ERROR_UNSUPPORTED, "the model computes something that is not a finite number");
    }
    if (!sampler_draw(s->sampler, logits, position, &s->draw, err)) {
        return false;
    }
    bool scores = s->kind == SEQUENCE_SCORE;
    uint32_t token = scores ? s->tokens[position] : s->draw.token;
    if (scores) {
        compare(s, token);
    }
    commitment_top top;
    commitment_find_top(&top, logits, vocabulary);
    if (!commitment_add(&s->commitment, token, &top, err) || !sampler_accept(s->sampler, token, false, err)) {
        return false;
    }
    s->drawn++;
    if (scores) {
        return score(s, token, output, err);
    }
    s->tokens[position] = token;
    s->known = position + 1;
    *output = (engine_output){.has_token = true,
                              .token = token,
                              .logprob = s->draw.logprob,
                              .logprobs = s->draw.top,
                              .logprob_count = s->draw.top_count};
    return emit(s, token, output, err);
}

bool score_is_settled(const engine_sequence *s) {
    return s->kind == SEQUENCE_SCORE && s->agreed < s->answer_count;
}

bool answer_row(engine_sequence *s, const float *logits, engine_output *output, error *err) {
    if (next_token(s, logits, output, err)) {
        return true;
    }
    if (!score_is_settled(s) || err->code == ERROR_MEMORY) {
        return false;
    }
    *output = (engine_output){.finish = ENGINE_SCORED};
    return commitment_close(&s->commitment, err);
}
