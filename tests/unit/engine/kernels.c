#include "kernel/kernels.h"

#include "unit.h"

#include "arithmetic/arithmetic.h"
#include "model_file.h"

#include <stdlib.h>

/* Both forms over the same random inputs, at sizes around their lane counts. A machine without AVX2 compares
 * the plain form with itself. */
static const kernels *fast_form(void) {
    return kernels_avx2() != NULL ? kernels_avx2() : kernels_plain();
}

static uint64_t random_state = 42;

/* Of mixed magnitudes, with zeros of both signs. */
static void fill(float *x, size_t count) {
    for (size_t i = 0; i < count; i++) {
        static const float sizes[] = {1.0f, 1e-3f, 30.0f, 0.0f, -0.0f, 1e-20f};
        x[i] = test_random_float(&random_state) * sizes[test_random(&random_state) % 6];
    }
}

static void fill_bytes(uint8_t *bytes, size_t count) {
    for (size_t i = 0; i < count; i++) {
        bytes[i] = (uint8_t)test_random(&random_state);
    }
}

/* Random halves, finite ones, subnormal ones among them. */
static void fill_halves(void *halves, size_t count) {
    for (size_t i = 0; i < count; i++) {
        uint16_t half = (uint16_t)(test_random(&random_state) & 0xbfff);
        half = test_random(&random_state) % 8 == 0 ? half & 0x83ff : half;
        memcpy((uint8_t *)halves + 2 * i, &half, 2);
    }
}

static void assert_same(const float *a, const float *b, size_t count) {
    assert_memory_equal(a, b, count * sizeof *a);
}

static void test_quantising_gives_the_same_bits(void **state) {
    (void)state;
    float x[320];
    for (int round = 0; round < 200; round++) {
        int8_t numbers[2][320];
        float scales[2][10];
        quantised q[2] = {{numbers[0], scales[0]}, {numbers[1], scales[1]}};
        fill(x, 320);
        memset(x + 32, 0, 32 * sizeof *x);
        x[64] = 0x1p-110f;
        memset(x + 65, 0, 31 * sizeof *x);
        assert_true(kernels_plain()->quantise(&q[0], x, 320));
        assert_true(fast_form()->quantise(&q[1], x, 320));
        assert_memory_equal(numbers[0], numbers[1], sizeof numbers[0]);
        assert_same(scales[0], scales[1], 10);
        assert_true(scales[0][2] == 0);
    }
}

static void test_halves_are_quantised_to_even(void **state) {
    (void)state;
    float x[32] = {127.0f, 0.5f, 1.5f, 2.5f, -0.5f, -1.5f, -127.0f};
    int8_t numbers[32];
    float scale = 0;
    quantised q = {numbers, &scale};
    const kernels *forms[] = {kernels_plain(), fast_form()};
    for (size_t i = 0; i < 2; i++) {
        assert_true(forms[i]->quantise(&q, x, 32));
        static const int8_t expected[7] = {127, 0, 2, 2, 0, -2, -127};
        assert_memory_equal(numbers, expected, 7);
        assert_true(scale == 1.0f);
    }
}

static void test_quantising_refuses_what_is_not_finite(void **state) {
    (void)state;
    static const float wild[] = {INFINITY, -INFINITY, NAN};
    int8_t numbers[64];
    float scales[2];
    quantised q = {numbers, scales};
    for (size_t i = 0; i < 3; i++) {
        float x[64] = {1.0f};
        x[63 - i * 9] = wild[i];
        assert_false(kernels_plain()->quantise(&q, x, 64));
        assert_false(fast_form()->quantise(&q, x, 64));
    }
}

static void test_q8_products_have_the_same_bits_for_any_number_of_rows(void **state) {
    (void)state;
    enum { ROWS = 37, BLOCKS = 7 };
    static uint8_t rows[ROWS * BLOCKS * Q8_BLOCK_SIZE];
    for (size_t count = 1; count <= ROWS; count++) {
        float x[BLOCKS * 32];
        int8_t numbers[BLOCKS * 32];
        float scales[BLOCKS];
        quantised q = {numbers, scales};
        size_t blocks = 1 + count % BLOCKS;
        fill(x, blocks * 32);
        assert_true(kernels_plain()->quantise(&q, x, blocks * 32));
        fill_bytes(rows, sizeof rows); /* all weights, -128 among them */
        for (size_t block = 0; block < ROWS * BLOCKS; block++) {
            fill_halves(rows + block * Q8_BLOCK_SIZE, 1);
        }
        float plain[ROWS];
        float fast[ROWS];
        kernels_plain()->multiply_q8(plain, rows, count, blocks * 32, &q);
        fast_form()->multiply_q8(fast, rows, count, blocks * 32, &q);
        assert_same(plain, fast, count);
    }
}

static void test_extreme_weights_do_not_saturate(void **state) {
    (void)state;
    uint8_t row[Q8_BLOCK_SIZE];
    int8_t numbers[32];
    float scale = 1.0f;
    quantised q = {numbers, &scale};
    uint16_t one = 0x3c00;
    memcpy(row, &one, 2);
    memset(row + 2, 0x80, 32);
    for (int sign = -1; sign <= 1; sign += 2) {
        memset(numbers, (uint8_t)(sign * 127), sizeof numbers);
        float plain = 0;
        float fast = 0;
        kernels_plain()->multiply_q8(&plain, row, 1, 32, &q);
        fast_form()->multiply_q8(&fast, row, 1, 32, &q);
        assert_true(plain == (float)(sign * -128 * 127 * 32));
        assert_true(fast == plain);
    }
}

static void test_float_products_have_the_same_bits_at_odd_sizes(void **state) {
    (void)state;
    enum { ROWS = 3, MOST = 67 };
    uint8_t halves[ROWS * MOST * 2 + 1];
    uint8_t floats[ROWS * MOST * 4 + 1];
    for (size_t columns = 1; columns <= MOST; columns++) {
        float x[MOST];
        float weights[ROWS * MOST];
        float plain[ROWS];
        float fast[ROWS];
        fill(x, columns);
        fill(weights, ROWS * columns);
        fill_halves(halves + 1, ROWS * columns); /* unaligned */
        memcpy(floats + 1, weights, ROWS * columns * 4);
        kernels_plain()->multiply_f16(plain, halves + 1, ROWS, columns, x);
        fast_form()->multiply_f16(fast, halves + 1, ROWS, columns, x);
        assert_same(plain, fast, ROWS);
        kernels_plain()->multiply_f32(plain, floats + 1, ROWS, columns, x);
        fast_form()->multiply_f32(fast, floats + 1, ROWS, columns, x);
        assert_same(plain, fast, ROWS);
        float squares[2] = {kernels_plain()->sum_of_squares(x, columns),
                            fast_form()->sum_of_squares(x, columns)};
        assert_same(&squares[0], &squares[1], 1);
    }
}

static void test_exponentials_have_the_same_bits(void **state) {
    (void)state;
    for (size_t count = 1; count < 40; count++) {
        float plain[40];
        float fast[40];
        for (size_t i = 0; i < count; i++) {
            plain[i] = test_random_float(&random_state) * 100.0f;
        }
        plain[0] = count % 4 == 0 ? NAN : count % 4 == 1 ? -INFINITY : count % 4 == 2 ? INFINITY : -0.0f;
        memcpy(fast, plain, sizeof plain);
        kernels_plain()->exponentials(plain, count);
        fast_form()->exponentials(fast, count);
        assert_same(plain, fast, count);
    }
}

static void test_attention_parts_have_the_same_bits(void **state) {
    (void)state;
    enum { HEAD = 48 };
    static const size_t sizes[] = {2, 6, 8, 20, 32, 46, 48};
    uint16_t halves[HEAD * CHUNK];
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        float query[HEAD];
        float plain[CHUNK];
        float fast[CHUNK];
        fill(query, sizes[s]);
        fill_halves(halves, HEAD * CHUNK);
        kernels_plain()->score(plain, query, halves, sizes[s]);
        fast_form()->score(fast, query, halves, sizes[s]);
        assert_same(plain, fast, CHUNK);
        for (size_t count = 1; count <= CHUNK; count += 7) {
            float weights[CHUNK];
            float totals[2][HEAD];
            fill(weights, CHUNK);
            fill(totals[0], HEAD);
            memcpy(totals[1], totals[0], sizeof totals[0]);
            kernels_plain()->weigh(totals[0], weights, halves, count, sizes[s]);
            fast_form()->weigh(totals[1], weights, halves, count, sizes[s]);
            assert_same(totals[0], totals[1], HEAD);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quantising_gives_the_same_bits),
        cmocka_unit_test(test_halves_are_quantised_to_even),
        cmocka_unit_test(test_quantising_refuses_what_is_not_finite),
        cmocka_unit_test(test_q8_products_have_the_same_bits_for_any_number_of_rows),
        cmocka_unit_test(test_extreme_weights_do_not_saturate),
        cmocka_unit_test(test_float_products_have_the_same_bits_at_odd_sizes),
        cmocka_unit_test(test_exponentials_have_the_same_bits),
        cmocka_unit_test(test_attention_parts_have_the_same_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
