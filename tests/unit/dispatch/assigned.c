#include "site.h"

/* Jobs for one particular worker, silent jobs, and workers that are held. */

static dispatch_job *assign_to(site *s, dispatch_worker *w, const char *name, const char *model, bool silent,
                               error_code *code) {
    const dispatch_spec spec = {.id = site_id(name),
                                .model = slice_of_text(model),
                                .context = (void *)(uintptr_t)name,
                                .deadline_ms = 300000};
    error err = {0};
    dispatch_job *job = dispatch_assign(s->dispatch, &spec, w, silent, s->now, &err);
    *code = err.code;
    return job;
}

static dispatch_job *assign(site *s, dispatch_worker *w, const char *name, bool silent) {
    error_code code;
    dispatch_job *job = assign_to(s, w, name, "m", silent, &code);
    assert_non_null(job);
    return job;
}

static void refused(site *s, dispatch_worker *w, const char *name, const char *model, error_code expected) {
    error_code code;
    assert_null(assign_to(s, w, name, model, true, &code));
    assert_int_equal(code, expected);
    site_check(s);
}

static dispatch_verdict scored(site *s, dispatch_worker *w, const char *job) {
    const dispatch_id id = site_id(job);
    void *context = NULL;
    dispatch_verdict verdict = dispatch_job_scored(w, &id, s->now, &context);
    assert_true(verdict == DISPATCH_OK ? strcmp(context, job) == 0 : context == NULL);
    return verdict;
}

static void test_an_assigned_job_runs_on_its_worker_whoever_is_freer(void **state) {
    (void)state;
    site s;
    site_open(&s);
    dispatch_worker *w1 = site_worker(&s, "w1", 2);
    dispatch_worker *w2 = site_worker(&s, "w2", 8);
    assert_non_null(assign(&s, w1, "j1", false));
    assert_non_null(assign(&s, w1, "j2", true));
    site_expect(&s, "send w1 j1 8\nsend w1 j2 8\n");
    assert_int_equal(site_delta(&s, w1, "j1", 0, 3), DISPATCH_OK);
    assert_int_equal(site_done(&s, w1, "j1", 3), DISPATCH_OK);
    assert_int_equal(scored(&s, w2, "j2"), DISPATCH_VIOLATION);
    assert_int_equal(scored(&s, w1, "j2"), DISPATCH_OK);
    assert_int_equal(scored(&s, w1, "j2"), DISPATCH_VIOLATION);
    site_free(&s);
}

static void test_without_a_free_slot_of_that_worker_nothing_is_assigned(void **state) {
    (void)state;
    site s;
    site_open(&s);
    dispatch_worker *w1 = site_worker(&s, "w1", 1);
    site_worker(&s, "w2", 1);
    assert_true(dispatch_worker_has_slot(w1, SLICE_LITERAL("m")));
    assert_false(dispatch_worker_has_slot(w1, SLICE_LITERAL("other")));
    refused(&s, w1, "j1", "other", ERROR_NOT_FOUND);
    assert_non_null(assign(&s, w1, "j1", true));
    assert_false(dispatch_worker_has_slot(w1, SLICE_LITERAL("m")));
    refused(&s, w1, "j2", "m", ERROR_LIMIT);
    assert_int_equal(scored(&s, w1, "j1"), DISPATCH_OK);
    site_beat(&s, w1, 0, 1, DISPATCH_PAUSED);
    refused(&s, w1, "j2", "m", ERROR_LIMIT);
    site_beat(&s, w1, 0, 1, DISPATCH_AVAILABLE);
    assert_non_null(assign(&s, w1, "j2", true));
    dispatch_worker *w3 = site_worker(&s, "w3", 1);
    refused(&s, w3, "j2", "m", ERROR_CONFLICT);
    dispatch_worker_drain(w3, s.now);
    refused(&s, w3, "j3", "m", ERROR_LIMIT);
    site_expect(&s, "send w1 j1 8\nsend w1 j2 8\ndrained w3\n");
    site_free(&s);
}

static void test_an_assigned_job_never_moves(void **state) {
    (void)state;
    site s;
    site_open(&s);
    dispatch_worker *w1 = site_worker(&s, "w1", 4);
    site_worker(&s, "w2", 4);
    assign(&s, w1, "j1", true);
    assert_int_equal(site_fail(&s, w1, "j1", true), DISPATCH_OK);
    assign(&s, w1, "j2", true);
    assert_int_equal(site_fail(&s, w1, "j2", false), DISPATCH_OK);
    assign(&s, w1, "j3", true);
    assign(&s, w1, "j4", false);
    dispatch_worker_remove(w1, s.now);
    site_expect(&s, "send w1 j1 8\nfailed j1 lost\nsend w1 j2 8\nfailed j2 refused\n"
                    "send w1 j3 8\nsend w1 j4 8\nfailed j3 lost\nfailed j4 lost\n");
    dispatch_stats stats;
    dispatch_read_stats(s.dispatch, &stats);
    assert_int_equal(stats.redispatched, 0);
    site_free(&s);
}

static void test_an_assigned_job_of_a_hung_or_dead_worker_is_lost(void **state) {
    (void)state;
    site s;
    site_open(&s);
    dispatch_worker *w1 = site_worker(&s, "w1", 2);
    assign(&s, w1, "j1", false);
    assign(&s, w1, "j2", true);
    site_wait(&s, 120000, &w1, 1);
    site_expect(&s, "send w1 j1 8\nsend w1 j2 8\ncancel w1 j1\nfailed j1 lost\n");
    assert_int_equal(site_fail(&s, w1, "j1", true), DISPATCH_STALE);
    site_wait(&s, 25000, NULL, 0);
    site_expect(&s, "failed j2 lost\nclosed w1 dead\n");
    site_free(&s);
}

static void test_only_its_deadline_watches_a_silent_job(void **state) {
    (void)state;
    site s;
    site_open(&s);
    dispatch_worker *w1 = site_worker(&s, "w1", 1);
    assign(&s, w1, "j1", true);
    site_wait(&s, 299999, &w1, 1);
    site_expect(&s, "send w1 j1 8\n");
    site_wait(&s, 1, &w1, 1);
    site_expect(&s, "cancel w1 j1\nfailed j1 job_deadline\n");
    assert_int_equal(scored(&s, w1, "j1"), DISPATCH_STALE);
    assert_true(dispatch_worker_has_slot(w1, SLICE_LITERAL("m")));
    site_free(&s);
}

static void test_a_silent_job_has_no_deltas_and_another_has_no_score(void **state) {
    (void)state;
    site s;
    site_open(&s);
    dispatch_worker *w1 = site_worker(&s, "w1", 2);
    assign(&s, w1, "j1", true);
    site_submit(&s, "j2");
    assert_int_equal(site_delta(&s, w1, "j1", 0, 1), DISPATCH_VIOLATION);
    assert_int_equal(site_delta(&s, w1, "j1", 0, 0), DISPATCH_VIOLATION);
    assert_int_equal(site_done(&s, w1, "j1", 0), DISPATCH_VIOLATION);
    assert_int_equal(scored(&s, w1, "j2"), DISPATCH_VIOLATION);
    site_expect(&s, "send w1 j1 8\nsend w1 j2 8\n");
    site_free(&s);
}

static void test_a_silent_job_can_be_cancelled(void **state) {
    (void)state;
    site s;
    site_open(&s);
    dispatch_worker *w1 = site_worker(&s, "w1", 1);
    dispatch_job *job = assign(&s, w1, "j1", true);
    dispatch_job_cancel(job, s.now);
    assert_int_equal(scored(&s, w1, "j1"), DISPATCH_STALE);
    assign(&s, w1, "j2", true);
    site_expect(&s, "send w1 j1 8\ncancel w1 j1\nsend w1 j2 8\n");
    site_free(&s);
}

static void test_a_held_worker_ends_what_it_has_and_gets_assigned_jobs_only(void **state) {
    (void)state;
    site s;
    site_open(&s);
    dispatch_worker *w1 = site_worker(&s, "w1", 2);
    site_submit(&s, "j1");
    dispatch_worker_hold(w1, true, s.now);
    site_submit(&s, "j2");
    site_expect(&s, "send w1 j1 8\n");
    assert_int_equal(site_done(&s, w1, "j1", 0), DISPATCH_OK);
    assert_non_null(assign(&s, w1, "j3", true));
    site_beat(&s, w1, 1, 2, DISPATCH_AVAILABLE);
    site_expect(&s, "send w1 j3 8\n");
    site_worker(&s, "w2", 1);
    site_expect(&s, "send w2 j2 8\n");
    site_submit(&s, "j4");
    dispatch_worker_hold(w1, false, s.now);
    site_expect(&s, "send w1 j4 8\n");
    dispatch_worker_info info;
    dispatch_worker_describe(w1, &info);
    assert_false(info.held);
    site_free(&s);
}

static void test_a_connection_found_broken_leaves_no_assigned_job(void **state) {
    (void)state;
    site s;
    site_open(&s);
    dispatch_worker *w1 = site_worker(&s, "w1", 1);
    site_worker(&s, "w2", 1);
    s.remove_on_send = w1;
    refused(&s, w1, "j1", "m", ERROR_IO);
    site_expect(&s, "send w1 j1 8\n");
    const dispatch_id id = site_id("j1");
    assert_null(dispatch_job_find(s.dispatch, &id));
    site_free(&s);
}

static void test_every_allocation_of_an_assignment_may_fail(void **state) {
    (void)state;
    bool reached = true;
    for (int nth = 0; reached; nth++) {
        site s;
        site_open(&s);
        dispatch_worker *w1 = site_worker(&s, "w1", 1);
        error_code code;
        fault_fail_nth(nth);
        bool whole = assign_to(&s, w1, "j1", "m", true, &code) != NULL;
        reached = fault_stop();
        assert_true(whole ? !reached : code == ERROR_MEMORY);
        site_expect(&s, whole ? "send w1 j1 8\n" : "");
        site_free(&s);
    }
}

static void test_a_reserved_slot_is_kept_from_the_queue(void **state) {
    (void)state;
    const slice m = SLICE_LITERAL("m");
    site s;
    site_open(&s);
    dispatch_worker *w1 = site_worker(&s, "w1", 1);
    site_submit(&s, "j1");
    site_submit(&s, "j2");
    assert_true(dispatch_worker_reserve(w1, m, true, s.now));
    assert_true(dispatch_worker_reserve(w1, m, true, s.now));
    assert_false(dispatch_worker_reserve(w1, SLICE_LITERAL("other"), true, s.now));
    site_check(&s);
    assert_int_equal(site_done(&s, w1, "j1", 0), DISPATCH_OK);
    assert_true(dispatch_worker_has_slot(w1, m));
    site_submit(&s, "j3");
    assert_non_null(assign(&s, w1, "check", true));
    assert_int_equal(scored(&s, w1, "check"), DISPATCH_OK);
    site_check(&s);
    site_expect(&s, "send w1 j1 8\nsend w1 check 8\n");
    assert_true(dispatch_worker_reserve(w1, m, false, s.now));
    site_check(&s);
    site_expect(&s, "send w1 j2 8\n");
    site_free(&s);
}

static void test_of_several_slots_the_queue_has_the_rest(void **state) {
    (void)state;
    const slice m = SLICE_LITERAL("m");
    site s;
    site_open(&s);
    dispatch_worker *w1 = site_worker(&s, "w1", 2);
    assert_true(dispatch_worker_reserve(w1, m, true, s.now));
    site_submit(&s, "j1");
    site_submit(&s, "j2");
    site_expect(&s, "send w1 j1 8\n");
    dispatch_worker_remove(w1, s.now);
    dispatch_worker *again = site_worker(&s, "w1", 2);
    site_check(&s);
    site_expect(&s, "restart j1\nsend w1 j1 8\nsend w1 j2 8\n");
    site_beat(&s, again, 0, 2, DISPATCH_PAUSED);
    assert_false(dispatch_worker_reserve(again, m, true, s.now));
    dispatch_worker_drain(again, s.now);
    assert_false(dispatch_worker_reserve(again, m, true, s.now));
    site_free(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_reserved_slot_is_kept_from_the_queue),
        cmocka_unit_test(test_of_several_slots_the_queue_has_the_rest),
        cmocka_unit_test(test_an_assigned_job_runs_on_its_worker_whoever_is_freer),
        cmocka_unit_test(test_without_a_free_slot_of_that_worker_nothing_is_assigned),
        cmocka_unit_test(test_an_assigned_job_never_moves),
        cmocka_unit_test(test_an_assigned_job_of_a_hung_or_dead_worker_is_lost),
        cmocka_unit_test(test_only_its_deadline_watches_a_silent_job),
        cmocka_unit_test(test_a_silent_job_has_no_deltas_and_another_has_no_score),
        cmocka_unit_test(test_a_silent_job_can_be_cancelled),
        cmocka_unit_test(test_a_held_worker_ends_what_it_has_and_gets_assigned_jobs_only),
        cmocka_unit_test(test_a_connection_found_broken_leaves_no_assigned_job),
        cmocka_unit_test(test_every_allocation_of_an_assignment_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
