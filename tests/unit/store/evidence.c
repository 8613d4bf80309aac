/* Evidence against workers. */
#include "site_support.h"

#include "store/evidence.h"

static void on_evidence(void *context, const store_evidence *e, const error *failure) {
    keep(context, failure);
    keep_bytes(context, e == NULL ? (slice){NULL, 0} : e->bundle);
}

static void on_evidence_list(void *context, const store_evidence *rows, size_t count, const error *failure) {
    outcome *o = context;
    keep(o, failure);
    o->count = count;
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(rows[i].bundle.length, 0);
        o->user_id = rows[i].id;
    }
}

static void test_evidence_is_given_whole_and_listed_without(void **state) {
    (void)state;
    static uint8_t large[STORE_EVIDENCE_MAX + 1];
    outcome o = {0};
    uint8_t worker[STORE_WORKER_ID_SIZE];
    store_evidence e = {.created_ms = NOW_MS, .bundle = SLICE_LITERAL("{\"version\":1}")};
    memset(worker, 1, sizeof worker);
    memcpy(e.worker_id, worker, sizeof worker);
    for (uint64_t i = 1; i <= 3; i++) {
        assert_true(store_evidence_add(site, &e, on_id, &o, &err));
        assert_int_equal(o.code, ERROR_NONE);
        assert_int_equal(o.user_id, i);
    }
    reopen();
    assert_true(store_evidence_get(site, 2, on_evidence, &o, &err));
    assert_int_equal(o.length, 13);
    assert_memory_equal(o.bytes, "{\"version\":1}", 13);
    assert_true(store_evidence_get(site, 4, on_evidence, &o, &err));
    assert_int_equal(o.code, ERROR_NOT_FOUND);
    assert_true(store_evidence_get(site, UINT64_MAX, on_evidence, &o, &err));
    assert_int_equal(o.code, ERROR_NOT_FOUND);
    assert_true(store_evidence_list(site, NULL, 1, 10, on_evidence_list, &o, &err));
    assert_int_equal(o.count, 2);
    assert_int_equal(o.user_id, 3);
    assert_true(store_evidence_list(site, worker, 0, 2, on_evidence_list, &o, &err));
    assert_int_equal(o.count, 2);
    worker[0] = 9;
    assert_true(store_evidence_list(site, worker, 0, 2, on_evidence_list, &o, &err));
    assert_int_equal(o.count, 0);
    e.worker_id[0] = 9;
    assert_true(store_evidence_add(site, &e, on_id, &o, &err));
    assert_int_equal(o.code, ERROR_INVALID);
    memset(large, ' ', sizeof large);
    e.bundle = slice_of(large, sizeof large);
    assert_false(store_evidence_add(site, &e, on_id, &o, &err));
    e.bundle = (slice){NULL, 0};
    assert_false(store_evidence_add(site, &e, on_id, &o, &err));
    e.bundle = SLICE_LITERAL("\xff");
    assert_false(store_evidence_add(site, &e, on_id, &o, &err));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        SITE_TEST(test_evidence_is_given_whole_and_listed_without),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
