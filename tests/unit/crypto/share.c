#include "crypto/share.h"

#include "share_internal.h"

#include "unit.h"

#include <string.h>

static error err;

/* FIPS 197, §4.2 and §4.2.1. */
static void test_products_are_the_published_ones(void **state) {
    (void)state;
    assert_int_equal(share_multiply(0x57, 0x83), 0xc1);
    assert_int_equal(share_multiply(0x57, 0x13), 0xfe);
    assert_int_equal(share_multiply(0x57, 0x02), 0xae);
    assert_int_equal(share_multiply(0x57, 0x04), 0x47);
    assert_int_equal(share_multiply(0x57, 0x08), 0x8e);
    assert_int_equal(share_multiply(0x57, 0x10), 0x07);
}

/* Multiplication that divides a polynomial step by step, as a textbook does. */
static uint8_t product_of(uint8_t a, uint8_t b) {
    unsigned product = 0;
    for (unsigned bit = 0; bit < 8; bit++) {
        if ((b >> bit & 1) != 0) {
            product ^= (unsigned)a << bit;
        }
    }
    for (unsigned bit = 15; bit >= 8; bit--) {
        if ((product >> bit & 1) != 0) {
            product ^= 0x11bU << (bit - 8);
        }
    }
    return (uint8_t)product;
}

static void test_every_product_and_inverse_is_the_fields(void **state) {
    (void)state;
    for (unsigned a = 0; a < 256; a++) {
        for (unsigned b = 0; b < 256; b++) {
            assert_int_equal(share_multiply((uint8_t)a, (uint8_t)b), product_of((uint8_t)a, (uint8_t)b));
        }
        assert_int_equal(share_multiply((uint8_t)a, share_invert((uint8_t)a)), a == 0 ? 0 : 1);
    }
}

static void fill_secret(uint8_t *secret, size_t length) {
    for (size_t i = 0; i < length; i++) {
        secret[i] = (uint8_t)(i * 37 + length);
    }
}

static bool joins(unsigned subset, const uint8_t *shares, size_t length, uint8_t *joined) {
    uint8_t points[SHARE_COUNT_MAX];
    uint8_t chosen[SHARE_COUNT_MAX * SHARE_SECRET_MAX];
    unsigned count = 0;
    for (unsigned i = 0; i < SHARE_COUNT_MAX; i++) {
        if ((subset >> i & 1) != 0) {
            points[count] = (uint8_t)(i + 1);
            memcpy(chosen + count * length, shares + i * length, length);
            count++;
        }
    }
    return share_join(points, chosen, count, joined, length, &err);
}

/* For every k of n up to 6, every subset: k and more give the secret, fewer something else. 16 bytes, so that
 * chance doesn't. */
static void test_every_subset_of_enough_shares_gives_the_secret_and_no_smaller_one_does(void **state) {
    (void)state;
    enum { LENGTH = 16 };
    uint8_t secret[LENGTH];
    uint8_t shares[SHARE_COUNT_MAX * LENGTH];
    uint8_t joined[LENGTH];
    fill_secret(secret, LENGTH);
    for (unsigned n = 2; n <= 6; n++) {
        for (unsigned k = 2; k <= n; k++) {
            assert_true(share_split(slice_of(secret, LENGTH), k, n, shares, &err));
            for (unsigned subset = 1; subset < 1U << n; subset++) {
                assert_true(joins(subset, shares, LENGTH, joined));
                bool enough = (unsigned)__builtin_popcount(subset) >= k;
                assert_int_equal(memcmp(joined, secret, LENGTH) == 0, enough);
            }
        }
    }
}

static void test_the_most_shares_of_the_longest_secret_give_it_back(void **state) {
    (void)state;
    uint8_t secret[SHARE_SECRET_MAX];
    uint8_t shares[SHARE_COUNT_MAX * SHARE_SECRET_MAX];
    uint8_t joined[SHARE_SECRET_MAX];
    fill_secret(secret, sizeof secret);
    assert_true(share_split(slice_of(secret, sizeof secret), SHARE_COUNT_MAX, SHARE_COUNT_MAX, shares, &err));
    assert_true(joins((1U << SHARE_COUNT_MAX) - 1, shares, sizeof secret, joined));
    assert_memory_equal(joined, secret, sizeof secret);
    assert_true(joins((1U << SHARE_COUNT_MAX) - 2, shares, sizeof secret, joined));
    assert_memory_not_equal(joined, secret, sizeof secret);
}

/* Whatever the secret is, over all coefficients one share of two needed takes each value once: it tells
 * nothing. */
static void test_one_share_of_two_fits_every_secret_equally(void **state) {
    (void)state;
    for (unsigned x = 1; x <= SHARE_COUNT_MAX; x++) {
        for (unsigned secret = 0; secret < 256; secret++) {
            uint8_t seen[256] = {0};
            for (unsigned a = 0; a < 256; a++) {
                const uint8_t coefficients[] = {(uint8_t)secret, (uint8_t)a};
                seen[share_evaluate(coefficients, 2, (uint8_t)x)]++;
            }
            for (unsigned value = 0; value < 256; value++) {
                assert_int_equal(seen[value], 1);
            }
        }
    }
}

/* The same of two shares where three are needed: each pair of values comes once. */
static void test_two_shares_of_three_fit_every_secret_equally(void **state) {
    (void)state;
    static const uint8_t points[][2] = {{1, 2}, {2, 16}, {7, 3}};
    static const uint8_t secrets[] = {0, 1, 0x53, 0xff};
    static uint8_t seen[65536];
    for (size_t p = 0; p < sizeof points / sizeof points[0]; p++) {
        for (size_t s = 0; s < sizeof secrets; s++) {
            memset(seen, 0, sizeof seen);
            for (unsigned both = 0; both < 65536; both++) {
                const uint8_t coefficients[] = {secrets[s], (uint8_t)both, (uint8_t)(both >> 8)};
                seen[share_evaluate(coefficients, 3, points[p][0]) << 8 |
                     share_evaluate(coefficients, 3, points[p][1])]++;
            }
            assert_null(memchr(seen, 0, sizeof seen));
        }
    }
}

static void test_the_same_secret_is_never_shared_out_alike(void **state) {
    (void)state;
    uint8_t secret[32];
    uint8_t first[3 * 32];
    uint8_t second[3 * 32];
    uint8_t joined[32];
    fill_secret(secret, sizeof secret);
    assert_true(share_split(slice_of(secret, 32), 2, 3, first, &err));
    assert_true(share_split(slice_of(secret, 32), 2, 3, second, &err));
    for (size_t i = 0; i < 3; i++) {
        assert_memory_not_equal(first + 32 * i, second + 32 * i, 32);
    }
    memcpy(first, second, 32); /* one of each: another polynomial */
    assert_true(joins(3, first, 32, joined));
    assert_memory_not_equal(joined, secret, 32);
}

static void test_a_changed_share_gives_another_secret(void **state) {
    (void)state;
    uint8_t secret[32];
    uint8_t shares[2 * 32];
    uint8_t joined[32];
    fill_secret(secret, sizeof secret);
    assert_true(share_split(slice_of(secret, 32), 2, 2, shares, &err));
    for (size_t bit = 0; bit < 8 * sizeof shares; bit++) {
        shares[bit / 8] ^= (uint8_t)(1U << bit % 8);
        assert_true(joins(3, shares, 32, joined));
        assert_memory_not_equal(joined, secret, 32);
        shares[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
}

static void test_what_makes_no_sense_is_refused(void **state) {
    (void)state;
    uint8_t bytes[SHARE_COUNT_MAX * SHARE_SECRET_MAX + 64] = {0};
    uint8_t joined[4];
    slice secret = SLICE_LITERAL("four");
    assert_false(share_split(secret, 1, 3, bytes, &err));
    assert_false(share_split(secret, 0, 0, bytes, &err));
    assert_false(share_split(secret, 4, 3, bytes, &err));
    assert_false(share_split(secret, 2, SHARE_COUNT_MAX + 1, bytes, &err));
    assert_false(share_split((slice){NULL, 0}, 2, 3, bytes, &err));
    assert_false(share_split(slice_of(bytes, SHARE_SECRET_MAX + 1), 2, 3, bytes, &err));
    assert_int_equal(err.code, ERROR_INVALID);
    assert_false(share_join((const uint8_t[]){1, 1}, bytes, 2, joined, 4, &err));
    assert_false(share_join((const uint8_t[]){0, 1}, bytes, 2, joined, 4, &err));
    assert_int_equal(err.code, ERROR_INVALID);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_products_are_the_published_ones),
        cmocka_unit_test(test_every_product_and_inverse_is_the_fields),
        cmocka_unit_test(test_every_subset_of_enough_shares_gives_the_secret_and_no_smaller_one_does),
        cmocka_unit_test(test_the_most_shares_of_the_longest_secret_give_it_back),
        cmocka_unit_test(test_one_share_of_two_fits_every_secret_equally),
        cmocka_unit_test(test_two_shares_of_three_fit_every_secret_equally),
        cmocka_unit_test(test_the_same_secret_is_never_shared_out_alike),
        cmocka_unit_test(test_a_changed_share_gives_another_secret),
        cmocka_unit_test(test_what_makes_no_sense_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
