#include "engine/engine.h"

#include "unit.h"

#include "crypto/hash.h"
#include "crypto/start.h"
#include "model_file.h"

#include <stdlib.h>

static const engine_options usual;

/* What opening a file says; ERROR_NONE when it opens. */
static error_code open_file(const model_file *file, const engine_options *options,
                            char text[ERROR_TEXT_SIZE]) {
    error err = {0};
    engine_model *m = engine_open(buffer_slice(&file->bytes), NULL, options, &err);
    error_code code = m == NULL ? err.code : ERROR_NONE;
    memcpy(text, err.text, sizeof err.text);
    engine_close(m);
    return code;
}

static uint8_t *find_text(model_file *file, const char *text) {
    size_t place = slice_find_slice(buffer_slice(&file->bytes), slice_of_text(text));
    assert_true(place != SIZE_MAX);
    return file->bytes.bytes + file->bytes.start + place;
}

static void test_a_good_file_is_described(void **state) {
    (void)state;
    error err;
    uint8_t digest[HASH_SIZE];
    model_file file;
    model_file_make(&file, &model_shape_small, 1);
    engine_model *m = engine_open(buffer_slice(&file.bytes), NULL, &usual, &err);
    assert_non_null(m);
    const engine_information *i = engine_describe(m);
    assert_true(hash_sha256(buffer_slice(&file.bytes), digest, &err));
    assert_memory_equal(i->digest, digest, sizeof digest);
    assert_true(slice_equal_text(i->name, "random test model"));
    assert_int_equal(i->context, 256);
    assert_int_equal(i->vocabulary, MODEL_VOCABULARY);
    size_t parameters = 0;
    for (size_t t = 0; t < file.tensor_count; t++) {
        parameters += (size_t)file.tensors[t].columns * file.tensors[t].rows;
    }
    assert_int_equal(i->parameters, parameters);
    assert_int_equal(i->sequence_memory,
                     2 * 2 * 2 * 2 * 16 * 256); /* K and V, bytes, layers, heads, size, positions */
    assert_string_equal(i->chat_format, "chatml");
    engine_close(m);
    model_file_free(&file);
}

static void test_what_is_not_understood_is_refused_by_name(void **state) {
    (void)state;
    static const struct {
        const char *from;
        const char *to; /* of the same length */
        error_code code;
        const char *says;
    } changes[] = {
        {"llama.rope.freq_base", "llama.rope.freq_bass", ERROR_UNSUPPORTED, "'llama.rope.freq_bass'"},
        {"llama.context_length", "llama.context_lengtX", ERROR_UNSUPPORTED, "'llama.context_lengtX'"},
        {"llama.context_length", "other.context_length", ERROR_NOT_FOUND, "'llama.context_length'"},
        {"llama", "gemma", ERROR_UNSUPPORTED, "'gemma'"},
        {"blk.1.ffn_up.weight", "blk.1.ffn_xx.weight", ERROR_CORRUPT, "'blk.1.ffn_up.weight'"},
        {"token_embd.weight", "token_embd.weighs", ERROR_CORRUPT, "'token_embd.weight'"},
        {"tokenizer.ggml.pre", "tokenizer.ggml.prX", ERROR_NOT_FOUND, "'tokenizer.ggml.pre'"},
    };
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        char text[ERROR_TEXT_SIZE];
        model_file file;
        model_file_make(&file, &model_shape_small, 1);
        memcpy(find_text(&file, changes[i].from), changes[i].to, strlen(changes[i].to));
        assert_int_equal(open_file(&file, &usual, text), changes[i].code);
        if (strstr(text, changes[i].says) == NULL) {
            fail_msg("change %zu says: %s", i, text);
        }
        model_file_free(&file);
    }
}

static void test_a_model_without_template_and_markers_has_no_conversations(void **state) {
    (void)state;
    error err;
    model_file file;
    uint32_t *tokens = NULL;
    size_t count = 0;
    engine_message message = {SLICE_LITERAL("user"), SLICE_LITERAL("hello")};
    model_file_make(&file, &model_shape_small, 1);
    memcpy(find_text(&file, "<|im_end|>"), "<|in_end|>", strlen("<|in_end|>"));
    engine_model *m = engine_open(buffer_slice(&file.bytes), NULL, &usual, &err);
    assert_non_null(m);
    assert_string_equal(engine_describe(m)->chat_format, "none");
    assert_false(engine_prompt(m, &message, 1, &tokens, &count, &err));
    assert_int_equal(err.code, ERROR_UNSUPPORTED);
    assert_non_null(strstr(err.text, "chat template"));
    engine_close(m);
    model_file_free(&file);
}

/* Sets the u32 value of a key. */
static error_code open_with(const char *key, uint32_t value, char text[ERROR_TEXT_SIZE]) {
    model_file file;
    model_file_make(&file, &model_shape_small, 1);
    memcpy(find_text(&file, key) + strlen(key) + 4, &value, sizeof value);
    error_code code = open_file(&file, &usual, text);
    model_file_free(&file);
    return code;
}

static void test_sizes_that_do_not_fit_together_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *key;
        uint32_t value;
        error_code code;
        const char *says;
    } changes[] = {
        {"llama.block_count", 1, ERROR_UNSUPPORTED, "blk.1."},
        {"llama.block_count", 3, ERROR_CORRUPT, "blk.2."},
        {"llama.block_count", 0, ERROR_UNSUPPORTED, "llama.block_count"},
        {"llama.embedding_length", 32, ERROR_CORRUPT, "token_embd.weight"},
        {"llama.embedding_length", UINT32_MAX, ERROR_UNSUPPORTED, "llama.embedding_length"},
        {"llama.feed_forward_length", 95, ERROR_CORRUPT, "ffn_"},
        {"llama.attention.head_count", 3, ERROR_CORRUPT, "heads"},
        {"llama.attention.head_count", 64, ERROR_UNSUPPORTED, "even"},
        {"llama.attention.head_count_kv", 3, ERROR_CORRUPT, "heads"},
        {"llama.attention.head_count_kv", 1, ERROR_CORRUPT, "attn_k"},
        {"llama.context_length", 1 << 21, ERROR_UNSUPPORTED, "llama.context_length"},
        {"llama.rope.freq_base", 0x7f800000, ERROR_CORRUPT, "llama.rope.freq_base"},
        {"llama.attention.layer_norm_rms_epsilon", 0xbf800000, ERROR_CORRUPT, "epsilon"},
        {"tokenizer.ggml.eos_token_id", MODEL_VOCABULARY, ERROR_CORRUPT, "eos_token_id"},
    };
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        char text[ERROR_TEXT_SIZE];
        error_code code = open_with(changes[i].key, changes[i].value, text);
        if (code != changes[i].code || strstr(text, changes[i].says) == NULL) {
            fail_msg("change %zu gives %d: %s", i, (int)code, text);
        }
    }
}

static void test_the_context_is_what_the_memory_holds_or_what_was_asked_for(void **state) {
    (void)state;
    error err;
    char text[ERROR_TEXT_SIZE];
    model_file file;
    model_file_make(&file, &model_shape_small, 1);
    const uint64_t position = 2 * 2 * 2 * 2 * 16;
    engine_options options = {.slots = 2, .memory_limit = position * 64 * 2 * 3 + 5};
    engine_model *m = engine_open(buffer_slice(&file.bytes), NULL, &options, &err);
    assert_non_null(m);
    assert_int_equal(engine_describe(m)->context, 64 * 3);
    engine_close(m);
    options.context = 193;
    assert_int_equal(open_file(&file, &options, text), ERROR_LIMIT);
    options.context = 192;
    assert_int_equal(open_file(&file, &options, text), ERROR_NONE);
    options.context = 257;
    assert_int_equal(open_file(&file, &options, text), ERROR_INVALID);
    options = (engine_options){.memory_limit = position * 63};
    assert_int_equal(open_file(&file, &options, text), ERROR_LIMIT);
    model_file_free(&file);
}

static int set_up(void **state) {
    (void)state;
    error err;
    return crypto_start(&err) ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    crypto_stop();
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_good_file_is_described),
        cmocka_unit_test(test_what_is_not_understood_is_refused_by_name),
        cmocka_unit_test(test_a_model_without_template_and_markers_has_no_conversations),
        cmocka_unit_test(test_sizes_that_do_not_fit_together_are_refused),
        cmocka_unit_test(test_the_context_is_what_the_memory_holds_or_what_was_asked_for),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
