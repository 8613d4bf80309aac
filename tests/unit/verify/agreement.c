#include "verify/agreement.h"

#include "random.h"
#include "verify/standing.h"

#include <math.h>

static void test_the_common_beginning_is_counted_in_tokens_and_in_whole_characters(void **state) {
    (void)state;
    const uint32_t a[] = {1, 2, 3, 4};
    const uint32_t b[] = {1, 2, 9};
    assert_int_equal(agreement_common_tokens(a, 4, b, 3), 2);
    assert_int_equal(agreement_common_tokens(a, 4, a, 2), 2);
    assert_int_equal(agreement_common_tokens(a, 0, NULL, 0), 0);
    assert_int_equal(agreement_common_text(SLICE_LITERAL("abcd"), SLICE_LITERAL("abx")), 2);
    assert_int_equal(agreement_common_text(SLICE_LITERAL("ab\xc3\xa4"), SLICE_LITERAL("ab\xc3\xb6")), 2);
    assert_int_equal(agreement_common_text(SLICE_LITERAL("ab\xc3\xa4"), SLICE_LITERAL("ab\xc3")), 2);
    assert_int_equal(agreement_common_text(SLICE_LITERAL("ab\xc3\xa4"), SLICE_LITERAL("ab\xc3\xa4!")), 4);
    assert_int_equal(
        agreement_common_text(SLICE_LITERAL("\xf0\x9f\x99\x82"), SLICE_LITERAL("\xf0\x9f\x99\x83")), 0);
    assert_int_equal(agreement_common_text(SLICE_LITERAL(""), SLICE_LITERAL("a")), 0);
}

static bool is_near(double a, double b) {
    return fabs(a - b) < 1e-9;
}

static void test_without_logprobs_the_score_is_the_share_in_common(void **state) {
    (void)state;
    agreement_pair pair = {.claimed = 80, .repeated = 100, .common = 25};
    assert_true(is_near(agreement_score(&pair), 0.25));
    pair.common = 0;
    assert_true(agreement_score(&pair) == 0);
    pair = (agreement_pair){.claimed = 50, .repeated = 50, .common = 50};
    assert_true(agreement_score(&pair) == 1);
    pair = (agreement_pair){.claimed = 0};
    assert_true(agreement_score(&pair) == 1);
}

static void test_answers_that_part_at_a_tie_are_forgiven(void **state) {
    (void)state;
    agreement_pair pair = {.claimed = 100, .repeated = 100, .common = 20, .has_gap = true, .gap = 0};
    assert_true(agreement_score(&pair) == 1);
    pair.gap = 0.1;
    assert_true(is_near(agreement_score(&pair), 0.2 + 0.8 * exp(-0.1)));
    pair.gap = 8;
    assert_true(agreement_score(&pair) < 0.201);
}

static void test_logprobs_that_differ_lower_the_score_though_no_token_does(void **state) {
    (void)state;
    const float claimed[] = {-0.1F, -0.5F, -2.0F};
    const float repeated[] = {-0.3F, -0.5F, -1.0F};
    agreement_pair pair = {.claimed = 3,
                           .repeated = 3,
                           .common = 3,
                           .claimed_logprobs = claimed,
                           .repeated_logprobs = repeated,
                           .logprob_count = 3};
    double expected = (exp(-0.2) + 1 + exp(-1)) / 3;
    assert_true(fabs(agreement_score(&pair) - expected) < 1e-6);
}

static void test_whatever_a_runtime_says_the_score_is_within_0_and_1(void **state) {
    (void)state;
    const float strange[] = {NAN, INFINITY, -INFINITY, 1e30F, -1e30F, 0};
    const double gaps[] = {NAN, INFINITY, -INFINITY, -5, 1e300};
    for (size_t i = 0; i < 6; i++) {
        for (size_t k = 0; k < 6; k++) {
            for (size_t g = 0; g < 5; g++) {
                agreement_pair pair = {.claimed = 2,
                                       .repeated = 2,
                                       .common = 1,
                                       .claimed_logprobs = &strange[i],
                                       .repeated_logprobs = &strange[k],
                                       .logprob_count = 1,
                                       .has_gap = true,
                                       .gap = gaps[g]};
                double score = agreement_score(&pair);
                assert_true(score >= 0 && score <= 1);
            }
        }
    }
    agreement_pair pair = {.claimed = 2, .repeated = 2, .common = 1, .has_gap = true, .gap = NAN};
    assert_true(is_near(agreement_score(&pair), 0.5));
}

static double score_of(const char *one, uint64_t limit, uint64_t tokens, bool was_cut,
                       const agreement_text *other) {
    const agreement_text text = {slice_of_text(one), limit, tokens, was_cut, NULL};
    double score = agreement_of_texts(&text, other);
    assert_true(score == agreement_of_texts(other, &text));
    return score;
}

static void test_of_an_answer_that_was_allowed_more_only_so_much_is_compared(void **state) {
    (void)state;
    const agreement_text whole = {SLICE_LITERAL("one two three four "), 100, 4, false, NULL};
    const agreement_text itself_cut = {SLICE_LITERAL("one two three four "), 4, 4, true, NULL};
    assert_true(score_of("one two ", 2, 2, true, &whole) == 1);
    assert_true(score_of("one six ", 2, 2, true, &whole) == 0.5);
    assert_true(score_of("one two ", 2, 2, false, &whole) < 0.5);    /* it ended by itself */
    assert_true(score_of("one two ", 200, 2, true, &whole) < 0.5);   /* it had been allowed as much */
    assert_true(score_of("one two ", 2, 2, true, &itself_cut) == 1); /* both were, the other later */
    assert_true(score_of("one two ", 4, 2, true, &itself_cut) < 0.5);
    assert_true(score_of("", 2, 0, true, &(agreement_text){SLICE_LITERAL(""), 9, 0, false, NULL}) == 1);
}

static void test_who_says_one_word_and_that_it_was_cut_does_not_agree_with_everybody(void **state) {
    (void)state;
    char text[1024];
    memset(text, 'a', sizeof text);
    const agreement_text whole = {slice_of(text, sizeof text), 1000, 512, false, NULL};
    const agreement_text fair = {slice_of(text, 512), 256, 256, true, NULL};
    const agreement_text lazy = {slice_of(text, 10), 256, 256, true, NULL};
    const agreement_text silent = {slice_of(text, 0), 256, 256, true, NULL};
    assert_true(agreement_of_texts(&whole, &fair) == 1);
    assert_true(agreement_of_texts(&whole, &lazy) < 0.01);
    assert_true(agreement_of_texts(&lazy, &whole) < 0.01);
    assert_true(agreement_of_texts(&whole, &silent) == 0);
}

static agreement_logprobs logprobs_of(const float *values, size_t count, size_t length) {
    agreement_logprobs l = {0};
    for (size_t i = 0; i < count; i++) {
        agreement_logprobs_add(&l, &values[i], 1, 1, i * length / count, (i + 1) * length / count);
    }
    return l;
}

static double score_with(const char *one, const agreement_logprobs *a, const char *other,
                         const agreement_logprobs *b) {
    const agreement_text texts[] = {{slice_of_text(one), 100, 4, false, a},
                                    {slice_of_text(other), 100, 4, false, b}};
    double score = agreement_of_texts(&texts[0], &texts[1]);
    assert_true(is_near(score, agreement_of_texts(&texts[1], &texts[0])));
    return score;
}

static void test_of_texts_the_logprobs_of_the_common_beginning_count(void **state) {
    (void)state;
    const float values[] = {-0.5F, -1, -0.25F, -2};
    const float others[] = {-0.5F, -1, -1.25F, -1};
    agreement_logprobs a = logprobs_of(values, 4, 8);
    agreement_logprobs b = logprobs_of(others, 4, 8);
    assert_true(score_with("abcdefgh", &a, "abcdefgh", &a) == 1);
    assert_true(is_near(score_with("abcdefgh", &a, "abcdefgh", &b), (2 + 2 * exp(-1)) / 4));
    assert_true(is_near(score_with("abcdefgh", &a, "abcdxyzu", &b), 0.5)); /* the first two are the same */
    assert_true(score_with("abcdefgh", &a, "abcdefgh", NULL) == 1);
    agreement_logprobs gathered = {0}; /* the same, cut into messages elsewhere */
    agreement_logprobs_add(&gathered, values, 1, 1, 0, 2);
    agreement_logprobs_add(&gathered, values + 1, 3, 3, 2, 8);
    assert_true(score_with("abcdefgh", &a, "abcdefgh", &gathered) == 1);
    assert_true(is_near(score_with("abcdefgh", &a, "abcdxyzu", &gathered), 0.5));
}

static void test_logprobs_that_aren_t_of_every_token_say_nothing(void **state) {
    (void)state;
    const float values[AGREEMENT_LOGPROBS_MAX + 50] = {0};
    agreement_logprobs l = {0};
    assert_false(agreement_logprobs_given(NULL));
    assert_false(agreement_logprobs_given(&l));
    agreement_logprobs_add(&l, NULL, 0, 0, 0, 0);
    agreement_logprobs_add(&l, values, 2, 2, 0, 8);
    assert_true(agreement_logprobs_given(&l));
    agreement_logprobs_add(&l, NULL, 0, 1, 8, 9);
    assert_false(agreement_logprobs_given(&l));
    agreement_logprobs_add(&l, values, 1, 1, 9, 10);
    assert_false(agreement_logprobs_given(&l));
    l = (agreement_logprobs){0};
    agreement_logprobs_add(&l, values, AGREEMENT_LOGPROBS_MAX - 1, AGREEMENT_LOGPROBS_MAX - 1, 0, 1000);
    agreement_logprobs_add(&l, values, 50, 50, 1000, 2000);
    agreement_logprobs_add(&l, NULL, 0, 1, 2000, 2001); /* beyond what counts */
    assert_true(agreement_logprobs_given(&l));
    assert_int_equal(l.count, AGREEMENT_LOGPROBS_MAX);
}

static void test_who_tells_the_logprob_of_one_long_token_does_not_agree(void **state) {
    (void)state;
    const float values[] = {-0.5F, -1, -0.25F, -2, -1, -1, -1, -1};
    agreement_logprobs a = logprobs_of(values, 8, 8);
    agreement_logprobs one = logprobs_of(values, 1, 8);
    assert_true(score_with("abcdefgh", &a, "abcdefgh", &one) == 0);
}

static void test_nothing_is_said_before_enough_honest_pairs(void **state) {
    (void)state;
    agreement_calibration c = {.pairs = 0};
    for (int i = 0; i < AGREEMENT_PAIRS_MIN - 1; i++) {
        agreement_calibrate(&c, 1);
        assert_false(agreement_is_calibrated(&c));
        assert_true(agreement_ratio(&c, 0) == 0);
        assert_true(agreement_limit(&c) == 0);
    }
    agreement_calibrate(&c, 1);
    assert_true(agreement_is_calibrated(&c));
    assert_true(agreement_ratio(&c, 0) > 0);
    assert_true(agreement_ratio(&c, 1) < 0);
}

/* Mostly the same, sometimes parting early: 1 in a hundred below a half. */
static double honest_score(uint64_t *random) {
    double share = random_share(random);
    return share < 0.7 ? 1 : share < 0.99 ? 0.5 + random_share(random) / 2 : random_share(random) / 2;
}

static agreement_calibration calibrated(uint64_t *random) {
    agreement_calibration c = {.pairs = 0};
    for (int i = 0; i < 3000; i++) {
        agreement_calibrate(&c, honest_score(random));
    }
    return c;
}

static void test_at_most_a_hundredth_of_the_honest_pairs_deviate(void **state) {
    (void)state;
    uint64_t random = random_seed();
    agreement_calibration c = calibrated(&random);
    double limit = agreement_limit(&c);
    unsigned below = 0;
    for (int i = 0; i < 20000; i++) {
        below += honest_score(&random) < limit ? 1 : 0;
    }
    assert_in_range(below, 1, 400);
    assert_true(agreement_ratio(&c, limit / 2) > 0);
    assert_true(agreement_ratio(&c, (limit + 1) / 2) < 0);
}

static void test_the_ratio_is_that_of_its_definition(void **state) {
    (void)state;
    agreement_calibration c = {.pairs = 0};
    for (int i = 0; i < 998; i++) {
        agreement_calibrate(&c, i < 9 ? 0.1 : 1);
    }
    double honest = (10 + 1.5 * sqrt(10)) / 1000; /* nine, Laplace's one, and what is not sure */
    double cheat = honest + 0.1 * (1 - honest);
    assert_true(is_near(agreement_ratio(&c, 0.1), log(cheat / honest)));
    assert_true(is_near(agreement_ratio(&c, 1), log((1 - cheat) / (1 - honest))));
    assert_true(is_near(agreement_limit(&c), 1));
}

/* However well it went so far, half a hundredth is what one deviation is held against. */
static void test_one_deviation_weighs_no_more_than_three(void **state) {
    (void)state;
    agreement_calibration c = {.pairs = 0};
    for (int i = 0; i < 4000; i++) {
        agreement_calibrate(&c, 1);
    }
    double cheat = 0.005 + 0.1 * (1 - 0.005);
    assert_true(is_near(agreement_ratio(&c, 0), log(cheat / 0.005)));
    assert_true(is_near(agreement_ratio_of_three(&c, 0, 0, 1), log(cheat / 0.005)));
    assert_true(agreement_ratio(&c, 0) < 3.1);
}

static void test_a_claim_is_held_against_whoever_it_is_more_like(void **state) {
    (void)state;
    agreement_calibration c = {.pairs = 0};
    assert_true(agreement_ratio_of_three(&c, 0, 0, 1) == 0);
    for (int i = 0; i < 998; i++) {
        agreement_calibrate(&c, i < 9 ? 0.1 : 1);
    }
    double honest = (10 + 1.5 * sqrt(10)) / 2000; /* alone against two: half as often as pairs differ */
    double cheat = honest + 0.1 * (1 - honest);
    assert_true(is_near(agreement_ratio_of_three(&c, 0.1, 0.2, 1), log(cheat / honest)));
    assert_true(is_near(agreement_ratio_of_three(&c, 0.1, 1, 0.1), log((1 - cheat) / (1 - honest))));
    assert_true(is_near(agreement_ratio_of_three(&c, 1, 0.1, 0.1), log((1 - cheat) / (1 - honest))));
    assert_true(agreement_ratio_of_three(&c, 0.1, 0.2, 0.3) == 0); /* three answers */
}

static void test_a_runtime_whose_honest_pairs_say_nothing_convicts_nobody(void **state) {
    (void)state;
    agreement_calibration c = {.pairs = 0};
    for (int i = 0; i < 1000; i++) {
        agreement_calibrate(&c, 0);
    }
    assert_true(agreement_limit(&c) == 0);
    assert_true(agreement_ratio(&c, 0) < 0);
}

static void test_memory_is_bounded_and_what_is_old_counts_less(void **state) {
    (void)state;
    agreement_calibration c = {.pairs = 0};
    error err;
    for (int i = 0; i < 20000; i++) {
        agreement_calibrate(&c, 1);
        assert_true(c.pairs <= AGREEMENT_PAIRS_MAX);
    }
    assert_true(agreement_limit(&c) == 1);
    for (int i = 0; i < 20000; i++) { /* the runtime was changed */
        agreement_calibrate(&c, 0.8);
    }
    assert_true(agreement_check(&c, &err));
    assert_true(agreement_limit(&c) < 0.81);
}

static void test_broken_counts_are_refused(void **state) {
    (void)state;
    error err;
    agreement_calibration c = {.pairs = 0};
    assert_true(agreement_check(&c, &err));
    c.pairs = 1;
    assert_false(agreement_check(&c, &err));
    c.bins[3] = 1;
    assert_true(agreement_check(&c, &err));
    c.bins[0] = UINT32_MAX;
    c.pairs = UINT32_MAX;
    c.bins[3] = 0;
    assert_false(agreement_check(&c, &err));
    c = (agreement_calibration){.by_referees = 2};
    assert_false(agreement_check(&c, &err));
    assert_int_equal(err.code, ERROR_CORRUPT);
}

/* How many checks until quarantine; `limit` if that isn't reached. `cheats`: the share of answers that
 * another model gave, which agrees with this one nowhere for long. */
static unsigned checks_until_quarantine(const agreement_calibration *c, double cheats, unsigned limit,
                                        uint64_t *random) {
    standing_rules rules = standing_rules_default();
    standing s = {.state = STANDING_NEW};
    for (unsigned i = 1; i <= limit; i++) {
        double score = random_share(random) < cheats ? random_share(random) / 10 : honest_score(random);
        error err;
        assert_true(standing_move(&s, &rules, STANDING_DEVIATED, agreement_ratio(c, score), i, &err));
        if (!standing_may_serve(&s)) {
            return i;
        }
    }
    return limit;
}

/* Research: 1080 answers on average at 3 % for a worker that cheats a tenth of the time, with an error of 0.5
 * %; 2000 with 2 %: 33 to 60 checks. */
static void test_a_cheat_is_quarantined_and_an_honest_worker_is_not(void **state) {
    (void)state;
    enum { RUNS = 200 };
    uint64_t random = random_seed();
    agreement_calibration c = calibrated(&random);
    double sum = 0;
    for (int i = 0; i < RUNS; i++) {
        sum += checks_until_quarantine(&c, 0.1, 10000, &random);
    }
    assert_in_range((unsigned)(sum / RUNS), 15, 75);
    unsigned honest = 0;
    for (int i = 0; i < RUNS; i++) {
        honest += checks_until_quarantine(&c, 0, 200, &random) == 200 ? 1 : 0;
    }
    assert_in_range(honest, RUNS - 10, RUNS);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_common_beginning_is_counted_in_tokens_and_in_whole_characters),
        cmocka_unit_test(test_without_logprobs_the_score_is_the_share_in_common),
        cmocka_unit_test(test_answers_that_part_at_a_tie_are_forgiven),
        cmocka_unit_test(test_logprobs_that_differ_lower_the_score_though_no_token_does),
        cmocka_unit_test(test_whatever_a_runtime_says_the_score_is_within_0_and_1),
        cmocka_unit_test(test_of_an_answer_that_was_allowed_more_only_so_much_is_compared),
        cmocka_unit_test(test_who_says_one_word_and_that_it_was_cut_does_not_agree_with_everybody),
        cmocka_unit_test(test_of_texts_the_logprobs_of_the_common_beginning_count),
        cmocka_unit_test(test_logprobs_that_aren_t_of_every_token_say_nothing),
        cmocka_unit_test(test_who_tells_the_logprob_of_one_long_token_does_not_agree),
        cmocka_unit_test(test_nothing_is_said_before_enough_honest_pairs),
        cmocka_unit_test(test_at_most_a_hundredth_of_the_honest_pairs_deviate),
        cmocka_unit_test(test_the_ratio_is_that_of_its_definition),
        cmocka_unit_test(test_one_deviation_weighs_no_more_than_three),
        cmocka_unit_test(test_a_claim_is_held_against_whoever_it_is_more_like),
        cmocka_unit_test(test_a_runtime_whose_honest_pairs_say_nothing_convicts_nobody),
        cmocka_unit_test(test_memory_is_bounded_and_what_is_old_counts_less),
        cmocka_unit_test(test_broken_counts_are_refused),
        cmocka_unit_test(test_a_cheat_is_quarantined_and_an_honest_worker_is_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
