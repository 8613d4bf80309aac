#include "accounts.h"
#include "fleet.h"

#include "unit.h"

static const uint8_t seed[MAP_SEED_SIZE] = {1};

static store_loaded_key make_key(uint8_t first, uint64_t key_id, uint64_t user_id, uint64_t expires_ms) {
    store_loaded_key key = {.key_id = key_id,
                            .user_id = user_id,
                            .user_name = SLICE_LITERAL("ann"),
                            .role = SLICE_LITERAL("it_admin"),
                            .expires_ms = expires_ms};
    key.token_hash[0] = first;
    return key;
}

static void test_a_key_is_found_until_it_expires_or_is_removed(void **state) {
    (void)state;
    error err = {0};
    accounts *all = accounts_new(&err);
    store_loaded_key forever = make_key(1, 11, 5, 0);
    store_loaded_key brief = make_key(2, 12, 5, 1000);
    store_loaded_key other = make_key(3, 13, 6, 0);
    assert_true(accounts_add_stored(all, &forever, &err));
    assert_true(accounts_add_stored(all, &brief, &err));
    assert_true(accounts_add_stored(all, &other, &err));
    const account *found = accounts_find(all, forever.token_hash, 99999);
    assert_non_null(found);
    assert_int_equal(found->role, AUTH_IT_ADMIN);
    assert_string_equal(found->user_name, "ann");
    assert_non_null(accounts_find(all, brief.token_hash, 999));
    assert_null(accounts_find(all, brief.token_hash, 1000));
    assert_int_equal(accounts_find_key_id(all, 12)->user_id, 5);
    assert_null(accounts_find_key_id(all, 99));
    assert_int_equal(accounts_find_user(all, SLICE_LITERAL("ann"))->user_id, 5);
    assert_null(accounts_find_user(all, SLICE_LITERAL("bob")));
    accounts_remove_key(all, forever.token_hash);
    accounts_remove_key(all, forever.token_hash);
    assert_null(accounts_find(all, forever.token_hash, 0));
    accounts_remove_user(all, 5);
    assert_null(accounts_find(all, brief.token_hash, 0));
    assert_non_null(accounts_find(all, other.token_hash, 0));
    assert_int_equal(accounts_count(all), 1);
    accounts_free(all);
}

static void test_keys_that_were_made_with_another_are_found_by_it(void **state) {
    (void)state;
    error err = {0};
    accounts *all = accounts_new(&err);
    store_loaded_key maker = make_key(1, 11, 5, 0);
    store_loaded_key made = make_key(2, 12, 5, 0);
    store_loaded_key other = make_key(3, 13, 5, 0);
    made.made_with = 11;
    other.made_with = 11;
    assert_true(accounts_add_stored(all, &maker, &err));
    assert_true(accounts_add_stored(all, &made, &err));
    assert_true(accounts_add_stored(all, &other, &err));
    assert_int_equal(accounts_find_made_with(all, 11, 12)->key_id, 13);
    assert_int_equal(accounts_find_made_with(all, 11, 13)->key_id, 12);
    assert_null(accounts_find_made_with(all, 12, 0));
    assert_null(accounts_find_made_with(all, 0, 0)); /* those that nobody's key made */
    accounts_remove_key(all, made.token_hash);
    accounts_remove_key(all, other.token_hash);
    assert_null(accounts_find_made_with(all, 11, 0));
    accounts_free(all);
}

/* Hashes that crowd: few first bytes, so that searches run on over others and around the end. */
static store_loaded_key crowded_key(unsigned number) {
    store_loaded_key key = make_key((uint8_t)(250 + number % 9), number + 1, number % 7 + 1, 0);
    key.token_hash[8] = (uint8_t)number;
    key.token_hash[9] = (uint8_t)(number >> 8);
    return key;
}

enum { CROWD = 1000 };

/* Those that `gone` says are gone, all others are there. */
static void check_crowd(const accounts *all, bool (*gone)(unsigned number)) {
    size_t count = 0;
    for (unsigned i = 0; i < CROWD; i++) {
        store_loaded_key key = crowded_key(i);
        const account *found = accounts_find(all, key.token_hash, 0);
        assert_int_equal(found == NULL, gone(i));
        assert_true(found == NULL || found->key_id == key.key_id);
        count += found != NULL;
    }
    assert_int_equal(accounts_count(all), count);
}

static bool every_third(unsigned number) {
    return number % 3 == 0;
}

static bool third_or_of_user_4(unsigned number) {
    return number % 3 == 0 || number % 7 == 3;
}

static void test_keys_that_crowd_are_told_apart_whatever_was_removed(void **state) {
    (void)state;
    error err = {0};
    accounts *all = accounts_new(&err);
    for (unsigned i = 0; i < CROWD; i++) {
        store_loaded_key key = crowded_key(i);
        assert_true(accounts_add_stored(all, &key, &err));
        assert_true(accounts_add_stored(all, &key, &err));
    }
    for (unsigned i = 0; i < CROWD; i += 3) {
        accounts_remove_key(all, crowded_key(i).token_hash);
    }
    check_crowd(all, every_third);
    accounts_remove_user(all, 4);
    check_crowd(all, third_or_of_user_4);
    accounts_set_role(all, 5, AUTH_EMPLOYEE);
    for (unsigned i = 4; i < CROWD; i += 7) {
        const account *found = accounts_find(all, crowded_key(i).token_hash, 0);
        assert_true(found == NULL || found->role == AUTH_EMPLOYEE);
    }
    accounts_free(all);
}

static void test_a_role_that_does_not_exist_gives_no_account(void **state) {
    (void)state;
    error err = {0};
    accounts *all = accounts_new(&err);
    store_loaded_key key = make_key(1, 11, 5, 0);
    key.role = SLICE_LITERAL("root");
    assert_false(accounts_add_stored(all, &key, &err));
    assert_int_equal(err.code, ERROR_CORRUPT);
    assert_null(accounts_find(all, key.token_hash, 0));
    accounts_free(all);
}

static void test_a_worker_is_refused_once_revoked_or_expired(void **state) {
    (void)state;
    error err = {0};
    fleet *all = fleet_new(seed, &err);
    store_worker stored = {.name = SLICE_LITERAL("desk"), .owner = SLICE_LITERAL("ann"), .expires_ms = 1000};
    stored.id[0] = 0xAB;
    assert_true(fleet_put_stored(all, &stored, &err));
    fleet_worker *worker = fleet_find(all, stored.id);
    assert_non_null(worker);
    assert_string_equal(worker->id_hex, "ab000000000000000000000000000000");
    assert_null(fleet_refusal(worker, 999));
    assert_string_equal(fleet_refusal(worker, 1000), "expired");
    stored.expires_ms = 0;
    stored.revoked_ms = 5;
    assert_true(fleet_put_stored(all, &stored, &err));
    assert_ptr_equal(fleet_find(all, stored.id), worker);
    assert_string_equal(fleet_refusal(worker, 0), "revoked");
    fleet_free(all);
}

static void test_each_failed_allocation_leaves_whole_directories(void **state) {
    (void)state;
    error err = {0};
    store_loaded_key key = make_key(1, 11, 5, 0);
    store_worker stored = {.name = SLICE_LITERAL("desk")};
    bool reached = true;
    for (int nth = 0; reached; nth++) {
        accounts *all = accounts_new(&err);
        fleet *workers = fleet_new(seed, &err);
        fault_fail_nth(nth);
        bool added = accounts_add_stored(all, &key, &err);
        bool put = fleet_put_stored(workers, &stored, &err);
        reached = fault_stop();
        assert_int_equal(accounts_find(all, key.token_hash, 0) != NULL, added);
        assert_int_equal(fleet_find(workers, stored.id) != NULL, put);
        assert_int_equal(added && put, !reached);
        accounts_free(all);
        fleet_free(workers);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_key_is_found_until_it_expires_or_is_removed),
        cmocka_unit_test(test_keys_that_were_made_with_another_are_found_by_it),
        cmocka_unit_test(test_keys_that_crowd_are_told_apart_whatever_was_removed),
        cmocka_unit_test(test_a_role_that_does_not_exist_gives_no_account),
        cmocka_unit_test(test_a_worker_is_refused_once_revoked_or_expired),
        cmocka_unit_test(test_each_failed_allocation_leaves_whole_directories),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
