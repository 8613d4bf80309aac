/* What users are to be told. */
#include "site_support.h"

static void on_notices(void *context, const store_notice *rows, size_t count, const error *failure) {
    outcome *o = context;
    keep(o, failure);
    o->count = count;
    if (count > 0) {
        o->user_id = rows[0].user_id;
        o->key_id = rows[0].told_ms;
        keep_bytes(o, rows[0].text);
    }
}

static void test_a_notice_is_told_once(void **state) {
    (void)state;
    outcome o = {0};
    store_notice n = new_notice(1);
    assert_true(store_notice_add(site, &n, on_id, &o, &err));
    assert_int_equal(o.code, ERROR_NONE);
    uint64_t id = o.user_id;
    assert_true(store_notice_add(site, &n, on_id, &o, &err));
    assert_int_equal(o.code, ERROR_CONFLICT);
    n = new_notice(2);
    assert_true(store_notice_add(site, &n, on_id, &o, &err));
    reopen();
    assert_true(store_load_notices(site, on_notices, &o, &err));
    assert_int_equal(o.count, 2);
    assert_int_equal(o.user_id, 1);
    assert_memory_equal(o.bytes, "it was wrong", 12);
    for (uint64_t i = 0; i < 2; i++) {
        assert_true(store_notice_told(site, id, NOW_MS + 5 + i, on_done, &o, &err));
        assert_int_equal(o.code, ERROR_NONE);
    }
    assert_true(store_load_notices(site, on_notices, &o, &err));
    assert_int_equal(o.count, 1);
    assert_true(store_notice_list(site, n.worker_id, 0, 10, on_notices, &o, &err));
    assert_int_equal(o.count, 2);
    assert_int_equal(o.key_id, NOW_MS + 5);
    assert_true(store_notice_list(site, NULL, id, 10, on_notices, &o, &err));
    assert_int_equal(o.count, 1);
    assert_true(store_notice_told(site, 99, NOW_MS, on_done, &o, &err));
    assert_int_equal(o.code, ERROR_NOT_FOUND);
    assert_false(store_notice_told(site, id, 0, on_done, &o, &err));
    n = new_notice(3);
    n.user_id = 77;
    assert_true(store_notice_add(site, &n, on_id, &o, &err));
    assert_int_equal(o.code, ERROR_INVALID);
    n = new_notice(3);
    n.text = SLICE_LITERAL("two\nlines");
    assert_false(store_notice_add(site, &n, on_id, &o, &err));
    n.text = (slice){NULL, 0};
    assert_false(store_notice_add(site, &n, on_id, &o, &err));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        SITE_TEST(test_a_notice_is_told_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
