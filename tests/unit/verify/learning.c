#include "verify/learning.h"

#include "random.h"

#include <math.h>

/* Those of the tests: as new, regular, … */
static standing with(standing_state state, double cusum) {
    standing s = {.state = state, .cusum = cusum};
    return s;
}

static learning_lesson lesson_of(const agreement_calibration *c, const learning_party *one,
                                 const learning_party *other) {
    const standing_rules rules = standing_rules_default();
    learning_lesson lesson = learning_of_pair(c, &rules, one, other);
    assert_int_equal(learning_of_pair(c, &rules, other, one), lesson);
    return lesson;
}

static agreement_calibration known(learning_lesson lesson) {
    agreement_calibration c = {.pairs = 0};
    for (int i = 0; i < AGREEMENT_PAIRS_MIN; i++) {
        learning_take(&c, lesson, 1);
    }
    assert_true(agreement_is_calibrated(&c));
    return c;
}

static void test_a_fresh_site_without_referees_begins_with_whoever_is_there(void **state) {
    (void)state;
    const agreement_calibration c = {.pairs = 0};
    const standing new = with(STANDING_NEW, 0);
    const learning_party one = {&new, SLICE_LITERAL("one"), false};
    const learning_party two = {&new, SLICE_LITERAL("two"), false};
    const learning_party unknown = {&new, {0}, false};
    assert_int_equal(lesson_of(&c, &one, &two), LESSON_OF_WORKERS);
    assert_int_equal(lesson_of(&c, &one, &one), LESSON_NONE);
    assert_int_equal(lesson_of(&c, &one, &unknown), LESSON_NONE);
    assert_int_equal(lesson_of(&c, &unknown, &unknown), LESSON_NONE);
}

static void test_once_referees_have_begun_only_they_go_on(void **state) {
    (void)state;
    agreement_calibration c = {.pairs = 0};
    const standing new = with(STANDING_NEW, 0);
    const standing regular = with(STANDING_REGULAR, 0);
    const learning_party referee = {&new, SLICE_LITERAL("it"), true};
    const learning_party worker = {&regular, SLICE_LITERAL("one"), false};
    const learning_party other = {&regular, SLICE_LITERAL("two"), false};
    for (int i = 0; i < AGREEMENT_PAIRS_MIN - 1; i++) {
        learning_take(&c, LESSON_OF_WORKERS, 0.1);
    }
    assert_true(learning_wants_referees(&c));
    assert_int_equal(lesson_of(&c, &referee, &referee), LESSON_OF_REFEREES); /* both are its operator's */
    learning_take(&c, LESSON_OF_REFEREES, 1);
    assert_int_equal(c.pairs, 1); /* what workers taught is forgotten */
    assert_int_equal(lesson_of(&c, &worker, &other), LESSON_NONE);
    assert_int_equal(lesson_of(&c, &worker, &referee), LESSON_NONE);
    for (int i = 1; i < AGREEMENT_PAIRS_MIN; i++) {
        assert_true(learning_wants_referees(&c));
        learning_take(&c, LESSON_OF_REFEREES, 1);
    }
    assert_false(learning_wants_referees(&c));
    assert_int_equal(lesson_of(&c, &worker, &other), LESSON_OF_WORKERS);
    assert_int_equal(lesson_of(&c, &worker, &referee), LESSON_OF_WORKERS);
    learning_take(&c, LESSON_OF_WORKERS, 1);
    assert_int_equal(c.pairs, AGREEMENT_PAIRS_MIN + 1);
}

static void test_then_nobody_teaches_who_is_new_or_suspected(void **state) {
    (void)state;
    const standing_rules rules = standing_rules_default();
    const agreement_calibration calibrations[] = {known(LESSON_OF_WORKERS), known(LESSON_OF_REFEREES)};
    const standing regular = with(STANDING_REGULAR, rules.cusum_limit / 2);
    const learning_party fit = {&regular, SLICE_LITERAL("one"), false};
    const struct {
        standing standing;
        bool referee;
        learning_lesson lesson;
    } cases[] = {
        {with(STANDING_REGULAR, 0), false, LESSON_OF_WORKERS},
        {with(STANDING_REGULAR, rules.cusum_limit / 2 + 0.01), false, LESSON_NONE},
        {with(STANDING_NEW, 0), false, LESSON_NONE},
        {with(STANDING_NEW, 0), true, LESSON_OF_WORKERS},
        {with(STANDING_NEW, rules.cusum_limit), true, LESSON_NONE},
        {with(STANDING_ALERT, 0), false, LESSON_NONE},
        {with(STANDING_ALERT, 0), true, LESSON_NONE},
        {with(STANDING_QUARANTINED, 0), true, LESSON_NONE},
        {with(STANDING_CONVICTED, 0), true, LESSON_NONE},
    };
    for (size_t i = 0; i < 2; i++) {
        for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
            const learning_party other = {&cases[k].standing, SLICE_LITERAL("two"), cases[k].referee};
            assert_int_equal(lesson_of(&calibrations[i], &fit, &other), cases[k].lesson);
        }
        assert_int_equal(lesson_of(&calibrations[i], &fit, &fit), LESSON_NONE); /* of the same owner */
    }
}

static void test_no_lesson_changes_nothing(void **state) {
    (void)state;
    agreement_calibration c = known(LESSON_OF_WORKERS);
    const agreement_calibration before = c;
    learning_take(&c, LESSON_NONE, 0);
    assert_memory_equal(&c, &before, sizeof c);
}

/* A third of the workers gives another model's answers from the first one on, and there are two referees. */
static void test_cheats_that_begin_with_the_site_do_not_make_themselves_usual(void **state) {
    (void)state;
    enum { WORKERS = 9, CHEATS = 3, ROUNDS = 4000 };
    uint64_t random = random_seed();
    const standing_rules rules = standing_rules_default();
    agreement_calibration c = {.pairs = 0};
    standing standings[WORKERS + 2] = {0};
    char owners[WORKERS + 2][4];
    learning_party parties[WORKERS + 2];
    for (size_t i = 0; i < WORKERS + 2; i++) {
        snprintf(owners[i], sizeof owners[i], "%u", (unsigned)(i % 100));
        parties[i] = (learning_party){&standings[i], slice_of_text(owners[i]), i >= WORKERS};
    }
    for (int i = 0; i < ROUNDS; i++) {
        size_t one = (size_t)(random_share(&random) * WORKERS);
        size_t other = (one + 1 + (size_t)(random_share(&random) * (WORKERS - 1))) % WORKERS;
        bool wrong = one < CHEATS || other < CHEATS;
        double score = wrong ? random_share(&random) / 4 : 1;
        error err = {0};
        if (!standing_may_serve(&standings[one]) || !standing_may_serve(&standings[other])) {
            continue;
        }
        double ratio = agreement_ratio(&c, one < CHEATS ? score : 1); /* a third has cleared the honest one */
        if (learning_wants_referees(&c)) {
            learning_take(&c, learning_of_pair(&c, &rules, &parties[WORKERS], &parties[WORKERS + 1]), 1);
        }
        learning_take(&c, learning_of_pair(&c, &rules, &parties[one], &parties[other]), score);
        assert_true(standing_move(&standings[one], &rules, STANDING_DEVIATED, ratio, 1, &err));
    }
    for (size_t i = 0; i < WORKERS; i++) {
        assert_int_equal(standing_may_serve(&standings[i]), i >= CHEATS);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_fresh_site_without_referees_begins_with_whoever_is_there),
        cmocka_unit_test(test_once_referees_have_begun_only_they_go_on),
        cmocka_unit_test(test_then_nobody_teaches_who_is_new_or_suspected),
        cmocka_unit_test(test_no_lesson_changes_nothing),
        cmocka_unit_test(test_cheats_that_begin_with_the_site_do_not_make_themselves_usual),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
