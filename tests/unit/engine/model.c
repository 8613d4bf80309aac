#include "engine/engine.h"

#include "unit.h"

#include "base/memory.h"
#include "crypto/hash.h"
#include "crypto/start.h"
#include "serving.h"

#include <stdlib.h>

static const engine_options usual;

/* What opening a file says; ERROR_NONE when it opens. */
static error_code open_file(const model_file *file, const engine_options *options,
                            char text[ERROR_TEXT_SIZE]) {
    error err = {0};
    slice bytes = buffer_slice(&file->bytes);
    engine_model *m = engine_open(&bytes, 1, NULL, options, &err);
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
    slice bytes = buffer_slice(&file.bytes);
    engine_model *m = engine_open(&bytes, 1, NULL, &usual, &err);
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
    assert_int_equal(i->width, model_shape_small.width);
    assert_true(i->weights_size > 0);
    assert_true(slice_equal_text(i->architecture, "llama"));
    assert_string_equal(i->chat_format, "chatml");
    assert_true(i->can_generate);
    assert_false(i->can_embed);
    engine_close(m);
    model_file_free(&file);
}

static void test_a_vocabulary_that_does_not_fit_the_weights_is_refused(void **state) {
    (void)state;
    char text[ERROR_TEXT_SIZE];
    model_file file;
    model_file_make(&file, &model_shape_small, 1);
    const uint32_t outside = MODEL_VOCABULARY;
    static const char key[] = "tokenizer.ggml.eos_token_id";
    memcpy(find_text(&file, key) + strlen(key) + 4, &outside, sizeof outside);
    assert_int_equal(open_file(&file, &usual, text), ERROR_CORRUPT);
    assert_non_null(strstr(text, "eos_token_id"));
    model_file_free(&file);
}

static void test_a_model_not_made_for_conversations_still_takes_plain_text(void **state) {
    (void)state;
    error err;
    uint32_t *tokens = NULL;
    size_t count = 0;
    const engine_message message = {.role = SLICE_LITERAL("user"), .content = SLICE_LITERAL("the")};
    model_file file;
    model_file_make(&file, &model_shape_small, 1);
    memcpy(find_text(&file, "<|im_end|>"), "<|in_end|>", 10);
    slice bytes = buffer_slice(&file.bytes);
    engine_model *m = engine_open(&bytes, 1, NULL, &usual, &err);
    assert_non_null(m);
    assert_string_equal(engine_describe(m)->chat_format, "none");
    assert_false(engine_prompt(m, &message, 1, (slice){NULL, 0}, &tokens, &count, &err));
    assert_int_equal(err.code, ERROR_UNSUPPORTED);
    assert_true(engine_tokenize(m, SLICE_LITERAL("the the"), &tokens, &count, &err));
    assert_int_equal(count, 2);
    assert_true(slice_equal_text(engine_token_text(m, tokens[0]), "the"));
    assert_true(slice_equal_text(engine_token_text(m, tokens[1]), " the"));
    memory_free(tokens);
    engine_close(m);
    model_file_free(&file);
}

static void test_the_file_is_not_needed_once_the_model_is_open(void **state) {
    (void)state;
    error err;
    model_file file;
    model_file_make(&file, &model_shape_small, 1);
    slice bytes = buffer_slice(&file.bytes);
    engine_model *m = engine_open(&bytes, 1, NULL, &usual, &err);
    assert_non_null(m);
    model_file_free(&file);
    uint32_t prompt[2] = {1, 2};
    request r = {prompt, 2, {.top_p = 1, .repetition_penalty = 1, .max_tokens = 5}, 1, NULL};
    answer a;
    serving_answer(m, &r, &a);
    assert_true(slice_equal_text(engine_describe(m)->name, "random test model"));
    engine_close(m);
}

static void test_the_context_is_what_the_memory_holds_or_what_was_asked_for(void **state) {
    (void)state;
    error err;
    char text[ERROR_TEXT_SIZE];
    model_file file;
    model_file_make(&file, &model_shape_small, 1);
    const uint64_t position = 2 * 2 * 2 * 2 * 16;
    engine_options options = {.slots = 2, .memory_limit = position * 64 * 2 * 3 + 5};
    slice bytes = buffer_slice(&file.bytes);
    engine_model *m = engine_open(&bytes, 1, NULL, &options, &err);
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
        cmocka_unit_test(test_a_vocabulary_that_does_not_fit_the_weights_is_refused),
        cmocka_unit_test(test_a_model_not_made_for_conversations_still_takes_plain_text),
        cmocka_unit_test(test_the_file_is_not_needed_once_the_model_is_open),
        cmocka_unit_test(test_the_context_is_what_the_memory_holds_or_what_was_asked_for),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
