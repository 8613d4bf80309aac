#include "app_model/answer.h"
#include "bench_measure.h"
#include "conversation.h"
#include "golden_model.h"

#include "unit.h"

#include "base/memory.h"
#include "crypto/start.h"
#include "model_file.h"

/* What the tools compute, over a small model. */
static model_file file;
static engine_model *model;
static const volatile sig_atomic_t never = 0;

static int open_model(void **state) {
    (void)state;
    error err;
    model_file_make(&file, &model_shape_small, 7);
    slice bytes = buffer_slice(&file.bytes);
    model = engine_open(&bytes, 1, NULL, &(engine_options){0}, &err);
    return model != NULL ? 0 : 1;
}

static int close_model(void **state) {
    (void)state;
    engine_close(model);
    model_file_free(&file);
    return 0;
}

static bool answer_prompt(answer *a, const volatile sig_atomic_t *cancel, error *err) {
    static const uint32_t prompt[] = {3, 1, 4, 1, 5};
    static const engine_parameters parameters = {.top_p = 1, .repetition_penalty = 1, .max_tokens = 6};
    static const engine_draw draw = {0};
    const answer_request request = {
        .prompt = prompt, .prompt_count = 5, .parameters = &parameters, .draw = &draw, .cancel = cancel};
    return answer_compute(a, model, &request, err);
}

static void test_an_answer_has_its_tokens_and_times(void **state) {
    (void)state;
    answer a;
    error err;
    assert_true(answer_prompt(&a, &never, &err));
    assert_false(a.cancelled);
    assert_int_equal(a.usage.prompt_tokens, 5);
    assert_int_equal(buffer_length(&a.tokens), a.usage.completion_tokens * sizeof(uint32_t));
    assert_true(a.prefill_seconds > 0);
    assert_true(answer_prefill_speed(&a) > 0);
    answer_free(&a);
}

static void test_a_cancelled_answer_ends_with_the_pass(void **state) {
    (void)state;
    static const volatile sig_atomic_t now = 1;
    answer a;
    error err;
    assert_true(answer_prompt(&a, &now, &err));
    assert_true(a.cancelled);
    assert_int_equal(a.usage.completion_tokens, 1);
    assert_true(answer_decode_speed(&a) == 0);
    answer_free(&a);
}

static void test_a_lack_of_memory_ends_an_answer(void **state) {
    (void)state;
    bool reached = true;
    for (int nth = 0; reached; nth++) {
        answer a;
        error err;
        fault_fail_nth(nth);
        bool good = answer_prompt(&a, &never, &err);
        reached = fault_stop();
        assert_true(good || err.code == ERROR_MEMORY);
        answer_free(&a);
    }
}

static void test_a_conversation_keeps_its_system_message(void **state) {
    (void)state;
    static conversation c;
    error err;
    char text[] = "hello";
    conversation_start(&c, "be brief");
    assert_true(conversation_add(&c, "user", slice_of(text, 5), &err));
    text[0] = 'j';
    assert_true(slice_equal_text(c.messages[1].content, "hello"));
    assert_true(conversation_add(&c, "assistant", (slice){NULL, 0}, &err));
    conversation_drop(&c);
    assert_int_equal(c.count, 2);
    conversation_clear(&c);
    conversation_drop(&c);
    assert_int_equal(c.count, 1);
    assert_true(slice_equal_text(c.messages[0].content, "be brief"));
    fault_fail_nth(0);
    bool added = conversation_add(&c, "user", slice_of(text, 5), &err);
    assert_true(added != fault_stop());
    while (c.count < ENGINE_MESSAGES_MAX) {
        assert_true(conversation_add(&c, "user", slice_of(text, 5), &err));
    }
    assert_false(conversation_add(&c, "user", slice_of(text, 5), &err));
    assert_int_equal(err.code, ERROR_LIMIT);
    conversation_clear(&c);
}

static const bench_sizes tiny = {.prefill = 4,
                                 .decode = 3,
                                 .batch = 2,
                                 .score_prompt = 3,
                                 .score_answer = 4,
                                 .streams = 2,
                                 .depth = 64,
                                 .runs = 2};

static void test_every_part_is_measured(void **state) {
    (void)state;
    bench_times t = {0};
    error err;
    assert_true(bench_first(model, &t.first, &err));
    if (!bench_measure(model, &tiny, &t, &err)) {
        fail_msg("%s", err.text);
    }
    const double all[] = {t.first,          t.prefill, t.decode,       t.batch_one,   t.batch, t.produce,
                          t.produce_stream, t.score,   t.score_stream, t.deep_prompt, t.deep};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        assert_true(all[i] > 0);
    }
}

static void test_attention_is_what_grows(void **state) {
    (void)state;
    const bench_sizes s = {.prefill = 100, .depth = 1000};
    const bench_times t = {.prefill = 1, .deep = 2, .deep_prompt = 10};
    assert_true(bench_attention_deep(&s, &t) > 0.5249 && bench_attention_deep(&s, &t) < 0.5251);
    assert_true(bench_attention_prompt(&s, &t) > 0.499 && bench_attention_prompt(&s, &t) < 0.501);
    const bench_times noise = {.prefill = 2, .deep = 1, .deep_prompt = 10};
    assert_true(bench_attention_deep(&s, &noise) == 0);
}

static void test_a_lack_of_memory_ends_the_measuring(void **state) {
    (void)state;
    bench_sizes small = tiny;
    small.depth = 0; /* what isn't shared for want of memory makes another error of it */
    small.runs = 1;
    bool reached = true;
    for (int nth = 0; reached; nth++) {
        bench_times t = {0};
        error err;
        fault_fail_nth(nth);
        bool good = bench_measure(model, &small, &t, &err);
        reached = fault_stop();
        assert_true(good || err.code == ERROR_MEMORY);
    }
}

static void test_all_ways_to_compute_a_model_give_the_same(void **state) {
    (void)state;
    static model_files files;
    static golden_model g;
    error err;
    engine_threads *threads[GOLDEN_THREADS];
    const char *forms[GOLDEN_FORMS_MAX];
    size_t count = golden_forms(forms);
    files.parts[0] = buffer_slice(&file.bytes);
    files.count = 1;
    for (uint32_t i = 0; i < GOLDEN_THREADS; i++) {
        threads[i] = engine_threads_new(i + 1, &err);
        assert_non_null(threads[i]);
    }
    if (!golden_model_run(&g, &files, forms, count, threads, &err)) {
        fail_msg("%s", err.text);
    }
    assert_string_equal(g.difference, "");
    assert_int_equal(g.ways, 2 * GOLDEN_THREADS * count);
    assert_memory_not_equal(g.answers[0].digest, g.answers[1].digest, ENGINE_DIGEST_SIZE);
    for (uint32_t i = 0; i < GOLDEN_THREADS; i++) {
        engine_threads_free(threads[i]);
    }
}

int main(void) {
    error err;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_answer_has_its_tokens_and_times),
        cmocka_unit_test(test_a_cancelled_answer_ends_with_the_pass),
        cmocka_unit_test(test_a_lack_of_memory_ends_an_answer),
        cmocka_unit_test(test_a_conversation_keeps_its_system_message),
        cmocka_unit_test(test_every_part_is_measured),
        cmocka_unit_test(test_attention_is_what_grows),
        cmocka_unit_test(test_a_lack_of_memory_ends_the_measuring),
        cmocka_unit_test(test_all_ways_to_compute_a_model_give_the_same),
    };
    if (!crypto_start(&err)) {
        return 1;
    }
    return cmocka_run_group_tests(tests, open_model, close_model);
}
