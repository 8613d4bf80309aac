#include "serving.h"
#include "unit.h"

#include "base/memory.h"
#include "crypto/start.h"

/* Every allocation fails in turn: a clean error, and then it works as if nothing had been. */
static model_file file;
static uint32_t prompt[150];
static const uint8_t salt[ENGINE_SALT_SIZE] = {7};

static request make_request(void) {
    request r = {
        prompt, 150, {.temperature = 1, .top_p = 0.9f, .repetition_penalty = 1.1f, .max_tokens = 6}, 3, salt};
    r.parameters.stops[0] = SLICE_LITERAL("stop");
    r.parameters.stop_count = 1;
    r.parameters.logprobs = 2;
    return r;
}

static void test_opening_fails_cleanly(void **state) {
    (void)state;
    bool reached = true;
    slice bytes = buffer_slice(&file.bytes);
    for (int nth = 0; reached; nth++) {
        error err = {0};
        fault_fail_nth(nth);
        engine_model *m = engine_open(&bytes, 1, NULL, &(engine_options){.batch = 64}, &err);
        reached = fault_stop();
        assert_true(m != NULL || err.code == ERROR_MEMORY);
        assert_true(m != NULL || reached);
        engine_close(m);
    }
}

static void test_starting_fails_cleanly_and_takes_nothing(void **state) {
    (void)state;
    static answer expected;
    static answer a;
    request r = make_request();
    engine_model *m = serving_open(&file, &(engine_options){.context = 256, .batch = 64});
    serving_answer(m, &r, &expected);
    bool reached = true;
    for (int nth = 0; reached; nth++) {
        error err = {0};
        engine_draw draw = serving_draw(&r);
        fault_fail_nth(nth);
        engine_sequence *s = engine_generate(m, r.prompt, r.prompt_count, &r.parameters, &draw, &err);
        reached = fault_stop();
        assert_true(s != NULL || (reached && err.code == ERROR_MEMORY));
        engine_sequence_free(s);
        serving_answer(m, &r, &a);
        serving_assert_same(&a, &expected);
    }
    engine_close(m);
}

/* Steps until the end; while memory fails a step may fail whole and is made again, or a sequence ends as
 * failed. */
static void run_through_faults(engine_model *m, const request *r, int nth, bool *reached, answer *a) {
    error err;
    engine_output output = {0};
    memset(a, 0, sizeof *a);
    engine_sequence *s = serving_start(m, r);
    fault_fail_nth(nth);
    while (output.finish == ENGINE_RUNNING) {
        size_t count = 0;
        output = (engine_output){0};
        if (!engine_step(m, &output, &count, &err)) {
            assert_int_equal(err.code, ERROR_MEMORY);
            assert_int_equal(count, 0);
            continue;
        }
        if (output.has_token) {
            a->tokens[a->count++] = output.token;
        }
    }
    *reached = fault_stop();
    a->finish = output.finish;
    if (output.finish == ENGINE_FAILED) {
        assert_true(*reached);
        assert_int_equal(output.failure->code, ERROR_MEMORY);
    }
    engine_sequence_free(s);
}

static void test_a_step_that_fails_can_be_made_again(void **state) {
    (void)state;
    static answer expected;
    static answer a;
    request r = make_request();
    bool reached = true;
    bool went_on = false;
    engine_model *calm = serving_open(&file, NULL);
    serving_answer(calm, &r, &expected);
    engine_close(calm);
    for (int nth = 0; reached; nth++) {
        engine_model *m = serving_open(&file, &(engine_options){.context = 256, .batch = 64});
        run_through_faults(m, &r, nth, &reached, &a);
        if (a.finish != ENGINE_FAILED) {
            went_on = went_on || reached;
            assert_int_equal(a.count, expected.count);
            assert_memory_equal(a.tokens, expected.tokens, a.count * sizeof *a.tokens);
        }
        serving_answer(m, &r, &a);
        serving_assert_same(&a, &expected);
        engine_close(m);
    }
#ifdef CELLULE_FAULTS
    assert_true(went_on);
#endif
}

static void test_scoring_embedding_and_packing_fail_cleanly(void **state) {
    (void)state;
    static answer a;
    request r = make_request();
    engine_model *m = serving_open(&file, NULL);
    serving_answer(m, &r, &a);
    bool reached = true;
    for (int nth = 0; reached; nth++) {
        error err = {0};
        slice pieces[2];
        engine_draw draw = serving_draw(&r);
        fault_fail_nth(nth);
        engine_sequence *s =
            engine_score(m, r.prompt, r.prompt_count, a.tokens, a.count, &r.parameters, &draw, &err);
        bool good = s != NULL && engine_packed(m, pieces, &err);
        reached = fault_stop();
        assert_true(good || (reached && err.code == ERROR_MEMORY));
        engine_sequence_free(s);
    }
    engine_close(m);
}

static int set_up(void **state) {
    (void)state;
    error err;
    uint64_t random = 6;
    model_file_make(&file, &model_shape_small, 79);
    serving_fill_prompt(prompt, 150, &random);
    return crypto_start(&err) ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    model_file_free(&file);
    crypto_stop();
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_opening_fails_cleanly),
        cmocka_unit_test(test_starting_fails_cleanly_and_takes_nothing),
        cmocka_unit_test(test_a_step_that_fails_can_be_made_again),
        cmocka_unit_test(test_scoring_embedding_and_packing_fail_cleanly),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
