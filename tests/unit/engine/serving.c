#include "serving.h"

#include "unit.h"

const uint8_t serving_nonce[ENGINE_NONCE_SIZE] = {1, 2, 3};

engine_model *serving_open(const model_file *file, const engine_options *options) {
    error err;
    engine_options usual = {0};
    slice bytes = buffer_slice(&file->bytes);
    engine_model *m = engine_open(&bytes, 1, NULL, options == NULL ? &usual : options, &err);
    if (m == NULL) {
        fail_msg("%s", err.text);
    }
    return m;
}

engine_draw serving_draw(const request *r) {
    engine_draw draw = {.seed = r->seed, .salt = r->salt};
    memcpy(draw.nonce, serving_nonce, sizeof draw.nonce);
    return draw;
}

engine_sequence *serving_start(engine_model *m, const request *r) {
    error err;
    engine_draw draw = serving_draw(r);
    engine_sequence *s = engine_generate(m, r->prompt, r->prompt_count, &r->parameters, &draw, &err);
    if (s == NULL) {
        fail_msg("%s", err.text);
    }
    return s;
}

engine_sequence *serving_start_score(engine_model *m, const request *r, const uint32_t *tokens,
                                     size_t count) {
    error err;
    engine_draw draw = serving_draw(r);
    engine_sequence *s =
        engine_score(m, r->prompt, r->prompt_count, tokens, count, &r->parameters, &draw, &err);
    if (s == NULL) {
        fail_msg("%s", err.text);
    }
    return s;
}

static void add_output(const engine_output *out, answer *a) {
    if (out->has_token) {
        assert_true(a->count < ANSWER_MAX);
        a->tokens[a->count++] = out->token;
    }
    assert_true(slice_is_utf8(out->text));
    assert_true(a->length + out->text.length < sizeof a->text);
    if (out->text.length > 0) {
        memcpy(a->text + a->length, out->text.data, out->text.length);
    }
    a->length += out->text.length;
    a->finish = out->finish;
    if (out->finish == ENGINE_FAILED) {
        fail_msg("%s", out->failure->text);
    }
}

size_t serving_step(engine_model *m, engine_sequence **sequences, answer *answers, size_t count) {
    static engine_output outputs[ENGINE_SLOTS_MAX];
    error err;
    size_t told = 0;
    size_t ended = 0;
    if (!engine_step(m, outputs, &told, &err)) {
        fail_msg("%s", err.text);
    }
    for (size_t i = 0; i < told; i++) {
        size_t at = 0;
        while (at < count && sequences[at] != outputs[i].sequence) {
            at++;
        }
        assert_true(at < count);
        add_output(&outputs[i], &answers[at]);
        if (outputs[i].finish != ENGINE_RUNNING) {
            answers[at].usage = engine_sequence_usage(sequences[at]);
            engine_sequence_commitment(sequences[at], answers[at].commitment);
            engine_sequence_free(sequences[at]);
            sequences[at] = NULL;
            ended++;
        }
    }
    return ended;
}

void serving_run(engine_model *m, engine_sequence **sequences, answer *answers, size_t count) {
    size_t running = 0;
    for (size_t i = 0; i < count; i++) {
        running += sequences[i] != NULL;
        memset(&answers[i], 0, sizeof answers[i]);
    }
    while (running > 0) {
        running -= serving_step(m, sequences, answers, count);
    }
}

void serving_answer(engine_model *m, const request *r, answer *a) {
    engine_sequence *s = serving_start(m, r);
    serving_run(m, &s, a, 1);
}

engine_finish serving_finish(engine_model *m, engine_sequence *s) {
    error err;
    engine_output output = {0};
    while (output.finish == ENGINE_RUNNING) {
        size_t count = 0;
        if (!engine_step(m, &output, &count, &err)) {
            fail_msg("%s", err.text);
        }
        assert_true(count == 0 || output.sequence == s);
        assert_false(output.has_token);
        output.finish = count == 0 ? ENGINE_RUNNING : output.finish;
    }
    return output.finish;
}

void serving_assert_same(const answer *a, const answer *b) {
    assert_int_equal(a->count, b->count);
    assert_memory_equal(a->tokens, b->tokens, a->count * sizeof *a->tokens);
    assert_int_equal(a->length, b->length);
    assert_memory_equal(a->text, b->text, a->length);
    assert_int_equal(a->finish, b->finish);
    assert_int_equal(a->usage.prompt_tokens, b->usage.prompt_tokens);
    assert_int_equal(a->usage.completion_tokens, b->usage.completion_tokens);
    assert_memory_equal(a->commitment, b->commitment, sizeof a->commitment);
}

void serving_fill_prompt(uint32_t *prompt, size_t count, uint64_t *random) {
    for (size_t i = 0; i < count; i++) {
        prompt[i] = (uint32_t)(test_random(random) % 256);
    }
}
