#include "verify/standing.h"

#include "random.h"

#include <math.h>

enum { STATES = 5, EVENTS = 9 };

static const uint64_t now = 1000;

static void tell_score(standing *s, standing_event event, double score) {
    standing_rules rules = standing_rules_default();
    error err;
    if (!standing_move(s, &rules, event, score, now, &err)) {
        fail_msg("%s", err.text);
    }
}

static void tell(standing *s, standing_event event) {
    tell_score(s, event, 0);
}

static void tell_often(standing *s, standing_event event, unsigned times) {
    for (unsigned i = 0; i < times; i++) {
        tell(s, event);
    }
}

static double spot_rate(const standing *s) {
    standing_rules rules = standing_rules_default();
    return standing_rate(s, &rules, VERIFY_SPOT);
}

static standing regular_worker(void) {
    standing s = {.state = STANDING_NEW};
    tell_often(&s, STANDING_AGREED, 20);
    assert_int_equal(s.state, STANDING_REGULAR);
    return s;
}

/* A worker in each state, come there by moves. */
static standing worker_in(standing_state state) {
    standing s = {.state = STANDING_NEW};
    if (state != STANDING_NEW) {
        s = regular_worker();
    }
    if (state == STANDING_ALERT) {
        tell(&s, STANDING_EVADED);
    }
    if (state >= STANDING_QUARANTINED) {
        tell(&s, STANDING_DISPUTED);
    }
    if (state == STANDING_CONVICTED) {
        tell(&s, STANDING_WAS_CONVICTED);
    }
    assert_int_equal(s.state, state);
    return s;
}

static void test_the_moves_are_those_of_the_table(void **state) {
    (void)state;
    /* Where each event leads when it comes once; '-': not allowed. Columns as in STANDING_EVENTS. */
    const char *const table[STATES] = {
        "NNNQ-CNN-", /* new */
        "RRRQ-CAA-", /* regular */
        "AAAQ-CAA-", /* alert */
        "QQQQACQQN", /* quarantined for one dispute */
        "CCCCCCCCN", /* convicted */
    };
    standing_rules rules = standing_rules_default();
    for (unsigned from = 0; from < STATES; from++) {
        for (unsigned event = 0; event < EVENTS; event++) {
            standing before = worker_in((standing_state)from);
            standing after = before;
            error err;
            bool moved = standing_move(&after, &rules, (standing_event)event, 1, now + 1, &err);
            char expected = table[from][event];
            if (expected == '-') {
                assert_false(moved);
                assert_int_equal(err.code, ERROR_CONFLICT);
                assert_memory_equal(&after, &before, sizeof before);
                continue;
            }
            assert_true(moved);
            assert_int_equal("NRAQC"[after.state], expected);
            assert_int_equal(after.changed_ms, after.state == before.state ? before.changed_ms : now + 1);
        }
    }
}

static void test_a_worker_stops_being_new_after_twenty_checks_that_agree(void **state) {
    (void)state;
    standing s = {.state = STANDING_NEW};
    for (int i = 0; i < 20; i++) {
        assert_int_equal(s.state, STANDING_NEW);
        assert_true(spot_rate(&s) == 1);
        tell(&s, STANDING_ANSWERED);
        tell(&s, STANDING_AGREED);
    }
    assert_int_equal(s.state, STANDING_REGULAR);
    assert_int_equal(s.checks, 20);
}

static void test_answers_alone_never_make_a_worker_regular(void **state) {
    (void)state;
    standing s = {.state = STANDING_NEW};
    tell_often(&s, STANDING_ANSWERED, 1000);
    tell_often(&s, STANDING_VERIFIED, 1000);
    assert_int_equal(s.state, STANDING_NEW);
}

static void test_the_rate_falls_with_what_agrees_down_to_three_in_a_hundred(void **state) {
    (void)state;
    standing s = regular_worker();
    assert_true(spot_rate(&s) == 1.0 / 20);
    tell_often(&s, STANDING_AGREED, 5);
    assert_true(spot_rate(&s) == 1.0 / 25);
    tell_often(&s, STANDING_AGREED, 1000);
    assert_true(spot_rate(&s) == 0.03);
}

static void test_off_is_off_and_the_stricter_modes_check_everything(void **state) {
    (void)state;
    standing_rules rules = standing_rules_default();
    for (unsigned i = 0; i < STATES; i++) {
        standing s = worker_in((standing_state)i);
        assert_true(standing_rate(&s, &rules, VERIFY_OFF) == 0);
        assert_true(standing_rate(&s, &rules, VERIFY_EVERY) == 1);
        assert_true(standing_rate(&s, &rules, VERIFY_PROVED) == 1);
        assert_true(standing_rate(&s, &rules, VERIFY_REQUIRED) == 1);
        assert_true(standing_may_serve(&s) == (i < STANDING_QUARANTINED));
    }
}

static void test_an_evasion_has_half_of_thirty_answers_checked(void **state) {
    (void)state;
    standing s = regular_worker();
    tell_often(&s, STANDING_AGREED, 100);
    tell(&s, STANDING_EVADED);
    for (int i = 0; i < 30; i++) {
        assert_int_equal(s.state, STANDING_ALERT);
        assert_true(spot_rate(&s) == 0.5);
        tell(&s, STANDING_ANSWERED);
    }
    assert_int_equal(s.state, STANDING_REGULAR);
    assert_true(spot_rate(&s) == 1); /* none of them was found right yet */
    tell_often(&s, STANDING_AGREED, 15);
    assert_true(spot_rate(&s) == 1.0 / 15);
}

static void test_a_second_evasion_begins_the_thirty_anew(void **state) {
    (void)state;
    standing s = regular_worker();
    tell(&s, STANDING_EVADED);
    tell_often(&s, STANDING_ANSWERED, 29);
    tell(&s, STANDING_EVADED);
    tell_often(&s, STANDING_ANSWERED, 29);
    assert_int_equal(s.state, STANDING_ALERT);
    tell(&s, STANDING_ANSWERED);
    assert_int_equal(s.state, STANDING_REGULAR);
}

static void test_who_never_does_a_check_is_quarantined_however_good_its_answers_are(void **state) {
    (void)state;
    const standing_state begins[] = {STANDING_NEW, STANDING_REGULAR};
    for (size_t i = 0; i < 2; i++) {
        standing s = worker_in(begins[i]);
        for (int evasion = 0; evasion < 8; evasion++) {
            assert_true(standing_may_serve(&s));
            tell_often(&s, STANDING_ANSWERED, 50);
            tell_often(&s, STANDING_AGREED, 50);
            tell(&s, STANDING_EVADED);
        }
        assert_int_equal(s.state, STANDING_QUARANTINED);
        assert_true(s.held);
        tell(&s, STANDING_VERIFIED); /* too late: a human decides */
        assert_int_equal(s.state, STANDING_QUARANTINED);
        tell_often(&s, STANDING_EVADED, 8);
        tell(&s, STANDING_REHABILITATED);
        tell_often(&s, STANDING_EVADED, 7);
        assert_int_equal(s.state, STANDING_NEW);
    }
}

static void test_a_check_done_ends_the_row_of_evasions(void **state) {
    (void)state;
    standing s = regular_worker();
    for (int i = 0; i < 100; i++) {
        tell_often(&s, STANDING_EVADED, 7);
        tell(&s, STANDING_VERIFIED);
    }
    assert_int_equal(s.state, STANDING_ALERT); /* but it never gets out of that */
    assert_int_equal(s.evasions, 700);
}

static void test_quarantine_lasts_until_the_last_dispute_has_ended(void **state) {
    (void)state;
    standing s = regular_worker();
    tell_often(&s, STANDING_DISPUTED, 3);
    tell_often(&s, STANDING_ABSOLVED, 2);
    assert_int_equal(s.state, STANDING_QUARANTINED);
    tell(&s, STANDING_ABSOLVED);
    assert_int_equal(s.state, STANDING_ALERT);
    assert_int_equal(s.alert_left, 30);
    assert_int_equal(s.consecutive, 0);
    assert_true(s.beta < 0.02); /* it wasn't at fault */
}

static void test_a_dispute_is_no_way_around_the_first_twenty(void **state) {
    (void)state;
    standing s = {.state = STANDING_NEW};
    tell_often(&s, STANDING_AGREED, 19);
    tell(&s, STANDING_DISPUTED);
    tell(&s, STANDING_ABSOLVED);
    assert_int_equal(s.state, STANDING_NEW);
    tell(&s, STANDING_AGREED);
    assert_int_equal(s.state, STANDING_REGULAR);
}

static void test_a_referee_in_a_dispute_judges_others_one_that_is_held_or_convicted_does_not(void **state) {
    (void)state;
    standing s = regular_worker();
    assert_true(standing_may_judge(&s));
    tell(&s, STANDING_DISPUTED);
    assert_true(standing_may_judge(&s) && !standing_may_serve(&s));
    tell(&s, STANDING_WAS_CONVICTED);
    assert_false(standing_may_judge(&s));
    s = regular_worker();
    tell_often(&s, STANDING_EVADED, 8);
    assert_false(standing_may_judge(&s));
}

static void test_only_a_human_lets_a_convicted_worker_begin_anew(void **state) {
    (void)state;
    standing s = regular_worker();
    tell_often(&s, STANDING_DISPUTED, 2);
    tell(&s, STANDING_WAS_CONVICTED);
    for (unsigned event = 0; event < EVENTS; event++) { /* what was under way still comes in */
        if (event != STANDING_REHABILITATED) {
            tell_score(&s, (standing_event)event, -5);
            assert_int_equal(s.state, STANDING_CONVICTED);
        }
    }
    tell_often(&s, STANDING_EVADED, 8);
    tell(&s, STANDING_REHABILITATED);
    assert_int_equal(s.state, STANDING_NEW);
    assert_true(spot_rate(&s) == 1);
    assert_true(standing_score(&s) == 0.5);
    tell_often(&s, STANDING_AGREED, 19);
    assert_int_equal(s.state, STANDING_NEW);
}

static void test_one_deviation_never_quarantines_however_large(void **state) {
    (void)state;
    standing s = regular_worker();
    tell_score(&s, STANDING_DEVIATED, 1e300);
    assert_int_equal(s.state, STANDING_ALERT);
    tell_score(&s, STANDING_DEVIATED, 1e300);
    assert_int_equal(s.state, STANDING_ALERT);
    tell_score(&s, STANDING_DEVIATED, 1e300);
    assert_int_equal(s.state, STANDING_QUARANTINED);
    assert_true(s.held);
}

static void test_one_good_score_makes_up_for_half_of_the_limit_at_most(void **state) {
    (void)state;
    standing s = regular_worker();
    tell_score(&s, STANDING_DEVIATED, 3.5);
    tell_score(&s, STANDING_DEVIATED, 3);
    tell_score(&s, STANDING_DEVIATED, -1e300);
    assert_true(s.cusum == 3);
}

static void test_a_deviation_ends_the_row_of_agreed_checks(void **state) {
    (void)state;
    standing s = regular_worker();
    assert_true(s.consecutive > 0);
    tell_score(&s, STANDING_DEVIATED, 0.5);
    assert_int_equal(s.consecutive, 0);
}

static void test_deviations_far_apart_are_forgotten(void **state) {
    (void)state;
    standing s = regular_worker();
    for (int i = 0; i < 100; i++) {
        tell_score(&s, STANDING_DEVIATED, 3);
        for (int k = 0; k < 40; k++) {
            tell_score(&s, STANDING_DEVIATED, -0.1);
        }
        assert_true(standing_may_serve(&s));
    }
    assert_int_equal(s.mismatches, 100);
}

static void test_a_good_past_does_not_shelter_a_sleeper(void **state) {
    (void)state;
    standing s = regular_worker();
    for (int k = 0; k < 100000; k++) {
        tell_score(&s, STANDING_DEVIATED, -0.1);
    }
    for (int i = 0; i < 3; i++) {
        tell_score(&s, STANDING_DEVIATED, 3);
    }
    assert_int_equal(s.state, STANDING_QUARANTINED);
}

static void test_a_check_that_says_nothing_moves_nothing(void **state) {
    (void)state;
    standing s = {.state = STANDING_NEW};
    for (int i = 0; i < 100; i++) {
        tell_score(&s, STANDING_DEVIATED, 0);
    }
    assert_int_equal(s.state, STANDING_NEW);
    assert_int_equal(s.checks, 100);
    assert_true(s.cusum == 0 && standing_score(&s) == 0.5);
}

static void test_a_score_that_is_no_number_is_refused(void **state) {
    (void)state;
    standing_rules rules = standing_rules_default();
    const double scores[] = {NAN, INFINITY, -INFINITY};
    for (size_t i = 0; i < 3; i++) {
        standing s = regular_worker();
        standing before = s;
        error err;
        assert_false(standing_move(&s, &rules, STANDING_DEVIATED, scores[i], now, &err));
        assert_int_equal(err.code, ERROR_INVALID);
        assert_memory_equal(&s, &before, sizeof s);
    }
}

static void test_the_score_for_display_forgets(void **state) {
    (void)state;
    standing s = {.state = STANDING_NEW};
    assert_true(standing_score(&s) == 0.5);
    tell_often(&s, STANDING_AGREED, 100000);
    assert_true(standing_score(&s) > 0.99);
    tell(&s, STANDING_DISPUTED);
    tell(&s, STANDING_ABSOLVED);
    assert_true(standing_score(&s) > 0.99);
    for (int i = 0; i < 200; i++) {
        tell(&s, STANDING_EVADED);
    }
    assert_true(standing_score(&s) < 0.5);
}

static void test_each_broken_value_is_found(void **state) {
    (void)state;
    standing broken[] = {
        {.state = (standing_state)STATES},
        {.state = STANDING_NEW, .agreed = 1},
        {.state = STANDING_NEW, .checks = 9, .agreed = 3, .consecutive = 4},
        {.state = STANDING_NEW, .checks = 9, .agreed = 3, .passed = 4},
        {.state = STANDING_NEW, .evasions_in_row = 1},
        {.state = STANDING_QUARANTINED, .disputes = 2, .mismatches = 1},
        {.state = STANDING_ALERT},
        {.state = STANDING_REGULAR, .alert_left = 1},
        {.state = STANDING_QUARANTINED},
        {.state = STANDING_NEW, .disputes = 1, .mismatches = 1},
        {.state = STANDING_REGULAR, .held = true},
        {.state = STANDING_CONVICTED, .held = true},
        {.state = STANDING_NEW, .cusum = -1},
        {.state = STANDING_NEW, .cusum = NAN},
        {.state = STANDING_NEW, .alpha = INFINITY},
        {.state = STANDING_NEW, .beta = -1},
    };
    standing_rules rules = standing_rules_default();
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        error err;
        assert_false(standing_check(&broken[i], &err));
        assert_int_equal(err.code, ERROR_CORRUPT);
        assert_false(standing_move(&broken[i], &rules, STANDING_ANSWERED, 0, now, &err));
        assert_int_equal(err.code, ERROR_CORRUPT);
    }
}

static void test_names_lead_back_to_their_states(void **state) {
    (void)state;
    for (unsigned i = 0; i < STATES; i++) {
        standing_state parsed = STANDING_NEW;
        assert_true(standing_state_parse(slice_of_text(standing_state_name((standing_state)i)), &parsed));
        assert_int_equal(parsed, i);
    }
    standing_state parsed = STANDING_NEW;
    assert_false(standing_state_parse(SLICE_LITERAL("trusted"), &parsed));
    assert_int_equal(parsed, STANDING_QUARANTINED);
}

static void expect_promises(const standing *before, const standing *s, standing_event event) {
    error err;
    standing_rules rules = standing_rules_default();
    if (!standing_check(s, &err)) {
        fail_msg("%s", err.text);
    }
    assert_true(!standing_may_serve(s) || (s->disputes == 0 && !s->held));
    assert_true(s->state != STANDING_CONVICTED || before->state == STANDING_CONVICTED ||
                event == STANDING_WAS_CONVICTED);
    assert_true(before->state != STANDING_CONVICTED || s->state == STANDING_CONVICTED ||
                event == STANDING_REHABILITATED);
    assert_true(before->state != STANDING_QUARANTINED || !before->held || !standing_may_serve(s) ||
                event == STANDING_REHABILITATED);
    assert_true(s->state != STANDING_NEW || before->passed < rules.first || event == STANDING_REHABILITATED);
    double rate = spot_rate(s);
    assert_true(rate >= rules.floor && rate <= 1);
    assert_true(standing_score(s) > 0 && standing_score(s) < 1);
    assert_true(s->cusum <= 3 * rules.cusum_limit || !standing_may_serve(s));
}

static void test_nothing_leads_to_a_standing_that_breaks_its_promises(void **state) {
    (void)state;
    uint64_t random = random_seed();
    standing_rules rules = standing_rules_default();
    for (int walk = 0; walk < 300; walk++) {
        standing s = {.state = STANDING_NEW};
        unsigned bad = (unsigned)random_below(&random, 40); /* some walks go well for long, some badly */
        for (int step = 0; step < 500; step++) {
            bool rare = random_below(&random, 100) < bad;
            standing_event event = rare ? (standing_event)random_below(&random, EVENTS)
                                        : (standing_event)random_below(&random, STANDING_VERIFIED + 1);
            standing before = s;
            double score = (random_share(&random) - 0.5) * 12;
            error err;
            if (standing_move(&s, &rules, event, score, (uint64_t)step, &err)) {
                expect_promises(&before, &s, event);
            } else {
                assert_int_equal(err.code, ERROR_CONFLICT);
                assert_memory_equal(&s, &before, sizeof s);
            }
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_moves_are_those_of_the_table),
        cmocka_unit_test(test_a_worker_stops_being_new_after_twenty_checks_that_agree),
        cmocka_unit_test(test_answers_alone_never_make_a_worker_regular),
        cmocka_unit_test(test_the_rate_falls_with_what_agrees_down_to_three_in_a_hundred),
        cmocka_unit_test(test_off_is_off_and_the_stricter_modes_check_everything),
        cmocka_unit_test(test_an_evasion_has_half_of_thirty_answers_checked),
        cmocka_unit_test(test_a_second_evasion_begins_the_thirty_anew),
        cmocka_unit_test(test_who_never_does_a_check_is_quarantined_however_good_its_answers_are),
        cmocka_unit_test(test_a_check_done_ends_the_row_of_evasions),
        cmocka_unit_test(test_quarantine_lasts_until_the_last_dispute_has_ended),
        cmocka_unit_test(test_a_dispute_is_no_way_around_the_first_twenty),
        cmocka_unit_test(test_a_referee_in_a_dispute_judges_others_one_that_is_held_or_convicted_does_not),
        cmocka_unit_test(test_only_a_human_lets_a_convicted_worker_begin_anew),
        cmocka_unit_test(test_one_deviation_never_quarantines_however_large),
        cmocka_unit_test(test_one_good_score_makes_up_for_half_of_the_limit_at_most),
        cmocka_unit_test(test_a_deviation_ends_the_row_of_agreed_checks),
        cmocka_unit_test(test_deviations_far_apart_are_forgotten),
        cmocka_unit_test(test_a_good_past_does_not_shelter_a_sleeper),
        cmocka_unit_test(test_a_check_that_says_nothing_moves_nothing),
        cmocka_unit_test(test_a_score_that_is_no_number_is_refused),
        cmocka_unit_test(test_the_score_for_display_forgets),
        cmocka_unit_test(test_each_broken_value_is_found),
        cmocka_unit_test(test_names_lead_back_to_their_states),
        cmocka_unit_test(test_nothing_leads_to_a_standing_that_breaks_its_promises),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
