#include "serving.h"
#include "unit.h"

#include "base/memory.h"
#include "crypto/start.h"
#include "engine_pass.h"

#include <math.h>

enum { TOKENS = 70, POOLINGS = 3 };
static model_file files[POOLINGS]; /* mean, first, last */
static uint32_t prompt[TOKENS];

static void embed(engine_model *m, size_t count, float *out) {
    error err;
    engine_sequence *s = engine_embed(m, prompt, count, &err);
    if (s == NULL) {
        fail_msg("%s", err.text);
    }
    assert_int_equal(serving_finish(m, s), ENGINE_EMBEDDED);
    assert_int_equal(engine_sequence_usage(s).prompt_tokens, count);
    memcpy(out, engine_sequence_embedding(s), engine_describe(m)->width * sizeof *out);
    engine_sequence_free(s);
}

static void test_an_embedding_is_the_pooled_states_at_length_1(void **state) {
    (void)state;
    const uint32_t width = files[0].shape.width;
    float *states = memory_allocate_zeroed(TOKENS * width, sizeof *states);
    float *out = memory_allocate_zeroed(width, sizeof *out);
    assert_non_null(states);
    assert_non_null(out);
    for (size_t pooling = 0; pooling < POOLINGS; pooling++) {
        engine_model *m = serving_open(&files[pooling], NULL);
        assert_true(engine_describe(m)->can_embed);
        assert_false(engine_describe(m)->can_generate);
        embed(m, TOKENS, out);
        engine_pass(&files[pooling], kernels_best(), prompt, TOKENS, TOKENS, states, NULL);
        double length = 0;
        double product = 0;
        double pooled_length = 0;
        for (uint32_t i = 0; i < width; i++) {
            double pooled = pooling == 1 ? (double)states[i] : (double)states[(TOKENS - 1) * width + i];
            for (size_t t = 0; pooling == 0 && t + 1 < TOKENS; t++) {
                pooled += (double)states[t * width + i];
            }
            length += (double)out[i] * (double)out[i];
            product += pooled * (double)out[i];
            pooled_length += pooled * pooled;
        }
        assert_true(fabs(length - 1) < 1e-5);
        assert_true(product / sqrt(pooled_length) > 1 - 1e-5);
        engine_close(m);
    }
    memory_free(states);
    memory_free(out);
}

static void test_texts_in_one_pass_give_the_bits_that_each_gives_alone(void **state) {
    (void)state;
    error err;
    const uint32_t width = files[0].shape.width;
    static float alone[6][1024];
    engine_output outputs[6];
    engine_sequence *s[6];
    assert_true(width <= 1024);
    engine_model *m = serving_open(&files[0], NULL);
    for (size_t i = 0; i < 6; i++) {
        embed(m, 1 + 12 * i, alone[i]);
    }
    for (size_t i = 0; i < 6; i++) {
        s[i] = engine_embed(m, prompt, 1 + 12 * i, &err);
        assert_non_null(s[i]);
    }
    for (size_t ended = 0; ended < 6;) {
        size_t count = 0;
        assert_true(engine_step(m, outputs, &count, &err));
        ended += count;
    }
    for (size_t i = 0; i < 6; i++) {
        assert_memory_equal(engine_sequence_embedding(s[i]), alone[i], width * sizeof(float));
        engine_sequence_free(s[i]);
    }
    engine_close(m);
}

static void test_an_encoder_writes_nothing_and_takes_no_more_than_its_context(void **state) {
    (void)state;
    error err;
    uint32_t many[2048] = {0};
    engine_model *m = serving_open(&files[0], NULL);
    const engine_parameters p = {.top_p = 1, .repetition_penalty = 1};
    assert_null(engine_generate(m, prompt, 3, &p, &(engine_draw){0}, &err));
    assert_int_equal(err.code, ERROR_UNSUPPORTED);
    assert_null(engine_score(m, prompt, 3, prompt, 3, &p, &(engine_draw){0}, &err));
    assert_int_equal(err.code, ERROR_UNSUPPORTED);
    uint32_t context = engine_describe(m)->context;
    assert_true(context < 2048);
    assert_null(engine_embed(m, many, context + 1, &err));
    assert_int_equal(err.code, ERROR_LIMIT);
    assert_null(engine_embed(m, many, 0, &err));
    engine_sequence *s = engine_embed(m, many, context, &err);
    assert_int_equal(serving_finish(m, s), ENGINE_EMBEDDED);
    engine_sequence_free(s);
    engine_close(m);
}

static void test_a_failed_allocation_fails_one_text_only(void **state) {
    (void)state;
    static float expected[1024];
    static float out[1024];
    engine_model *m = serving_open(&files[0], NULL);
    embed(m, TOKENS, expected);
    bool reached = true;
    for (int nth = 0; reached; nth++) {
        error err = {0};
        size_t count = 0;
        engine_output output;
        fault_fail_nth(nth);
        engine_sequence *s = engine_embed(m, prompt, TOKENS, &err);
        bool good = s != NULL && engine_step(m, &output, &count, &err);
        reached = fault_stop();
        assert_true(good || err.code == ERROR_MEMORY);
        engine_sequence_free(s);
        embed(m, TOKENS, out);
        assert_memory_equal(out, expected, engine_describe(m)->width * sizeof *out);
    }
    engine_close(m);
}

static int set_up(void **state) {
    (void)state;
    error err;
    uint64_t random = 6;
    for (uint32_t i = 0; i < POOLINGS; i++) {
        model_shape shape = model_shape_small;
        shape.family = "bert";
        shape.context = 128;
        shape.key_heads = shape.heads;
        shape.pooling = i + 1;
        model_file_make(&files[i], &shape, 80 + i);
    }
    serving_fill_prompt(prompt, TOKENS, &random);
    return crypto_start(&err) ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    for (size_t i = 0; i < POOLINGS; i++) {
        model_file_free(&files[i]);
    }
    crypto_stop();
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_embedding_is_the_pooled_states_at_length_1),
        cmocka_unit_test(test_texts_in_one_pass_give_the_bits_that_each_gives_alone),
        cmocka_unit_test(test_an_encoder_writes_nothing_and_takes_no_more_than_its_context),
        cmocka_unit_test(test_a_failed_allocation_fails_one_text_only),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
