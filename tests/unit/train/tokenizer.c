#include "tokenizer.h"

#include "gguf.h"
#include "quantise.h"
#include "questions.h"
#include "samples.h"

#include "unit.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

static const char corpus[] =
    "What is a receipt? A receipt is a signed statement. What's in a receipt? "
    "Receipts hold 32 bytes, a worker's id, a pool's id; the pool's key signs the receipt.";

static void train(arena *a, tokenizer *t) {
    error err;
    slice text = slice_of_text(corpus);
    assert_true(tokenizer_train(a, &text, 1, 300, t, &err));
}

static void check_round_trip(const tokenizer *t, slice text) {
    uint32_t ids[512];
    uint8_t decoded[2048];
    size_t count = 0;
    size_t length = 0;
    assert_true(tokenizer_encode(t, text, ids, &count, 512));
    for (size_t i = 0; i < count; i++) {
        assert_true(ids[i] < t->end_of_text);
        memcpy(decoded + length, t->pieces[ids[i]].data, t->pieces[ids[i]].length);
        length += t->pieces[ids[i]].length;
    }
    assert_true(slice_equal(slice_of(decoded, length), text));
}

static void test_every_text_comes_back(void **state) {
    (void)state;
    arena *a = arena_new(16 << 20);
    tokenizer t;
    uint8_t all[256];
    train(a, &t);
    for (size_t i = 0; i < sizeof all; i++) {
        all[i] = (uint8_t)i;
    }
    check_round_trip(&t, slice_of_text(corpus));
    check_round_trip(&t, slice_of(all, sizeof all));
    check_round_trip(&t, SLICE_LITERAL("  two  spaces\n\n and\tmore <|im_end|>'ll 'd  "));
    check_round_trip(&t, SLICE_LITERAL(""));
    arena_free(a);
}

static void test_frequent_words_become_one_token(void **state) {
    (void)state;
    arena *a = arena_new(16 << 20);
    tokenizer t;
    uint32_t ids[16];
    size_t count = 0;
    train(a, &t);
    assert_true(tokenizer_encode(&t, SLICE_LITERAL(" receipt"), ids, &count, 16));
    assert_int_equal(count, 1);
    arena_free(a);
}

static void test_text_is_split_as_gpt2_does(void **state) {
    (void)state;
    static const struct {
        const char *text;
        size_t length;
    } cases[] = {
        {"'s it", 2},  {"'llama", 3}, {" word next", 5}, {"word", 4},  {" 123abc", 4}, {"?!x", 2},
        {"\nWhat", 1}, {"   x", 2},   {"\n\n", 2},       {" \n x", 2}, {" ?", 2},      {"'x", 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(tokenizer_split(slice_of_text(cases[i].text)), cases[i].length);
    }
}

static void test_too_little_room_is_reported(void **state) {
    (void)state;
    arena *a = arena_new(16 << 20);
    tokenizer t;
    uint32_t ids[4];
    size_t count = 0;
    train(a, &t);
    assert_false(tokenizer_encode(&t, SLICE_LITERAL("zzzzz"), ids, &count, 4));
    arena_free(a);
}

static void test_failed_allocations_are_errors(void **state) {
    (void)state;
    slice text = slice_of_text(corpus);
    bool reached = true;
    for (int nth = 0; reached; nth++) {
        error err = {0};
        tokenizer t;
        arena *a = arena_new(16 << 20);
        assert_non_null(a);
        fault_fail_nth(nth);
        bool trained = tokenizer_train(a, &text, 1, 300, &t, &err);
        reached = fault_stop();
        assert_int_equal(trained, !reached);
        arena_free(a);
    }
}

static void test_halves_round_to_the_nearest(void **state) {
    (void)state;
    for (uint32_t half = 0; half < 0x7c00; half++) {
        assert_int_equal(quantise_half(quantise_from_half((uint16_t)half)), half);
    }
    assert_int_equal(quantise_half(1.0F + 0x1p-11F), 0x3c00); /* a tie goes to the even one */
    assert_int_equal(quantise_half(1.0F + 0x3p-11F), 0x3c02);
    assert_int_equal(quantise_half(-65520.0F), 0xfc00);
}

static void test_a_model_comes_back_from_its_file(void **state) {
    (void)state;
    error err;
    arena *a = arena_new((size_t)128 << 20);
    tokenizer t;
    tokenizer read_tokens;
    model m;
    model read_model;
    random_source random = random_make(3, 1);
    char path[] = "/tmp/cellule-train-XXXXXX";
    int file = mkstemp(path);
    assert_true(file >= 0);
    close(file);
    train(a, &t);
    model_shape shape = {.vocabulary = t.vocabulary,
                         .context = 32,
                         .layers = 1,
                         .width = 32,
                         .heads = 2,
                         .key_heads = 1,
                         .feed_forward = 64,
                         .rope_base = 10000.0F,
                         .epsilon = 1e-5F};
    assert_true(model_make(a, &shape, &m, &err));
    model_initialise(&m, &random);
    assert_true(gguf_write(path, &m, &t, &err));
    assert_true(gguf_read(a, path, &read_model, &read_tokens, &err));
    unlink(path);
    assert_memory_equal(&read_model.shape, &shape, sizeof shape);
    assert_int_equal(read_tokens.merges, t.merges);
    assert_memory_equal(read_tokens.pairs, t.pairs, t.merges * sizeof *t.pairs);
    for (size_t i = 0; i < m.parameter_count; i++) {
        assert_true(fabsf(m.parameters[i] - read_model.parameters[i]) < 0.01F);
    }
    arena_free(a);
}

static void test_questions_are_read_and_mistakes_named(void **state) {
    (void)state;
    error err;
    arena *a = arena_new(16 << 20);
    question_set set = {.questions = arena_allocate_array(a, QUESTIONS_MAX, sizeof(question))};
    slice good = SLICE_LITERAL("# note\nQ: One?\nQ: Uno?\nH: Eins?\nA: First.\n\nQ: Two?\nA: Second.\n");
    assert_true(questions_parse(a, good, "good", &set, &err));
    assert_int_equal(set.count, 2);
    assert_int_equal(set.questions[0].phrasing_count, 2);
    assert_true(slice_equal_text(set.questions[0].held_out[0], "Eins?"));
    assert_true(slice_equal_text(set.questions[1].answer, "Second."));
    assert_false(questions_parse(a, SLICE_LITERAL("Q: One?\n\n"), "bad", &set, &err));
    assert_non_null(strstr(err.text, "bad:2"));
    assert_false(questions_parse(a, SLICE_LITERAL("Q: caf\xc3\xa9\n"), "bad", &set, &err));
    assert_false(questions_parse(a, SLICE_LITERAL("Q: One?\nA: a\nA: b\n"), "bad", &set, &err));
    arena_free(a);
}

static void test_an_answer_breaks_off_where_it_is_told_to(void **state) {
    (void)state;
    error err;
    tokenizer t;
    gathering g;
    arena *a = arena_new(16 << 20);
    random_source random = random_make(1, 1);
    const pairing turn = {.question = SLICE_LITERAL("What?"),
                          .answer = SLICE_LITERAL("A receipt is signed.")};
    sample_changes changes = {.random = &random, .varied_percent = 0, .answer_tokens = 2};
    train(a, &t);
    assert_true(gathering_make(a, 256, 2, &g, &err));
    for (size_t i = 0; i < 2; i++) {
        size_t targets = 0;
        gathering_clear(&g);
        assert_true(gathering_add(&g, &t, &turn, 1, i == 0 ? &changes : NULL));
        for (size_t k = 0; k < g.count; k++) {
            targets += g.targets[k] != PASS_NO_TARGET;
        }
        assert_int_equal(targets == 2, i == 0);
    }
    arena_free(a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_answer_breaks_off_where_it_is_told_to),
        cmocka_unit_test(test_every_text_comes_back),
        cmocka_unit_test(test_frequent_words_become_one_token),
        cmocka_unit_test(test_text_is_split_as_gpt2_does),
        cmocka_unit_test(test_too_little_room_is_reported),
        cmocka_unit_test(test_failed_allocations_are_errors),
        cmocka_unit_test(test_halves_round_to_the_nearest),
        cmocka_unit_test(test_a_model_comes_back_from_its_file),
        cmocka_unit_test(test_questions_are_read_and_mistakes_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
