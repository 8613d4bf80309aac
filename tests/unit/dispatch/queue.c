#include "site.h"

static void test_equal_workers_take_turns(void **state) {
    (void)state;
    site s;
    site_open(&s);
    site_worker(&s, "w1", 2);
    site_worker(&s, "w2", 2);
    site_worker(&s, "w3", 2);
    site_submit(&s, "j1");
    site_submit(&s, "j2");
    site_submit(&s, "j3");
    site_submit(&s, "j4");
    site_expect(&s, "send w1 j1 8\nsend w2 j2 8\nsend w3 j3 8\nsend w1 j4 8\n");
    site_free(&s);
}

static void test_an_idle_worker_that_just_finished_waits_its_turn(void **state) {
    (void)state;
    site s;
    site_open(&s);
    dispatch_worker *w1 = site_worker(&s, "w1", 1);
    site_worker(&s, "w2", 1);
    site_submit(&s, "j1");
    assert_int_equal(site_done(&s, w1, "j1", 0), DISPATCH_OK);
    site_submit(&s, "j2");
    site_expect(&s, "send w1 j1 8\nsend w2 j2 8\n");
    site_free(&s);
}

static void test_the_least_loaded_share_wins_not_the_fewest_jobs(void **state) {
    (void)state;
    site s;
    site_open(&s);
    site_worker(&s, "w1", 4);
    site_worker(&s, "w2", 1);
    site_submit(&s, "j1"); /* 0/4 and 0/1: the older session */
    site_submit(&s, "j2"); /* 1/4 and 0/1 */
    site_submit(&s, "j3"); /* 1/4 and 1/1 */
    site_submit(&s, "j4");
    site_expect(&s, "send w1 j1 8\nsend w2 j2 8\nsend w1 j3 8\nsend w1 j4 8\n");
    site_free(&s);
}

static void test_limited_workers_come_after_available_ones_and_paused_ones_never(void **state) {
    (void)state;
    site s;
    site_open(&s);
    dispatch_worker *w1 = site_worker(&s, "w1", 1);
    dispatch_worker *w2 = site_worker(&s, "w2", 1);
    site_worker(&s, "w3", 1);
    site_beat(&s, w1, 0, 1, DISPATCH_PAUSED);
    site_beat(&s, w2, 0, 1, DISPATCH_LIMITED);
    site_submit(&s, "j1");
    site_submit(&s, "j2");
    site_submit(&s, "j3");
    site_expect(&s, "send w3 j1 8\nsend w2 j2 8\n");
    site_beat(&s, w1, 0, 1, DISPATCH_AVAILABLE);
    site_expect(&s, "send w1 j3 8\n");
    site_free(&s);
}

static void test_jobs_of_an_earlier_session_count_as_busy_until_the_next_beat(void **state) {
    (void)state;
    site s;
    site_open(&s);
    dispatch_worker *w1 = site_worker(&s, "w1", 2);
    site_beat(&s, w1, 2, 2, DISPATCH_AVAILABLE);
    site_submit(&s, "j1");
    site_expect(&s, "");
    site_beat(&s, w1, 0, 2, DISPATCH_AVAILABLE);
    site_expect(&s, "send w1 j1 8\n");
    site_beat(&s, w1, 1, 2, DISPATCH_AVAILABLE); /* the one it has from us */
    site_submit(&s, "j2");
    site_expect(&s, "send w1 j2 8\n");
    site_free(&s);
}

static void test_a_worker_may_lower_its_slots_and_not_raise_them(void **state) {
    (void)state;
    site s;
    site_open(&s);
    dispatch_worker *w1 = site_worker(&s, "w1", 2);
    site_beat(&s, w1, 0, 0, DISPATCH_AVAILABLE);
    site_submit(&s, "j1");
    site_submit(&s, "j2");
    site_submit(&s, "j3");
    site_expect(&s, "");
    site_beat(&s, w1, 0, 1000, DISPATCH_AVAILABLE);
    site_expect(&s, "send w1 j1 8\nsend w1 j2 8\n");
    site_free(&s);
}

static void test_waiting_jobs_go_in_order_and_know_their_place(void **state) {
    (void)state;
    site s;
    site_open(&s);
    dispatch_worker *w1 = site_worker(&s, "w1", 1);
    dispatch_job *first = site_submit(&s, "j1");
    dispatch_job *second = site_submit(&s, "j2");
    dispatch_job *third = site_submit(&s, "j3");
    assert_int_equal(dispatch_job_position(first), 0);
    assert_int_equal(dispatch_job_position(second), 1);
    assert_int_equal(dispatch_job_position(third), 2);
    dispatch_job *fourth = site_submit(&s, "j4");
    assert_int_equal(dispatch_job_position(fourth), 3);
    dispatch_job_cancel(third, s.now);
    assert_int_equal(dispatch_job_position(fourth), 2);
    assert_int_equal(site_done(&s, w1, "j1", 0), DISPATCH_OK);
    assert_int_equal(dispatch_job_position(second), 0);
    assert_string_equal(dispatch_job_worker(second), "w1");
    assert_int_equal(dispatch_job_position(fourth), 1);
    site_expect(&s, "send w1 j1 8\nsend w1 j2 8\n");
    site_free(&s);
}

static void test_a_full_queue_and_a_full_share_of_it_refuse(void **state) {
    (void)state;
    site s;
    site_open(&s);
    site_worker(&s, "w1", 1);
    error_code code;
    site_submit(&s, "j1");
    site_submit(&s, "j2");
    site_submit(&s, "j3");
    site_submit(&s, "j4");
    site_refused(&s, "j5", 1, ERROR_LIMIT); /* three of this user wait */
    assert_non_null(site_try(&s, "j5", 2, &code));
    site_refused(&s, "j6", 3, ERROR_LIMIT); /* four wait in all */
    site_refused(&s, "j2", 4, ERROR_CONFLICT);
    site_expect(&s, "send w1 j1 8\n");
    site_free(&s);
}

static void test_a_model_nobody_has_is_not_found_but_one_just_gone_is_waited_for(void **state) {
    (void)state;
    site s;
    site_open(&s);
    site_refused(&s, "j1", 1, ERROR_NOT_FOUND);
    dispatch_worker *w1 = site_worker(&s, "w1", 1);
    dispatch_worker_remove(w1, s.now);
    site_submit(&s, "j1");
    site_wait(&s, 5000, NULL, 0);
    site_expect(&s, "");
    w1 = site_worker(&s, "w1", 1);
    site_expect(&s, "send w1 j1 8\n");
    assert_int_equal(site_done(&s, w1, "j1", 0), DISPATCH_OK);
    dispatch_worker_remove(w1, s.now);
    site_submit(&s, "j2");
    site_wait(&s, 14999, NULL, 0);
    site_expect(&s, "");
    site_wait(&s, 1, NULL, 0);
    site_expect(&s, "failed j2 no_worker\n");
    site_refused(&s, "j3", 1, ERROR_NOT_FOUND);
    size_t position = 0;
    dispatch_model_info info;
    assert_false(dispatch_model_next(s.dispatch, &position, &info));
    assert_int_equal(dispatch_next_deadline(s.dispatch), UINT64_MAX);
    site_free(&s);
}

static void test_waiting_ends_at_the_queue_deadline_and_everything_at_the_job_deadline(void **state) {
    (void)state;
    site s;
    dispatch_config config = site_config();
    config.queue_deadline_ms = 5000;
    config.job_deadline_ms = 8000;
    assert_true(site_make(&s, &config));
    dispatch_worker *w1 = site_worker(&s, "w1", 1);
    site_submit(&s, "j1");
    site_submit(&s, "j2");
    site_expect(&s, "send w1 j1 8\n");
    site_wait(&s, 4999, &w1, 1);
    site_expect(&s, "");
    site_wait(&s, 1, &w1, 1);
    site_expect(&s, "failed j2 queue_deadline\n");
    site_wait(&s, 2999, &w1, 1);
    site_expect(&s, "");
    site_wait(&s, 1, &w1, 1);
    site_expect(&s, "cancel w1 j1\nfailed j1 job_deadline\n");
    site_free(&s);
}

static void test_a_worker_serves_the_oldest_job_of_all_its_models(void **state) {
    (void)state;
    site s;
    site_open(&s);
    const dispatch_offer models[] = {site_offer("n", 1, 2, true), site_offer("m", 1, 1, true)};
    const dispatch_id id = site_id("w1");
    error err;
    dispatch_worker *w1 =
        dispatch_worker_add(s.dispatch, &id, (void *)(uintptr_t) "w1", models, 2, s.now, &err);
    assert_non_null(w1);
    site_submit(&s, "j1");
    const dispatch_spec other = {
        .id = site_id("j2"), .model = SLICE_LITERAL("n"), .context = (void *)(uintptr_t) "j2"};
    assert_non_null(dispatch_submit(s.dispatch, &other, s.now, &err));
    site_expect(&s, ""); /* not told to be ready yet */
    dispatch_worker_ready(w1, s.now);
    site_expect(&s, "send w1 j1 8\nsend w1 j2 8\n");
    size_t position = 0;
    dispatch_model_info info;
    assert_true(dispatch_model_next(s.dispatch, &position, &info));
    assert_true(slice_equal_text(info.name, "n"));
    assert_int_equal(info.running, 1);
    assert_true(dispatch_model_next(s.dispatch, &position, &info));
    assert_false(dispatch_model_next(s.dispatch, &position, &info));
    site_free(&s);
}

static void test_bad_models_and_bad_bounds_are_refused(void **state) {
    (void)state;
    site s;
    site_open(&s);
    const dispatch_id id = site_id("w1");
    error err;
    const dispatch_offer twice[] = {site_offer("m", 1, 1, true), site_offer("m", 1, 2, true)};
    assert_null(dispatch_worker_add(s.dispatch, &id, NULL, twice, 2, s.now, &err));
    assert_int_equal(err.code, ERROR_INVALID);
    assert_null(dispatch_worker_add(s.dispatch, &id, NULL, twice, 0, s.now, &err));
    assert_null(site_join(&s, "w1", site_offer("", 1, 1, true)));
    assert_null(site_join(&s, "w1", site_offer("m", 0, 1, true)));
    assert_null(site_join(&s, "w1", site_offer("m", DISPATCH_SLOTS_MAX + 1, 1, true)));
    dispatch_config config = site_config();
    config.max_attempts = DISPATCH_ATTEMPTS_MAX + 1;
    assert_false(dispatch_configure(s.dispatch, &config, &err));
    config = site_config();
    config.progress_timeout_ms = 0;
    assert_false(dispatch_configure(s.dispatch, &config, &err));
    config = site_config();
    config.credit_window = 0;
    assert_false(dispatch_configure(s.dispatch, &config, &err));
    site_free(&s);
}

static void test_new_limits_hold_at_once(void **state) {
    (void)state;
    site s;
    site_open(&s);
    dispatch_worker *w1 = site_worker(&s, "w1", 1);
    site_submit(&s, "j1");
    site_expect(&s, "send w1 j1 8\n");
    dispatch_config config = site_config();
    config.first_token_timeout_ms = 1000;
    config.max_attempts = 1;
    error err;
    assert_true(dispatch_configure(s.dispatch, &config, &err));
    site_wait(&s, 1000, &w1, 1);
    site_expect(&s, "cancel w1 j1\nfailed j1 too_many_tries\n");
    site_free(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equal_workers_take_turns),
        cmocka_unit_test(test_an_idle_worker_that_just_finished_waits_its_turn),
        cmocka_unit_test(test_the_least_loaded_share_wins_not_the_fewest_jobs),
        cmocka_unit_test(test_limited_workers_come_after_available_ones_and_paused_ones_never),
        cmocka_unit_test(test_jobs_of_an_earlier_session_count_as_busy_until_the_next_beat),
        cmocka_unit_test(test_a_worker_may_lower_its_slots_and_not_raise_them),
        cmocka_unit_test(test_waiting_jobs_go_in_order_and_know_their_place),
        cmocka_unit_test(test_a_full_queue_and_a_full_share_of_it_refuse),
        cmocka_unit_test(test_a_model_nobody_has_is_not_found_but_one_just_gone_is_waited_for),
        cmocka_unit_test(test_waiting_ends_at_the_queue_deadline_and_everything_at_the_job_deadline),
        cmocka_unit_test(test_a_worker_serves_the_oldest_job_of_all_its_models),
        cmocka_unit_test(test_bad_models_and_bad_bounds_are_refused),
        cmocka_unit_test(test_new_limits_hold_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
