#include "serving.h"
#include "unit.h"

#include "crypto/start.h"
#include "serve/image.h"

#include <stdlib.h>

/* Packed weights kept beside a model. */
static model_file file;
static uint32_t prompt[20];

static uint8_t *make_image(engine_model *m, size_t *length) {
    error err;
    slice pieces[2];
    assert_true(engine_packed(m, pieces, &err));
    *length = pieces[0].length + pieces[1].length;
    uint8_t *image = aligned_alloc(64, (*length + 127) / 64 * 64); /* with a byte of room */
    assert_non_null(image);
    memcpy(image, pieces[0].data, pieces[0].length);
    memcpy(image + pieces[0].length, pieces[1].data, pieces[1].length);
    return image;
}

static error_code open_image(const model_file *with, const uint8_t *image, size_t length) {
    error err = {0};
    slice bytes = buffer_slice(&with->bytes);
    engine_model *m =
        engine_open(&bytes, 1, NULL, &(engine_options){.packed = slice_of(image, length)}, &err);
    engine_close(m);
    return m == NULL ? err.code : ERROR_NONE;
}

static void count_progress(void *context, uint64_t done, uint64_t total) {
    uint64_t *last = context;
    assert_true(done <= total && done >= *last);
    *last = done;
}

static void test_a_model_opened_from_its_packed_weights_answers_the_same(void **state) {
    (void)state;
    static answer a;
    static answer b;
    size_t length = 0;
    uint64_t progress = 0;
    request r = {
        prompt, 20, {.temperature = 1, .top_p = 1, .repetition_penalty = 1, .max_tokens = 40}, 1, NULL};
    engine_options options = {.progress = count_progress, .context_of_calls = &progress};
    engine_model *m = serving_open(&file, &options);
    serving_answer(m, &r, &a);
    progress = 0;
    uint8_t *image = make_image(m, &length);
    engine_close(m);
    options = (engine_options){.packed = slice_of(image, length)};
    m = serving_open(&file, &options);
    serving_answer(m, &r, &b);
    serving_assert_same(&a, &b);
    engine_close(m);
    free(image);
}

static void test_any_changed_byte_is_found(void **state) {
    (void)state;
    size_t length = 0;
    uint64_t random = 1;
    engine_model *m = serving_open(&file, NULL);
    uint8_t *image = make_image(m, &length);
    engine_close(m);
    for (size_t i = 0; i < IMAGE_HEADER_SIZE + 200; i++) {
        size_t at = i < IMAGE_HEADER_SIZE ? i : test_random(&random) % length;
        uint8_t bit = (uint8_t)(1 << test_random(&random) % 8);
        image[at] ^= bit;
        assert_int_equal(open_image(&file, image, length), ERROR_CORRUPT);
        image[at] ^= bit;
    }
    assert_int_equal(open_image(&file, image, length), ERROR_NONE);
    free(image);
}

static void test_what_is_cut_off_drawn_out_or_moved_is_refused(void **state) {
    (void)state;
    size_t length = 0;
    engine_model *m = serving_open(&file, NULL);
    uint8_t *image = make_image(m, &length);
    engine_close(m);
    const size_t lengths[] = {1, 255, 256, 257, length / 2, length - 1, length + 1};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        assert_int_equal(open_image(&file, image, lengths[i]), ERROR_CORRUPT);
    }
    memmove(image + 1, image, length);
    assert_int_equal(open_image(&file, image + 1, length), ERROR_CORRUPT);
    free(image);
}

static void test_another_model_s_weights_are_refused(void **state) {
    (void)state;
    size_t length = 0;
    model_file other;
    model_file_make(&other, &model_shape_small, 1234);
    engine_model *m = serving_open(&file, NULL);
    uint8_t *image = make_image(m, &length);
    engine_close(m);
    assert_int_equal(open_image(&other, image, length), ERROR_CONFLICT);
    free(image);
    model_file_free(&other);
}

static int set_up(void **state) {
    (void)state;
    error err;
    uint64_t random = 6;
    model_file_make(&file, &model_shape_small, 79);
    serving_fill_prompt(prompt, 20, &random);
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
        cmocka_unit_test(test_a_model_opened_from_its_packed_weights_answers_the_same),
        cmocka_unit_test(test_any_changed_byte_is_found),
        cmocka_unit_test(test_what_is_cut_off_drawn_out_or_moved_is_refused),
        cmocka_unit_test(test_another_model_s_weights_are_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
