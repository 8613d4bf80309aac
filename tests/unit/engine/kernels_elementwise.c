#include "kernel/kernels.h"

#include "unit.h"

#include "arithmetic/arithmetic.h"
#include "kernel_arrays.h"
#include "model_file.h"

#include <math.h>

/* Everything but products of weights: the bits of the plain form, and values beside the mathematics
 * library's. */

enum { MOST = 300 };

static uint64_t random_state = 7;
static const kernels *forms[KERNELS_MAX];
static size_t form_count;

static int find_forms(void **state) {
    (void)state;
    form_count = kernels_available(forms);
    return form_count > 0 ? 0 : -1;
}

static const kernels *plain(void) {
    return kernels_find("plain");
}

/* Any finite bits, ordinary sizes, and what lies at borders. */
static float draw_value(void) {
    static const float special[] = {
        0.0f,       -0.0f,    1.0f,  -1.0f,  0x1p-149f, -0x1p-149f, 0x1p-126f, 0x1.fffffep-127f,
        87.0f,      -87.0f,   88.0f, -88.5f, 65504.0f,  65519.996f, 0x1p-24f,  0x1p-25f,
        0x1.8p-25f, 0x1p-14f, 0.5f,  1.5f,   FLT_MAX};
    uint64_t choice = test_random(&random_state) % 8;
    if (choice == 0) {
        return special[test_random(&random_state) % (sizeof special / sizeof special[0])];
    }
    if (choice == 1) {
        uint32_t bits = (uint32_t)test_random(&random_state);
        bits = (bits & 0x7f800000U) == 0x7f800000U ? bits & 0xbfffffffU : bits;
        return float_of_bits(bits);
    }
    return test_random_float(&random_state) * (choice < 5 ? 4.0f : 60.0f);
}

static float *draw_values(size_t count) {
    float *x = guarded_new(count * sizeof *x);
    for (size_t i = 0; i < count; i++) {
        x[i] = draw_value();
    }
    return x;
}

static float *copy_values(const float *x, size_t count) {
    return memcpy(guarded_new(count * sizeof *x), x, count * sizeof *x);
}

/* A NaN's sign and payload are nobody's promise. */
static void assert_same(const float *a, const float *b, size_t count) {
    for (size_t i = 0; i < count; i++) {
        assert_true(bits_of_float(a[i]) == bits_of_float(b[i]) || (isnan(a[i]) && isnan(b[i])));
    }
}

/* Operation `which` on x, with `other` beside it. */
static bool apply(const kernels *k, size_t which, float *x, const float *other, size_t count) {
    switch (which) {
    case 0:
        k->scale_and_weigh(x, x, 1.7f, other, count);
        return true;
    case 1:
        k->add(x, other, count);
        return true;
    case 2:
        k->cap(x, count, 0.125f, 50.0f);
        return true;
    case 3:
        k->gate_silu(x, other, count);
        return true;
    case 4:
        k->gate_gelu(x, other, count);
        return true;
    case 5:
        k->gelu(x, count);
        return true;
    case 6:
        k->exponentials(x, count);
        return true;
    default:
        return false;
    }
}

static void test_elementwise_operations_have_the_same_bits(void **state) {
    (void)state;
    for (size_t count = 1; count <= MOST; count += count < 70 ? 1 : 23) {
        float *x = draw_values(count);
        float *other = draw_values(count);
        float *expected = copy_values(x, count);
        for (size_t which = 0; apply(plain(), which, expected, other, count); which++) {
            for (size_t f = 0; f < form_count; f++) {
                float *y = copy_values(x, count);
                assert_true(apply(forms[f], which, y, other, count));
                assert_same(y, expected, count);
                guarded_free(y, count * sizeof *y);
            }
            memcpy(expected, x, count * sizeof *x);
        }
        guarded_free(x, count * sizeof *x);
        guarded_free(other, count * sizeof *x);
        guarded_free(expected, count * sizeof *x);
    }
}

static void test_sums_and_the_largest_have_the_same_bits(void **state) {
    (void)state;
    for (size_t count = 1; count <= MOST; count++) {
        float *x = draw_values(count);
        for (size_t i = 0; i < count && count % 3 == 0; i++) {
            x[i] = count % 2 == 0 ? -fabsf(x[i]) : x[i] * 0x1p-70f;
        }
        if (count % 7 == 0) {
            x[count / 2] = count % 2 == 0 ? INFINITY : NAN;
        }
        for (size_t f = 0; f < form_count; f++) {
            const float got[3] = {forms[f]->sum_of_squares(x, count), forms[f]->sum(x, count),
                                  forms[f]->largest(x, count)};
            const float expected[3] = {plain()->sum_of_squares(x, count), plain()->sum(x, count),
                                       plain()->largest(x, count)};
            assert_same(got, expected, 3);
            float largest = -INFINITY;
            for (size_t i = 0; i < count; i++) {
                largest = x[i] > largest ? x[i] : largest;
            }
            assert_true(count % 7 == 0 ? isnan(got[2]) : got[2] == largest);
        }
        guarded_free(x, count * sizeof *x);
    }
}

static void test_weights_of_scores_have_the_same_bits(void **state) {
    (void)state;
    for (size_t round = 0; round < 300; round++) {
        size_t from = test_random(&random_state) % CHUNK;
        size_t to = from + test_random(&random_state) % (CHUNK - from) + 1;
        float *x = draw_values(CHUNK);
        float *expected = copy_values(x, CHUNK);
        float largest = plain()->largest(x + from, to - from);
        float expected_sum = plain()->weigh_scores(expected, from, to, largest, 0.125f);
        double sum = 0;
        for (size_t t = 0; t < CHUNK; t++) {
            assert_true(t >= from && t < to ? expected[t] >= 0 : bits_of_float(expected[t]) == 0);
            sum += (double)expected[t];
        }
        assert_true(fabs(sum - (double)expected_sum) <= 1e-6 * sum);
        for (size_t f = 0; f < form_count; f++) {
            float *y = copy_values(x, CHUNK);
            float got = forms[f]->weigh_scores(y, from, to, largest, 0.125f);
            assert_same(&got, &expected_sum, 1);
            assert_same(y, expected, CHUNK);
            guarded_free(y, CHUNK * sizeof *y);
        }
        guarded_free(x, CHUNK * sizeof *x);
        guarded_free(expected, CHUNK * sizeof *x);
    }
}

static void test_rotation_has_the_same_bits_and_leaves_the_rest(void **state) {
    (void)state;
    enum { HEADS = 3 };
    for (size_t pairs = 1; pairs <= 40; pairs++) {
        const size_t head_size = 2 * pairs + pairs % 3;
        const size_t count = HEADS * head_size;
        float *x = draw_values(count);
        float *cosines = draw_values(pairs);
        float *sines = draw_values(pairs);
        for (size_t neighbours = 0; neighbours < 2; neighbours++) {
            float *expected = copy_values(x, count);
            plain()->rotate(expected, HEADS, head_size, pairs, neighbours == 1, cosines, sines);
            assert_memory_equal(expected + 2 * pairs, x + 2 * pairs, (head_size - 2 * pairs) * sizeof *x);
            float second = neighbours == 1 ? x[1] : x[pairs];
            float first = fmaf(x[0], cosines[0], -(second * sines[0]));
            assert_same(&expected[0], &first, 1);
            for (size_t f = 0; f < form_count; f++) {
                float *y = copy_values(x, count);
                forms[f]->rotate(y, HEADS, head_size, pairs, neighbours == 1, cosines, sines);
                assert_same(y, expected, count);
                guarded_free(y, count * sizeof *y);
            }
            guarded_free(expected, count * sizeof *x);
        }
        guarded_free(x, count * sizeof *x);
        guarded_free(cosines, pairs * sizeof *x);
        guarded_free(sines, pairs * sizeof *x);
    }
}

static void test_halves_have_the_same_bits(void **state) {
    (void)state;
    for (size_t count = 1; count <= 70; count++) {
        float *x = draw_values(count);
        bool fits = true;
        for (size_t i = 0; i < count; i++) {
            x[i] = count % 5 == 0 ? x[i] : fmodf(x[i], 65519.0f);
            fits = fits && fabsf(x[i]) < 65520.0f;
        }
        const size_t stride = 1 + count % 3;
        const size_t size = ((count - 1) * stride + 1) * sizeof(uint16_t);
        for (size_t f = 0; f < form_count; f++) {
            uint16_t *halves = guarded_new(size);
            assert_int_equal(forms[f]->to_halves(halves, stride, x, count), fits);
            for (size_t i = 0; i < count; i++) {
                assert_int_equal(halves[i * stride], half_of_float(x[i]));
            }
            guarded_free(halves, size);
        }
        guarded_free(x, count * sizeof *x);
    }
}

/* Also subnormal halves, and any number of rows and columns. */
static void test_products_with_halves_have_the_same_bits(void **state) {
    (void)state;
    enum { DEPTH = 13, STRIDE_MORE = 3 };
    for (size_t columns = 1; columns <= 150; columns += columns < 20 ? 1 : 13) {
        for (size_t rows = 1; rows <= 14; rows++) {
            const size_t out_size = (rows * columns + (rows - 1) * STRIDE_MORE) * sizeof(float);
            const size_t halves_size = DEPTH * columns * sizeof(uint16_t);
            const size_t a_count = rows * DEPTH;
            float *a = guarded_new(a_count * sizeof *a);
            uint16_t *b = guarded_new(halves_size);
            for (size_t i = 0; i < a_count; i++) {
                a[i] = test_random_float(&random_state) * (i % 5 == 0 ? 0x1p-120f : 1.0f);
            }
            for (size_t i = 0; i < DEPTH * columns; i++) {
                uint16_t half = (uint16_t)(test_random(&random_state) & 0xbfff);
                b[i] = i % 8 == 0 ? half & 0x83ff : half;
            }
            float *expected = guarded_new(out_size);
            plain()->multiply_halves(expected, columns + STRIDE_MORE, a, DEPTH, rows, b, DEPTH, columns,
                                     false);
            float *added = guarded_new(out_size);
            memcpy(added, expected, out_size);
            plain()->multiply_halves(added, columns + STRIDE_MORE, a, DEPTH, rows, b, DEPTH - 1, columns,
                                     true);
            for (size_t f = 0; f < form_count; f++) {
                float *out = guarded_new(out_size);
                forms[f]->multiply_halves(out, columns + STRIDE_MORE, a, DEPTH, rows, b, DEPTH, columns,
                                          false);
                assert_memory_equal(out, expected, out_size);
                forms[f]->multiply_halves(out, columns + STRIDE_MORE, a, DEPTH, rows, b, DEPTH - 1, columns,
                                          true);
                assert_memory_equal(out, added, out_size);
                guarded_free(out, out_size);
            }
            guarded_free(a, a_count * sizeof *a);
            guarded_free(b, halves_size);
            guarded_free(expected, out_size);
            guarded_free(added, out_size);
        }
    }
}

static double silu(double x) {
    return x / (1.0 + exp(-x));
}

static double gelu_tanh(double x) {
    return 0.5 * x * (1.0 + tanh(0.7978845608028654 * x * (1.0 + 0.044715 * x * x)));
}

static double gelu_erf(double x) {
    return 0.5 * x * (1.0 + erf(x * 0.7071067811865476));
}

static void assert_near(float got, double exact, double relative, double absolute) {
    assert_true(fabs((double)got - exact) <= relative * fabs(exact) + absolute);
}

static void test_functions_are_near_the_exact_ones(void **state) {
    (void)state;
    float worst = 0;
    for (int step = -87 * 64; step <= 88 * 64; step++) {
        const float x = (float)step / 64.0f + 0x1.3p-9f;
        const double exact = (double)x;
        const double size = fabs(exact);
        float y[5] = {x < 88.0f ? x : 88.0f, x, x, x, x};
        const float one = 1.0f;
        forms[0]->exponentials(&y[0], 1);
        forms[0]->gate_silu(&y[1], &one, 1);
        forms[0]->gate_gelu(&y[2], &one, 1);
        forms[0]->gelu(&y[3], 1);
        forms[0]->cap(&y[4], 1, 0.5f, 20.0f);
        assert_near(y[0], exp(x < 88.0f ? exact : 88.0), 1e-7, 0);
        assert_near(y[1], silu(exact), 4e-7, 1e-35);
        assert_near(y[2], gelu_tanh(exact), 4e-7, 3e-7 * size);
        assert_near(y[3], gelu_erf(exact), 4e-7, 3e-7 * size);
        assert_near(y[4], 20.0 * tanh(exact * 0.5 / 20.0), 4e-7, 20 * 2e-7);
        worst = fmaxf(worst, fabsf(y[2] - y[3]));
    }
    assert_true(worst > 1e-5f); /* the two forms are not one */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_elementwise_operations_have_the_same_bits),
        cmocka_unit_test(test_sums_and_the_largest_have_the_same_bits),
        cmocka_unit_test(test_weights_of_scores_have_the_same_bits),
        cmocka_unit_test(test_rotation_has_the_same_bits_and_leaves_the_rest),
        cmocka_unit_test(test_halves_have_the_same_bits),
        cmocka_unit_test(test_products_with_halves_have_the_same_bits),
        cmocka_unit_test(test_functions_are_near_the_exact_ones),
    };
    return cmocka_run_group_tests(tests, find_forms, NULL);
}
