/* Who opens a vault, what becomes of it when keys go, and its end. */
#include "memory_support.h"

typedef struct found_vault {
    outcome base;
    bool found;
    store_vault copy;
    uint64_t key_ids[4];
    bool revoked[4];
    uint8_t hash_ends[4];
    char wrapped[4][16];
} found_vault;

static void on_vault(void *context, const store_vault *vault, const error *failure) {
    found_vault *f = context;
    keep(&f->base, failure);
    f->found = vault != NULL;
    f->copy = vault == NULL ? (store_vault){0} : *vault;
    for (size_t i = 0; i < f->copy.wrap_count && i < 4; i++) {
        const store_wrap *wrap = &vault->wraps[i];
        f->key_ids[i] = wrap->key_id;
        f->revoked[i] = wrap->revoked;
        f->hash_ends[i] = wrap->token_hash[STORE_HASH_SIZE - 1];
        assert_true(slice_equal_text(wrap->kind, "pbkdf2-sha256"));
        assert_int_equal(wrap->cost, 600000);
        snprintf(f->wrapped[i], sizeof f->wrapped[i], "%.*s", SLICE_FORMAT(wrap->wrapped));
    }
}

static found_vault get_vault(uint64_t user_id) {
    found_vault f = {0};
    assert_true(store_vault_get(site, user_id, on_vault, &f, &err));
    assert_int_equal(f.base.calls, 1);
    assert_int_equal(f.base.code, ERROR_NONE);
    return f;
}

static void test_a_vault_is_what_was_added(void **state) {
    (void)state;
    assert_false(get_vault(1).found);
    assert_int_equal(add_vault(1, 1), ERROR_NONE);
    reopen();
    found_vault f = get_vault(1);
    assert_true(f.found);
    assert_memory_equal(f.copy.salt, salt_of(1), STORE_VAULT_SALT_SIZE);
    assert_int_equal(f.copy.created_ms, NOW_MS);
    assert_int_equal(f.copy.wrap_count, 1);
    assert_int_equal(f.key_ids[0], 1);
    assert_false(f.revoked[0]);
    assert_int_equal(f.hash_ends[0], 1);
    assert_string_equal(f.wrapped[0], "wrapped");
    assert_false(get_vault(2).found);
}

static void test_a_user_has_one_vault_and_opens_it_with_keys_of_their_own(void **state) {
    (void)state;
    outcome bo = add_user("bo", 1);
    assert_int_equal(add_vault(1, bo.key_id), ERROR_INVALID);
    assert_int_equal(add_vault(77, 1), ERROR_INVALID);
    assert_int_equal(add_vault(1, 77), ERROR_INVALID);
    assert_int_equal(add_vault(1, 1), ERROR_NONE);
    assert_int_equal(add_vault(1, 1), ERROR_CONFLICT);
    assert_int_equal(put_wrap(1, bo.key_id, 0), ERROR_INVALID);
    assert_int_equal(put_wrap(1, 1, bo.key_id), ERROR_NONE); /* `instead` of another's removes nothing */
    assert_int_equal(add_vault(bo.user_id, bo.key_id), ERROR_NONE);
    assert_int_equal(put_wrap(1, 1, bo.key_id), ERROR_NONE);
    assert_int_equal(get_vault(bo.user_id).copy.wrap_count, 1);
    assert_int_equal(remove_wrap(1, bo.key_id), ERROR_NOT_FOUND);
    uint64_t revoked = add_key("ana", 3);
    revoke_key(revoked);
    assert_int_equal(put_wrap(1, revoked, 0), ERROR_INVALID);
    assert_int_equal(get_vault(1).copy.wrap_count, 1);
}

static void test_a_wrap_is_added_replaced_and_put_in_anothers_place(void **state) {
    (void)state;
    uint64_t second = add_key("ana", 2);
    uint64_t third = add_key("ana", 3);
    assert_int_equal(put_wrap(1, 1, 0), ERROR_NOT_FOUND); /* no vault */
    assert_int_equal(add_vault(1, 1), ERROR_NONE);
    assert_int_equal(put_wrap(1, second, 0), ERROR_NONE);
    found_vault f = get_vault(1);
    assert_int_equal(f.copy.wrap_count, 2);
    assert_string_equal(f.wrapped[0], "wrapped");
    assert_string_equal(f.wrapped[1], "another");
    assert_int_equal(put_wrap(1, 1, 0), ERROR_NONE);
    assert_string_equal(get_vault(1).wrapped[0], "another");
    assert_int_equal(put_wrap(1, third, second), ERROR_NONE);
    f = get_vault(1);
    assert_int_equal(f.copy.wrap_count, 2);
    assert_int_equal(f.key_ids[0], 1);
    assert_int_equal(f.key_ids[1], third);
    outcome o = {0};
    store_wrap wrap = wrap_of(second, SLICE_LITERAL("for another vault"));
    assert_true(store_wrap_put(site, 1, salt_of(9), &wrap, 1, on_done, &o, &err));
    assert_int_equal(o.code, ERROR_NOT_FOUND);
    assert_int_equal(get_vault(1).copy.wrap_count, 2);
}

static void test_the_last_wrap_that_opens_cannot_be_removed(void **state) {
    (void)state;
    uint64_t second = add_key("ana", 2);
    assert_int_equal(add_vault(1, 1), ERROR_NONE);
    assert_int_equal(remove_wrap(1, second), ERROR_NOT_FOUND);
    assert_int_equal(remove_wrap(1, 1), ERROR_CONFLICT);
    assert_int_equal(put_wrap(1, second, 0), ERROR_NONE);
    assert_int_equal(remove_wrap(1, 1), ERROR_NONE);
    assert_int_equal(remove_wrap(1, 1), ERROR_NOT_FOUND);
    assert_int_equal(remove_wrap(1, second), ERROR_CONFLICT);
    assert_int_equal(get_vault(1).key_ids[0], second);
}

static void test_a_vault_has_as_many_wraps_as_are_allowed(void **state) {
    (void)state;
    assert_int_equal(add_vault(1, 1), ERROR_NONE);
    uint64_t last = 1;
    for (size_t i = 1; i < STORE_WRAPS_OF_USER_MAX; i++) {
        last = add_key("ana", (uint16_t)i);
        assert_int_equal(put_wrap(1, last, 0), ERROR_NONE);
    }
    uint64_t beyond = add_key("ana", 1000);
    assert_int_equal(put_wrap(1, beyond, 0), ERROR_LIMIT);
    assert_int_equal(get_vault(1).copy.wrap_count, STORE_WRAPS_OF_USER_MAX);
    assert_int_equal(put_wrap(1, last, 0), ERROR_NONE);
    assert_int_equal(put_wrap(1, beyond, last), ERROR_NONE);
    assert_int_equal(get_vault(1).copy.wrap_count, STORE_WRAPS_OF_USER_MAX);
}

static void test_a_revoked_key_opens_no_more_unless_it_is_the_last(void **state) {
    (void)state;
    uint64_t second = add_key("ana", 2);
    uint64_t third = add_key("ana", 3);
    outcome bo = add_user("bo", 1);
    assert_int_equal(add_vault(1, 1), ERROR_NONE);
    assert_int_equal(add_vault(bo.user_id, bo.key_id), ERROR_NONE);
    assert_int_equal(put_wrap(1, second, 0), ERROR_NONE);
    revoke_key(third); /* which has none */
    revoke_key(1);
    found_vault f = get_vault(1);
    assert_int_equal(f.copy.wrap_count, 1);
    assert_int_equal(f.key_ids[0], second);
    assert_false(f.revoked[0]);
    revoke_key(second);
    revoke_key(second);
    revoke_key(bo.key_id); /* other users' wraps don't count */
    f = get_vault(1);
    assert_int_equal(f.copy.wrap_count, 1);
    assert_int_equal(f.key_ids[0], second);
    assert_true(f.revoked[0]);
    assert_int_equal(get_vault(bo.user_id).copy.wrap_count, 1);
    uint64_t fourth = add_key("ana", 4);
    assert_int_equal(put_wrap(1, fourth, 0), ERROR_NONE); /* takes the place of all that were revoked */
    f = get_vault(1);
    assert_int_equal(f.copy.wrap_count, 1);
    assert_int_equal(f.key_ids[0], fourth);
    assert_int_equal(get_vault(bo.user_id).copy.wrap_count, 1);
}

static void on_user(void *context, uint64_t user_id, const error *failure) {
    keep(context, failure);
    ((outcome *)context)->user_id = user_id;
}

static void test_disabling_a_user_keeps_what_opens_the_vault(void **state) {
    (void)state;
    outcome o = {0};
    uint64_t second = add_key("ana", 2);
    assert_int_equal(add_vault(1, 1), ERROR_NONE);
    assert_int_equal(put_wrap(1, second, 0), ERROR_NONE);
    assert_true(store_user_disable(site, SLICE_LITERAL("ana"), on_user, &o, &err));
    assert_int_equal(o.code, ERROR_NONE);
    found_vault f = get_vault(1);
    assert_int_equal(f.copy.wrap_count, 2);
    assert_false(f.revoked[0] || f.revoked[1]);
}

static void test_what_is_no_wrap_is_refused(void **state) {
    (void)state;
    static const uint8_t large[STORE_WRAP_MAX + 1];
    outcome o = {0};
    store_wrap wrongs[7];
    for (size_t i = 0; i < 7; i++) {
        wrongs[i] = wrap_of(1, SLICE_LITERAL("wrapped"));
    }
    wrongs[0].wrapped = slice_of(NULL, 0);
    wrongs[1].wrapped = slice_of(large, sizeof large);
    wrongs[2].kind = slice_of(NULL, 0);
    wrongs[3].kind = SLICE_LITERAL("a derivation with far too long a name");
    wrongs[4].kind = SLICE_LITERAL("\x01");
    wrongs[5].cost = 0;
    for (size_t i = 0; i < 6; i++) {
        assert_false(store_vault_add(site, 1, salt_of(1), NOW_MS, &wrongs[i], on_done, &o, &err));
        assert_int_equal(err.code, ERROR_INVALID);
        assert_false(store_wrap_put(site, 1, salt_of(1), &wrongs[i], 0, on_done, &o, &err));
        assert_int_equal(err.code, ERROR_INVALID);
    }
    assert_int_equal(o.calls, 0);
    wrongs[6].cost = UINT64_MAX;
    assert_true(store_vault_add(site, 1, salt_of(1), NOW_MS, &wrongs[6], on_done, &o, &err));
    assert_int_equal(o.code, ERROR_INVALID);
    assert_int_equal(count_rows(&here, "vaults"), 0); /* nor half of it */
    assert_true(store_vault_add(site, 1, salt_of(1), UINT64_MAX, &wrongs[6], on_done, &o, &err));
    assert_int_equal(o.code, ERROR_INVALID);
    wrongs[6].cost = 1;
    wrongs[6].wrapped = slice_of(large, STORE_WRAP_MAX);
    assert_true(store_vault_add(site, 1, salt_of(1), NOW_MS, &wrongs[6], on_done, &o, &err));
    assert_int_equal(o.code, ERROR_NONE);
}

enum { CONVERSATIONS = STORE_LIST_MAX + 300, FACTS = 1100 };

static void keep_much(uint64_t user_id) {
    for (uint64_t i = 0; i < CONVERSATIONS; i++) {
        assert_int_equal(add_turn(user_id, i, "turn", "head"), ERROR_NONE);
        assert_int_equal(add_turn(user_id, i, "turn", ""), ERROR_NONE);
    }
    for (uint64_t i = 0; i < FACTS; i++) {
        assert_int_equal(add_fact(user_id, i, SLICE_LITERAL("fact")), ERROR_NONE);
    }
}

static void test_erasing_leaves_no_row_of_that_user_and_all_of_others(void **state) {
    (void)state;
    outcome bo = add_user("bo", 1);
    outcome o = {0};
    assert_true(store_vault_erase(site, 1, on_erased, &o, &err));
    assert_int_equal(o.code, ERROR_NOT_FOUND);
    assert_int_equal(add_vault(1, 1), ERROR_NONE);
    assert_int_equal(add_vault(bo.user_id, bo.key_id), ERROR_NONE);
    keep_much(1);
    keep_much(bo.user_id); /* with the same ids */
    uint64_t of_bo = rows_kept_of(bo.user_id);
    assert_int_equal(of_bo, 2 + 4 * CONVERSATIONS + FACTS);
    uint64_t rows = rows_kept_of(1);
    assert_true(erase_step(1));
    assert_int_equal(count_rows(&here, "vault_wraps WHERE user_id = 1"), 0);
    assert_int_equal(rows_kept_of(1), rows - 1 - STORE_LIST_MAX);
    assert_int_equal(get_vault(1).copy.wrap_count, 0);
    assert_true(get_vault(1).found);
    assert_int_equal(put_wrap(1, 1, 0), ERROR_NOT_FOUND);
    assert_int_equal(add_vault(1, 1), ERROR_CONFLICT);
    assert_int_equal(add_turn(1, CONVERSATIONS, "late", "head"), ERROR_NONE);
    size_t steps = 1;
    for (bool more = true; more; steps++) {
        reopen();
        more = erase_step(1);
    }
    assert_int_equal(steps, (4 * CONVERSATIONS + FACTS) / STORE_LIST_MAX + 1);
    assert_int_equal(rows_kept_of(1), 0);
    assert_int_equal(rows_kept_of(bo.user_id), of_bo);
    assert_false(get_vault(1).found);
    assert_int_equal(add_vault(1, 1), ERROR_NONE);
    assert_int_equal(add_turn(1, 1, "turn", "head"), ERROR_NONE);
}

static void test_erasing_goes_in_small_steps_also_when_rows_are_large(void **state) {
    (void)state;
    static char large[STORE_TURN_MAX / 2 + 2];
    memset(large, 't', sizeof large - 1);
    assert_int_equal(add_vault(1, 1), ERROR_NONE);
    for (uint64_t i = 0; i < 5; i++) {
        assert_int_equal(add_turn(1, i, large, "head"), ERROR_NONE);
    }
    assert_true(erase_step(1));
    assert_int_equal(count_rows(&here, "turns"), 3);
    assert_true(erase_step(1));
    assert_int_equal(count_rows(&here, "turns"), 1);
    assert_false(erase_step(1));
    assert_int_equal(rows_kept_of(1), 0);
}

typedef struct figures {
    outcome base;
    store_vault_figures rows[4];
    char names[4][STORE_NAME_MAX + 1];
} figures;

static void on_counted(void *context, const store_vault_figures *users, size_t count, const error *failure) {
    figures *f = context;
    keep(&f->base, failure);
    f->base.count = count;
    assert_int_equal(users == NULL, count == 0);
    for (size_t i = 0; i < count && i < 4; i++) {
        f->rows[i] = users[i];
        snprintf(f->names[i], sizeof f->names[i], "%.*s", SLICE_FORMAT(users[i].user_name));
    }
}

static void test_figures_say_how_much_is_kept_and_of_whom(void **state) {
    (void)state;
    outcome bo = add_user("bo", 1);
    outcome cy = add_user("cy", 2);
    assert_int_equal(add_vault(1, 1), ERROR_NONE);
    assert_int_equal(put_wrap(1, add_key("ana", 3), 0), ERROR_NONE);
    assert_int_equal(add_vault(cy.user_id, cy.key_id), ERROR_NONE);
    assert_int_equal(add_turn(1, 1, "12345", "head"), ERROR_NONE);
    assert_int_equal(add_turn(1, 1, "123", ""), ERROR_NONE);
    assert_int_equal(add_turn(1, 2, "1", "head"), ERROR_NONE);
    assert_int_equal(add_fact(1, 1, SLICE_LITERAL("1234567")), ERROR_NONE);
    figures f = {0};
    assert_true(store_vaults_count(site, 0, 10, on_counted, &f, &err));
    assert_int_equal(f.base.code, ERROR_NONE);
    assert_int_equal(f.base.count, 2);
    assert_int_equal(f.rows[0].user_id, 1);
    assert_string_equal(f.names[0], "ana");
    assert_int_equal(f.rows[0].wraps, 2);
    assert_int_equal(f.rows[0].conversations, 2);
    assert_int_equal(f.rows[0].turns, 3);
    assert_int_equal(f.rows[0].facts, 1);
    assert_int_equal(f.rows[0].bytes, 16);
    assert_int_equal(f.rows[1].user_id, cy.user_id);
    assert_string_equal(f.names[1], "cy");
    assert_int_equal(f.rows[1].conversations + f.rows[1].turns + f.rows[1].facts + f.rows[1].bytes, 0);
    assert_true(store_vaults_count(site, 1, 10, on_counted, &f, &err));
    assert_int_equal(f.base.count, 1);
    assert_true(store_vaults_count(site, 0, 1, on_counted, &f, &err));
    assert_int_equal(f.base.count, 1);
    assert_true(store_vaults_count(site, cy.user_id, 1, on_counted, &f, &err));
    assert_int_equal(f.base.count, 0);
    assert_false(store_vaults_count(site, 0, 0, on_counted, &f, &err));
    assert_false(store_vaults_count(site, 0, STORE_LIST_MAX + 1, on_counted, &f, &err));
    (void)bo;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        SITE_TEST(test_a_vault_is_what_was_added),
        SITE_TEST(test_a_user_has_one_vault_and_opens_it_with_keys_of_their_own),
        SITE_TEST(test_a_wrap_is_added_replaced_and_put_in_anothers_place),
        SITE_TEST(test_the_last_wrap_that_opens_cannot_be_removed),
        SITE_TEST(test_a_vault_has_as_many_wraps_as_are_allowed),
        SITE_TEST(test_a_revoked_key_opens_no_more_unless_it_is_the_last),
        SITE_TEST(test_disabling_a_user_keeps_what_opens_the_vault),
        SITE_TEST(test_what_is_no_wrap_is_refused),
        SITE_TEST(test_erasing_leaves_no_row_of_that_user_and_all_of_others),
        SITE_TEST(test_erasing_goes_in_small_steps_also_when_rows_are_large),
        SITE_TEST(test_figures_say_how_much_is_kept_and_of_whom),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
