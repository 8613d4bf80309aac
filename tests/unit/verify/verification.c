#include "verify/verification.h"

#include "random.h"

enum { STATES = 10, EVENTS = 15 };

static void tell(verification *v, verification_event event, verification_state expected) {
    error err;
    if (!verification_move(v, event, &err)) {
        fail_msg("%s", err.text);
    }
    assert_int_equal(v->state, expected);
}

static void test_the_moves_are_those_of_the_table(void **state) {
    (void)state;
    /* Columns as in VERIFICATION_EVENTS; letters as the states: K W R D J A X(worker) Y(verifier) O G. */
    const char letters[] = "KWRDJAXYOG";
    const char *const table[STATES] = {
        "W---------G----", /* kept */
        "-R--------G----", /* waiting */
        "--WAD----------", /* running */
        "-----J----O----", /* disputed */
        "------DXYD-----", /* judging */
        "---------------", /* agreed */
        "---------------", /* worker_wrong */
        "---------------", /* verifier_wrong */
        "-----------XYGD", /* open */
        "---------------", /* given_up */
    };
    for (unsigned from = 0; from < STATES; from++) {
        for (unsigned event = 0; event < EVENTS; event++) {
            bool assigned = from == VERIFICATION_RUNNING || from == VERIFICATION_JUDGING;
            verification v = {.state = (verification_state)from, .attempts = assigned ? 1 : 0};
            verification before = v;
            error err;
            bool moved = verification_move(&v, (verification_event)event, &err);
            if (table[from][event] == '-') {
                assert_false(moved);
                assert_int_equal(err.code, ERROR_CONFLICT);
                assert_memory_equal(&v, &before, sizeof v);
            } else {
                assert_true(moved);
                assert_int_equal(letters[v.state], table[from][event]);
            }
        }
    }
}

static void test_a_check_that_five_verifiers_lost_is_given_up(void **state) {
    (void)state;
    verification v = {.state = VERIFICATION_WAITING};
    for (int i = 0; i < 4; i++) {
        tell(&v, VERIFICATION_ASSIGNED, VERIFICATION_RUNNING);
        tell(&v, VERIFICATION_LOST, VERIFICATION_WAITING);
    }
    tell(&v, VERIFICATION_ASSIGNED, VERIFICATION_RUNNING);
    tell(&v, VERIFICATION_LOST, VERIFICATION_GIVEN_UP);
    assert_true(verification_is_over(&v));
}

static verification disputed(void) {
    verification v = {.state = VERIFICATION_KEPT};
    tell(&v, VERIFICATION_DRAWN, VERIFICATION_WAITING);
    tell(&v, VERIFICATION_ASSIGNED, VERIFICATION_RUNNING);
    tell(&v, VERIFICATION_DIFFERED, VERIFICATION_DISPUTED);
    return v;
}

static void test_a_dispute_that_three_referees_cannot_settle_is_left_to_a_human(void **state) {
    (void)state;
    verification v = disputed();
    for (int i = 0; i < 2; i++) {
        tell(&v, VERIFICATION_REFEREE_ASSIGNED, VERIFICATION_JUDGING);
        tell(&v, VERIFICATION_REFEREE_FOR_NEITHER, VERIFICATION_DISPUTED);
    }
    tell(&v, VERIFICATION_REFEREE_ASSIGNED, VERIFICATION_JUDGING);
    tell(&v, VERIFICATION_REFEREE_FOR_NEITHER, VERIFICATION_OPEN);
    assert_int_equal(v.referees, 3);
    assert_false(verification_is_over(&v));
    tell(&v, VERIFICATION_DECIDED_VERIFIER_WRONG, VERIFICATION_VERIFIER_WRONG);
    assert_true(verification_is_over(&v));
}

static void test_a_human_has_a_dispute_judged_again_unless_three_have_judged_it(void **state) {
    (void)state;
    error err;
    verification v = disputed();
    tell(&v, VERIFICATION_REFEREE_ASSIGNED, VERIFICATION_JUDGING);
    tell(&v, VERIFICATION_REFEREE_FOR_NEITHER, VERIFICATION_DISPUTED);
    tell(&v, VERIFICATION_EXPIRED, VERIFICATION_OPEN);
    tell(&v, VERIFICATION_RESUMED, VERIFICATION_DISPUTED);
    for (int i = 0; i < 2; i++) {
        tell(&v, VERIFICATION_REFEREE_ASSIGNED, VERIFICATION_JUDGING);
        tell(&v, VERIFICATION_REFEREE_FOR_NEITHER, i == 1 ? VERIFICATION_OPEN : VERIFICATION_DISPUTED);
    }
    assert_false(verification_move(&v, VERIFICATION_RESUMED, &err));
    assert_int_equal(err.code, ERROR_CONFLICT);
    assert_int_equal(v.state, VERIFICATION_OPEN);
}

static void test_a_dispute_is_never_given_up_for_want_of_referees(void **state) {
    (void)state;
    verification v = disputed();
    for (int i = 0; i < 4; i++) {
        tell(&v, VERIFICATION_REFEREE_ASSIGNED, VERIFICATION_JUDGING);
        tell(&v, VERIFICATION_REFEREE_LOST, VERIFICATION_DISPUTED);
    }
    tell(&v, VERIFICATION_REFEREE_ASSIGNED, VERIFICATION_JUDGING);
    tell(&v, VERIFICATION_REFEREE_LOST, VERIFICATION_OPEN);
    v = disputed();
    tell(&v, VERIFICATION_EXPIRED, VERIFICATION_OPEN);
    tell(&v, VERIFICATION_DECIDED_NEITHER, VERIFICATION_GIVEN_UP);
}

static void test_the_third_referee_may_still_settle_it(void **state) {
    (void)state;
    verification v = disputed();
    for (int i = 0; i < 2; i++) {
        tell(&v, VERIFICATION_REFEREE_ASSIGNED, VERIFICATION_JUDGING);
        tell(&v, VERIFICATION_REFEREE_LOST, VERIFICATION_DISPUTED);
        tell(&v, VERIFICATION_REFEREE_ASSIGNED, VERIFICATION_JUDGING);
        tell(&v, VERIFICATION_REFEREE_FOR_NEITHER, VERIFICATION_DISPUTED);
    }
    tell(&v, VERIFICATION_REFEREE_ASSIGNED, VERIFICATION_JUDGING);
    tell(&v, VERIFICATION_REFEREE_FOR_VERIFIER, VERIFICATION_WORKER_WRONG);
    assert_int_equal(v.referees, 3);
}

static void test_names_lead_back_to_their_states(void **state) {
    (void)state;
    for (unsigned i = 0; i < STATES; i++) {
        verification_state parsed = VERIFICATION_KEPT;
        slice name = slice_of_text(verification_state_name((verification_state)i));
        assert_true(verification_state_parse(name, &parsed));
        assert_int_equal(parsed, i);
    }
    verification_state parsed = VERIFICATION_KEPT;
    assert_false(verification_state_parse(SLICE_LITERAL(""), &parsed));
}

static void test_broken_values_are_refused(void **state) {
    (void)state;
    verification broken[] = {
        {.state = (verification_state)STATES},
        {.state = VERIFICATION_KEPT, .attempts = 1},
        {.state = VERIFICATION_WAITING, .attempts = VERIFICATION_ATTEMPTS_MAX},
        {.state = VERIFICATION_WAITING, .referees = 1},
        {.state = VERIFICATION_RUNNING},
        {.state = VERIFICATION_RUNNING, .attempts = VERIFICATION_ATTEMPTS_MAX + 1},
        {.state = VERIFICATION_DISPUTED, .referees = VERIFICATION_REFEREES_MAX},
        {.state = VERIFICATION_JUDGING},
        {.state = VERIFICATION_AGREED, .referees = 1},
        {.state = VERIFICATION_OPEN, .referees = VERIFICATION_REFEREES_MAX + 1},
    };
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        error err;
        assert_false(verification_check(&broken[i], &err));
        assert_int_equal(err.code, ERROR_CORRUPT);
        assert_false(verification_move(&broken[i], VERIFICATION_EXPIRED, &err));
        assert_int_equal(err.code, ERROR_CORRUPT);
    }
}

/* However often it is lost, a verification comes to its end or to a human in a bounded number of moves. */
static void test_every_walk_ends(void **state) {
    (void)state;
    enum { MOVES_MAX = 2 * VERIFICATION_ATTEMPTS_MAX * (1 + VERIFICATION_REFEREES_MAX) + 3 };
    uint64_t random = random_seed();
    for (int walk = 0; walk < 5000; walk++) {
        verification v = {.state = random_below(&random, 2) == 0 ? VERIFICATION_KEPT : VERIFICATION_WAITING};
        int moves = 0;
        for (int step = 0; step < 3000 && !verification_is_over(&v); step++) {
            verification_event event = (verification_event)random_below(&random, EVENTS);
            bool rare = event == VERIFICATION_EXPIRED || event == VERIFICATION_HAS_AGREED;
            verification before = v;
            error err;
            if (rare && random_below(&random, 8) != 0) {
                continue;
            }
            if (verification_move(&v, event, &err)) {
                moves++;
                assert_true(verification_check(&v, &err));
                bool blames = v.state == VERIFICATION_WORKER_WRONG || v.state == VERIFICATION_VERIFIER_WRONG;
                assert_true(!blames || before.state == VERIFICATION_JUDGING ||
                            before.state == VERIFICATION_OPEN);
            } else {
                assert_int_equal(err.code, ERROR_CONFLICT);
                assert_memory_equal(&v, &before, sizeof v);
            }
        }
        assert_true(verification_is_over(&v));
        assert_in_range(moves, 1, MOVES_MAX);
    }
}

enum { COUNT = 40 };

static const verify_claim truth = {COUNT, 9, {1, 2, 3}};
static const verify_claim other = {COUNT, 9, {1, 2, 4}};

static verify_finding agreeing(void) {
    verify_finding f = {.agreed = COUNT, .count = COUNT, .complete = true, .prompt_tokens = 9};
    memcpy(f.commitment, truth.commitment, sizeof f.commitment);
    return f;
}

static verify_finding differing(uint32_t agreed, uint32_t expected) {
    verify_finding f = agreeing();
    f.agreed = agreed;
    f.complete = false;
    f.has_expected = true;
    f.expected = expected;
    return f;
}

static void test_an_answer_agrees_only_if_everything_does(void **state) {
    (void)state;
    verify_finding f = agreeing();
    assert_int_equal(verify_compare(&truth, &f), VERIFY_AGREES);
    assert_int_equal(verify_compare(&other, &f), VERIFY_DIFFERS); /* other logits */
    verify_claim claim = truth;
    claim.tokens++;
    assert_int_equal(verify_compare(&claim, &f), VERIFY_DIFFERS);
    claim = truth;
    claim.prompt_tokens++;
    assert_int_equal(verify_compare(&claim, &f), VERIFY_DIFFERS);
    f.complete = false; /* cut short */
    assert_int_equal(verify_compare(&truth, &f), VERIFY_DIFFERS);
    f = agreeing(); /* it was told another claim */
    f.count = COUNT + 1;
    assert_int_equal(verify_compare(&truth, &f), VERIFY_DIFFERS);
    f = differing(COUNT - 1, 5);
    f.complete = true;
    assert_int_equal(verify_compare(&truth, &f), VERIFY_DIFFERS);
}

static void test_the_referee_says_who_is_wrong(void **state) {
    (void)state;
    verify_finding right = agreeing();
    verify_finding refuting = differing(17, 99);
    assert_int_equal(verify_judge(&truth, &refuting, &right), VERDICT_VERIFIER_WRONG);
    assert_int_equal(verify_judge(&other, &refuting, &refuting), VERDICT_WORKER_WRONG);
    /* The tokens are right by luck, the commitment shows that they were not computed. */
    assert_int_equal(verify_judge(&other, &right, &right), VERDICT_WORKER_WRONG);
    /* All is right but the length of the prompt. */
    verify_claim dear = truth;
    dear.prompt_tokens *= 2;
    assert_int_equal(verify_judge(&dear, &right, &right), VERDICT_WORKER_WRONG);
    verify_finding lying = right;
    lying.prompt_tokens *= 2;
    assert_int_equal(verify_judge(&truth, &lying, &right), VERDICT_VERIFIER_WRONG);
}

static void test_a_verifier_that_denies_the_end_alone_is_wrong(void **state) {
    (void)state;
    verify_finding denying = agreeing();
    denying.complete = false;
    verify_finding right = agreeing();
    assert_int_equal(verify_judge(&truth, &denying, &right), VERDICT_VERIFIER_WRONG);
}

static void test_a_referee_that_says_something_else_decides_nothing(void **state) {
    (void)state;
    verify_finding verifier = differing(17, 99);
    const verify_finding referees[] = {differing(16, 99), differing(17, 98), agreeing()};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(verify_judge(&other, &verifier, &referees[i]), VERDICT_NEITHER);
    }
    verify_finding referee = differing(17, 99);
    memcpy(referee.commitment, other.commitment, sizeof referee.commitment);
    assert_int_equal(verify_judge(&truth, &verifier, &referee), VERDICT_NEITHER);
    referee = differing(17, 99);
    referee.count = COUNT + 1;
    assert_int_equal(verify_judge(&truth, &verifier, &referee), VERDICT_NEITHER);
    referee = differing(17, 99);
    referee.prompt_tokens++;
    assert_int_equal(verify_judge(&truth, &verifier, &referee), VERDICT_NEITHER);
    referee = differing(17, 99);
    referee.has_expected = false;
    assert_int_equal(verify_judge(&truth, &verifier, &referee), VERDICT_NEITHER);
}

static void test_where_nothing_differs_nobody_is_wrong(void **state) {
    (void)state;
    verify_finding right = agreeing();
    assert_int_equal(verify_judge(&truth, &right, &right), VERDICT_NEITHER);
}

static verify_verdict worth(verify_verdict verdict, bool site, bool worker, bool verifier) {
    const verify_bench bench = {
        .site_has_referees = site, .worker_is_referee = worker, .verifier_is_referee = verifier};
    return verify_verdict_of_worker(verdict, &bench);
}

static bool may_judge(bool site, bool worker, bool verifier) {
    const verify_bench bench = {
        .site_has_referees = site, .worker_is_referee = worker, .verifier_is_referee = verifier};
    return verify_worker_may_judge(&bench);
}

static void test_a_worker_decides_where_no_referee_was_ever_enrolled(void **state) {
    (void)state;
    assert_true(may_judge(false, false, false));
    assert_int_equal(worth(VERDICT_WORKER_WRONG, false, false, false), VERDICT_WORKER_WRONG);
    assert_int_equal(worth(VERDICT_VERIFIER_WRONG, false, false, false), VERDICT_VERIFIER_WRONG);
    assert_int_equal(worth(VERDICT_NEITHER, false, false, false), VERDICT_NEITHER);
}

/* One lies about an honest worker, the other confirms it: whichever of the two parties the liar is. */
static void test_two_friends_convict_nobody_where_a_referee_is_enrolled(void **state) {
    (void)state;
    assert_false(may_judge(true, false, false));
    assert_int_equal(worth(VERDICT_WORKER_WRONG, true, false, false), VERDICT_NEITHER);
    assert_int_equal(worth(VERDICT_VERIFIER_WRONG, true, false, false), VERDICT_NEITHER);
}

static void test_a_worker_confirms_a_referee_and_never_decides_against_one(void **state) {
    (void)state;
    assert_true(may_judge(true, false, true) && may_judge(true, true, false));
    assert_int_equal(worth(VERDICT_WORKER_WRONG, true, false, true), VERDICT_WORKER_WRONG);
    assert_int_equal(worth(VERDICT_VERIFIER_WRONG, true, false, true), VERDICT_NEITHER);
    assert_int_equal(worth(VERDICT_WORKER_WRONG, true, true, false), VERDICT_NEITHER);
    assert_int_equal(worth(VERDICT_VERIFIER_WRONG, true, true, false), VERDICT_VERIFIER_WRONG);
    assert_int_equal(worth(VERDICT_NEITHER, true, false, true), VERDICT_NEITHER);
    assert_int_equal(worth(VERDICT_VERIFIER_WRONG, false, false, true), VERDICT_NEITHER);
    assert_false(may_judge(true, true, true));
    assert_int_equal(worth(VERDICT_WORKER_WRONG, true, true, true), VERDICT_NEITHER);
    assert_int_equal(worth(VERDICT_VERIFIER_WRONG, true, true, true), VERDICT_NEITHER);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_worker_decides_where_no_referee_was_ever_enrolled),
        cmocka_unit_test(test_two_friends_convict_nobody_where_a_referee_is_enrolled),
        cmocka_unit_test(test_a_worker_confirms_a_referee_and_never_decides_against_one),
        cmocka_unit_test(test_the_moves_are_those_of_the_table),
        cmocka_unit_test(test_a_check_that_five_verifiers_lost_is_given_up),
        cmocka_unit_test(test_a_dispute_that_three_referees_cannot_settle_is_left_to_a_human),
        cmocka_unit_test(test_a_human_has_a_dispute_judged_again_unless_three_have_judged_it),
        cmocka_unit_test(test_a_dispute_is_never_given_up_for_want_of_referees),
        cmocka_unit_test(test_the_third_referee_may_still_settle_it),
        cmocka_unit_test(test_names_lead_back_to_their_states),
        cmocka_unit_test(test_broken_values_are_refused),
        cmocka_unit_test(test_every_walk_ends),
        cmocka_unit_test(test_an_answer_agrees_only_if_everything_does),
        cmocka_unit_test(test_the_referee_says_who_is_wrong),
        cmocka_unit_test(test_a_verifier_that_denies_the_end_alone_is_wrong),
        cmocka_unit_test(test_a_referee_that_says_something_else_decides_nothing),
        cmocka_unit_test(test_where_nothing_differs_nobody_is_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
