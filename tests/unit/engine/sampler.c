#include "sample/sampler.h"

#include "unit.h"

#include "crypto/start.h"

#include <math.h>

enum { VOCABULARY = 10, DRAWS = 20000 };

static slice no_text(const void *context, uint32_t token) {
    (void)context;
    (void)token;
    return SLICE_LITERAL("");
}

static sampling *share(void) {
    error err;
    sampling *shared = sampling_new(&(sampling_model){.vocabulary = VOCABULARY, .text = no_text}, &err);
    assert_non_null(shared);
    return shared;
}

static void count_draws(const float *logits, float temperature, float top_p, size_t counts[VOCABULARY]) {
    error err;
    engine_parameters p = {.temperature = temperature, .top_p = top_p, .repetition_penalty = 1};
    sampling *shared = share();
    sampler *s = sampler_new(shared, &p, 1, &err);
    assert_non_null(s);
    memset(counts, 0, VOCABULARY * sizeof *counts);
    for (uint64_t position = 0; position < DRAWS; position++) {
        draw result;
        assert_true(sampler_draw(s, logits, position, &result, &err));
        assert_true(result.token < VOCABULARY);
        counts[result.token]++;
    }
    sampler_free(s);
    sampling_free(shared);
}

/* Five standard deviations of a binomial count; the seed is fixed, so this never fails by chance. */
static void assert_near(size_t count, double probability) {
    double expected = DRAWS * probability;
    assert_true(fabs((double)count - expected) <= 5 * sqrt(expected * (1 - probability)) + 1e-9);
}

static const float logits[VOCABULARY] = {0.5f, 2.0f, -1.0f, 2.0f, 0.0f, 1.0f, -100.0f, 1.5f, -0.5f, 0.25f};

static void test_draws_follow_the_softmax_at_the_temperature(void **state) {
    (void)state;
    static const float temperatures[] = {0.5f, 1.0f, 2.0f};
    for (size_t t = 0; t < 3; t++) {
        size_t counts[VOCABULARY];
        double total = 0;
        count_draws(logits, temperatures[t], 1, counts);
        for (size_t i = 0; i < VOCABULARY; i++) {
            total += exp((double)(logits[i] / temperatures[t]));
        }
        for (size_t i = 0; i < VOCABULARY; i++) {
            assert_near(counts[i], exp((double)(logits[i] / temperatures[t])) / total);
        }
    }
}

static void test_top_p_keeps_the_smallest_set_and_breaks_ties_by_id(void **state) {
    (void)state;
    size_t counts[VOCABULARY];
    const float even[VOCABULARY] = {0};
    count_draws(even, 1, 0.35f, counts); /* each is a tenth: four pass 0.35 */
    for (size_t i = 0; i < VOCABULARY; i++) {
        assert_near(counts[i], i < 4 ? 0.25 : 0);
    }
    count_draws(logits, 1, 0.0001f, counts);
    assert_int_equal(counts[1], DRAWS); /* 1 and 3 are equal: the lower id */
    count_draws(logits, 1, 0.3f, counts);
    assert_near(counts[1], 0.5);
    assert_near(counts[3], 0.5);
}

static void test_temperature_nought_takes_the_first_of_the_largest(void **state) {
    (void)state;
    size_t counts[VOCABULARY];
    count_draws(logits, 0, 1, counts);
    assert_int_equal(counts[1], DRAWS);
    count_draws(logits, 1e-30f, 1, counts); /* and the limit agrees, up to the tie */
    assert_near(counts[1], 0.5);
    assert_near(counts[3], 0.5);
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
        cmocka_unit_test(test_draws_follow_the_softmax_at_the_temperature),
        cmocka_unit_test(test_top_p_keeps_the_smallest_set_and_breaks_ties_by_id),
        cmocka_unit_test(test_temperature_nought_takes_the_first_of_the_largest),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
