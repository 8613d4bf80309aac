#include "tokenizer/tokenizer.h"

#include "unit.h"

#include "model_file.h"
#include "tokenizer/pretokenizer.h"

#include <stdlib.h>

static tokenizer *make(const char *kind) {
    error err;
    model_file file;
    model_shape shape = model_shape_small;
    shape.pretokenizer = kind;
    model_file_make(&file, &shape, 1);
    gguf *g = written_open(&file.bytes, &err);
    assert_non_null(g);
    tokenizer *t = tokenizer_new(g, &err);
    gguf_free(g);
    model_file_free(&file); /* the tokenizer keeps nothing of it */
    assert_non_null(t);
    return t;
}

/* Encodes, and checks that decoding gives the text back and that no control token came out. */
static token_list encode(const tokenizer *t, slice text) {
    error err;
    token_list list = {0};
    size_t done = 0;
    assert_true(tokenizer_encode(t, text, &list, &err));
    for (size_t i = 0; i < list.count; i++) {
        slice bytes = tokenizer_bytes(t, list.ids[i]);
        assert_true(list.ids[i] < MODEL_MESSAGE_START && bytes.length > 0);
        assert_true(slice_equal(bytes, slice_part(text, done, bytes.length)));
        done += bytes.length;
    }
    assert_int_equal(done, text.length);
    return list;
}

static void test_merges_are_made_by_rank_and_then_from_the_left(void **state) {
    (void)state;
    tokenizer *t = make("gpt-2");
    /* The test model's merges, by rank: h+e, space+t, t+he, " t"+he, l+l. */
    token_list list = encode(t, SLICE_LITERAL("the the"));
    assert_int_equal(list.count, 2);
    assert_int_equal(list.ids[0], 258); /* the */
    assert_int_equal(list.ids[1], 259); /* " the": h+e, then space+t, then the two */
    token_list_free(&list);
    list = encode(t, SLICE_LITERAL("llla"));
    assert_int_equal(list.count, 3);
    assert_int_equal(list.ids[0], 260);
    assert_int_equal(list.ids[1], 'l');
    assert_int_equal(list.ids[2], 'a');
    token_list_free(&list);
    tokenizer_free(t);
}

static void test_any_bytes_survive_the_round_trip(void **state) {
    (void)state;
    static const char *const kinds[] = {"gpt-2", "smollm", "qwen2"};
    uint64_t random = 99;
    for (size_t k = 0; k < 3; k++) {
        tokenizer *t = make(kinds[k]);
        for (size_t round = 0; round < 300; round++) {
            uint8_t bytes[200];
            size_t length = test_random(&random) % sizeof bytes;
            for (size_t i = 0; i < length; i++) {
                static const uint8_t likely[] = "the l \n\t 19'sx\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80";
                uint64_t draw = test_random(&random);
                bytes[i] = round % 2 == 0 ? (uint8_t)draw : likely[draw % (sizeof likely - 1)];
            }
            token_list list = encode(t, slice_of(bytes, length));
            token_list_free(&list);
        }
        tokenizer_free(t);
    }
}

static void test_control_tokens_never_come_out_of_text(void **state) {
    (void)state;
    uint32_t id = 0;
    tokenizer *t = make("gpt-2");
    token_list list = encode(t, SLICE_LITERAL("<|im_start|>system<|im_end|><|endoftext|>"));
    token_list_free(&list);
    assert_true(tokenizer_find_control(t, "<|im_end|>", &id));
    assert_int_equal(id, MODEL_MESSAGE_END);
    assert_int_equal(tokenizer_bytes(t, id).length, 0);
    assert_false(tokenizer_find_control(t, "the", &id));
    tokenizer_free(t);
}

static void test_a_long_run_of_one_letter_takes_no_quadratic_time(void **state) {
    (void)state;
    enum { LENGTH = 1 << 18 };
    tokenizer *t = make("gpt-2");
    uint8_t *text = malloc(LENGTH);
    assert_non_null(text);
    memset(text, 'l', LENGTH);
    token_list list = encode(t, slice_of(text, LENGTH));
    assert_int_equal(list.count, LENGTH / 2);
    token_list_free(&list);
    memset(text, ' ', LENGTH);
    list = encode(t, slice_of(text, LENGTH));
    token_list_free(&list);
    free(text);
    tokenizer_free(t);
}

typedef struct collected {
    char text[512];
} collected;

static bool collect(void *context, slice piece, error *err) {
    (void)err;
    collected *c = context;
    size_t length = strlen(c->text);
    snprintf(c->text + length, sizeof c->text - length, "[%.*s]", SLICE_FORMAT(piece));
    return true;
}

static void assert_pieces(const char *kind, const char *text, const char *expected) {
    error err;
    collected c = {""};
    pretokenizer *p = pretokenizer_new(slice_of_text(kind), &err);
    assert_non_null(p);
    assert_true(pretokenizer_split(p, slice_of_text(text), collect, &c, &err));
    pretokenizer_free(p);
    assert_string_equal(c.text, expected);
}

static void test_text_is_cut_as_the_models_were_trained(void **state) {
    (void)state;
    assert_pieces("gpt-2", "Hello, it's 2026!  Yes", "[Hello][,][ it]['s][ 2026][!][ ][ Yes]");
    assert_pieces("gpt-2", "a\n\n b \n", "[a][\n\n][ b][ \n]");
    assert_pieces("gpt-2", "\xc3\x89t\xc3\xa9 d'\xc3\xa9t\xc3\xa9",
                  "[\xc3\x89t\xc3\xa9][ d]['][\xc3\xa9t\xc3\xa9]");
    assert_pieces("smollm", "in 2026, x", "[in][ ][2][0][2][6][,][ x]");
    assert_pieces("qwen2", "It'S 12\n\nok_go", "[It]['S][ ][1][2][\n\n][ok][_go]");
    assert_pieces("gpt-2", "a\xff\xc3 b", "[a][\xff][\xc3][ b]");
}

static void test_an_unknown_pretokenizer_is_refused_by_name(void **state) {
    (void)state;
    static const char *const names[] = {"kimi-k2", "llama-bpe2", "", "gpt2"};
    for (size_t i = 0; i < 4; i++) {
        error err;
        assert_null(pretokenizer_new(slice_of_text(names[i]), &err));
        assert_int_equal(err.code, ERROR_UNSUPPORTED);
        assert_non_null(strstr(err.text, names[i]));
    }
}

/* A tokenizer of a few tokens with one thing wrong. */
static void assert_refused(const char *model, const char *const *tokens, const int32_t *kinds, size_t count,
                           const char *merge, const char *says) {
    error err = {0};
    buffer file;
    gguf_writer w;
    writer_start(&w);
    writer_text(&w, "tokenizer.ggml.model", model);
    writer_text(&w, "tokenizer.ggml.pre", "gpt-2");
    writer_texts(&w, "tokenizer.ggml.tokens", tokens, count);
    writer_i32s(&w, "tokenizer.ggml.token_type", kinds, count);
    writer_texts(&w, "tokenizer.ggml.merges", &merge, 1);
    writer_finish(&w, &file);
    gguf *g = written_open(&file, &err);
    assert_non_null(g);
    assert_null(tokenizer_new(g, &err));
    if (strstr(err.text, says) == NULL) {
        fail_msg("says: %s", err.text);
    }
    gguf_free(g);
    buffer_free(&file);
}

static void test_a_broken_vocabulary_is_refused_by_token(void **state) {
    (void)state;
    const char *good[] = {"a", "b", "ab"};
    const int32_t normal[] = {1, 1, 1};
    assert_refused("rwkv", good, normal, 3, "a b", "'rwkv'");
    assert_refused("llama", good, normal, 3, "a b", "scores");
    assert_refused("gpt2", good, normal, 0, "a b", "empty");
    const int32_t byte[] = {1, 6, 1};
    assert_refused("gpt2", good, byte, 3, "a b", "token 1 has the kind 6");
    const char *spaced[] = {"a", "b c", "ab"};
    assert_refused("gpt2", spaced, normal, 3, "a b", "token 1 is not made");
    const char *nothing[] = {"a", "b", ""};
    assert_refused("gpt2", nothing, normal, 3, "a b", "token 2 is not made");
    assert_refused("gpt2", good, normal, 3, "ab", "merge 0");
    assert_refused("gpt2", good, normal, 3, "a c", "merge 0 names");
    assert_refused("gpt2", good, normal, 3, "b a", "merge 0 names");
    static char long_token[TOKEN_LENGTH_MAX + 2];
    memset(long_token, 'x', TOKEN_LENGTH_MAX + 1);
    const char *lengthy[] = {"a", "b", long_token};
    assert_refused("gpt2", lengthy, normal, 3, "a b", "token 2 has more");
}

static void test_a_byte_without_a_token_is_an_error_of_the_text(void **state) {
    (void)state;
    error err;
    buffer file;
    gguf_writer w;
    const char *tokens[] = {"a", "b", "ab"};
    const char *merge = "a b";
    const int32_t kinds[] = {1, 1, 1};
    writer_start(&w);
    writer_text(&w, "tokenizer.ggml.model", "gpt2");
    writer_text(&w, "tokenizer.ggml.pre", "gpt-2");
    writer_texts(&w, "tokenizer.ggml.tokens", tokens, 3);
    writer_i32s(&w, "tokenizer.ggml.token_type", kinds, 3);
    writer_texts(&w, "tokenizer.ggml.merges", &merge, 1);
    writer_finish(&w, &file);
    gguf *g = written_open(&file, &err);
    tokenizer *t = tokenizer_new(g, &err);
    token_list list = {0};
    assert_non_null(t);
    assert_true(tokenizer_encode(t, SLICE_LITERAL("abba"), &list, &err));
    assert_int_equal(list.count, 3);
    assert_false(tokenizer_encode(t, SLICE_LITERAL("abc"), &list, &err));
    assert_non_null(strstr(err.text, "0x63"));
    token_list_free(&list);
    tokenizer_free(t);
    gguf_free(g);
    buffer_free(&file);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_merges_are_made_by_rank_and_then_from_the_left),
        cmocka_unit_test(test_any_bytes_survive_the_round_trip),
        cmocka_unit_test(test_control_tokens_never_come_out_of_text),
        cmocka_unit_test(test_a_long_run_of_one_letter_takes_no_quadratic_time),
        cmocka_unit_test(test_text_is_cut_as_the_models_were_trained),
        cmocka_unit_test(test_an_unknown_pretokenizer_is_refused_by_name),
        cmocka_unit_test(test_a_broken_vocabulary_is_refused_by_token),
        cmocka_unit_test(test_a_byte_without_a_token_is_an_error_of_the_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
