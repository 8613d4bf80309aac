/* Work of two kinds under one model's name. */
#include "site.h"

static dispatch_offer embeds(dispatch_offer o) {
    o.kind = DISPATCH_EMBED;
    return o;
}

static dispatch_worker *join(site *s, const char *name, const dispatch_offer *offers, size_t count) {
    const dispatch_id id = site_id(name);
    error err = {0};
    dispatch_worker *w =
        dispatch_worker_add(s->dispatch, &id, (void *)(uintptr_t)name, offers, count, s->now, &err);
    if (w != NULL) {
        dispatch_worker_ready(w, s->now);
    }
    return w;
}

static dispatch_worker *join_embedder(site *s, const char *name) {
    const dispatch_offer o = embeds(site_offer("m", 1, 1, true));
    dispatch_worker *w = join(s, name, &o, 1);
    assert_non_null(w);
    return w;
}

static dispatch_worker *join_both(site *s, const char *name, uint32_t slots) {
    const dispatch_offer o = site_offer("m", slots, 1, true);
    const dispatch_offer both[] = {o, embeds(o)};
    dispatch_worker *w = join(s, name, both, 2);
    assert_non_null(w);
    return w;
}

static dispatch_job *ask(site *s, const char *name, error_code *code) {
    const dispatch_spec spec = {.id = site_id(name),
                                .user = 1,
                                .model = SLICE_LITERAL("m"),
                                .kind = DISPATCH_EMBED,
                                .context = (void *)(uintptr_t)name};
    error err = {0};
    dispatch_job *job = dispatch_submit(s->dispatch, &spec, s->now, &err);
    *code = err.code;
    return job;
}

static void embed(site *s, const char *name) {
    error_code code;
    assert_non_null(ask(s, name, &code));
}

static dispatch_verdict embedded(site *s, dispatch_worker *w, const char *job) {
    const dispatch_id id = site_id(job);
    void *context = NULL;
    return dispatch_job_scored(w, &id, s->now, &context);
}

static void test_each_kind_goes_to_who_does_it(void **state) {
    (void)state;
    site s;
    error_code code;
    site_open(&s);
    dispatch_worker *embedder = join_embedder(&s, "w1");
    site_refused(&s, "j1", 1, ERROR_NOT_FOUND);
    embed(&s, "j2");
    site_expect(&s, "send w1 j2 8\n");
    assert_int_equal(embedded(&s, embedder, "j2"), DISPATCH_OK);
    dispatch_worker *generator = site_worker(&s, "w2", 4);
    site_submit(&s, "j3");
    embed(&s, "j4");
    embed(&s, "j5");
    site_expect(&s, "send w2 j3 8\nsend w1 j4 8\n"); /* j5 waits, whoever else is idle */
    dispatch_worker_remove(embedder, s.now);
    site_expect(&s, "restart j4\n");
    assert_true(dispatch_has_model(s.dispatch, SLICE_LITERAL("m"), DISPATCH_GENERATE));
    assert_false(dispatch_has_model(s.dispatch, SLICE_LITERAL("m"), DISPATCH_EMBED));
    site_wait(&s, 16000, &generator, 1);
    site_expect(&s, "failed j4 no_worker\nfailed j5 no_worker\n");
    assert_null(ask(&s, "j6", &code));
    assert_int_equal(code, ERROR_NOT_FOUND);
    assert_int_equal(site_delta(&s, generator, "j3", 0, 1), DISPATCH_OK);
    assert_int_equal(site_done(&s, generator, "j3", 1), DISPATCH_OK);
    site_free(&s);
}

static void test_both_kinds_share_the_slots_of_a_worker(void **state) {
    (void)state;
    site s;
    site_open(&s);
    dispatch_worker *w = join_both(&s, "w1", 2);
    dispatch_worker_info info;
    dispatch_worker_describe(w, &info);
    assert_int_equal(info.slots, 2);
    site_submit(&s, "j1");
    embed(&s, "j2");
    site_submit(&s, "j3");
    embed(&s, "j4");
    site_expect(&s, "send w1 j1 8\nsend w1 j2 8\n");
    assert_int_equal(embedded(&s, w, "j2"), DISPATCH_OK);
    site_expect(&s, "send w1 j3 8\n"); /* the oldest that waits, of either kind */
    assert_int_equal(site_done(&s, w, "j1", 0), DISPATCH_OK);
    site_expect(&s, "send w1 j4 8\n");
    assert_true(dispatch_worker_reserve(w, SLICE_LITERAL("m"), true, s.now));
    embed(&s, "j5");
    assert_int_equal(embedded(&s, w, "j4"), DISPATCH_OK);
    site_expect(&s, ""); /* the slot that came free is kept */
    assert_true(dispatch_worker_reserve(w, SLICE_LITERAL("m"), false, s.now));
    site_expect(&s, "send w1 j5 8\n");
    dispatch_worker_remove(w, s.now);
    site_wait(&s, 16000, NULL, 0);
    site_expect(&s, "restart j3\nrestart j5\nfailed j3 no_worker\nfailed j5 no_worker\n");
    site_free(&s);
}

static void test_a_worker_s_two_offers_of_one_model_differ_in_the_kind_alone(void **state) {
    (void)state;
    site s;
    site_open(&s);
    const dispatch_offer o = embeds(site_offer("m", 2, 1, true));
    const dispatch_offer other = site_offer("m", 3, 1, true);
    const dispatch_offer twice[] = {o, o};
    const dispatch_offer uneven[] = {o, other};
    assert_null(join(&s, "w1", twice, 2));
    assert_null(join(&s, "w1", uneven, 2));
    site_free(&s);
}

static void test_a_job_of_vectors_tells_nothing_before_its_end(void **state) {
    (void)state;
    site s;
    site_open(&s);
    dispatch_worker *w = join_both(&s, "w1", 2);
    embed(&s, "j1");
    site_submit(&s, "j2");
    site_expect(&s, "send w1 j1 8\nsend w1 j2 8\n");
    assert_int_equal(site_delta(&s, w, "j1", 0, 1), DISPATCH_VIOLATION);
    assert_int_equal(site_done(&s, w, "j1", 0), DISPATCH_VIOLATION);
    assert_int_equal(embedded(&s, w, "j2"), DISPATCH_VIOLATION);
    assert_int_equal(embedded(&s, w, "j1"), DISPATCH_OK);
    assert_int_equal(site_done(&s, w, "j2", 0), DISPATCH_OK);
    site_free(&s);
}

static void test_a_job_of_vectors_that_hangs_begins_anew_elsewhere(void **state) {
    (void)state;
    site s;
    site_open(&s);
    dispatch_worker *workers[] = {join_embedder(&s, "w1"), NULL};
    embed(&s, "j1");
    site_expect(&s, "send w1 j1 8\n");
    workers[1] = join_embedder(&s, "w2");
    site_wait(&s, 119000, workers, 2);
    site_expect(&s, "");
    site_wait(&s, 2000, workers, 2);
    site_expect(&s, "cancel w1 j1\nrestart j1\nsend w2 j1 8\n");
    assert_int_equal(embedded(&s, workers[0], "j1"), DISPATCH_STALE);
    assert_int_equal(embedded(&s, workers[1], "j1"), DISPATCH_OK);
    site_free(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_kind_goes_to_who_does_it),
        cmocka_unit_test(test_both_kinds_share_the_slots_of_a_worker),
        cmocka_unit_test(test_a_worker_s_two_offers_of_one_model_differ_in_the_kind_alone),
        cmocka_unit_test(test_a_job_of_vectors_tells_nothing_before_its_end),
        cmocka_unit_test(test_a_job_of_vectors_that_hangs_begins_anew_elsewhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
