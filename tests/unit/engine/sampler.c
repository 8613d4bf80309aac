#include "sample/sampler.h"

#include "unit.h"

#include "arithmetic/arithmetic.h"
#include "crypto/start.h"
#include "sample/choose.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

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
        assert_true(sampler_draw(s, 0, logits, position, &result, &err));
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

/* What the sampler gave before it had more than temperature and top_p: FNV-1a over 500 draws. */
static const struct {
    float temperature;
    float top_p;
    uint64_t draws;
} recorded[] = {
    {0.3f, 1, 0xa1e848a7c845171c}, {0.3f, 0.95f, 0x9fd3af03e3574107}, {0.3f, 0.4f, 0x679c2a2d5fa36e06},
    {1, 1, 0xd1395d9c6ba03bc8},    {1, 0.95f, 0x5aa8ae366d8a3954},    {1, 0.4f, 0x512ad658f1230103},
    {1.9f, 1, 0xd0733b5e368d1bd0}, {1.9f, 0.95f, 0xb891cf9fc6b6ed96}, {1.9f, 0.4f, 0x62796ada2f874037},
};

enum { MANY = 3000 };

static uint64_t next_random(uint64_t *seed) {
    *seed = *seed * 6364136223846793005U + 1442695040888963407U;
    return *seed >> 40;
}

static sampling *share_many(void) {
    error err;
    sampling *shared = sampling_new(&(sampling_model){.vocabulary = MANY, .text = no_text}, &err);
    assert_non_null(shared);
    return shared;
}

static void test_draws_are_those_recorded(void **state) {
    (void)state;
    static float many[MANY];
    error err;
    uint64_t seed = 1;
    sampling *shared = share_many();
    for (size_t r = 0; r < sizeof recorded / sizeof recorded[0]; r++) {
        engine_parameters p = {
            .temperature = recorded[r].temperature, .top_p = recorded[r].top_p, .repetition_penalty = 1};
        sampler *s = sampler_new(shared, &p, 77, &err);
        assert_false(sampler_has_memory(s));
        uint64_t hash = 14695981039346656037U;
        for (uint64_t position = 0; position < 500; position++) {
            for (size_t i = 0; i < MANY; i++) {
                many[i] = (float)next_random(&seed) / 262144.0f - (position % 2 == 0 ? 40.0f : 0.0f);
                many[i] = position % 4 > 1 ? many[i] / 16.0f : many[i];
            }
            draw result;
            assert_true(sampler_draw(s, 0, many, position, &result, &err));
            hash = (hash ^ result.token) * 1099511628211U;
        }
        assert_true(hash == recorded[r].draws);
        sampler_free(s);
    }
    sampling_free(shared);
}

/* The rule by a full sort, with the same weights. */
static int by_rank(const void *a, const void *b) {
    const candidate *first = a;
    const candidate *second = b;
    if (first->logit != second->logit) {
        return first->logit > second->logit ? -1 : 1;
    }
    return first->id < second->id ? -1 : 1;
}

static uint32_t choose_naively(const float *values, size_t count, const engine_parameters *p,
                               double fraction) {
    static candidate ranks[MANY];
    size_t kept = 0;
    double total = 0;
    float largest = -FLT_MAX;
    for (size_t i = 0; i < count; i++) {
        largest = values[i] > largest ? values[i] : largest;
    }
    for (size_t i = 0; i < count; i++) {
        float z = (values[i] - largest) / p->temperature;
        if (z >= -80) {
            ranks[kept++] = (candidate){values[i], exponential(z), (uint32_t)i};
            total += (double)ranks[kept - 1].weight;
        }
    }
    qsort(ranks, kept, sizeof ranks[0], by_rank);
    if (p->top_k > 0) {
        kept = kept < p->top_k ? kept : p->top_k;
        total = 0;
        for (size_t i = 0; i < kept; i++) {
            total += (double)ranks[i].weight;
        }
    }
    if (p->top_p < 1) {
        double sum = 0;
        size_t i = 0;
        while (i < kept && sum < (double)p->top_p * total) {
            sum += (double)ranks[i++].weight;
        }
        kept = i;
        total = sum;
    }
    if (p->min_p > 0) {
        size_t i = 1;
        while (i < kept && ranks[i].weight >= p->min_p) {
            i++;
        }
        kept = i;
        total = 0;
        for (i = 0; i < kept; i++) {
            total += (double)ranks[i].weight;
        }
    }
    double passed = 0;
    for (size_t i = 0; i < kept; i++) {
        passed += (double)ranks[i].weight;
        if (passed > fraction * total) {
            return ranks[i].id;
        }
    }
    return ranks[kept - 1].id;
}

static void test_filters_apply_in_their_order(void **state) {
    (void)state;
    static float many[MANY];
    static const uint32_t top_ks[] = {0, 1, 2, 40, 5000};
    static const float top_ps[] = {1, 0.9f, 0.3f, 0.9999999f};
    static const float min_ps[] = {0, 0.05f, 0.9f};
    error err;
    chooser c;
    uint64_t seed = 9;
    assert_true(chooser_start(&c, MANY, NULL, &err));
    for (size_t round = 0; round < 600; round++) {
        engine_parameters p = {.temperature = 0.2f + 0.3f * (float)(round % 7),
                               .top_k = top_ks[round % 5],
                               .top_p = top_ps[round / 5 % 4],
                               .min_p = min_ps[round / 20 % 3]};
        for (size_t i = 0; i < MANY; i++) { /* with many ties */
            many[i] = (float)(next_random(&seed) % (round % 2 == 0 ? 64 : 4096)) / 8.0f;
        }
        double fraction = (double)next_random(&seed) * 0x1p-24;
        fraction = round % 3 == 0 ? 1 - (fraction + 0x1p-24) * 0x1p-29 : fraction; /* far down the ranks */
        assert_int_equal(choose(&c, many, &p, fraction), choose_naively(many, MANY, &p, fraction));
    }
    chooser_free(&c);
}

/* By hand: weights 1, 1/2, 1/4 and 1/8 at temperature 1. */
static void test_top_p_is_of_what_top_k_leaves_and_min_p_of_the_largest(void **state) {
    (void)state;
    const float halves[] = {0, -0.6931472f, -1.3862944f, -2.0794415f};
    error err;
    chooser c;
    assert_true(chooser_start(&c, 4, NULL, &err));
    engine_parameters p = {.temperature = 1, .top_p = 1};
    assert_int_equal(choose(&c, halves, &p, 0.99), 3);
    p.top_p = 0.6f; /* of 1.875: 1.125, so two */
    assert_int_equal(choose(&c, halves, &p, 0.99), 1);
    p.top_k = 2; /* of 1.5: 0.9, so one */
    assert_int_equal(choose(&c, halves, &p, 0.99), 0);
    p = (engine_parameters){.temperature = 1, .top_p = 1, .min_p = 0.2f};
    assert_int_equal(choose(&c, halves, &p, 0.99), 2);
    assert_int_equal(choose(&c, halves, &p, 0.57), 0); /* of 1.75 */
    assert_int_equal(choose(&c, halves, &p, 0.58), 1);
    chooser_free(&c);
}

/* Greedy draws against the formulas in double, over a random history. */
static void test_penalties_and_biases_change_the_logits_as_said(void **state) {
    (void)state;
    error err;
    uint64_t seed = 3;
    const engine_bias biases[] = {{2, 1.5f}, {7, -100}, {2, 0.25f}};
    static const float penalties[][3] = {{1.3f, 0, 0},   {0.5f, 0, 0},       {1, 1.5f, 0}, {1, 0, 0.75f},
                                         {1, -2, -0.5f}, {1.2f, 0.5f, 0.5f}, {1, 0, 0}};
    sampling *shared = share();
    for (size_t round = 0; round < 700; round++) {
        const float *penalty = penalties[round % 7];
        engine_parameters p = {.top_p = 1,
                               .repetition_penalty = penalty[0],
                               .presence_penalty = penalty[1],
                               .frequency_penalty = penalty[2],
                               .biases = biases,
                               .bias_count = round % 2 == 0 ? 3 : 0};
        double changed[VOCABULARY];
        float values[VOCABULARY];
        unsigned generated[VOCABULARY] = {0};
        bool seen[VOCABULARY] = {false};
        sampler *s = sampler_new(shared, &p, 0, &err);
        for (size_t i = 0; i < 12; i++) {
            uint32_t token = (uint32_t)(next_random(&seed) % VOCABULARY);
            bool of_prompt = i < 6;
            assert_true(sampler_accept(s, token, of_prompt, &err));
            seen[token] = true;
            generated[token] += of_prompt ? 0 : 1;
        }
        size_t best = 0;
        double second = -1e9;
        for (size_t i = 0; i < VOCABULARY; i++) {
            values[i] = (float)next_random(&seed) * 0x1p-21f - 4;
            double l = (double)values[i];
            if (seen[i]) {
                l = l > 0 ? l / (double)penalty[0] : l * (double)penalty[0];
            }
            l -= generated[i] * (double)penalty[2] + (generated[i] > 0 ? (double)penalty[1] : 0);
            l += p.bias_count == 0 ? 0 : i == 2 ? 1.75 : i == 7 ? -100 : 0;
            changed[i] = l;
            best = l > changed[best] ? i : best;
        }
        for (size_t i = 0; i < VOCABULARY; i++) {
            second = i != best && changed[i] > second ? changed[i] : second;
        }
        draw result;
        assert_true(sampler_draw(s, 0, values, 12, &result, &err));
        assert_true(result.token == best || changed[best] - second < 1e-4);
        sampler_free(s);
    }
    sampling_free(shared);
}

static void test_changed_logits_stay_finite(void **state) {
    (void)state;
    error err;
    draw result;
    const float large[VOCABULARY] = {FLT_MAX, -FLT_MAX, FLT_MAX};
    sampling *shared = share();
    engine_parameters p = {.temperature = 1, .top_p = 1, .repetition_penalty = 1e-30f, .with_logprob = true};
    sampler *s = sampler_new(shared, &p, 0, &err);
    assert_true(sampler_accept(s, 0, true, &err));
    assert_true(sampler_accept(s, 1, false, &err));
    for (uint64_t i = 0; i < 50; i++) {
        assert_true(sampler_draw(s, 0, large, i, &result, &err));
        assert_true(result.token == 0 || result.token == 2);
        assert_true(fabsf(result.logprob - logf(0.5f)) < 1e-6f);
    }
    assert_false(sampler_accept(s, VOCABULARY, false, &err));
    sampler_free(s);
    sampling_free(shared);
}

static void test_log_probabilities_are_those_of_the_raw_logits(void **state) {
    (void)state;
    error err;
    draw result;
    const engine_bias bias = {6, 100};
    sampling *shared = share();
    engine_parameters p = {.temperature = 0.1f,
                           .top_p = 0.5f,
                           .repetition_penalty = 2,
                           .logprobs = 4,
                           .biases = &bias,
                           .bias_count = 1};
    sampler *s = sampler_new(shared, &p, 0, &err);
    assert_true(sampler_draw(s, 0, logits, 0, &result, &err));
    double total = 0;
    for (size_t i = 0; i < VOCABULARY; i++) {
        total += exp((double)logits[i]);
    }
    static const uint32_t best[] = {1, 3, 7, 5};
    assert_int_equal(result.top_count, 4);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(result.top[i].token, best[i]);
        assert_true(fabs((double)result.top[i].logprob - ((double)logits[best[i]] - log(total))) < 1e-6);
    }
    assert_true(fabs((double)result.logprob - ((double)logits[result.token] - log(total))) < 1e-5);
    sampler_free(s);
    p.logprobs = ENGINE_LOGPROBS_MAX;
    s = sampler_new(shared, &p, 0, &err);
    assert_true(sampler_draw(s, 0, logits, 0, &result, &err));
    assert_int_equal(result.top_count, VOCABULARY);
    assert_int_equal(result.top[9].token, 6);
    sampler_free(s);
    sampling_free(shared);
}

static void test_the_logarithm_is_near_the_true_one(void **state) {
    (void)state;
    uint64_t seed = 5;
    assert_true(logarithm(1) == 0);
    for (size_t i = 0; i < 200000; i++) {
        double x = ldexp(1 + (double)next_random(&seed) * 0x1p-24 + (double)next_random(&seed) * 0x1p-48,
                         (int)(next_random(&seed) % 80) - 30);
        double known = log(x);
        assert_true(fabs(logarithm(x) - known) <= 0x1p-51 * (fabs(known) > 1 ? fabs(known) : 1));
    }
}

static void test_wrong_parameters_are_refused(void **state) {
    (void)state;
    error err;
    const engine_bias outside = {VOCABULARY, 0};
    const engine_bias large = {0, 100.5f};
    const engine_parameters good = {.temperature = 1, .top_p = 1, .repetition_penalty = 1};
    engine_parameters wrong[16];
    size_t count = sizeof wrong / sizeof wrong[0];
    for (size_t i = 0; i < count; i++) {
        wrong[i] = good;
    }
    wrong[0].temperature = -0.1f;
    wrong[1].temperature = NAN;
    wrong[2].top_p = 0;
    wrong[3].top_p = NAN;
    wrong[4].min_p = 1.1f;
    wrong[5].min_p = NAN;
    wrong[6].repetition_penalty = 0;
    wrong[7].repetition_penalty = 11;
    wrong[8].repetition_penalty = NAN;
    wrong[9].presence_penalty = 2.1f;
    wrong[10].frequency_penalty = -2.1f;
    wrong[11].frequency_penalty = NAN;
    wrong[12].logprobs = ENGINE_LOGPROBS_MAX + 1;
    wrong[13].biases = &outside;
    wrong[13].bias_count = 1;
    wrong[14].biases = &large;
    wrong[14].bias_count = 1;
    wrong[15].bias_count = ENGINE_BIASES_MAX + 1;
    sampling *shared = share();
    for (size_t i = 0; i < count; i++) {
        assert_null(sampler_new(shared, &wrong[i], 0, &err));
        assert_int_equal(err.code, ERROR_INVALID);
    }
    sampling_free(shared);
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
        cmocka_unit_test(test_draws_are_those_recorded),
        cmocka_unit_test(test_filters_apply_in_their_order),
        cmocka_unit_test(test_top_p_is_of_what_top_k_leaves_and_min_p_of_the_largest),
        cmocka_unit_test(test_penalties_and_biases_change_the_logits_as_said),
        cmocka_unit_test(test_changed_logits_stay_finite),
        cmocka_unit_test(test_log_probabilities_are_those_of_the_raw_logits),
        cmocka_unit_test(test_the_logarithm_is_near_the_true_one),
        cmocka_unit_test(test_wrong_parameters_are_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
