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

/* As messages carry it, without U+0000. */
static void hash_text(hash *h, slice text) {
    for (;;) {
        size_t nul = slice_find(text, 0);
        hash_update(h, slice_part(text, 0, nul));
        if (nul == SIZE_MAX) {
            return;
        }
        hash_update(h, SLICE_LITERAL("\xEF\xBF\xBD"));
        text = slice_after(text, nul + 1);
    }
}

bool score_close(engine_sequence *s, error *err) {
    return hash_finish(s->scored_text, s->scored_text_digest, err) && commitment_close(&s->commitment, err);
}

/* The claimed token stands, whatever was drawn; where an answer would have ended scoring ends. */
static bool score(engine_sequence *s, uint32_t claimed, engine_output *output, error *err) {
    if (!emit(s, claimed, output, err)) {
        return false;
    }
    bool ended = output->finish != ENGINE_RUNNING;
    bool last = s->drawn == s->answer_count;
    if (!ended && last && !text_filter_release_all(&s->text, &output->text, err)) {
        return false;
    }
    hash_text(s->scored_text, output->text);
    if (!ended && !last) {
        return true;
    }
    if (s->agreed > s->drawn) {
        s->agreed = s->drawn;
    }
    s->complete = ended && s->agreed == s->answer_count;
    s->stopped = output->finish == ENGINE_STOP;
    *output = (engine_output){.finish = ENGINE_SCORED};
    return score_close(s, err);
}

void answer_read(answer_row *row, size_t hand) {
    const engine_sequence *s = row->sequence;
    row->read = true;
    row->good = false;
    if (!is_finite(row->logits[0])) {
        error_set(&row->failure, ERROR_UNSUPPORTED,
                  "the model computes something that is not a finite number");
        return;
    }
    row->good = sampler_draw(s->sampler, hand, row->logits, row->position, &row->draw, &row->failure);
    commitment_find_top(&row->top, row->logits, s->model->information.vocabulary);
}

static bool next_token(engine_sequence *s, const answer_row *row, engine_output *output, error *err) {
    if (!row->good) {
        *err = row->failure;
        return false;
    }
    bool scores = s->kind == SEQUENCE_SCORE;
    uint32_t token = scores ? s->tokens[row->position] : row->draw.token;
    s->draw = row->draw;
    if (scores) {
        compare(s, token);
    }
    if (!commitment_add(&s->commitment, token, &row->top, err) ||
        !sampler_accept(s->sampler, token, false, err)) {
        return false;
    }
    s->drawn++;
    if (scores) {
        return score(s, token, output, err);
    }
    s->tokens[row->position] = token;
    s->known = row->position + 1;
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

bool answer_add(engine_sequence *s, const answer_row *row, engine_output *output, error *err) {
    if (next_token(s, row, output, err)) {
        return true;
    }
    if (!score_is_settled(s) || err->code == ERROR_MEMORY) {
        return false;
    }
    *output = (engine_output){.finish = ENGINE_SCORED};
    return score_close(s, err);
}
