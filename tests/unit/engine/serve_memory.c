#include "serving.h"
#include "unit.h"

#include "crypto/start.h"

/* The bounded cache of keys and values: what is promised, shared, and given back. */
static model_file file;
static const uint8_t salts[2][ENGINE_SALT_SIZE] = {{1}, {2}};
enum { PAGE = 64, LONG = 200 };
static uint32_t prompt[LONG];

static const engine_parameters short_answer = {
    .temperature = 0.8f, .top_p = 1, .repetition_penalty = 1, .max_tokens = 4};

static request make_request(size_t count, const uint8_t *salt) {
    return (request){prompt, count, short_answer, 9, salt};
}

/* Bytes of one page. */
static uint64_t page_size(void) {
    engine_model *m = serving_open(&file, &(engine_options){.context = PAGE});
    uint64_t size = engine_describe(m)->sequence_memory;
    engine_close(m);
    return size;
}

static uint32_t reused(engine_model *m, const request *r) {
    static answer a;
    serving_answer(m, r, &a);
    return a.usage.reused_tokens;
}

static void test_sequences_share_a_bounded_memory_that_comes_back(void **state) {
    (void)state;
    error err;
    engine_parameters p = {.temperature = 0, .top_p = 1, .repetition_penalty = 1};
    engine_model *m = serving_open(&file, &(engine_options){.slots = 2, .memory_limit = page_size() * 8});
    request whole = {prompt, 3, p, 0, NULL}; /* as long as the context: half of the memory */
    engine_sequence *first = serving_start(m, &whole);
    engine_sequence *second = serving_start(m, &whole);
    engine_draw draw = serving_draw(&whole);
    assert_null(engine_generate(m, prompt, 3, &p, &draw, &err));
    assert_int_equal(err.code, ERROR_CONFLICT);
    engine_sequence_free(first);
    first = serving_start(m, &whole);
    engine_sequence_free(first);
    engine_sequence_free(second);
    engine_close(m);
}

static void test_a_sequence_that_could_never_fit_is_refused_for_good(void **state) {
    (void)state;
    error err;
    slice bytes = buffer_slice(&file.bytes);
    engine_options options = {.context = 256, .memory_limit = page_size() * 3};
    assert_null(engine_open(&bytes, 1, NULL, &options, &err));
    assert_int_equal(err.code, ERROR_LIMIT);
    options.context = 0;
    engine_model *m = serving_open(&file, &options);
    assert_int_equal(engine_describe(m)->context, 3 * PAGE);
    assert_null(engine_generate(m, prompt, 3 * PAGE, &short_answer, &(engine_draw){0}, &err));
    assert_int_equal(err.code, ERROR_LIMIT);
    engine_close(m);
}

static void test_a_beginning_is_reused_within_a_salt_and_only_there(void **state) {
    (void)state;
    static answer fresh;
    static answer again;
    engine_model *m = serving_open(&file, NULL);
    request r = make_request(LONG, salts[0]);
    serving_answer(m, &r, &fresh);
    assert_int_equal(fresh.usage.reused_tokens, 0);
    serving_answer(m, &r, &again);
    assert_int_equal(again.usage.reused_tokens, 3 * PAGE);
    serving_assert_same(&fresh, &again);
    request other = make_request(LONG, salts[1]);
    request nobody = make_request(LONG, NULL);
    assert_int_equal(reused(m, &other), 0);
    assert_int_equal(reused(m, &nobody), 0);
    assert_int_equal(reused(m, &nobody), 0);
    assert_int_equal(reused(m, &other), 3 * PAGE);
    engine_close(m);
}

static void test_only_what_is_the_same_up_to_a_page_s_end_is_reused(void **state) {
    (void)state;
    engine_model *m = serving_open(&file, NULL);
    request r = make_request(LONG, salts[0]);
    assert_int_equal(reused(m, &r), 0);
    const uint32_t kept = prompt[70];
    prompt[70] = kept ^ 1;
    assert_int_equal(reused(m, &r), PAGE);
    prompt[70] = kept;
    assert_int_equal(reused(m, &r), 3 * PAGE);
    r.prompt++; /* other positions */
    r.prompt_count--;
    assert_int_equal(reused(m, &r), 0);
    r = make_request(2 * PAGE, salts[0]); /* one token at least is computed */
    assert_int_equal(reused(m, &r), PAGE);
    r = make_request(2 * PAGE + 1, salts[0]);
    assert_int_equal(reused(m, &r), 2 * PAGE);
    engine_close(m);
}

static void test_the_answer_s_own_pages_are_reused_by_the_next_turn(void **state) {
    (void)state;
    static answer first;
    static answer next;
    uint32_t longer[3 * PAGE];
    engine_model *m = serving_open(&file, NULL);
    const engine_bias never_ends[] = {{MODEL_END, -100}, {MODEL_MESSAGE_END, -100}};
    request r = make_request(PAGE, salts[0]);
    r.parameters.max_tokens = PAGE + 1;
    r.parameters.biases = never_ends;
    r.parameters.bias_count = 2;
    serving_answer(m, &r, &first);
    assert_int_equal(first.count, PAGE + 1);
    memcpy(longer, prompt, PAGE * sizeof *prompt);
    memcpy(longer + PAGE, first.tokens, (PAGE + 1) * sizeof *prompt);
    request turn = {longer, 2 * PAGE + 1, short_answer, 1, salts[0]};
    serving_answer(m, &turn, &next);
    assert_int_equal(next.usage.reused_tokens, 2 * PAGE);
    engine_close(m);
}

static void test_sequences_side_by_side_share_what_each_computed(void **state) {
    (void)state;
    static answer answers[3];
    static answer alone;
    engine_sequence *sequences[3];
    request r = make_request(LONG, salts[0]);
    engine_model *m = serving_open(&file, &(engine_options){.batch = 100});
    for (size_t i = 0; i < 3; i++) {
        sequences[i] = serving_start(m, &r);
    }
    serving_run(m, sequences, answers, 3);
    request nobody = make_request(LONG, NULL);
    serving_answer(m, &nobody, &alone);
    for (size_t i = 0; i < 3; i++) {
        serving_assert_same(&answers[i], &alone);
    }
    engine_close(m);
}

static void test_pages_that_nobody_uses_make_room_oldest_first(void **state) {
    (void)state;
    uint32_t prompts[5][LONG];
    uint64_t random = 8;
    /* Four pages a sequence, twelve in all. */
    engine_model *m = serving_open(&file, &(engine_options){.memory_limit = page_size() * 12});
    request r[5];
    for (size_t i = 0; i < 5; i++) {
        serving_fill_prompt(prompts[i], LONG, &random);
        r[i] = (request){prompts[i], LONG, short_answer, i, salts[0]};
    }
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(reused(m, &r[i]), 0); /* leaves three full pages */
    }
    assert_int_equal(reused(m, &r[3]), 3 * PAGE);
    assert_int_equal(reused(m, &r[2]), 3 * PAGE);
    assert_int_equal(reused(m, &r[4]), 0);
    assert_int_equal(reused(m, &r[2]), 3 * PAGE);
    assert_int_equal(reused(m, &r[0]), 0);
    engine_close(m);
}

static void test_pages_that_are_there_already_count_when_they_come_into_use(void **state) {
    (void)state;
    error err;
    engine_model *m = serving_open(&file, &(engine_options){.context = 256, .memory_limit = page_size() * 4});
    request r = make_request(LONG, salts[0]);
    assert_int_equal(reused(m, &r), 0); /* leaves three */
    request whole = make_request(3, NULL);
    whole.parameters.max_tokens = 0;
    engine_sequence *s = serving_start(m, &whole); /* may take all four */
    engine_draw draw = serving_draw(&r);
    assert_null(engine_generate(m, prompt, LONG, &short_answer, &draw, &err));
    assert_int_equal(err.code, ERROR_CONFLICT);
    engine_sequence_free(s);
    assert_int_equal(reused(m, &r), 3 * PAGE);
    engine_close(m);
}

static void test_a_cancelled_sequence_gives_its_memory_back_at_any_time(void **state) {
    (void)state;
    static answer a;
    error err;
    engine_model *m =
        serving_open(&file, &(engine_options){.batch = 16, .context = 256, .memory_limit = page_size() * 4});
    for (size_t steps = 0; steps < 40; steps++) {
        request r = make_request(LONG, steps % 2 == 0 ? salts[0] : NULL);
        r.parameters.max_tokens = 0; /* all of the memory */
        engine_sequence *s = serving_start(m, &r);
        for (size_t i = 0; i < steps && s != NULL; i++) {
            (void)serving_step(m, &s, &a, 1);
        }
        if (s != NULL) {
            engine_draw draw = serving_draw(&r);
            assert_null(engine_generate(m, prompt, LONG, &short_answer, &draw, &err));
            assert_int_equal(err.code, ERROR_CONFLICT);
        }
        engine_sequence_free(s);
        a = (answer){0};
    }
    engine_close(m);
}

static void test_no_more_sequences_than_outputs_are_taken(void **state) {
    (void)state;
    error err;
    engine_sequence *sequences[ENGINE_SLOTS_MAX];
    request r = make_request(2, NULL);
    engine_model *m = serving_open(&file, NULL);
    for (size_t i = 0; i < ENGINE_SLOTS_MAX; i++) {
        sequences[i] = serving_start(m, &r);
    }
    engine_draw draw = serving_draw(&r);
    assert_null(engine_generate(m, prompt, 2, &short_answer, &draw, &err));
    assert_int_equal(err.code, ERROR_CONFLICT);
    for (size_t i = 0; i < ENGINE_SLOTS_MAX; i++) {
        engine_sequence_free(sequences[i]);
    }
    engine_close(m);
}

static int set_up(void **state) {
    (void)state;
    error err;
    uint64_t random = 4;
    model_file_make(&file, &model_shape_small, 77);
    serving_fill_prompt(prompt, LONG, &random);
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
        cmocka_unit_test(test_sequences_share_a_bounded_memory_that_comes_back),
        cmocka_unit_test(test_a_sequence_that_could_never_fit_is_refused_for_good),
        cmocka_unit_test(test_a_beginning_is_reused_within_a_salt_and_only_there),
        cmocka_unit_test(test_only_what_is_the_same_up_to_a_page_s_end_is_reused),
        cmocka_unit_test(test_the_answer_s_own_pages_are_reused_by_the_next_turn),
        cmocka_unit_test(test_sequences_side_by_side_share_what_each_computed),
        cmocka_unit_test(test_pages_that_nobody_uses_make_room_oldest_first),
        cmocka_unit_test(test_pages_that_are_there_already_count_when_they_come_into_use),
        cmocka_unit_test(test_a_cancelled_sequence_gives_its_memory_back_at_any_time),
        cmocka_unit_test(test_no_more_sequences_than_outputs_are_taken),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
