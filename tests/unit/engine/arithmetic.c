#include "arithmetic/arithmetic.h"

#include "unit.h"

#include <fenv.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

static void test_exponential_is_within_a_ten_millionth(void **state) {
    (void)state;
    for (float x = -87.0f; x <= 88.0f; x += 0.00137f) {
        double exact = (double)expl((long double)x);
        assert_true(fabs((double)exponential(x) / exact - 1) < 1e-7);
    }
    assert_true(exponential(0) == 1.0f);
    assert_true(exponential(-1000.0f) == exponential(-87.0f));
    assert_true(exponential(NAN) == exponential(-87.0f));
}

static void test_rotary_turns_are_the_rounded_true_ones(void **state) {
    (void)state;
    static const float bases[] = {10000.0f, 500000.0f, 1000000.0f};
    static const uint32_t positions[] = {0, 1, 2, 3, 100, 1023, 8191, 131071, 1048575};
    double frequencies[64];
    float cosines[64];
    float sines[64];
    for (size_t b = 0; b < 3; b++) {
        rope_frequencies(frequencies, 128, bases[b]);
        for (size_t i = 0; i < 64; i++) {
            long double exact = powl((long double)bases[b], -2.0L * (long double)i / 128.0L);
            assert_true(fabsl((long double)frequencies[i] / exact - 1) < 4e-15L);
        }
        for (size_t p = 0; p < sizeof positions / sizeof positions[0]; p++) {
            rope_turns(cosines, sines, frequencies, 64, positions[p]);
            for (size_t i = 0; i < 64; i++) {
                long double angle = (long double)(positions[p] * frequencies[i]);
                assert_true(fabsl((long double)cosines[i] - cosl(angle)) < 6.1e-8L);
                assert_true(fabsl((long double)sines[i] - sinl(angle)) < 6.1e-8L);
            }
        }
    }
}

static void test_every_half_survives_the_way_through_float(void **state) {
    (void)state;
    for (uint32_t half = 0; half < 0x10000; half++) {
        bool is_nan = (half & 0x7fff) > 0x7c00;
        if (!is_nan) {
            assert_int_equal(half_of_float(float_of_half((uint16_t)half)), half);
        }
    }
}

static void test_rounding_to_half_takes_the_nearer_and_the_even(void **state) {
    (void)state;
    for (uint32_t half = 0; half < 0x7bff; half++) {
        float low = float_of_half((uint16_t)half);
        float high = float_of_half((uint16_t)(half + 1));
        float middle = (low + high) / 2; /* exact: halves have 13 bits fewer */
        assert_int_equal(half_of_float(middle), half + (half & 1));
        assert_int_equal(half_of_float(nextafterf(middle, 0)), half);
        assert_int_equal(half_of_float(nextafterf(middle, 1e9f)), half + 1);
    }
    assert_int_equal(half_of_float(65519.996f), 0x7bff);
    assert_int_equal(half_of_float(65520.0f), 0x7c00);
}

static void test_a_callers_rounding_mode_is_set_aside_and_given_back(void **state) {
    (void)state;
    arithmetic_state saved;
    assert_int_equal(fesetround(FE_UPWARD), 0);
    assert_true(arithmetic_enter(&saved));
    assert_int_equal(fegetround(), FE_TONEAREST);
    arithmetic_leave(&saved);
    assert_int_equal(fegetround(), FE_UPWARD);
    assert_int_equal(fesetround(FE_TONEAREST), 0);
}

/* Neither inlined nor taken for a pure function, so that each call is made under the mode at its place. */
__attribute__((noinline)) static float halve(float x) {
    volatile float seen = x;
    return seen * 0.5f;
}

static void test_subnormals_are_kept_even_if_the_caller_flushes_them(void **state) {
    (void)state;
#if defined(__x86_64__)
    enum { FLUSH_AND_DENORMALS_ARE_ZERO = 0x8040 };
    arithmetic_state saved;
    const unsigned before = _mm_getcsr();
    _mm_setcsr(before | FLUSH_AND_DENORMALS_ARE_ZERO);
    volatile float flushed = halve(FLT_MIN);
    assert_true(arithmetic_enter(&saved));
    volatile float kept = halve(FLT_MIN);
    arithmetic_leave(&saved);
    volatile float flushed_again = halve(FLT_MIN);
    _mm_setcsr(before);
    assert_true(flushed == 0 && kept == 0x1p-127f && flushed_again == 0);
#else
    skip();
#endif
}

static void test_tree16_adds_in_its_fixed_order(void **state) {
    (void)state;
    /* 2^24 + 1 + 1 depends on the order: with the ones 8 apart they are added first. */
    float apart[16] = {[0] = 0x1p24f, [1] = 1, [9] = 1};
    assert_true(tree16(apart) == 0x1p24f + 2);
    float split[16] = {[0] = 0x1p24f, [8] = 1, [4] = 1};
    assert_true(tree16(split) == 0x1p24f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exponential_is_within_a_ten_millionth),
        cmocka_unit_test(test_rotary_turns_are_the_rounded_true_ones),
        cmocka_unit_test(test_every_half_survives_the_way_through_float),
        cmocka_unit_test(test_rounding_to_half_takes_the_nearer_and_the_even),
        cmocka_unit_test(test_a_callers_rounding_mode_is_set_aside_and_given_back),
        cmocka_unit_test(test_subnormals_are_kept_even_if_the_caller_flushes_them),
        cmocka_unit_test(test_tree16_adds_in_its_fixed_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
