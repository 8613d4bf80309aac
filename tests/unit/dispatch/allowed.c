#include "site.h"

/* Jobs that say themselves who may have them: here odd ones want odd workers, even ones even. */

static bool same_parity(void *job, void *worker) {
    return (((const char *)job)[1] - ((const char *)worker)[1]) % 2 == 0;
}

static dispatch_job *try_choosy(site *s, const char *name, bool belongs, error_code *code) {
    const dispatch_spec spec = {.id = site_id(name),
                                .user = 1,
                                .model = SLICE_LITERAL("m"),
                                .context = (void *)(uintptr_t)name,
                                .allows = same_parity,
                                .belongs = belongs};
    error err = {0};
    dispatch_job *job = dispatch_submit(s->dispatch, &spec, s->now, &err);
    *code = err.code;
    return job;
}

static void submit_any(site *s, const char *name, uint64_t user) {
    error_code code;
    assert_non_null(site_try(s, name, user, &code));
}

static dispatch_job *choosy(site *s, const char *name) {
    error_code code;
    dispatch_job *job = try_choosy(s, name, false, &code);
    assert_non_null(job);
    return job;
}

static void test_only_a_worker_that_the_job_allows_gets_it(void **state) {
    (void)state;
    site s;
    site_open(&s);
    site_worker(&s, "w1", 8);
    site_worker(&s, "w2", 2);
    site_worker(&s, "w3", 8);
    choosy(&s, "j2");
    choosy(&s, "j4");
    choosy(&s, "j1");
    choosy(&s, "j3");
    site_expect(&s, "send w2 j2 8\nsend w2 j4 8\nsend w1 j1 8\nsend w3 j3 8\n");
    dispatch_job *waiting = choosy(&s, "j6");
    assert_int_equal(dispatch_job_position(waiting), 1);
    site_expect(&s, "");
    dispatch_worker *w4 = site_worker(&s, "w4", 1);
    site_expect(&s, "send w4 j6 8\n");
    dispatch_worker_remove(w4, s.now);
    site_expect(&s, "restart j6\n");
    site_free(&s);
}

static void test_it_holds_up_nobody_who_takes_any_worker(void **state) {
    (void)state;
    site s;
    site_open(&s);
    dispatch_worker *w1 = site_worker(&s, "w1", 1);
    choosy(&s, "j2");
    submit_any(&s, "j3", 2);
    submit_any(&s, "j5", 2);
    site_expect(&s, "send w1 j3 8\n");
    assert_int_equal(site_done(&s, w1, "j3", 0), DISPATCH_OK);
    site_expect(&s, "send w1 j5 8\n");
    site_free(&s);
}

/* With free workers enough, but none that it allows. */
static void test_with_nobody_that_it_allows_it_waits_for_the_model_s_grace_only(void **state) {
    (void)state;
    site s;
    site_open(&s);
    dispatch_config config = site_config();
    site_worker(&s, "w1", 1);
    choosy(&s, "j2");
    s.now += config.model_grace_ms;
    dispatch_tick(s.dispatch, s.now);
    site_expect(&s, "failed j2 no_worker\n");
    site_free(&s);
}

static void test_one_that_belongs_to_a_running_job_goes_first_and_past_the_limits(void **state) {
    (void)state;
    site s;
    site_open(&s);
    error_code code;
    dispatch_worker *w1 = site_worker(&s, "w1", 1);
    submit_any(&s, "j9", 2);
    submit_any(&s, "j2", 2);
    submit_any(&s, "j3", 3);
    submit_any(&s, "j4", 4);
    submit_any(&s, "j5", 5);
    assert_null(try_choosy(&s, "j7", false, &code));
    assert_int_equal(code, ERROR_LIMIT);
    assert_non_null(try_choosy(&s, "j7", true, &code));
    site_expect(&s, "send w1 j9 8\n");
    assert_int_equal(site_done(&s, w1, "j9", 0), DISPATCH_OK);
    site_expect(&s, "send w1 j7 8\n");
    site_free(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_a_worker_that_the_job_allows_gets_it),
        cmocka_unit_test(test_it_holds_up_nobody_who_takes_any_worker),
        cmocka_unit_test(test_with_nobody_that_it_allows_it_waits_for_the_model_s_grace_only),
        cmocka_unit_test(test_one_that_belongs_to_a_running_job_goes_first_and_past_the_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
