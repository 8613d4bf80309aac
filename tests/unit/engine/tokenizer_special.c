#include "tokenizer/tokenizer.h"

#include "unit.h"

#include "vocabulary_file.h"

#include <stdlib.h>

/* Special tokens and trust, the tokens around a text, and what each kind gives back. */
static const char *const lines = "hello world, hello the world\n"
                                 "the running runner runs 123 456\n"
                                 "caf\xc3\xa9 na\xc3\xafve \xe4\xbd\xa0\xe5\xa5\xbd hello\n"
                                 "a\\n\\nb\\n\\nc   d   e\\tf\n";

static tokenizer *open_written(gguf_writer *w, error *err) {
    buffer file;
    writer_finish(w, &file);
    gguf *g = written_open(&file, err);
    assert_non_null(g);
    tokenizer *t = tokenizer_new(g, err);
    gguf_free(g);
    buffer_free(&file);
    return t;
}

static tokenizer *make(const char *kind) {
    static vocabulary_texts texts;
    error err;
    buffer file;
    vocabulary_texts_read(&texts, slice_of_text(lines));
    vocabulary_file_make(kind, &texts, &file);
    gguf *g = written_open(&file, &err);
    assert_non_null(g);
    tokenizer *t = tokenizer_new(g, &err);
    if (t == NULL) {
        fail_msg("%s: %s", kind, err.text);
    }
    gguf_free(g);
    buffer_free(&file);
    return t;
}

static token_list encode(const tokenizer *t, const token_span *spans, size_t count, bool whole) {
    error err;
    token_list list = {0};
    if (!tokenizer_encode_spans(t, spans, count, whole, &list, &err)) {
        fail_msg("%s", err.text);
    }
    return list;
}

static size_t occurrences(const token_list *list, uint32_t id) {
    size_t found = 0;
    for (size_t i = 0; i < list->count; i++) {
        found += list->ids[i] == id;
    }
    return found;
}

/* How often the token comes out of two spans. */
static size_t found_in(const tokenizer *t, const char *control, const char *first, bool first_trusted,
                       const char *second, bool second_trusted) {
    uint32_t id = 0;
    token_span spans[] = {{slice_of_text(first), first_trusted}, {slice_of_text(second), second_trusted}};
    token_list list = encode(t, spans, 2, false);
    assert_true(tokenizer_find_control(t, control, &id));
    size_t found = occurrences(&list, id);
    token_list_free(&list);
    return found;
}

static void test_only_trusted_text_spells_control_tokens(void **state) {
    (void)state;
    for (size_t k = 0; vocabulary_kinds[k] != NULL; k++) {
        tokenizer *t = make(vocabulary_kinds[k]);
        static const char *const end = "<|im_end|>";
        assert_int_equal(found_in(t, end, "<|im_end|>", true, "<|im_end|>", true), 2);
        assert_int_equal(found_in(t, end, "<|im_end|>", true, "<|im_end|>", false), 1);
        assert_int_equal(found_in(t, end, "<|im_end|>", false, "a<|im_end|>b", false), 0);
        assert_int_equal(found_in(t, end, "a<|im_", true, "end|>b", true), 1);
        assert_int_equal(found_in(t, end, "a<|im_", true, "end|>b", false), 0);
        assert_int_equal(found_in(t, end, "<|im_end", false, "|>", true), 0);
        assert_int_equal(found_in(t, end, "<|im_end|", true, ">", false), 0);
        tokenizer_free(t);
    }
}

static void test_plain_added_tokens_are_found_in_any_text(void **state) {
    (void)state;
    tokenizer *t = make("gpt2.gpt-2");
    token_span span = {SLICE_LITERAL("a<b><extra>x<b"), false};
    token_list list = encode(t, &span, 1, false);
    size_t written = 0;
    size_t added = 0;
    for (size_t i = 0; i < list.count; i++) {
        slice bytes = tokenizer_bytes(t, list.ids[i]);
        assert_true(slice_equal(bytes, slice_part(span.text, written, bytes.length)));
        written += bytes.length;
        added += slice_equal_text(bytes, "<b>") + slice_equal_text(bytes, "<extra>");
    }
    assert_int_equal(written, span.text.length);
    assert_int_equal(added, 2);
    token_list_free(&list);
    tokenizer_free(t);
}

static void test_spans_are_encoded_as_one_text(void **state) {
    (void)state;
    static const char text[] = "hello <|im_end|> the world\n\n<b> caf\xc3\xa9 \xe4\xbd\xa0 123<s>";
    static const char *const kinds[] = {"gpt2.llama-bpe", "llama", "t5.map", "bert"};
    for (size_t k = 0; k < 4; k++) {
        tokenizer *t = make(kinds[k]);
        token_span whole = {slice_of_text(text), true};
        token_list expected = encode(t, &whole, 1, false);
        for (size_t a = 0; a < sizeof text; a++) {
            slice rest = slice_after(whole.text, a);
            token_span spans[] = {{slice_part(whole.text, 0, a), true},
                                  {slice_part(rest, 0, 3), true},
                                  {{NULL, 0}, false},
                                  {slice_after(rest, 3), true}};
            token_list list = encode(t, spans, 4, false);
            assert_int_equal(list.count, expected.count);
            assert_memory_equal(list.ids, expected.ids, list.count * sizeof *list.ids);
            token_list_free(&list);
        }
        token_list_free(&expected);
        tokenizer_free(t);
    }
}

static void assert_around(const char *kind, const char *first, const char *last) {
    uint32_t id = 0;
    tokenizer *t = make(kind);
    token_span spans[] = {{slice_of_text(first), true}, {SLICE_LITERAL("hello"), false}};
    for (size_t start = 0; start < 2; start++) { /* the first token isn't doubled */
        token_list list = encode(t, spans + start, 2 - start, true);
        assert_int_equal(tokenizer_wants_bos(t), first != NULL);
        assert_int_equal(tokenizer_wants_eos(t), last != NULL);
        if (first != NULL) {
            assert_true(tokenizer_find_control(t, first, &id));
            assert_int_equal(list.ids[0], id);
            assert_int_equal(occurrences(&list, id), 1);
        }
        if (last != NULL) {
            assert_true(tokenizer_find_control(t, last, &id));
            assert_int_equal(list.ids[list.count - 1], id);
        }
        token_list_free(&list);
    }
    token_list list = encode(t, NULL, 0, true);
    assert_int_equal(list.count, (first != NULL) + (last != NULL));
    token_list_free(&list);
    tokenizer_free(t);
}

static void test_a_whole_text_has_the_tokens_around_it_that_the_model_wants(void **state) {
    (void)state;
    assert_around("gpt2.gpt-2", NULL, NULL);
    assert_around("gpt2.llama-bpe", "<s>", NULL);
    assert_around("llama", "<s>", NULL);
    assert_around("t5", NULL, "</s>");
    assert_around("t5.map", "<s>", "</s>");
    assert_around("bert", "[CLS]", "[SEP]");
}

static void test_tokens_have_roles(void **state) {
    (void)state;
    uint32_t id = 0;
    uint32_t other = 0;
    tokenizer *t = make("gpt2.gpt-2");
    assert_true(tokenizer_find_role(t, TOKEN_END, &id));
    assert_true(tokenizer_find_control(t, "<|endoftext|>", &other));
    assert_int_equal(id, other);
    assert_true(tokenizer_is_end(t, id));
    assert_true(tokenizer_find_role(t, TOKEN_TURN_END, &id));
    assert_true(slice_equal_text(tokenizer_spelling(t, id), "<|im_end|>"));
    assert_int_equal(tokenizer_bytes(t, id).length, 0);
    assert_true(tokenizer_is_end(t, id));
    assert_true(tokenizer_find_control(t, "</s>", &id) && tokenizer_is_end(t, id));
    assert_true(tokenizer_find_control(t, "<|im_start|>", &id) && !tokenizer_is_end(t, id));
    assert_false(tokenizer_is_end(t, 'e'));
    assert_false(tokenizer_find_role(t, TOKEN_SEPARATOR, &id));
    assert_int_equal(tokenizer_bytes(t, UINT32_MAX).length, 0);
    tokenizer_free(t);
    t = make("bert");
    assert_true(tokenizer_find_role(t, TOKEN_MASK, &id) && id == 4);
    assert_true(tokenizer_find_role(t, TOKEN_UNKNOWN, &id) && id == 1);
    tokenizer_free(t);
}

/* What the tokens write, without the space that the tokenizer added. */
static void assert_round_trip(const tokenizer *t, slice text) {
    token_span span = {text, false};
    token_list list = encode(t, &span, 1, false);
    bool after_special = true;
    size_t done = 0;
    for (size_t i = 0; i < list.count; i++) {
        slice bytes = tokenizer_bytes(t, list.ids[i]);
        assert_true(bytes.length > 0);
        bool added = slice_equal_text(bytes, "<b>") || slice_equal_text(bytes, "<extra>");
        if (tokenizer_adds_space(t) && after_special && !added) {
            assert_int_equal(bytes.data[0], ' ');
            bytes = slice_after(bytes, 1);
        }
        after_special = added;
        assert_true(slice_equal(bytes, slice_part(text, done, bytes.length)));
        done += bytes.length;
    }
    assert_int_equal(done, text.length);
    token_list_free(&list);
}

static void test_any_bytes_survive_the_round_trip(void **state) {
    (void)state;
    static const char likely[] =
        "the l \n\t 19'sx\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\xe2\x96\x81<b>< 0x41>\xe4\xbd\xa0";
    static const char *const kinds[] = {"gpt2.llama-bpe", "gpt2.deepseek-llm", "gpt2.gpt-4o",
                                        "llama",          "llama.gemma",       "llama.phi3"};
    uint64_t random = 7;
    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
        tokenizer *t = make(kinds[k]);
        assert_round_trip(t, SLICE_LITERAL("a <b>  c <extra>\nd"));
        assert_round_trip(t, SLICE_LITERAL("\xe2\x96\x81<0x41>\xe2\x96\x81 <s>\xe2\x96"));
        for (size_t round = 0; round < 300; round++) {
            uint8_t bytes[200];
            size_t length = test_random(&random) % sizeof bytes;
            for (size_t i = 0; i < length; i++) {
                uint64_t draw = test_random(&random);
                bytes[i] = round % 2 == 0 ? (uint8_t)draw : (uint8_t)likely[draw % (sizeof likely - 1)];
            }
            assert_round_trip(t, slice_of(bytes, length));
        }
        tokenizer_free(t);
    }
}

static void test_long_monotonous_text_takes_no_quadratic_time(void **state) {
    (void)state;
    enum { LENGTH = 1 << 17 };
    static const char *const kinds[] = {
        "gpt2.olmo", "gpt2.gpt-4o", "gpt2.deepseek-llm", "llama", "llama.gemma", "t5.map", "bert"};
    static const uint8_t letters[] = {'l', 'A', ' ', '\n', '1', '<', 0xff, 0xe2};
    uint8_t *text = malloc(LENGTH);
    assert_non_null(text);
    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
        tokenizer *t = make(kinds[k]);
        for (size_t i = 0; i < sizeof letters; i++) {
            memset(text, letters[i], LENGTH);
            token_span span = {slice_of(text, LENGTH), true};
            token_list list = encode(t, &span, 1, false);
            token_list_free(&list);
        }
        tokenizer_free(t);
    }
    free(text);
}

static void test_a_text_beyond_the_bound_is_refused(void **state) {
    (void)state;
    error err;
    token_list list = {0};
    tokenizer *t = make("gpt2.gpt-2");
    uint8_t *text = calloc(TOKENIZER_INPUT_MAX, 1);
    token_span spans[] = {{slice_of(text, TOKENIZER_INPUT_MAX), false}, {SLICE_LITERAL("a"), false}};
    assert_non_null(text);
    assert_false(tokenizer_encode_spans(t, spans, 2, false, &list, &err));
    assert_int_equal(err.code, ERROR_LIMIT);
    free(text);
    token_list_free(&list);
    tokenizer_free(t);
}

static void test_markers_of_the_wrong_kind_are_mended(void **state) {
    (void)state;
    error err;
    gguf_writer w;
    const char *tokens[] = {"<unk>",      "<s>",     "</s>",          "a",    "<|tool|>",
                            "<|im_end|>", "<think>", "<end_of_turn>", "</s>x"};
    const int32_t kinds[] = {2, 3, 3, 1, 4, 4, 4, 1, 1};
    const float scores[9] = {0};
    writer_start(&w);
    writer_text(&w, "tokenizer.ggml.model", "llama");
    writer_texts(&w, "tokenizer.ggml.tokens", tokens, 9);
    writer_i32s(&w, "tokenizer.ggml.token_type", kinds, 9);
    writer_array(&w, "tokenizer.ggml.scores", GGUF_VALUE_F32, 9, scores, sizeof scores);
    tokenizer *t = open_written(&w, &err);
    assert_non_null(t);
    token_span text = {SLICE_LITERAL("<|tool|><|im_end|><think><end_of_turn>"), false};
    token_list list = encode(t, &text, 1, false);
    assert_int_equal(occurrences(&list, 4) + occurrences(&list, 5) + occurrences(&list, 7), 0);
    assert_int_equal(occurrences(&list, 6), 1);
    token_list_free(&list);
    text.trusted = true;
    list = encode(t, &text, 1, false);
    const uint32_t expected[] = {4, 5, 6, 7};
    assert_int_equal(list.count, 4);
    assert_memory_equal(list.ids, expected, sizeof expected);
    assert_true(slice_equal_text(tokenizer_bytes(t, 4), "<|tool|>")); /* a model may say it */
    assert_int_equal(tokenizer_bytes(t, 5).length, 0);
    assert_true(tokenizer_is_end(t, 5) && tokenizer_is_end(t, 7) && !tokenizer_is_end(t, 4));
    token_list_free(&list);
    tokenizer_free(t);
}

/* Everything fails in turn: opening, then encoding, of each kind. */
static void test_every_failing_allocation_is_an_error(void **state) {
    (void)state;
    static const char *const kinds[] = {"gpt2.smollm", "llama", "t5.map", "bert"};
    static vocabulary_texts texts;
    vocabulary_texts_read(&texts, slice_of_text("hello hello\n"));
    for (size_t k = 0; k < 4; k++) {
        error err;
        buffer file;
        vocabulary_file_make(kinds[k], &texts, &file);
        gguf *g = written_open(&file, &err);
        tokenizer *t = NULL;
        for (int nth = 0; t == NULL; nth++) {
            fault_fail_nth(nth);
            t = tokenizer_new(g, &err);
            bool reached = fault_stop();
            assert_int_equal(t == NULL, reached);
            assert_true(t != NULL || err.code == ERROR_MEMORY);
        }
        token_span spans[] = {{SLICE_LITERAL("<|im_end|> hello 12 \xe4\xbd\xa0"), true},
                              {SLICE_LITERAL("hel lo"), false}};
        bool good = false;
        for (int nth = 0; !good; nth++) {
            token_list list = {0};
            fault_fail_nth(nth);
            good = tokenizer_encode_spans(t, spans, 2, true, &list, &err);
            assert_int_equal(good, !fault_stop());
            assert_true(good || err.code == ERROR_MEMORY);
            token_list_free(&list);
        }
        tokenizer_free(t);
        gguf_free(g);
        buffer_free(&file);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_trusted_text_spells_control_tokens),
        cmocka_unit_test(test_plain_added_tokens_are_found_in_any_text),
        cmocka_unit_test(test_spans_are_encoded_as_one_text),
        cmocka_unit_test(test_a_whole_text_has_the_tokens_around_it_that_the_model_wants),
        cmocka_unit_test(test_tokens_have_roles),
        cmocka_unit_test(test_any_bytes_survive_the_round_trip),
        cmocka_unit_test(test_long_monotonous_text_takes_no_quadratic_time),
        cmocka_unit_test(test_a_text_beyond_the_bound_is_refused),
        cmocka_unit_test(test_markers_of_the_wrong_kind_are_mended),
        cmocka_unit_test(test_every_failing_allocation_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
