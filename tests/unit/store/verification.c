/* Checks with their payloads. */
#include "site_support.h"

#include "store/honeytokens.h"

static outcome add(const store_verification *v) {
    outcome o = {0};
    assert_true(store_verification_add(site, v, on_done, &o, &err));
    assert_int_equal(o.calls, 1);
    return o;
}

static outcome update(const store_verification *v, bool wipe) {
    outcome o = {0};
    assert_true(store_verification_update(site, v, wipe, on_done, &o, &err));
    assert_int_equal(o.calls, 1);
    return o;
}

static page waiting(uint64_t after, size_t limit) {
    page p = {0};
    assert_true(store_verification_load_waiting(site, after, limit, on_page, &p, &err));
    assert_int_equal(p.base.code, ERROR_NONE);
    return p;
}

static page listed(const uint8_t *worker, uint64_t before, size_t limit) {
    page p = {0};
    assert_true(store_verification_list(site, worker, before, limit, on_page, &p, &err));
    assert_int_equal(p.base.code, ERROR_NONE);
    return p;
}

static void on_course(void *context, const store_verification *v, const error *failure) {
    keep(context, failure);
    assert_non_null(v);
    assert_true(slice_equal_text(v->state, "disputed"));
    assert_true(slice_equal_text(v->mode, "spot"));
    assert_true(slice_equal_text(v->model, "tiny"));
    assert_true(slice_equal_text(v->independence, "weak"));
    assert_true(slice_equal_text(v->findings, "two findings"));
    assert_int_equal(v->payload.length, 20);
    assert_int_equal(v->user_id, 1);
    assert_int_equal(v->created_ms, NOW_MS + 7);
    assert_int_equal(v->decided_ms, 0);
    assert_int_equal(v->position, 17);
    assert_int_equal(v->attempts, 2);
    assert_int_equal(v->referees, 1);
    assert_true(v->has_verifier);
    assert_false(v->has_referee);
    assert_int_equal(v->verifier_id[15], 1);
    assert_int_equal(v->worker_id[15], 1);
}

static void test_a_check_keeps_its_course(void **state) {
    (void)state;
    store_verification v = new_verification(7, "waiting");
    assert_int_equal(add(&v).code, ERROR_NONE);
    assert_int_equal(add(&v).code, ERROR_CONFLICT);
    v.state = SLICE_LITERAL("disputed");
    v.independence = SLICE_LITERAL("weak");
    v.findings = SLICE_LITERAL("two findings");
    v.position = 17;
    v.attempts = 2;
    v.referees = 1;
    v.has_verifier = true;
    memset(v.verifier_id, 1, sizeof v.verifier_id);
    v.payload = (slice){NULL, 0}; /* ignored, as are these */
    v.model = SLICE_LITERAL("another");
    v.created_ms = 1;
    assert_int_equal(update(&v, false).code, ERROR_NONE);
    reopen();
    outcome o = {0};
    assert_true(store_verification_get(site, v.id, on_course, &o, &err));
    assert_int_equal(o.code, ERROR_NONE);
    v.has_verifier = false; /* nothing of a row before it clings to a statement */
    v.position = -1;
    assert_int_equal(update(&v, false).code, ERROR_NONE);
    store_verification other = new_verification(8, "waiting");
    other.has_referee = true;
    memset(other.referee_id, 1, sizeof other.referee_id);
    assert_int_equal(add(&other).code, ERROR_NONE);
    other = new_verification(9, "waiting");
    assert_int_equal(add(&other).code, ERROR_NONE);
    found_verification found = {0};
    assert_true(store_verification_get(site, v.id, on_verification, &found, &err));
    assert_false(found.copy.has_verifier);
    assert_int_equal(found.copy.position, -1);
    assert_true(store_verification_get(site, other.id, on_verification, &found, &err));
    assert_false(found.copy.has_referee);
    v.id[0] = 99;
    assert_int_equal(update(&v, true).code, ERROR_NOT_FOUND);
    assert_true(store_verification_get(site, v.id, on_verification, &found, &err));
    assert_int_equal(found.base.code, ERROR_NOT_FOUND);
}

static void test_what_is_no_check_is_refused(void **state) {
    (void)state;
    static uint8_t large[STORE_PAYLOAD_MAX + 1];
    outcome o = {0};
    store_verification v = new_verification(1, "done");
    assert_int_equal(add(&v).code, ERROR_INVALID);
    v = new_verification(1, "agreed"); /* without its date */
    assert_int_equal(add(&v).code, ERROR_INVALID);
    v = new_verification(1, "waiting");
    v.decided_ms = NOW_MS;
    assert_int_equal(add(&v).code, ERROR_INVALID);
    v = new_verification(1, "waiting");
    v.mode = SLICE_LITERAL("always");
    assert_int_equal(add(&v).code, ERROR_INVALID);
    v = new_verification(1, "waiting");
    v.independence = SLICE_LITERAL("perhaps");
    assert_int_equal(add(&v).code, ERROR_INVALID);
    v = new_verification(1, "waiting");
    v.user_id = 77;
    assert_int_equal(add(&v).code, ERROR_INVALID);
    v = new_verification(1, "waiting");
    v.worker_id[3] = 77;
    assert_int_equal(add(&v).code, ERROR_INVALID);
    v = new_verification(1, "waiting");
    v.has_verifier = true;
    assert_int_equal(add(&v).code, ERROR_INVALID);
    v = new_verification(1, "waiting");
    v.payload = slice_of(large, sizeof large);
    assert_false(store_verification_add(site, &v, on_done, &o, &err));
    v = new_verification(1, "waiting");
    v.findings = slice_of(large, STORE_FINDINGS_MAX + 1);
    assert_false(store_verification_add(site, &v, on_done, &o, &err));
    assert_false(store_verification_update(site, &v, false, on_done, &o, &err));
    v = new_verification(1, "waiting");
    v.model = slice_of(large, STORE_MODEL_MAX + 1);
    assert_false(store_verification_add(site, &v, on_done, &o, &err));
    assert_int_equal(err.code, ERROR_INVALID);
    assert_int_equal(o.calls, 0);
    assert_int_equal(waiting(0, 10).count, 0);
    v = new_verification(1, "waiting");
    v.payload = slice_of(large, STORE_PAYLOAD_MAX);
    v.findings = slice_of(large, STORE_FINDINGS_MAX);
    assert_int_equal(add(&v).code, ERROR_NONE);
    assert_int_equal(waiting(0, 10).payloads[0], STORE_PAYLOAD_MAX);
}

static void test_what_waits_is_loaded_page_by_page_and_nothing_else(void **state) {
    (void)state;
    static const char *const states[] = {"waiting", "running", "agreed", "disputed", "open", "judging"};
    for (uint64_t i = 0; i < 6; i++) {
        store_verification v = new_verification(i, states[i]);
        v.decided_ms = i == 2 ? NOW_MS : 0;
        assert_int_equal(add(&v).code, ERROR_NONE);
    }
    page all = waiting(0, 10);
    assert_int_equal(all.count, 4);
    assert_string_equal(all.states[0], "waiting");
    assert_string_equal(all.states[3], "judging");
    assert_int_equal(all.payloads[3], 20);
    assert_memory_equal(all.payload_of_first, "payload of 0 .......", 20);
    page some = waiting(all.numbers[0], 2);
    assert_int_equal(some.count, 2);
    assert_string_equal(some.states[0], "running");
    assert_string_equal(some.states[1], "disputed");
    assert_int_equal(waiting(all.numbers[3], 10).count, 0);
    page p;
    assert_false(store_verification_load_waiting(site, 0, 0, on_page, &p, &err));
    assert_false(store_verification_load_waiting(site, 0, STORE_LIST_MAX + 1, on_page, &p, &err));
}

static void test_a_page_of_large_payloads_is_bounded_by_its_bytes(void **state) {
    (void)state;
    static uint8_t large[STORE_PAYLOAD_MAX];
    for (uint64_t i = 0; i < 5; i++) {
        store_verification v = new_verification(i, "waiting");
        v.payload = slice_of(large, sizeof large);
        assert_int_equal(add(&v).code, ERROR_NONE);
    }
    page p = waiting(0, 10);
    assert_int_equal(p.count, 4); /* 32 MiB */
    p = waiting(p.numbers[3], 10);
    assert_int_equal(p.count, 1);
}

static void test_checks_are_listed_newest_first_without_their_payloads(void **state) {
    (void)state;
    uint8_t other[STORE_WORKER_ID_SIZE];
    enrol_worker(site, 2);
    memset(other, 2, sizeof other);
    for (uint64_t i = 0; i < 5; i++) {
        store_verification v = new_verification(i, "waiting");
        if (i == 3) {
            memcpy(v.worker_id, other, sizeof other);
        }
        assert_int_equal(add(&v).code, ERROR_NONE);
    }
    page p = listed(NULL, 0, 3);
    assert_int_equal(p.count, 3);
    assert_int_equal(p.first_ids[0], 4);
    assert_int_equal(p.payloads[0], 0);
    p = listed(NULL, p.numbers[2], 10);
    assert_int_equal(p.count, 2);
    assert_int_equal(p.first_ids[0], 1);
    p = listed(other, 0, 10);
    assert_int_equal(p.count, 1);
    assert_int_equal(p.first_ids[0], 3);
    assert_false(store_verification_list(site, NULL, 0, 0, on_page, &p, &err));
}

static void test_open_disputes_are_listed_alone(void **state) {
    (void)state;
    page p = {0};
    const char *const states[] = {"open", "waiting", "open", "running", "disputed", "open"};
    for (uint64_t i = 0; i < 6; i++) {
        store_verification v = new_verification(i, states[i]);
        assert_int_equal(add(&v).code, ERROR_NONE);
    }
    assert_true(store_verification_list_open(site, 0, 2, on_page, &p, &err));
    assert_int_equal(p.count, 2);
    assert_int_equal(p.first_ids[0], 5);
    assert_int_equal(p.first_ids[1], 2);
    assert_int_equal(p.payloads[0], 0);
    assert_true(store_verification_list_open(site, p.numbers[1], 2, on_page, &p, &err));
    assert_int_equal(p.count, 1);
    assert_int_equal(p.first_ids[0], 0);
    assert_false(store_verification_list_open(site, 0, STORE_LIST_MAX + 1, on_page, &p, &err));
}

static void test_a_user_hears_of_the_checks_of_its_own_answers_alone(void **state) {
    (void)state;
    found_verification found = {0};
    store_verification v = new_verification(1, "waiting");
    assert_true(store_verification_of_job(site, v.job_id, 1, on_verification, &found, &err));
    assert_int_equal(found.base.code, ERROR_NOT_FOUND);
    v = new_verification(2, "waiting");
    assert_int_equal(add(&v).code, ERROR_NONE);
    assert_true(store_verification_of_job(site, v.job_id, 1, on_verification, &found, &err));
    assert_int_equal(found.base.code, ERROR_NONE);
    assert_memory_equal(found.copy.id, v.id, sizeof v.id);
    assert_int_equal(found.copy.payload.length, 0);
    assert_true(store_verification_of_job(site, v.job_id, 2, on_verification, &found, &err));
    assert_int_equal(found.base.code, ERROR_NOT_FOUND);
    store_verification later = new_verification(3, "waiting");
    memcpy(later.job_id, v.job_id, sizeof later.job_id);
    assert_int_equal(add(&later).code, ERROR_NONE);
    assert_true(store_verification_of_job(site, v.job_id, 1, on_verification, &found, &err));
    assert_memory_equal(found.copy.id, later.id, sizeof later.id);
    assert_true(store_verification_first_of_job(site, v.job_id, 1, on_verification, &found, &err));
    assert_memory_equal(found.copy.id, v.id, sizeof v.id);
}

static void on_token(void *context, const store_honeytoken *t, const error *failure) {
    (void)t;
    keep(context, failure);
}

static void on_deleted(void *context, size_t count, const error *failure) {
    keep(context, failure);
    ((outcome *)context)->count = count;
}

static void add_honeytoken(const char *marker, uint64_t created_ms, bool seen) {
    outcome o = {0};
    store_honeytoken t = {.marker = slice_of_text(marker), .created_ms = created_ms};
    memset(t.worker_id, 1, sizeof t.worker_id);
    assert_true(store_honeytoken_add(site, &t, on_done, &o, &err));
    assert_int_equal(o.code, ERROR_NONE);
    if (seen) {
        assert_true(
            store_honeytoken_seen(site, t.marker, SLICE_LITERAL("mail"), created_ms + 1, on_token, &o, &err));
        assert_int_equal(o.code, ERROR_NONE);
    }
}

static void test_what_no_one_waits_for_goes_with_the_receipts(void **state) {
    (void)state;
    outcome o = {0};
    static const char *const states[] = {"agreed", "open", "waiting", "disputed"};
    for (uint64_t i = 0; i < 16; i++) {
        store_verification v = new_verification(i, states[i % 4]);
        v.decided_ms = i % 4 == 0 ? NOW_MS : 0;
        assert_int_equal(add(&v).code, ERROR_NONE);
        store_notice n = new_notice(i);
        assert_true(store_notice_add(site, &n, on_id, &o, &err));
        assert_int_equal(o.code, ERROR_NONE);
    }
    uint64_t years = STORE_HONEYTOKEN_DAYS * UINT64_C(86400000);
    add_honeytoken("old", NOW_MS + 11 - years, false);
    add_honeytoken("old-seen", NOW_MS + 11 - years, true);
    add_honeytoken("young", NOW_MS + 12 - years, false);
    static const size_t expected[] = {5, 5, 2, 0};
    for (size_t i = 0; i < 4; i++) {
        assert_true(store_receipts_delete_before(site, NOW_MS + 12, 5, on_deleted, &o, &err));
        assert_int_equal(o.code, ERROR_NONE);
        assert_int_equal(o.count, expected[i]);
    }
    assert_int_equal(count_rows(&here, "inference_verifications"),
                     10); /* 8 undecided, the newest 2 of others */
    assert_int_equal(count_rows(&here, "inference_payloads"), 10);
    assert_int_equal(count_rows(&here, "notices"), 4);
    assert_int_equal(count_rows(&here, "honeytokens"), 2);
    assert_int_equal(count_rows(&here, "honeytokens WHERE marker = 'old'"), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        SITE_TEST(test_a_check_keeps_its_course),
        SITE_TEST(test_what_is_no_check_is_refused),
        SITE_TEST(test_what_waits_is_loaded_page_by_page_and_nothing_else),
        SITE_TEST(test_a_page_of_large_payloads_is_bounded_by_its_bytes),
        SITE_TEST(test_checks_are_listed_newest_first_without_their_payloads),
        SITE_TEST(test_open_disputes_are_listed_alone),
        SITE_TEST(test_a_user_hears_of_the_checks_of_its_own_answers_alone),
        SITE_TEST(test_what_no_one_waits_for_goes_with_the_receipts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
