/* Shares of users' data keys: one set at a time, gone with the vault, and gone for good. */
#include "memory_support.h"

#include "files_support.h"

#define MARK "#~r~#"

typedef struct found_set {
    outcome base;
    bool found;
    store_recovery copy;
    char officers[64];
    uint8_t keys[STORE_RECOVERY_SHARES_MAX];
    char sealed[16];
} found_set;

static void on_set(void *context, const store_recovery *found, const error *failure) {
    found_set *f = context;
    keep(&f->base, failure);
    f->found = found != NULL;
    f->copy = found == NULL ? (store_recovery){0} : *found;
    for (size_t i = 0; i < f->copy.count; i++) {
        size_t used = strlen(f->officers);
        snprintf(f->officers + used, sizeof f->officers - used, "%.*s ",
                 SLICE_FORMAT(found->shares[i].officer));
        f->keys[i] = found->shares[i].public_key[0];
        assert_int_equal(found->shares[i].digest[0], found->set[0]);
        snprintf(f->sealed, sizeof f->sealed, "%.*s", SLICE_FORMAT(found->shares[i].sealed));
    }
}

static found_set get_set(uint64_t user_id, uint64_t key_id) {
    found_set f = {0};
    assert_true(store_recovery_get(site, user_id, key_id, on_set, &f, &err));
    assert_int_equal(f.base.calls, 1);
    assert_int_equal(f.base.code, ERROR_NONE);
    return f;
}

static error_code put_set(uint64_t user_id, uint8_t set, size_t count, slice sealed) {
    outcome o = {0};
    bool accepted = share_out(user_id, set, count, sealed, &o);
    return outcome_of(accepted, &o);
}

static void test_a_set_is_what_was_put(void **state) {
    (void)state;
    assert_false(get_set(1, 1).found);
    assert_int_equal(add_vault(1, 1), ERROR_NONE);
    found_set f = get_set(1, 1);
    assert_true(f.found);
    assert_int_equal(f.copy.count, 0);
    assert_int_equal(put_set(1, 7, 3, SLICE_LITERAL("sealed")), ERROR_NONE);
    reopen();
    f = get_set(1, 1);
    assert_memory_equal(f.copy.salt, salt_of(1), STORE_VAULT_SALT_SIZE);
    assert_int_equal(f.copy.set[15], 7);
    assert_int_equal(f.copy.needed, 2);
    assert_string_equal(f.officers, "olga oskar otto ");
    assert_int_equal(f.keys[1], 2); /* each its own */
    assert_string_equal(f.sealed, "sealed");
    assert_true(f.copy.opens);
    assert_false(get_set(1, 2).copy.opens);
}

static void test_a_set_takes_the_place_of_the_last(void **state) {
    (void)state;
    outcome bo = add_user("bo", 1);
    assert_int_equal(add_vault(1, 1), ERROR_NONE);
    assert_int_equal(add_vault(bo.user_id, bo.key_id), ERROR_NONE);
    assert_int_equal(put_set(bo.user_id, 5, 3, SLICE_LITERAL("bo's")), ERROR_NONE);
    assert_int_equal(put_set(1, 7, 3, SLICE_LITERAL("first")), ERROR_NONE);
    assert_int_equal(put_set(1, 8, 2, SLICE_LITERAL("second")), ERROR_NONE);
    found_set f = get_set(1, 1);
    assert_string_equal(f.officers, "olga otto ");
    assert_int_equal(f.copy.set[0], 8);
    assert_string_equal(f.sealed, "second");
    assert_int_equal(put_set(1, 0, 0, (slice){NULL, 0}), ERROR_NONE);
    assert_int_equal(get_set(1, 1).copy.count, 0);
    assert_int_equal(get_set(bo.user_id, bo.key_id).copy.count, 3);
}

static void test_a_set_is_of_one_vault_and_goes_with_it(void **state) {
    (void)state;
    outcome bo = add_user("bo", 1);
    assert_int_equal(put_set(1, 7, 3, SLICE_LITERAL("x")), ERROR_NOT_FOUND);
    assert_int_equal(add_vault(1, 1), ERROR_NONE);
    assert_int_equal(add_vault(bo.user_id, bo.key_id), ERROR_NONE);
    assert_int_equal(put_set(bo.user_id, 5, 3, SLICE_LITERAL("bo's")), ERROR_NONE);
    assert_int_equal(put_set(1, 7, 3, SLICE_LITERAL("x")), ERROR_NONE);
    store_recovery other = {.needed = 2};
    outcome o = {0};
    memcpy(other.salt, salt_of(9), sizeof other.salt);
    assert_true(store_recovery_put(site, 1, &other, on_done, &o, &err));
    assert_int_equal(o.code, ERROR_NOT_FOUND);
    assert_int_equal(get_set(1, 1).copy.count, 3);
    while (erase_step(1)) {
    }
    assert_false(get_set(1, 1).found);
    assert_int_equal(rows_kept_of(1), 0);
    assert_int_equal(get_set(bo.user_id, bo.key_id).copy.count, 3);
}

static void test_the_first_step_of_erasing_takes_the_shares_and_none_comes_after_it(void **state) {
    (void)state;
    assert_int_equal(add_vault(1, 1), ERROR_NONE);
    for (uint64_t i = 0; i <= STORE_LIST_MAX; i++) {
        assert_int_equal(add_fact(1, i, SLICE_LITERAL("fact")), ERROR_NONE);
    }
    assert_int_equal(put_set(1, 7, 3, SLICE_LITERAL("x")), ERROR_NONE);
    assert_true(erase_step(1));
    assert_int_equal(get_set(1, 1).copy.count, 0);
    assert_int_equal(put_set(1, 8, 3, SLICE_LITERAL("x")), ERROR_NOT_FOUND);
}

static void test_what_is_no_set_is_refused(void **state) {
    (void)state;
    static uint8_t bytes[STORE_RECOVERY_SHARE_MAX + 1];
    assert_int_equal(add_vault(1, 1), ERROR_NONE);
    assert_int_equal(put_set(1, 7, 1, SLICE_LITERAL("x")), ERROR_INVALID);
    assert_int_equal(put_set(1, 7, 2, (slice){NULL, 0}), ERROR_INVALID);
    assert_int_equal(put_set(1, 7, 2, slice_of(bytes, sizeof bytes)), ERROR_INVALID);
    assert_int_equal(put_set(1, 7, 2, slice_of(bytes, sizeof bytes - 1)), ERROR_NONE);
    store_recovery many = {.needed = 2, .count = STORE_RECOVERY_SHARES_MAX + 1};
    outcome o = {0};
    assert_false(store_recovery_put(site, 1, &many, on_done, &o, &err));
    assert_int_equal(err.code, ERROR_INVALID);
}

static void change_rows(const char *sql) {
    store_close(site);
    outside writer = outside_open(&here);
    assert_true(outside_changes(&writer, sql));
    outside_close(&writer);
    site = open_at(&here, NULL);
}

static void test_rows_of_two_sets_are_no_set(void **state) {
    (void)state;
    assert_int_equal(add_vault(1, 1), ERROR_NONE);
    assert_int_equal(put_set(1, 7, 3, SLICE_LITERAL("x")), ERROR_NONE);
    change_rows("UPDATE recovery_shares SET set_id = (SELECT salt FROM vaults) WHERE officer = 'otto'");
    found_set f = {0};
    assert_true(store_recovery_get(site, 1, 1, on_set, &f, &err));
    assert_int_equal(f.base.code, ERROR_CORRUPT);
    assert_false(f.found);
}

/* Of many users, so that pages are split, and rows moved between them. */
static void test_a_share_that_was_replaced_or_deleted_is_in_no_file(void **state) {
    (void)state;
    enum { USERS = 30, ROUNDS = 4 };
    uint64_t users[USERS];
    for (size_t u = 0; u < USERS; u++) {
        char name[16];
        snprintf(name, sizeof name, "user%zu", u);
        outcome added = add_user(name, (uint16_t)(u + 1));
        users[u] = added.user_id;
        assert_int_equal(add_vault(added.user_id, added.key_id), ERROR_NONE);
    }
    for (uint32_t i = 0; i < USERS * ROUNDS; i++) {
        uint32_t draw = draw_of(i);
        slice sealed =
            draw % 2 == 0 ? SLICE_LITERAL(MARK) : SLICE_LITERAL(MARK MARK MARK MARK MARK MARK MARK MARK);
        assert_int_equal(put_set(users[draw % USERS], (uint8_t)i, 2 + draw / USERS % 2, sealed), ERROR_NONE);
    }
    assert_true(count_in_files(&here, MARK) > 0); /* the search works */
    for (size_t u = 0; u < USERS; u++) {
        if (u % 3 == 0) {
            while (erase_step(users[u])) {
            }
        } else {
            assert_int_equal(put_set(users[u], 1, u % 3 == 1 ? 0 : 3, SLICE_LITERAL("another")), ERROR_NONE);
        }
    }
    store_close(site);
    site = NULL;
    assert_int_equal(count_rows(&here, "recovery_shares"), USERS);
    assert_int_equal(count_in_files(&here, MARK), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        SITE_TEST(test_a_set_is_what_was_put),
        SITE_TEST(test_a_set_takes_the_place_of_the_last),
        SITE_TEST(test_a_set_is_of_one_vault_and_goes_with_it),
        SITE_TEST(test_the_first_step_of_erasing_takes_the_shares_and_none_comes_after_it),
        SITE_TEST(test_what_is_no_set_is_refused),
        SITE_TEST(test_rows_of_two_sets_are_no_set),
        SITE_TEST(test_a_share_that_was_replaced_or_deleted_is_in_no_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
