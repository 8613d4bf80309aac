/* Facts: added, replaced, listed, and how they go. */
#include "memory_support.h"

typedef struct facts {
    outcome base;
    size_t count;
    uint8_t ids[STORE_LIST_MAX][STORE_FACT_ID_SIZE];
    uint64_t changed[8];
    char texts[8][16];
} facts;

static void on_facts(void *context, const store_fact *rows, size_t count, const error *failure) {
    facts *f = context;
    keep(&f->base, failure);
    f->count = count;
    assert_int_equal(rows == NULL, count == 0);
    for (size_t i = 0; i < count; i++) {
        memcpy(f->ids[i], rows[i].id, sizeof f->ids[i]);
    }
    for (size_t i = 0; i < count && i < 8; i++) {
        f->changed[i] = rows[i].changed_ms;
        snprintf(f->texts[i], sizeof f->texts[i], "%.*s", SLICE_FORMAT(rows[i].sealed));
    }
}

static const facts *list(uint64_t user_id, const uint8_t *after, size_t limit) {
    static facts f;
    uint8_t copy[STORE_FACT_ID_SIZE] = {0};
    if (after != NULL) {
        memcpy(copy, after, sizeof copy);
    }
    memset(&f, 0, sizeof f);
    assert_true(store_fact_list(site, user_id, after == NULL ? NULL : copy, limit, on_facts, &f, &err));
    assert_int_equal(f.base.code, ERROR_NONE);
    return &f;
}

static store_fact fact_of(uint64_t number, const char *sealed) {
    store_fact fact = {.changed_ms = NOW_MS + 1000 + number, .sealed = slice_of_text(sealed)};
    id_of(fact.id, number);
    return fact;
}

static error_code replace(uint64_t user_id, const store_fact *rows, size_t count, bool lenient) {
    outcome o = {0};
    bool accepted = store_facts_replace(site, user_id, rows, count, lenient, on_done, &o, &err);
    return outcome_of(accepted, &o);
}

static error_code delete_one(uint64_t user_id, uint64_t number) {
    outcome o = {0};
    store_fact fact = fact_of(number, "");
    bool accepted = store_fact_delete(site, user_id, fact.id, on_done, &o, &err);
    return outcome_of(accepted, &o);
}

static uint64_t keep_for_bo(void) {
    outcome bo = add_user("bo", 1);
    assert_int_equal(add_vault(1, 1), ERROR_NONE);
    assert_int_equal(add_vault(bo.user_id, bo.key_id), ERROR_NONE);
    return bo.user_id;
}

static void test_facts_are_listed_by_their_ids_in_pages(void **state) {
    (void)state;
    assert_int_equal(add_vault(1, 1), ERROR_NONE);
    assert_int_equal(list(1, NULL, 10)->count, 0);
    static const uint64_t order[] = {3, 0, 4, 1, 2}; /* 0: an id that begins with zeros */
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(add_fact(1, order[i], SLICE_LITERAL("fact")), ERROR_NONE);
    }
    reopen();
    const facts *f = list(1, NULL, 3);
    assert_int_equal(f->count, 3);
    for (uint64_t i = 0; i < 3; i++) {
        assert_memory_equal(f->ids[i], fact_of(i, "").id, STORE_FACT_ID_SIZE);
        assert_int_equal(f->changed[i], NOW_MS + i);
        assert_string_equal(f->texts[i], "fact");
    }
    f = list(1, f->ids[2], 3);
    assert_int_equal(f->count, 2);
    assert_memory_equal(f->ids[0], fact_of(3, "").id, STORE_FACT_ID_SIZE);
    assert_int_equal(list(1, f->ids[1], 3)->count, 0);
}

static void test_a_page_of_large_facts_ends_early(void **state) {
    (void)state;
    static const uint8_t large[STORE_FACT_MAX];
    enum { FITTING = STORE_FACTS_BYTES / STORE_FACT_MAX };
    assert_int_equal(add_vault(1, 1), ERROR_NONE);
    for (uint64_t i = 0; i < FITTING + 5; i++) {
        assert_int_equal(add_fact(1, i, slice_of(large, sizeof large)), ERROR_NONE);
    }
    const facts *f = list(1, NULL, STORE_LIST_MAX);
    assert_int_equal(f->count, FITTING);
    assert_int_equal(list(1, f->ids[FITTING - 1], STORE_LIST_MAX)->count, 5);
    assert_true(erase_step(1)); /* as large as a step may be */
    assert_int_equal(count_rows(&here, "facts"), 5);
    assert_false(erase_step(1));
}

static void test_a_user_has_at_most_as_many_facts_as_are_allowed(void **state) {
    (void)state;
    outcome o = {0};
    uint64_t bo = keep_for_bo();
    assert_int_equal(add_fact(bo, 9, SLICE_LITERAL("of bo")), ERROR_NONE);
    for (uint64_t i = 0; i < 4; i++) {
        store_fact fact = fact_of(i, "fact");
        assert_true(store_fact_add(site, 1, &fact, 3, on_done, &o, &err));
        assert_int_equal(o.code, i < 3 ? ERROR_NONE : ERROR_LIMIT);
    }
    assert_non_null(strstr(o.text, "3 facts"));
    assert_int_equal(delete_one(1, 1), ERROR_NONE);
    store_fact fact = fact_of(3, "fact");
    assert_true(store_fact_add(site, 1, &fact, 3, on_done, &o, &err));
    assert_int_equal(o.code, ERROR_NONE);
}

/* The bound takes the user to have so many, neither more nor fewer. */
static void check_counted(uint64_t user_id, size_t count) {
    outcome o = {0};
    store_fact fact = fact_of(99, "one more");
    assert_true(store_fact_add(site, user_id, &fact, count, on_done, &o, &err));
    assert_int_equal(o.code, ERROR_LIMIT);
    assert_true(store_fact_add(site, user_id, &fact, count + 1, on_done, &o, &err));
    assert_int_equal(o.code, ERROR_NONE);
    assert_int_equal(delete_one(user_id, 99), ERROR_NONE);
}

static void test_a_fact_needs_a_vault_and_an_id_of_its_own(void **state) {
    (void)state;
    assert_int_equal(add_fact(1, 1, SLICE_LITERAL("fact")), ERROR_NOT_FOUND);
    assert_int_equal(add_fact(77, 1, SLICE_LITERAL("fact")), ERROR_NOT_FOUND);
    uint64_t bo = keep_for_bo();
    assert_int_equal(add_fact(1, 1, SLICE_LITERAL("of ana")), ERROR_NONE);
    assert_int_equal(add_fact(1, 1, SLICE_LITERAL("again")), ERROR_CONFLICT);
    assert_int_equal(add_fact(bo, 1, SLICE_LITERAL("of bo")), ERROR_NONE);
    assert_string_equal(list(1, NULL, 10)->texts[0], "of ana");
    assert_string_equal(list(bo, NULL, 10)->texts[0], "of bo");
    check_counted(1, 1);
    check_counted(bo, 1);
}

static void test_facts_are_replaced_all_or_none(void **state) {
    (void)state;
    uint64_t bo = keep_for_bo();
    for (uint64_t i = 0; i < 3; i++) {
        assert_int_equal(add_fact(1, i, SLICE_LITERAL("old")), ERROR_NONE);
    }
    assert_int_equal(add_fact(bo, 7, SLICE_LITERAL("of bo")), ERROR_NONE);
    const store_fact rows[] = {fact_of(0, "new"), fact_of(7, "new"), fact_of(2, "newer")};
    assert_int_equal(replace(1, rows, 3, false), ERROR_NOT_FOUND);
    assert_string_equal(list(1, NULL, 10)->texts[0], "old");
    assert_int_equal(replace(1, rows, 3, true), ERROR_NONE);
    const facts *f = list(1, NULL, 10);
    assert_int_equal(f->count, 3);
    assert_string_equal(f->texts[0], "new");
    assert_string_equal(f->texts[1], "old");
    assert_string_equal(f->texts[2], "newer");
    assert_int_equal(f->changed[0], NOW_MS + 1000);
    assert_string_equal(list(bo, NULL, 10)->texts[0], "of bo");
    assert_int_equal(replace(1, rows, 1, false), ERROR_NONE);
}

static void test_a_fact_is_deleted_by_its_user_alone(void **state) {
    (void)state;
    uint64_t bo = keep_for_bo();
    assert_int_equal(add_fact(1, 1, SLICE_LITERAL("fact")), ERROR_NONE);
    assert_int_equal(delete_one(bo, 1), ERROR_NOT_FOUND);
    assert_int_equal(delete_one(1, 2), ERROR_NOT_FOUND);
    assert_int_equal(list(1, NULL, 10)->count, 1);
    assert_int_equal(delete_one(1, 1), ERROR_NONE);
    assert_int_equal(delete_one(1, 1), ERROR_NOT_FOUND);
    assert_int_equal(list(1, NULL, 10)->count, 0);
    check_counted(1, 0);
    check_counted(bo, 0);
}

static void on_expired(void *context, size_t count, const error *failure) {
    keep(context, failure);
    ((outcome *)context)->count = count;
}

static size_t expire(uint64_t before_ms, size_t limit) {
    outcome o = {0};
    assert_true(store_facts_expire(site, before_ms, limit, on_expired, &o, &err));
    assert_int_equal(o.code, ERROR_NONE);
    return o.count;
}

static void test_facts_that_have_not_changed_for_long_expire_oldest_first(void **state) {
    (void)state;
    uint64_t bo = keep_for_bo();
    for (uint64_t i = 0; i < 10; i++) {
        assert_int_equal(add_fact(i % 2 == 0 ? 1 : bo, 9 - i, SLICE_LITERAL("fact")), ERROR_NONE);
    }
    assert_int_equal(expire(NOW_MS, 100), 0);
    assert_int_equal(expire(NOW_MS + 6, 2), 2);
    assert_int_equal(list(1, NULL, 10)->changed[0], NOW_MS + 3);
    assert_int_equal(list(bo, NULL, 10)->changed[0], NOW_MS + 2);
    const store_fact changed = fact_of(3, "changed");
    assert_int_equal(replace(1, &changed, 1, false), ERROR_NONE);
    assert_int_equal(expire(NOW_MS + 6, 100), 3);
    assert_int_equal(expire(NOW_MS + 6, 100), 0);
    assert_string_equal(list(1, NULL, 10)->texts[0], "changed");
    assert_int_equal(count_rows(&here, "facts"), 5);
    check_counted(1, list(1, NULL, 10)->count);
    check_counted(bo, list(bo, NULL, 10)->count);
}

static void test_what_is_no_fact_is_refused(void **state) {
    (void)state;
    static const uint8_t large[STORE_FACT_MAX + 1];
    static store_fact many[STORE_LIST_MAX + 1];
    outcome o = {0};
    facts *f = calloc(1, sizeof *f);
    store_fact wrongs[] = {fact_of(1, ""), fact_of(1, "fact"), fact_of(1, "fact")};
    wrongs[1].sealed = slice_of(large, sizeof large);
    wrongs[2].changed_ms = UINT64_MAX;
    for (size_t i = 0; i < 3; i++) {
        assert_false(store_fact_add(site, 1, &wrongs[i], 10, on_done, &o, &err));
        assert_int_equal(err.code, ERROR_INVALID);
        const store_fact rows[] = {fact_of(0, "right"), wrongs[i]};
        assert_false(store_facts_replace(site, 1, rows, 2, true, on_done, &o, &err));
        assert_int_equal(err.code, ERROR_INVALID);
    }
    for (size_t i = 0; i <= STORE_LIST_MAX; i++) {
        many[i] = fact_of(i, "right");
    }
    assert_false(store_facts_replace(site, 1, many, 0, true, on_done, &o, &err));
    assert_false(store_facts_replace(site, 1, many, STORE_LIST_MAX + 1, true, on_done, &o, &err));
    for (size_t i = 0; i < 2; i++) {
        size_t limit = i == 0 ? 0 : STORE_LIST_MAX + 1;
        assert_false(store_fact_list(site, 1, NULL, limit, on_facts, f, &err));
        assert_false(store_facts_expire(site, 1, limit, on_expired, &o, &err));
        assert_int_equal(err.code, ERROR_INVALID);
    }
    assert_int_equal(o.calls + f->base.calls, 0);
    free(f);
    assert_int_equal(replace(1, many, STORE_LIST_MAX, true), ERROR_NONE); /* of nobody: nothing to do */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        SITE_TEST(test_facts_are_listed_by_their_ids_in_pages),
        SITE_TEST(test_a_page_of_large_facts_ends_early),
        SITE_TEST(test_a_user_has_at_most_as_many_facts_as_are_allowed),
        SITE_TEST(test_a_fact_needs_a_vault_and_an_id_of_its_own),
        SITE_TEST(test_facts_are_replaced_all_or_none),
        SITE_TEST(test_a_fact_is_deleted_by_its_user_alone),
        SITE_TEST(test_facts_that_have_not_changed_for_long_expire_oldest_first),
        SITE_TEST(test_what_is_no_fact_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
