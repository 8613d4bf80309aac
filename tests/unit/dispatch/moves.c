#include "site.h"

/* Jobs that lose their worker, workers that lose their jobs. */

static void test_before_the_first_byte_a_job_moves_silently_to_any_worker(void **state) {
    (void)state;
    site s;
    site_open(&s);
    dispatch_worker *w1 = site_worker(&s, "w1", 1);
    assert_non_null(site_join(&s, "w2", site_offer("m", 1, 2, false)));
    dispatch_job *job = site_submit(&s, "j1");
    assert_int_equal(site_delta(&s, w1, "j1", 0, 2), DISPATCH_OK);
    dispatch_worker_remove(w1, s.now);
    site_expect(&s, "send w1 j1 8\nrestart j1\nsend w2 j1 8\n");
    assert_int_equal(dispatch_job_attempts(job), 2);
    site_free(&s);
}

static void test_after_the_first_byte_only_an_exact_worker_with_the_same_digest_goes_on(void **state) {
    (void)state;
    site s;
    site_open(&s);
    dispatch_worker *w1 = site_worker(&s, "w1", 1);
    site_join(&s, "w2", site_offer("m", 4, 2, true));
    site_join(&s, "w3", site_offer("m", 4, 1, false));
    dispatch_job *job = site_submit(&s, "j1");
    assert_int_equal(site_delta(&s, w1, "j1", 0, 5), DISPATCH_OK);
    assert_true(dispatch_job_started(job));
    dispatch_job_consumed(job, 3, s.now);
    dispatch_worker_remove(w1, s.now);
    assert_int_equal(dispatch_job_position(job), 1);
    assert_false(dispatch_job_started(job)); /* nothing more of the old attempt may go out */
    site_expect(&s, "send w1 j1 8\nresume j1\n");
    dispatch_worker *w4 = site_worker(&s, "w4", 1);
    site_expect(&s, "send w4 j1 11\n"); /* eight beyond what the client has */
    assert_int_equal(site_delta(&s, w4, "j1", 0, 11), DISPATCH_OK);
    assert_int_equal(site_delta(&s, w4, "j1", 1, 1), DISPATCH_VIOLATION);
    assert_int_equal(site_done(&s, w4, "j1", 11), DISPATCH_OK);
    site_free(&s);
}

static void test_after_the_first_byte_an_inexact_job_fails_with_its_worker(void **state) {
    (void)state;
    site s;
    site_open(&s);
    dispatch_worker *w1 = site_join(&s, "w1", site_offer("m", 1, 1, false));
    dispatch_job *job = site_submit(&s, "j1");
    site_join(&s, "w2", site_offer("m", 1, 1, false));
    assert_int_equal(site_delta(&s, w1, "j1", 0, 1), DISPATCH_OK);
    assert_true(dispatch_job_started(job));
    dispatch_worker_remove(w1, s.now);
    site_expect(&s, "send w1 j1 8\nfailed j1 not_resumable\n");
    site_free(&s);
}

static void test_a_pinned_job_nobody_can_resume_fails_after_the_grace(void **state) {
    (void)state;
    site s;
    site_open(&s);
    dispatch_worker *w1 = site_worker(&s, "w1", 1);
    dispatch_worker *w2 = site_join(&s, "w2", site_offer("m", 1, 2, true));
    dispatch_job *job = site_submit(&s, "j1");
    assert_true(dispatch_job_started(job));
    dispatch_worker_remove(w1, s.now);
    site_wait(&s, 14999, &w2, 1);
    site_expect(&s, "send w1 j1 8\nresume j1\n");
    site_wait(&s, 1, &w2, 1);
    site_expect(&s, "failed j1 no_worker\n");
    site_free(&s);
}

static void test_a_job_goes_back_to_a_worker_only_if_it_reconnected_and_is_the_only_one(void **state) {
    (void)state;
    site s;
    site_open(&s);
    dispatch_worker *w1 = site_worker(&s, "w1", 1);
    site_submit(&s, "j1");
    assert_int_equal(site_fail(&s, w1, "j1", true), DISPATCH_OK);
    site_expect(&s, "send w1 j1 8\nrestart j1\n"); /* the same session: no */
    dispatch_worker *w2 = site_worker(&s, "w2", 1);
    site_expect(&s, "send w2 j1 8\n");
    dispatch_worker *again = site_worker(&s, "w1", 1);
    site_expect(&s, "closed w1 replaced\n");
    assert_int_equal(site_fail(&s, w2, "j1", true), DISPATCH_OK);
    site_expect(&s, "restart j1\nsend w1 j1 8\n"); /* nobody is untried, and this is another session */
    assert_int_equal(site_fail(&s, again, "j1", true), DISPATCH_OK);
    site_expect(&s, "failed j1 too_many_tries\n");
    site_free(&s);
}

static void test_a_waiting_job_is_given_to_the_reconnected_worker_when_the_others_leave(void **state) {
    (void)state;
    site s;
    site_open(&s);
    site_worker(&s, "w1", 1);
    site_submit(&s, "j1");
    dispatch_worker *w2 = site_worker(&s, "w2", 1);
    site_submit(&s, "j2");
    site_worker(&s, "w1", 1); /* j1 waits: w2 is busy, w1 had it */
    site_expect(&s, "send w1 j1 8\nsend w2 j2 8\nrestart j1\nclosed w1 replaced\n");
    dispatch_worker_drain(w2, s.now);
    site_expect(&s, "send w1 j1 8\n");
    site_free(&s);
}

static void test_jobs_that_lost_their_worker_go_before_those_that_wait(void **state) {
    (void)state;
    site s;
    site_open(&s);
    dispatch_worker *w1 = site_worker(&s, "w1", 1);
    site_submit(&s, "j1");
    dispatch_job *second = site_submit(&s, "j2");
    dispatch_worker_remove(w1, s.now);
    assert_int_equal(dispatch_job_position(second), 2);
    site_expect(&s, "send w1 j1 8\nrestart j1\n");
    site_worker(&s, "w2", 2);
    site_expect(&s, "send w2 j1 8\nsend w2 j2 8\n");
    site_free(&s);
}

static void test_a_job_that_is_not_retryable_fails_at_once(void **state) {
    (void)state;
    site s;
    site_open(&s);
    dispatch_worker *w1 = site_worker(&s, "w1", 1);
    site_worker(&s, "w2", 1);
    site_submit(&s, "j1");
    assert_int_equal(site_fail(&s, w1, "j1", false), DISPATCH_OK);
    site_expect(&s, "send w1 j1 8\nfailed j1 refused\n");
    site_free(&s);
}

static void test_a_worker_without_beats_is_dead_and_its_jobs_go_elsewhere(void **state) {
    (void)state;
    site s;
    site_open(&s);
    site_worker(&s, "w1", 1);
    site_submit(&s, "j1");
    dispatch_worker *w2 = site_worker(&s, "w2", 1);
    site_wait(&s, 24999, &w2, 1);
    site_expect(&s, "send w1 j1 8\n");
    site_wait(&s, 1, &w2, 1);
    site_expect(&s, "restart j1\nsend w2 j1 8\nclosed w1 dead\n");
    const dispatch_id id = site_id("w1");
    assert_null(dispatch_worker_find(s.dispatch, &id));
    site_free(&s);
}

static void test_a_draining_worker_ends_its_jobs_and_gets_no_more(void **state) {
    (void)state;
    site s;
    site_open(&s);
    dispatch_worker *w1 = site_worker(&s, "w1", 2);
    site_submit(&s, "j1");
    dispatch_worker_drain(w1, s.now);
    site_submit(&s, "j2");
    site_expect(&s, "send w1 j1 8\n");
    assert_int_equal(site_done(&s, w1, "j1", 0), DISPATCH_OK);
    site_expect(&s, "drained w1\n");
    dispatch_worker_drain(w1, s.now);
    dispatch_worker_remove(w1, s.now);
    dispatch_worker *w2 = site_worker(&s, "w2", 1);
    site_expect(&s, "send w2 j2 8\n");
    dispatch_worker_drain(w2, s.now);
    dispatch_worker_remove(w2, s.now);
    site_expect(&s, "restart j2\n");
    site_wait(&s, 15000, NULL, 0);
    site_expect(&s, "failed j2 no_worker\n");
    site_free(&s);
}

static void test_a_new_session_replaces_the_old_one_of_the_same_worker(void **state) {
    (void)state;
    site s;
    site_open(&s);
    dispatch_worker *old = site_worker(&s, "w1", 1);
    site_submit(&s, "j1");
    dispatch_worker *w2 = site_worker(&s, "w1", 1);
    assert_ptr_not_equal(old, w2);
    /* It is the only one and has reconnected. */
    site_expect(&s, "send w1 j1 8\nrestart j1\nclosed w1 replaced\nsend w1 j1 8\n");
    assert_int_equal(site_done(&s, w2, "j1", 0), DISPATCH_OK);
    site_free(&s);
}

static void test_a_hung_job_moves_and_its_worker_gets_nothing_until_it_gave_it_up(void **state) {
    (void)state;
    site s;
    site_open(&s);
    dispatch_worker *w[] = {site_worker(&s, "w1", 2), NULL};
    site_submit(&s, "j1");
    assert_int_equal(site_delta(&s, w[0], "j1", 0, 1), DISPATCH_OK);
    w[1] = site_worker(&s, "w2", 1);
    site_wait(&s, 29999, w, 2);
    site_expect(&s, "send w1 j1 8\n");
    site_wait(&s, 1, w, 2);
    site_expect(&s, "cancel w1 j1\nrestart j1\nsend w2 j1 8\n");
    site_submit(&s, "j2");
    site_expect(&s, "");
    assert_int_equal(site_fail(&s, w[0], "j1", true), DISPATCH_STALE);
    site_expect(&s, "send w1 j2 8\n");
    dispatch_worker_info info;
    dispatch_worker_describe(w[0], &info);
    assert_true(info.suspect);
    assert_int_equal(site_done(&s, w[0], "j2", 0), DISPATCH_OK);
    dispatch_worker_describe(w[0], &info);
    assert_false(info.suspect);
    site_free(&s);
}

static void test_a_worker_that_never_gives_up_a_hung_job_is_closed_once_its_others_ended(void **state) {
    (void)state;
    site s;
    site_open(&s);
    dispatch_worker *w1 = site_worker(&s, "w1", 2);
    site_submit(&s, "j1");
    assert_int_equal(site_delta(&s, w1, "j1", 0, 1), DISPATCH_OK);
    site_wait(&s, 20000, &w1, 1);
    site_submit(&s, "j2");
    site_wait(&s, 10000, &w1, 1);
    site_expect(&s, "send w1 j1 8\nsend w1 j2 8\ncancel w1 j1\nrestart j1\n");
    site_wait(&s, 14000, &w1, 1); /* j2 still runs */
    site_expect(&s, "");
    assert_int_equal(site_done(&s, w1, "j2", 0), DISPATCH_OK);
    site_wait(&s, 1000, &w1, 1);
    site_expect(&s, "failed j1 no_worker\n");
    s.now += 5000;
    dispatch_tick(s.dispatch, s.now);
    site_expect(&s, "closed w1 unresponsive\n");
    site_free(&s);
}

static void test_a_worker_that_lost_a_job_is_chosen_after_the_others(void **state) {
    (void)state;
    site s;
    site_open(&s);
    dispatch_worker *w1 = site_worker(&s, "w1", 4);
    dispatch_worker *w2 = site_worker(&s, "w2", 2);
    site_submit(&s, "j1");
    assert_int_equal(site_fail(&s, w1, "j1", true), DISPATCH_OK);
    site_expect(&s, "send w1 j1 8\nrestart j1\nsend w2 j1 8\n");
    site_submit(&s, "j2"); /* w1 is idle, w2 is not */
    site_expect(&s, "send w2 j2 8\n");
    site_submit(&s, "j3");
    site_expect(&s, "send w1 j3 8\n");
    assert_int_equal(site_done(&s, w1, "j3", 0), DISPATCH_OK);
    assert_int_equal(site_done(&s, w2, "j2", 0), DISPATCH_OK);
    site_submit(&s, "j4");
    site_expect(&s, "send w1 j4 8\n");
    site_free(&s);
}

static void test_a_connection_found_broken_while_sending_moves_the_job_on(void **state) {
    (void)state;
    site s;
    site_open(&s);
    s.remove_on_send = site_worker(&s, "w1", 1);
    site_worker(&s, "w2", 1);
    assert_non_null(site_submit(&s, "j1"));
    site_expect(&s, "send w1 j1 8\nrestart j1\nsend w2 j1 8\n");
    site_free(&s);
}

static void test_a_submission_that_reaches_nobody_is_refused_and_leaves_nothing(void **state) {
    (void)state;
    site s;
    dispatch_config config = site_config();
    config.max_attempts = 1;
    assert_true(site_make(&s, &config));
    s.remove_on_send = site_worker(&s, "w1", 1);
    site_refused(&s, "j1", 1, ERROR_IO);
    site_expect(&s, "send w1 j1 8\n");
    const dispatch_id id = site_id("j1");
    assert_null(dispatch_job_find(s.dispatch, &id));
    site_free(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_before_the_first_byte_a_job_moves_silently_to_any_worker),
        cmocka_unit_test(test_after_the_first_byte_only_an_exact_worker_with_the_same_digest_goes_on),
        cmocka_unit_test(test_after_the_first_byte_an_inexact_job_fails_with_its_worker),
        cmocka_unit_test(test_a_pinned_job_nobody_can_resume_fails_after_the_grace),
        cmocka_unit_test(test_a_job_goes_back_to_a_worker_only_if_it_reconnected_and_is_the_only_one),
        cmocka_unit_test(test_a_waiting_job_is_given_to_the_reconnected_worker_when_the_others_leave),
        cmocka_unit_test(test_jobs_that_lost_their_worker_go_before_those_that_wait),
        cmocka_unit_test(test_a_job_that_is_not_retryable_fails_at_once),
        cmocka_unit_test(test_a_worker_without_beats_is_dead_and_its_jobs_go_elsewhere),
        cmocka_unit_test(test_a_draining_worker_ends_its_jobs_and_gets_no_more),
        cmocka_unit_test(test_a_new_session_replaces_the_old_one_of_the_same_worker),
        cmocka_unit_test(test_a_hung_job_moves_and_its_worker_gets_nothing_until_it_gave_it_up),
        cmocka_unit_test(test_a_worker_that_never_gives_up_a_hung_job_is_closed_once_its_others_ended),
        cmocka_unit_test(test_a_worker_that_lost_a_job_is_chosen_after_the_others),
        cmocka_unit_test(test_a_connection_found_broken_while_sending_moves_the_job_on),
        cmocka_unit_test(test_a_submission_that_reaches_nobody_is_refused_and_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
