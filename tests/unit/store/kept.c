/* Answers that are kept for a re-check: how many, how long, and what becomes of them. */
#include "site_support.h"

static outcome keep_one(uint64_t number, uint8_t worker, size_t most) {
    outcome o = {0};
    store_verification v = new_verification(number, "");
    memset(v.worker_id, worker, sizeof v.worker_id);
    const store_kept_answer answer = kept_of(&v);
    assert_true(store_kept_add(site, &answer, most, on_done, &o, &err));
    return o;
}

static page taken_of(uint8_t worker, size_t limit) {
    page p = {0};
    uint8_t id[STORE_WORKER_ID_SIZE];
    memset(id, worker, sizeof id);
    assert_true(store_kept_take(site, id, limit, on_page, &p, &err));
    assert_int_equal(p.base.code, ERROR_NONE);
    return p;
}

static void on_expired(void *context, size_t count, const error *failure) {
    keep(context, failure);
    ((outcome *)context)->count = count;
}

static size_t expire(size_t most, uint64_t from_ms, uint64_t to_ms) {
    outcome o = {0};
    assert_true(store_kept_expire(site, most, from_ms, to_ms, on_expired, &o, &err));
    assert_int_equal(o.code, ERROR_NONE);
    return o.count;
}

static page waiting(void) {
    page p = {0};
    assert_true(store_verification_load_waiting(site, 0, 100, on_page, &p, &err));
    assert_int_equal(p.base.code, ERROR_NONE);
    return p;
}

static void test_what_is_kept_is_taken_newest_first_and_then_waits(void **state) {
    (void)state;
    for (uint64_t i = 0; i < 6; i++) {
        assert_int_equal(keep_one(i, 1, 100).code, ERROR_NONE);
    }
    assert_int_equal(waiting().count, 0);
    page p = taken_of(1, 2);
    assert_int_equal(p.count, 2);
    assert_int_equal(p.first_ids[0], 5);
    assert_int_equal(p.first_ids[1], 4);
    assert_string_equal(p.states[0], "waiting");
    assert_true(p.rechecks[0]);
    assert_memory_equal(p.payload_of_first, "payload of 5 .......", 20);
    reopen();
    p = taken_of(1, 100);
    assert_int_equal(p.count, 4);
    assert_int_equal(p.first_ids[0], 3);
    assert_int_equal(taken_of(1, 100).count, 0);
    assert_int_equal(count_rows(&here, "kept_answers"), 0);
    reopen();
    p = waiting();
    assert_int_equal(p.count, 6);
    assert_true(p.rechecks[0]);
    assert_memory_equal(p.payload_of_first, "payload of 5 .......", 20);
}

static void test_a_check_of_a_kept_answer_knows_all_of_it(void **state) {
    (void)state;
    found_verification found = {0};
    const store_verification v = new_verification(7, "");
    assert_int_equal(keep_one(7, 1, 100).code, ERROR_NONE);
    assert_int_equal(taken_of(1, 1).count, 1);
    assert_true(store_verification_get(site, v.id, on_verification, &found, &err));
    assert_int_equal(found.base.code, ERROR_NONE);
    assert_memory_equal(found.copy.job_id, v.job_id, sizeof v.job_id);
    assert_memory_equal(found.copy.worker_id, v.worker_id, sizeof v.worker_id);
    assert_int_equal(found.copy.user_id, 1);
    assert_int_equal(found.copy.created_ms, v.created_ms);
    assert_int_equal(found.copy.decided_ms, 0);
    assert_int_equal(found.copy.position, -1);
    assert_false(found.copy.has_verifier || found.copy.has_referee);
}

static void test_exactly_the_last_answers_of_each_worker_are_kept(void **state) {
    (void)state;
    enrol_worker(site, 2);
    for (uint64_t i = 0; i < 50; i++) {
        assert_int_equal(keep_one(i, i % 5 == 0 ? 2 : 1, 7).code, ERROR_NONE);
        assert_true(
            count_rows(&here, server_of_tests() == NULL
                                  ? "kept_answers WHERE worker_id = x'01010101010101010101010101010101'"
                                  : "kept_answers WHERE worker_id = "
                                    "'\\x01010101010101010101010101010101'") <= 7);
        if (i % 16 == 0) {
            reopen(); /* it is known again from the table */
        }
    }
    assert_int_equal(count_rows(&here, "kept_answers"), 14);
    page p = taken_of(2, 100);
    assert_int_equal(p.count, 7);
    assert_int_equal(p.first_ids[0], 45);
    assert_int_equal(p.first_ids[6], 15);
    p = taken_of(1, 100);
    assert_int_equal(p.count, 7);
    assert_int_equal(p.first_ids[0], 49);
    assert_int_equal(p.first_ids[6], 42);
}

static void test_fewer_are_kept_once_the_setting_says_so(void **state) {
    (void)state;
    for (uint64_t i = 0; i < 40; i++) {
        assert_int_equal(keep_one(i, 1, 100).code, ERROR_NONE);
    }
    assert_int_equal(keep_one(40, 1, 2).code, ERROR_NONE);
    assert_int_equal(count_rows(&here, "kept_answers"), 25); /* not all at once */
    assert_int_equal(expire(2, 0, INT64_MAX), 23);
    assert_int_equal(expire(2, 0, INT64_MAX), 0);
    assert_int_equal(keep_one(41, 1, 2).code, ERROR_NONE);
    page p = taken_of(1, 100);
    assert_int_equal(p.count, 2);
    assert_int_equal(p.first_ids[0], 41);
    assert_int_equal(p.first_ids[1], 40);
    assert_int_equal(keep_one(42, 1, 2).code, ERROR_NONE);
    assert_int_equal(expire(0, 0, INT64_MAX), 1);
    assert_int_equal(count_rows(&here, "kept_answers"), 0);
    assert_int_equal(waiting().count, 2); /* what waits is never trimmed */
}

static void test_what_is_too_old_or_of_the_future_goes(void **state) {
    (void)state;
    for (uint64_t i = 0; i < 10; i++) {
        assert_int_equal(keep_one(i, 1, 100).code, ERROR_NONE);
    }
    assert_int_equal(expire(100, NOW_MS + 3, NOW_MS + 7), 5);
    assert_int_equal(expire(100, NOW_MS + 3, NOW_MS + 7), 0);
    page p = taken_of(1, 100);
    assert_int_equal(p.count, 5);
    assert_int_equal(p.first_ids[0], 7);
    assert_int_equal(p.first_ids[4], 3);
}

static void test_a_great_number_that_expires_goes_in_parts(void **state) {
    (void)state;
    enrol_worker(site, 2);
    for (uint64_t i = 0; i < STORE_LIST_MAX + 20; i++) {
        assert_int_equal(keep_one(i, i % 2 == 0 ? 1 : 2, 10000).code, ERROR_NONE);
    }
    assert_int_equal(expire(10000, INT64_MAX, INT64_MAX), STORE_LIST_MAX);
    assert_int_equal(expire(10000, INT64_MAX, INT64_MAX), 20);
    assert_int_equal(count_rows(&here, "kept_answers"), 0);
    for (uint64_t i = 0; i < STORE_LIST_MAX + 20; i++) {
        assert_int_equal(keep_one(i, i % 2 == 0 ? 1 : 2, 10000).code, ERROR_NONE);
    }
    assert_int_equal(expire(1, 0, INT64_MAX), STORE_LIST_MAX);
    assert_int_equal(expire(1, 0, INT64_MAX), 18);
    assert_int_equal(taken_of(1, 100).count + taken_of(2, 100).count, 2);
}

static void test_large_answers_are_taken_a_page_at_a_time(void **state) {
    (void)state;
    static uint8_t large[STORE_PAYLOAD_MAX];
    outcome o = {0};
    for (uint64_t i = 0; i < 5; i++) {
        store_verification v = new_verification(i, "");
        v.payload = slice_of(large, sizeof large);
        const store_kept_answer answer = kept_of(&v);
        assert_true(store_kept_add(site, &answer, 100, on_done, &o, &err));
        assert_int_equal(o.code, ERROR_NONE);
    }
    assert_int_equal(taken_of(1, 100).count, 4); /* 32 MiB */
    assert_int_equal(taken_of(1, 100).count, 1);
    assert_int_equal(taken_of(1, 100).count, 0);
}

static void test_what_is_no_kept_answer_is_refused(void **state) {
    (void)state;
    static uint8_t large[STORE_PAYLOAD_MAX + 1];
    outcome o = {0};
    page p = {0};
    store_verification v = new_verification(1, "");
    store_kept_answer answer = kept_of(&v);
    assert_false(store_kept_add(site, &answer, 0, on_done, &o, &err));
    answer.payload = (slice){NULL, 0};
    assert_false(store_kept_add(site, &answer, 1, on_done, &o, &err));
    answer.payload = slice_of(large, sizeof large);
    assert_false(store_kept_add(site, &answer, 1, on_done, &o, &err));
    answer = kept_of(&v);
    answer.model = slice_of(large, STORE_MODEL_MAX + 1);
    assert_false(store_kept_add(site, &answer, 1, on_done, &o, &err));
    assert_int_equal(err.code, ERROR_INVALID);
    assert_int_equal(o.calls, 0);
    answer = kept_of(&v);
    answer.mode = SLICE_LITERAL("always");
    assert_true(store_kept_add(site, &answer, 1, on_done, &o, &err));
    assert_int_equal(o.code, ERROR_INVALID);
    answer = kept_of(&v);
    answer.user_id = 77;
    assert_true(store_kept_add(site, &answer, 1, on_done, &o, &err));
    assert_int_equal(o.code, ERROR_INVALID);
    assert_int_equal(keep_one(1, 9, 1).code, ERROR_INVALID); /* no such worker */
    assert_false(store_kept_take(site, v.worker_id, 0, on_page, &p, &err));
    assert_int_equal(count_rows(&here, "kept_answers"), 0);
    assert_int_equal(keep_one(1, 1, 1).code, ERROR_NONE); /* refusals leave it whole */
    assert_int_equal(keep_one(2, 1, 1).code, ERROR_NONE);
    assert_int_equal(taken_of(1, 10).count, 1);
}

static void test_an_id_that_a_check_has_is_not_taken_twice(void **state) {
    (void)state;
    outcome o = {0};
    page p = {0};
    store_verification v = new_verification(1, "waiting");
    assert_true(store_verification_add(site, &v, on_done, &o, &err));
    assert_int_equal(keep_one(1, 1, 10).code, ERROR_NONE);
    assert_true(store_kept_take(site, v.worker_id, 10, on_page, &p, &err));
    assert_int_equal(p.base.code, ERROR_CONFLICT);
    assert_int_equal(count_rows(&here, "kept_answers"), 1);
    assert_int_equal(waiting().count, 1);
}

static void test_a_lost_transaction_leaves_the_last_answers_kept(void **state) {
    (void)state;
    for (uint64_t i = 0; i < 12; i++) {
        fault_fail_nth_at("disk", i % 3 == 0 ? 0 : 100);
        outcome o = keep_one(i, 1, 4);
        assert_int_equal(o.code, fault_stop() && i % 3 == 0 ? ERROR_IO : ERROR_NONE);
        assert_true(count_rows(&here, "kept_answers") <= 4);
    }
    fault_fail_nth_at("disk", 0);
    outcome o = {0};
    assert_true(store_kept_expire(site, 0, 0, INT64_MAX, on_expired, &o, &err));
    bool failed = fault_stop();
    page p = taken_of(1, 100);
    assert_int_equal(p.count, failed ? 4 : 0);
    if (failed) {
        assert_int_equal(p.first_ids[0], 11);
        assert_int_equal(p.first_ids[3], 7); /* 9 was lost */
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        SITE_TEST(test_what_is_kept_is_taken_newest_first_and_then_waits),
        SITE_TEST(test_a_check_of_a_kept_answer_knows_all_of_it),
        SITE_TEST(test_exactly_the_last_answers_of_each_worker_are_kept),
        SITE_TEST(test_fewer_are_kept_once_the_setting_says_so),
        SITE_TEST(test_what_is_too_old_or_of_the_future_goes),
        SITE_TEST(test_a_great_number_that_expires_goes_in_parts),
        SITE_TEST(test_large_answers_are_taken_a_page_at_a_time),
        SITE_TEST(test_what_is_no_kept_answer_is_refused),
        SITE_TEST(test_an_id_that_a_check_has_is_not_taken_twice),
        SITE_TEST(test_a_lost_transaction_leaves_the_last_answers_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
