#include "serving.h"
#include "unit.h"

#include "crypto/start.h"

/* What a sequence answers depends on nothing but itself. */
enum { REQUESTS = 9, PROMPT_MAX = 150 };
static model_file file;
static uint32_t prompts[REQUESTS][PROMPT_MAX];
static request requests[REQUESTS];
static answer alone[REQUESTS];

static void make_requests(void) {
    uint64_t random = 5;
    for (size_t i = 0; i < REQUESTS; i++) {
        size_t count = i == 0 ? PROMPT_MAX : 1 + test_random(&random) % 100;
        serving_fill_prompt(prompts[i], count, &random);
        requests[i] =
            (request){.prompt = prompts[i],
                      .prompt_count = count,
                      .parameters = {.temperature = (float)(i % 3) * 0.7f,
                                     .top_p = i % 2 == 0 ? 1 : 0.9f,
                                     .repetition_penalty = i == 4 ? 1.3f : 1,
                                     .presence_penalty = i == 5 ? 0.5f : 0,
                                     .grammar = i > 6 ? SLICE_LITERAL("root ::= [^e]*") : (slice){NULL, 0},
                                     .max_tokens = 5 + (uint32_t)(test_random(&random) % 40)},
                      .seed = i};
    }
}

/* All at once, started with `pause` steps between them. */
static void assert_as_alone(const engine_options *options, size_t first, size_t count, size_t pause) {
    static answer answers[REQUESTS];
    engine_sequence *sequences[REQUESTS] = {NULL};
    engine_model *m = serving_open(&file, options);
    memset(answers, 0, sizeof answers);
    size_t running = count;
    for (size_t i = 0; i < count; i++) {
        sequences[i] = serving_start(m, &requests[first + i]);
        for (size_t step = 0; step < pause; step++) {
            running -= serving_step(m, sequences, answers, count);
        }
    }
    while (running > 0) {
        running -= serving_step(m, sequences, answers, count);
    }
    for (size_t i = 0; i < count; i++) {
        serving_assert_same(&answers[i], &alone[first + i]);
    }
    engine_close(m);
}

static void test_any_company_gives_the_answers_that_each_has_alone(void **state) {
    (void)state;
    for (size_t pause = 0; pause < 3; pause++) {
        assert_as_alone(NULL, 0, REQUESTS, pause);
        assert_as_alone(NULL, 2, 3, pause);
    }
}

static void test_any_size_of_a_pass_gives_the_same_answers(void **state) {
    (void)state;
    const uint32_t batches[] = {1, 3, 7, 64, 65, 1000};
    for (size_t i = 0; i < sizeof batches / sizeof batches[0]; i++) {
        assert_as_alone(&(engine_options){.batch = batches[i]}, 0, REQUESTS, i % 2);
    }
}

static void test_any_number_of_threads_and_kernels_gives_the_same_answers(void **state) {
    (void)state;
    error err;
    for (uint32_t count = 2; count <= 7; count += count == 3 ? 4 : 1) {
        engine_threads *threads = engine_threads_new(count, &err);
        assert_non_null(threads);
        assert_as_alone(&(engine_options){.threads = threads, .batch = 32}, 0, REQUESTS, 1);
        engine_threads_free(threads);
    }
    assert_as_alone(&(engine_options){.kernels = "plain", .batch = 32}, 0, REQUESTS, 1);
}

static void test_kernels_that_are_not_there_are_refused(void **state) {
    (void)state;
    error err;
    slice bytes = buffer_slice(&file.bytes);
    assert_null(engine_open(&bytes, 1, NULL, &(engine_options){.kernels = "abacus"}, &err));
    assert_int_equal(err.code, ERROR_UNSUPPORTED);
    assert_non_null(strstr(err.text, "abacus"));
    assert_null(engine_open(&bytes, 0, NULL, &(engine_options){0}, &err));
    assert_int_equal(err.code, ERROR_INVALID);
}

static int set_up(void **state) {
    (void)state;
    error err;
    if (!crypto_start(&err)) {
        return -1;
    }
    model_file_make(&file, &model_shape_small, 77);
    make_requests();
    engine_model *m = serving_open(&file, NULL);
    for (size_t i = 0; i < REQUESTS; i++) {
        serving_answer(m, &requests[i], &alone[i]);
    }
    engine_close(m);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    model_file_free(&file);
    crypto_stop();
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_company_gives_the_answers_that_each_has_alone),
        cmocka_unit_test(test_any_size_of_a_pass_gives_the_same_answers),
        cmocka_unit_test(test_any_number_of_threads_and_kernels_gives_the_same_answers),
        cmocka_unit_test(test_kernels_that_are_not_there_are_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
