/* Who is shut out. */
#include "site_support.h"

#include "store/blacklist.h"

typedef struct blacklisted {
    outcome base;
    size_t count;
    store_blacklisting first;
    char value[80];
} blacklisted;

static void on_blacklist(void *context, const store_blacklisting *entries, size_t count,
                         const error *failure) {
    blacklisted *b = context;
    keep(&b->base, failure);
    b->count = count;
    if (count > 0) {
        b->first = entries[0];
        snprintf(b->value, sizeof b->value, "%.*s", SLICE_FORMAT(entries[0].value));
    }
}

static void test_the_blacklist_holds_each_once_until_it_is_cleared(void **state) {
    (void)state;
    outcome o = {0};
    blacklisted b = {0};
    store_blacklisting entry = {.kind = SLICE_LITERAL("owner"),
                                .value = SLICE_LITERAL("Eve"),
                                .reason = SLICE_LITERAL("convicted"),
                                .created_ms = NOW_MS};
    assert_true(store_blacklist_add(site, &entry, on_id, &o, &err));
    assert_int_equal(o.code, ERROR_NONE);
    uint64_t first = o.user_id;
    assert_true(store_blacklist_add(site, &entry, on_id, &o, &err));
    assert_int_equal(o.code, ERROR_CONFLICT);
    entry.kind = SLICE_LITERAL("machine");
    entry.created_by = 1;
    assert_true(store_blacklist_add(site, &entry, on_id, &o, &err));
    assert_int_equal(o.code, ERROR_NONE);
    reopen();
    assert_true(store_load_blacklist(site, on_blacklist, &b, &err));
    assert_int_equal(b.count, 2);
    assert_int_equal(b.first.created_by, 0);
    assert_string_equal(b.value, "Eve");
    assert_true(store_blacklist_clear(site, SLICE_LITERAL("owner"), SLICE_LITERAL("Eve"), 1, NOW_MS + 5,
                                      on_id, &o, &err));
    assert_int_equal(o.code, ERROR_NONE);
    assert_int_equal(o.user_id, first);
    assert_true(store_blacklist_clear(site, SLICE_LITERAL("owner"), SLICE_LITERAL("Eve"), 1, NOW_MS + 5,
                                      on_id, &o, &err));
    assert_int_equal(o.code, ERROR_NOT_FOUND);
    assert_true(store_load_blacklist(site, on_blacklist, &b, &err));
    assert_int_equal(b.count, 1);
    assert_true(store_blacklist_list(site, 0, 10, on_blacklist, &b, &err));
    assert_int_equal(b.count, 2);
    assert_int_equal(b.first.cleared_by, 1);
    assert_int_equal(b.first.cleared_ms, NOW_MS + 5);
    assert_true(store_blacklist_list(site, first, 10, on_blacklist, &b, &err));
    assert_int_equal(b.count, 1);
    entry.kind = SLICE_LITERAL("owner");
    assert_true(store_blacklist_add(site, &entry, on_id, &o, &err)); /* again, after it was cleared */
    assert_int_equal(o.code, ERROR_NONE);
    entry.kind = SLICE_LITERAL("address");
    assert_false(store_blacklist_add(site, &entry, on_id, &o, &err));
    entry.kind = SLICE_LITERAL("owner");
    entry.value = (slice){NULL, 0};
    assert_false(store_blacklist_add(site, &entry, on_id, &o, &err));
    entry.value = SLICE_LITERAL("Mallory");
    entry.reason = (slice){NULL, 0};
    assert_false(store_blacklist_add(site, &entry, on_id, &o, &err));
    entry.reason = SLICE_LITERAL("by nobody");
    entry.created_by = 77;
    assert_true(store_blacklist_add(site, &entry, on_id, &o, &err));
    assert_int_equal(o.code, ERROR_INVALID);
    assert_false(
        store_blacklist_clear(site, SLICE_LITERAL("owner"), SLICE_LITERAL("Eve"), 1, 0, on_id, &o, &err));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        SITE_TEST(test_the_blacklist_holds_each_once_until_it_is_cleared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
