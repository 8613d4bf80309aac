/* Markers and where they were seen. */
#include "site_support.h"

#include "store/honeytokens.h"

static void on_token(void *context, const store_honeytoken *t, const error *failure) {
    outcome *o = context;
    keep(o, failure);
    o->key_id = t == NULL ? 0 : t->seen_ms;
    keep_bytes(o, t == NULL ? (slice){NULL, 0} : t->seen_where);
    if (t != NULL) {
        assert_int_equal(t->worker_id[0], 1);
        assert_int_equal(t->created_ms, NOW_MS);
    }
}

static void on_tokens(void *context, const store_honeytoken *rows, size_t count, const error *failure) {
    outcome *o = context;
    keep(o, failure);
    o->count = count;
    o->user_id = count == 0 ? 0 : rows[count - 1].id;
}

static void test_a_honeytoken_names_its_worker_and_its_first_sighting(void **state) {
    (void)state;
    outcome o = {0};
    static const char *const markers[] = {"cht-one", "cht-two", "cht-three"};
    store_honeytoken t = {.created_ms = NOW_MS};
    memset(t.worker_id, 1, sizeof t.worker_id);
    for (size_t i = 0; i < 3; i++) {
        t.marker = slice_of_text(markers[i]);
        assert_true(store_honeytoken_add(site, &t, on_done, &o, &err));
        assert_int_equal(o.code, ERROR_NONE);
    }
    assert_true(store_honeytoken_add(site, &t, on_done, &o, &err));
    assert_int_equal(o.code, ERROR_CONFLICT);
    assert_true(store_honeytoken_find(site, SLICE_LITERAL("cht-two"), on_token, &o, &err));
    assert_int_equal(o.code, ERROR_NONE);
    assert_int_equal(o.key_id, 0);
    assert_true(store_honeytoken_find(site, SLICE_LITERAL("cht-four"), on_token, &o, &err));
    assert_int_equal(o.code, ERROR_NOT_FOUND);
    assert_true(store_honeytoken_seen(site, SLICE_LITERAL("cht-four"), SLICE_LITERAL("mail"), NOW_MS,
                                      on_token, &o, &err));
    assert_int_equal(o.code, ERROR_NOT_FOUND);
    assert_true(store_honeytoken_seen(site, SLICE_LITERAL("cht-two"), SLICE_LITERAL("mail"), NOW_MS + 1,
                                      on_token, &o, &err));
    assert_true(store_honeytoken_seen(site, SLICE_LITERAL("cht-two"), SLICE_LITERAL("wiki"), NOW_MS + 2,
                                      on_token, &o, &err));
    assert_int_equal(o.code, ERROR_NONE);
    assert_int_equal(o.key_id, NOW_MS + 1);
    assert_memory_equal(o.bytes, "mail", 4);
    reopen();
    assert_true(store_honeytoken_list(site, true, 0, 10, on_tokens, &o, &err));
    assert_int_equal(o.count, 1);
    assert_true(store_honeytoken_list(site, false, 1, 10, on_tokens, &o, &err));
    assert_int_equal(o.count, 2);
    assert_int_equal(o.user_id, 3);
    t.marker = SLICE_LITERAL("Not one");
    assert_false(store_honeytoken_add(site, &t, on_done, &o, &err));
    assert_false(store_honeytoken_find(site, (slice){NULL, 0}, on_token, &o, &err));
    assert_false(
        store_honeytoken_seen(site, SLICE_LITERAL("cht-two"), SLICE_LITERAL("x"), 0, on_token, &o, &err));
    t.marker = SLICE_LITERAL("cht-five");
    t.worker_id[0] = 9;
    assert_true(store_honeytoken_add(site, &t, on_done, &o, &err));
    assert_int_equal(o.code, ERROR_INVALID);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        SITE_TEST(test_a_honeytoken_names_its_worker_and_its_first_sighting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
