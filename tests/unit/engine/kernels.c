#include "kernel/kernels.h"

#include "unit.h"

#include "arithmetic/arithmetic.h"
#include "format/dequantise.h"
#include "kernel/tile.h"
#include "kernel_arrays.h"
#include "model_file.h"

#include <math.h>

/* Products of matrices: every form that the processor runs gives the bits of the plain one. */

static uint64_t random_state = 42;
static const kernels *forms[KERNELS_MAX];
static size_t form_count;

static int find_forms(void **state) {
    (void)state;
    form_count = kernels_available(forms);
    return form_count > 0 && kernels_find("plain") == forms[form_count - 1] ? 0 : -1;
}

/* Vectors of mixed sizes; one block of zeros, one so small that it rounds to zeros. */
static float *draw_values(uint32_t columns, size_t count) {
    const size_t stride = operand_stride(columns);
    float *values = guarded_new(stride * count * sizeof *values);
    for (size_t v = 0; v < count; v++) {
        for (size_t k = 0; k < columns; k++) {
            static const float sizes[] = {1, 1, 1, 7, 0x1p-12f, 0, -0.0f};
            values[v * stride + k] = test_random_float(&random_state) * sizes[test_random(&random_state) % 7];
        }
        for (size_t k = 0; k < 32 && k < columns && v % 3 == 1; k++) {
            values[v * stride + k] *= v % 2 == 0 ? 0.0f : 0x1p-110f;
        }
    }
    return values;
}

static void round_all(const kernels *form, const operand *x, size_t count) {
    for (size_t v = 0; v < count; v++) {
        assert_true(form->quantise_32(x, v));
        assert_true(form->quantise_256(x, v));
    }
}

/* All tiles and vectors at once, in halves of tiles, and a part of the vectors. */
static void check_portions(const test_matrix *t, const operand *x, size_t count) {
    const size_t tiles = matrix_tile_count(&t->m);
    const size_t stride = tiles * TILE_ROWS;
    const size_t size = stride * count * sizeof(float);
    float *expected = guarded_new(size);
    float *y = guarded_new(size);
    kernels_find("plain")->multiply(expected, stride, &t->m, 0, tiles, x, 0, count);
    for (size_t f = 0; f < form_count; f++) {
        for (size_t part = 0; part < 3; part++) {
            const size_t cut = part == 1 ? tiles / 2 : 0;
            const size_t first = part == 2 ? count / 2 : 0;
            memset(y, 0xff, size);
            if (cut > 0) {
                forms[f]->multiply(y, stride, &t->m, 0, cut, x, 0, count);
            }
            if (first > 0) {
                forms[f]->multiply(y, stride, &t->m, 0, tiles, x, 0, first);
            }
            forms[f]->multiply(y + first * stride, stride, &t->m, cut, tiles - cut, x, first, count - first);
            assert_memory_equal(y, expected, size);
        }
    }
    guarded_free(expected, size);
    guarded_free(y, size);
}

static void check_products(gguf_type type, uint32_t rows, uint32_t columns, size_t count,
                           weight_choice choice) {
    test_matrix t;
    operand x;
    test_matrix_begin(&t, type, rows, columns, choice, &random_state);
    float *values = draw_values(columns, count);
    operand_begin(&x, values, columns, count);
    round_all(forms[0], &x, count);
    check_portions(&t, &x, count);
    operand_end(&x, count);
    guarded_free(values, operand_stride(columns) * count * sizeof *values);
    test_matrix_end(&t);
}

static void test_products_have_the_same_bits_for_any_shape(void **state) {
    (void)state;
    static const uint32_t blocks[] = {1, 2, 3, 5};
    static const uint32_t float_columns[] = {1, 16, 37, 250};
    for (size_t i = 0; i < KERNEL_TYPES; i++) {
        const gguf_type type = kernel_types[i];
        for (size_t shape = 0; shape < 4; shape++) {
            uint32_t columns =
                type_has_floats(type) ? float_columns[shape] : gguf_type_block(type) * blocks[shape];
            check_products(type, (uint32_t)(1 + 23 * shape), columns, 1 + 4 * shape, WEIGHTS_USUAL);
            check_products(type, 33, columns, 2 + shape, WEIGHTS_RANDOM);
        }
    }
}

static void test_products_have_the_same_bits_for_any_number_of_vectors(void **state) {
    (void)state;
    for (size_t i = 0; i < KERNEL_TYPES; i++) {
        uint32_t columns = type_has_floats(kernel_types[i]) ? 48 : 256;
        for (size_t count = 1; count <= 20; count++) {
            check_products(kernel_types[i], 40, columns, count, WEIGHTS_USUAL);
        }
    }
}

/* Where every product rounds to -0, so does the sum, unless +0 fills up the last lanes. */
static void test_sums_of_nothing_have_the_same_sign(void **state) {
    (void)state;
    enum { COLUMNS = 37 };
    test_matrix t;
    operand x;
    test_matrix_begin(&t, GGUF_F32, 1, COLUMNS, WEIGHTS_USUAL, &random_state);
    float *weights = (float *)(uintptr_t)t.m.tiles; /* its only row comes first */
    const size_t size = operand_stride(COLUMNS) * sizeof(float);
    float *values = guarded_new(size);
    for (size_t k = 0; k < COLUMNS; k++) {
        weights[k] = -0x1p-60f;
        values[k] = 0x1p-100f;
    }
    operand_begin(&x, values, COLUMNS, 1);
    check_portions(&t, &x, 1);
    operand_end(&x, 1);
    guarded_free(values, size);
    test_matrix_end(&t);
}

/* The largest sums that there are: a form that adds in 16 bits must not saturate. */
static void test_extreme_numbers_do_not_saturate(void **state) {
    (void)state;
    enum { COUNT = 5, COLUMNS = 512, SIGNS = 4 };
    static float values[COUNT * COLUMNS];
    for (size_t i = 0; i < KERNEL_TYPES; i++) {
        for (size_t sign = 0; sign < SIGNS; sign++) {
            for (size_t k = 0; k < sizeof values / sizeof values[0]; k++) {
                bool negative = sign == 1 || (sign == 2 && k % 2 == 1) || (sign == 3 && k % 4 >= 2);
                values[k] = negative ? -127.0f : 127.0f;
            }
            for (weight_choice choice = WEIGHTS_LOWEST; choice <= WEIGHTS_HIGHEST; choice++) {
                test_matrix t;
                operand x;
                test_matrix_begin(&t, kernel_types[i], 32, COLUMNS, choice, &random_state);
                operand_begin(&x, values, COLUMNS, COUNT);
                round_all(forms[0], &x, COUNT);
                assert_int_equal(x.by_32.numbers[0], sign == 1 ? -127 : 127);
                check_portions(&t, &x, COUNT);
                operand_end(&x, COUNT);
                test_matrix_end(&t);
            }
        }
    }
}

/* The vector as it was rounded: what the product means to compute with. */
static double rounded_value(const operand *x, gguf_type type, size_t vector, size_t k) {
    const size_t at = vector * x->stride + k;
    if (type_has_floats(type)) {
        return (double)x->values[at];
    }
    return type_has_super_blocks(type) ? (double)x->by_256.numbers[at] * (double)x->by_256.scales[at / 256]
                                       : (double)x->by_32.numbers[at] * (double)x->by_32.scales[at / 32];
}

static void test_products_are_those_of_the_decoded_weights(void **state) {
    (void)state;
    enum { COUNT = 3, ROWS = 21, COLUMNS = 768 };
    for (size_t i = 0; i < KERNEL_TYPES; i++) {
        const gguf_type type = kernel_types[i];
        test_matrix t;
        operand x;
        float y[COUNT * 32];
        float weights[COLUMNS];
        float unpacked[COLUMNS];
        test_matrix_begin(&t, type, ROWS, COLUMNS, WEIGHTS_USUAL, &random_state);
        float *values = draw_values(COLUMNS, COUNT);
        operand_begin(&x, values, COLUMNS, COUNT);
        round_all(forms[0], &x, COUNT);
        forms[0]->multiply(y, 32, &t.m, 0, 2, &x, 0, COUNT);
        for (uint32_t row = 0; row < ROWS; row++) {
            dequantise_row(type, t.file_rows + row * t.file_row_size, COLUMNS, weights);
            matrix_row(&t.m, row, unpacked);
            assert_memory_equal(weights, unpacked, sizeof weights);
            for (size_t v = 0; v < COUNT; v++) {
                double exact = 0;
                double size = 0;
                for (size_t k = 0; k < COLUMNS; k++) {
                    double product = (double)weights[k] * rounded_value(&x, type, v, k);
                    exact += product;
                    size += fabs(product);
                }
                assert_true(fabs((double)y[v * 32 + row] - exact) <= 1e-5 * size);
            }
        }
        operand_end(&x, COUNT);
        guarded_free(values, (size_t)COLUMNS * COUNT * sizeof *values);
        test_matrix_end(&t);
    }
}

static bool same_rounding(const operand *a, const operand *b, size_t count) {
    const size_t total = a->stride * count;
    bool same = memcmp(a->by_32.numbers, b->by_32.numbers, total) == 0 &&
                memcmp(a->by_32.scales, b->by_32.scales, total / 32 * sizeof(float)) == 0 &&
                memcmp(a->by_32.sums, b->by_32.sums, total / 32 * sizeof(int16_t)) == 0 &&
                memcmp(a->by_256.numbers, b->by_256.numbers, total) == 0 &&
                memcmp(a->by_256.scales, b->by_256.scales, total / 256 * sizeof(float)) == 0 &&
                memcmp(a->by_256.sums, b->by_256.sums, total / 32 * sizeof(int16_t)) == 0 &&
                memcmp(a->by_256.starts, b->by_256.starts, total / 16 * sizeof(int32_t)) == 0;
    for (size_t i = 0; i < 3; i++) {
        same = same && memcmp(a->by_32.starts[i], b->by_32.starts[i], total / 32 * sizeof(int32_t)) == 0;
    }
    return same;
}

static void check_rounding(const float *values, uint32_t columns, size_t count, bool finite) {
    operand expected;
    operand_begin(&expected, values, columns, count);
    for (size_t v = 0; v < count; v++) {
        assert_int_equal(kernels_find("plain")->quantise_32(&expected, v), finite);
        assert_int_equal(kernels_find("plain")->quantise_256(&expected, v), finite);
    }
    for (size_t f = 0; f < form_count; f++) {
        operand x;
        operand_begin(&x, values, columns, count);
        for (size_t v = 0; v < count; v++) {
            assert_int_equal(forms[f]->quantise_32(&x, v), finite);
            assert_int_equal(forms[f]->quantise_256(&x, v), finite);
        }
        assert_true(same_rounding(&x, &expected, count));
        operand_end(&x, count);
    }
    operand_end(&expected, count);
}

static void test_rounding_has_the_same_bits(void **state) {
    (void)state;
    enum { COUNT = 4, COLUMNS = 512 };
    for (size_t round = 0; round < 20; round++) {
        float *values = draw_values(COLUMNS, COUNT);
        values[300] = FLT_MAX;
        check_rounding(values, COLUMNS, COUNT, true);
        guarded_free(values, (size_t)COLUMNS * COUNT * sizeof *values);
    }
}

static void test_rounding_is_to_even(void **state) {
    (void)state;
    float values[256] = {127.0f, 0.5f, 1.5f, 2.5f, -0.5f, -1.5f, -127.0f};
    static const int8_t expected[7] = {127, 0, 2, 2, 0, -2, -127};
    for (size_t f = 0; f < form_count; f++) {
        operand x;
        operand_begin(&x, values, 256, 1);
        assert_true(forms[f]->quantise_32(&x, 0) && forms[f]->quantise_256(&x, 0));
        assert_memory_equal(x.by_32.numbers, expected, sizeof expected);
        assert_memory_equal(x.by_256.numbers, expected, sizeof expected);
        assert_true(x.by_32.scales[0] == 1.0f && x.by_256.scales[0] == 1.0f);
        operand_end(&x, 1);
    }
}

static void test_what_is_not_finite_is_refused(void **state) {
    (void)state;
    static const float wild[] = {INFINITY, -INFINITY, NAN, -NAN};
    for (size_t i = 0; i < 4; i++) {
        for (size_t place = 0; place < 256; place += 15) {
            float values[256] = {1.0f};
            values[place] = wild[i];
            check_rounding(values, 256, 1, false);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_products_have_the_same_bits_for_any_shape),
        cmocka_unit_test(test_products_have_the_same_bits_for_any_number_of_vectors),
        cmocka_unit_test(test_sums_of_nothing_have_the_same_sign),
        cmocka_unit_test(test_extreme_numbers_do_not_saturate),
        cmocka_unit_test(test_products_are_those_of_the_decoded_weights),
        cmocka_unit_test(test_rounding_has_the_same_bits),
        cmocka_unit_test(test_rounding_is_to_even),
        cmocka_unit_test(test_what_is_not_finite_is_refused),
    };
    return cmocka_run_group_tests(tests, find_forms, NULL);
}
