#include "site.h"

/* What workers may say, credit, and cancels. */

static void test_a_message_about_a_job_the_worker_never_held_is_a_violation(void **state) {
    (void)state;
    site s;
    site_open(&s);
    dispatch_worker *w1 = site_worker(&s, "w1", 1);
    dispatch_worker *w2 = site_worker(&s, "w2", 1);
    site_submit(&s, "j1");
    site_expect(&s, "send w1 j1 8\n");
    assert_int_equal(site_delta(&s, w2, "j1", 0, 1), DISPATCH_VIOLATION);
    assert_int_equal(site_done(&s, w2, "j1", 0), DISPATCH_VIOLATION);
    assert_int_equal(site_fail(&s, w2, "j1", true), DISPATCH_VIOLATION);
    assert_int_equal(site_delta(&s, w1, "j2", 0, 1), DISPATCH_VIOLATION);
    const dispatch_id id = site_id("j1");
    assert_string_equal(dispatch_worker_job(w1, &id), "j1");
    assert_null(dispatch_worker_job(w2, &id));
    assert_int_equal(site_done(&s, w1, "j1", 0), DISPATCH_OK);
    assert_int_equal(site_done(&s, w1, "j1", 0), DISPATCH_VIOLATION);
    dispatch_stats stats;
    dispatch_read_stats(s.dispatch, &stats);
    assert_int_equal(stats.violations, 5);
    site_free(&s);
}

static void test_a_gap_a_repeat_too_many_tokens_and_a_wrong_count_are_violations(void **state) {
    (void)state;
    site s;
    site_open(&s);
    dispatch_worker *w1 = site_worker(&s, "w1", 1);
    site_submit(&s, "j1");
    site_expect(&s, "send w1 j1 8\n");
    assert_int_equal(site_delta(&s, w1, "j1", 1, 1), DISPATCH_VIOLATION);
    assert_int_equal(site_delta(&s, w1, "j1", 0, 9), DISPATCH_VIOLATION);
    assert_int_equal(site_delta(&s, w1, "j1", 0, UINT64_MAX), DISPATCH_VIOLATION);
    assert_int_equal(site_delta(&s, w1, "j1", 0, 8), DISPATCH_OK);
    assert_int_equal(site_delta(&s, w1, "j1", 0, 0), DISPATCH_VIOLATION);
    assert_int_equal(site_delta(&s, w1, "j1", 1, 1), DISPATCH_VIOLATION);
    assert_int_equal(site_done(&s, w1, "j1", 9), DISPATCH_VIOLATION);
    assert_int_equal(site_done(&s, w1, "j1", 7), DISPATCH_VIOLATION);
    assert_int_equal(site_done(&s, w1, "j1", 8), DISPATCH_OK);
    site_free(&s);
}

static void test_deltas_without_tokens_are_bounded(void **state) {
    (void)state;
    site s;
    site_open(&s);
    dispatch_worker *w1 = site_worker(&s, "w1", 1);
    site_submit(&s, "j1");
    site_expect(&s, "send w1 j1 8\n");
    uint64_t seq = 0;
    while (seq < 16) {
        assert_int_equal(site_delta(&s, w1, "j1", seq++, 0), DISPATCH_OK);
    }
    assert_int_equal(site_delta(&s, w1, "j1", seq, 0), DISPATCH_VIOLATION);
    assert_int_equal(site_delta(&s, w1, "j1", seq++, 1), DISPATCH_OK);
    assert_int_equal(site_delta(&s, w1, "j1", seq++, 0), DISPATCH_OK);
    assert_int_equal(site_delta(&s, w1, "j1", seq, 0), DISPATCH_VIOLATION);
    site_free(&s);
}

static void test_credit_follows_the_client_in_batches_of_half_a_window(void **state) {
    (void)state;
    site s;
    site_open(&s);
    dispatch_worker *w1 = site_worker(&s, "w1", 1);
    dispatch_job *job = site_submit(&s, "j1");
    site_expect(&s, "send w1 j1 8\n");
    assert_int_equal(site_delta(&s, w1, "j1", 0, 8), DISPATCH_OK);
    dispatch_job_consumed(job, 3, s.now);
    site_expect(&s, "");
    dispatch_job_consumed(job, 4, s.now);
    site_expect(&s, "credit w1 j1 4\n");
    dispatch_job_consumed(job, 2, s.now);
    dispatch_job_consumed(job, 9, s.now); /* more than came */
    site_expect(&s, "");
    assert_int_equal(site_delta(&s, w1, "j1", 1, 5), DISPATCH_VIOLATION);
    assert_int_equal(site_delta(&s, w1, "j1", 1, 4), DISPATCH_OK);
    dispatch_job_consumed(job, 12, s.now);
    site_expect(&s, "credit w1 j1 8\n");
    site_free(&s);
}

static void test_the_watchdog_waits_while_a_job_is_out_of_credit(void **state) {
    (void)state;
    site s;
    site_open(&s);
    dispatch_worker *w1 = site_worker(&s, "w1", 2);
    dispatch_job *slow = site_submit(&s, "j1");
    site_submit(&s, "j2");
    assert_int_equal(site_delta(&s, w1, "j1", 0, 8), DISPATCH_OK);
    uint64_t seq = 0;
    for (int i = 0; i < 8; i++) {
        assert_int_equal(site_delta(&s, w1, "j2", seq++, 1), DISPATCH_OK); /* the other one is not held up */
        site_wait(&s, 20000, &w1, 1);
    }
    assert_int_equal(site_done(&s, w1, "j2", 8), DISPATCH_OK);
    site_expect(&s, "send w1 j1 8\nsend w1 j2 8\n");
    dispatch_job_consumed(slow, 8, s.now);
    site_wait(&s, 29999, &w1, 1);
    site_expect(&s, "credit w1 j1 8\n");
    site_wait(&s, 1, &w1, 1);
    site_expect(&s, "cancel w1 j1\nrestart j1\n");
    site_free(&s);
}

static void test_a_worker_that_never_sends_a_first_token_loses_the_job(void **state) {
    (void)state;
    site s;
    site_open(&s);
    dispatch_worker *w1 = site_worker(&s, "w1", 1);
    site_submit(&s, "j1");
    site_wait(&s, 119999, &w1, 1);
    site_expect(&s, "send w1 j1 8\n");
    site_wait(&s, 1, &w1, 1);
    site_expect(&s, "cancel w1 j1\nrestart j1\n");
    site_free(&s);
}

static void test_a_cancelled_slot_is_busy_until_the_worker_confirms(void **state) {
    (void)state;
    site s;
    site_open(&s);
    dispatch_worker *w1 = site_worker(&s, "w1", 1);
    dispatch_job *job = site_submit(&s, "j1");
    site_submit(&s, "j2");
    dispatch_job_cancel(job, s.now);
    site_expect(&s, "send w1 j1 8\ncancel w1 j1\n");
    assert_int_equal(site_delta(&s, w1, "j1", 0, 1), DISPATCH_STALE);
    assert_int_equal(site_fail(&s, w1, "j1", false), DISPATCH_STALE);
    site_expect(&s, "send w1 j2 8\n");
    assert_int_equal(site_delta(&s, w1, "j1", 1, 1), DISPATCH_VIOLATION); /* it said that it had ended it */
    assert_int_equal(site_done(&s, w1, "j2", 0), DISPATCH_OK);
    site_free(&s);
}

static void test_a_cancelled_slot_is_free_after_the_grace_and_late_words_are_forgiven_for_a_while(
    void **state) {
    (void)state;
    site s;
    site_open(&s);
    dispatch_worker *w1 = site_worker(&s, "w1", 1);
    dispatch_job *job = site_submit(&s, "j1");
    site_submit(&s, "j2");
    dispatch_job_cancel(job, s.now);
    site_wait(&s, 1999, &w1, 1);
    site_expect(&s, "send w1 j1 8\ncancel w1 j1\n");
    site_wait(&s, 1, &w1, 1);
    site_expect(&s, "send w1 j2 8\n");
    site_wait(&s, 29999, &w1, 1);
    assert_int_equal(site_delta(&s, w1, "j1", 7, 100), DISPATCH_STALE);
    site_wait(&s, 1, &w1, 1);
    assert_int_equal(site_delta(&s, w1, "j1", 8, 1), DISPATCH_VIOLATION);
    site_free(&s);
}

static void test_cancelling_a_waiting_job_frees_its_place(void **state) {
    (void)state;
    site s;
    site_open(&s);
    site_worker(&s, "w1", 1);
    site_submit(&s, "j1");
    site_submit(&s, "j2");
    site_submit(&s, "j3");
    dispatch_job *job = site_submit(&s, "j4");
    site_refused(&s, "j5", 1, ERROR_LIMIT);
    dispatch_job_cancel(job, s.now);
    site_submit(&s, "j5");
    site_expect(&s, "send w1 j1 8\n");
    site_free(&s);
}

/* One whole story; every allocation of it fails in turn. */
static bool story(site *s) {
    const dispatch_config config = site_config();
    if (!site_make(s, &config)) {
        return false;
    }
    dispatch_worker *w1 = site_join(s, "w1", site_offer("m", 2, 1, true));
    dispatch_worker *w2 = w1 == NULL ? NULL : site_join(s, "w2", site_offer("m", 1, 2, false));
    dispatch_worker *w3 = w2 == NULL ? NULL : site_join(s, "w1", site_offer("m", 3, 1, true));
    error_code code = ERROR_NONE;
    static const char *const names[] = {"j1", "j2", "j3", "j4", "j5", "j6"};
    bool whole = w3 != NULL;
    for (size_t i = 0; whole && i < 6; i++) {
        whole = site_try(s, names[i], i / 3, &code) != NULL;
        assert_true(whole || code == ERROR_MEMORY);
    }
    site_check(s);
    if (whole) {
        assert_int_equal(site_done(s, w2, "j1", 0), DISPATCH_OK);
        dispatch_worker_remove(w2, s->now);
        site_check(s);
    }
    return whole;
}

static void test_every_allocation_failing_in_turn_leaves_a_whole_state(void **state) {
    (void)state;
    bool reached = true;
    int failures = 0;
    for (int nth = 0; reached; nth++) {
        site s;
        fault_fail_nth(nth);
        bool whole = story(&s);
        reached = fault_stop();
        assert_int_equal(whole, !reached);
        failures += reached ? 1 : 0;
        if (s.dispatch != NULL) {
            site_check(&s);
            dispatch_worker *w = site_join(&s, "w9", site_offer("m", 8, 1, true)); /* and goes on */
            assert_non_null(w);
            site_wait(&s, 1000, &w, 1);
            site_check(&s);
        }
        dispatch_free(s.dispatch);
    }
#ifdef CELLULE_FAULTS
    assert_true(failures > 40);
#else
    assert_int_equal(failures, 0);
#endif
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_message_about_a_job_the_worker_never_held_is_a_violation),
        cmocka_unit_test(test_a_gap_a_repeat_too_many_tokens_and_a_wrong_count_are_violations),
        cmocka_unit_test(test_deltas_without_tokens_are_bounded),
        cmocka_unit_test(test_credit_follows_the_client_in_batches_of_half_a_window),
        cmocka_unit_test(test_the_watchdog_waits_while_a_job_is_out_of_credit),
        cmocka_unit_test(test_a_worker_that_never_sends_a_first_token_loses_the_job),
        cmocka_unit_test(test_a_cancelled_slot_is_busy_until_the_worker_confirms),
        cmocka_unit_test(
            test_a_cancelled_slot_is_free_after_the_grace_and_late_words_are_forgiven_for_a_while),
        cmocka_unit_test(test_cancelling_a_waiting_job_frees_its_place),
        cmocka_unit_test(test_every_allocation_failing_in_turn_leaves_a_whole_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
