/* Requests for a lost memory, and the shares that come for them. */
#include "recovery/requests.h"

#include "codec/base64.h"
#include "crypto/start.h"
#include "recovery/cover.h"

#include "unit.h"

enum { OFFICERS = 3, NEEDED = 2, USER = 7, KEY = 70, OTHER_KEY = 71, FIRST_OFFICER = 1 };

static error err;
static pool p;
static site_verify_keys vouching = {.recovery = {11, 12, 13}};
static uint8_t publics[OFFICERS][BOX_KEY_SIZE];
static uint8_t privates[OFFICERS][BOX_KEY_SIZE];
static const char *const names[OFFICERS] = {"olga", "otto", "oskar"};
static const uint8_t data_key[RECORD_KEY_SIZE] = {1, 2, 3, 4, 5, 6, 7, 8};
static const uint8_t salt[WRAP_SALT_SIZE] = {9};
static buffer sealed[OFFICERS];
static store_recovery_share rows[OFFICERS];
static store_recovery stored;

static void add_account(uint64_t user_id, const char *name, uint64_t key_id, uint64_t expires_ms) {
    store_loaded_key key = {.key_id = key_id,
                            .user_id = user_id,
                            .user_name = slice_of_text(name),
                            .role = SLICE_LITERAL("security_officer"),
                            .expires_ms = expires_ms,
                            .verify_mode = SLICE_LITERAL("off")};
    memset(key.token_hash, (int)key_id, sizeof key.token_hash);
    assert_true(accounts_add_stored(p.accounts, &key, &err));
}

static void remove_account(uint64_t key_id) {
    uint8_t token_hash[STORE_HASH_SIZE];
    memset(token_hash, (int)key_id, sizeof token_hash);
    accounts_remove_key(p.accounts, token_hash);
}

static void set_officers(uint64_t needed, size_t count) {
    char text[512] = "recovery_officers: \"";
    for (size_t i = 0; i < count; i++) {
        char key[BASE64URL_LENGTH(BOX_KEY_SIZE) + 1];
        size_t used = strlen(text);
        base64url_encode(slice_of(publics[i], BOX_KEY_SIZE), key);
        snprintf(text + used, sizeof text - used, "%s%s=%s", i == 0 ? "" : ", ", names[i], key);
    }
    size_t used = strlen(text);
    snprintf(text + used, sizeof text - used, "\"\nrecovery_needed: %u\n", (unsigned)needed);
    pool_settings_free(&p.settings);
    assert_true(pool_settings_parse(slice_of_text(text), &p.settings, &err));
}

/* As the store has them. */
static void share_out(void) {
    uint8_t parts[OFFICERS * RECORD_KEY_SIZE];
    recovery_set set = {.user_id = USER, .needed = NEEDED, .count = OFFICERS, .id = {5}};
    memcpy(set.salt, salt, sizeof salt);
    assert_true(recovery_make_check(&set, data_key, &err));
    assert_true(share_split(slice_of(data_key, sizeof data_key), NEEDED, OFFICERS, parts, &err));
    stored = (store_recovery){.needed = NEEDED, .shares = rows, .count = OFFICERS};
    memcpy(stored.salt, salt, sizeof salt);
    memcpy(stored.set, set.id, sizeof set.id);
    for (size_t i = 0; i < OFFICERS; i++) {
        recovery_share share = {.set = set, .point = (uint8_t)(i + 1)};
        memcpy(share.bytes, parts + i * RECORD_KEY_SIZE, RECORD_KEY_SIZE);
        snprintf(share.officer, sizeof share.officer, "%s", names[i]);
        sealed[i] = buffer_make(RECOVERY_SEALED_MAX);
        assert_true(recovery_seal(&share, publics[i], rows[i].digest, &sealed[i], &err));
        assert_true(cover_vouch(&p, rows[i].digest, &err));
        rows[i].officer = slice_of_text(names[i]);
        rows[i].sealed = buffer_slice(&sealed[i]);
        memcpy(rows[i].public_key, publics[i], BOX_KEY_SIZE);
    }
}

static int open_pool(void **state) {
    (void)state;
    p = (pool){.site = {.verify = &vouching}};
    assert_true(crypto_start(&err));
    for (size_t i = 0; i < OFFICERS; i++) {
        assert_true(box_make_keys(publics[i], privates[i], &err));
    }
    set_officers(NEEDED, OFFICERS);
    p.loop = ev_loop_new(&err);
    p.accounts = accounts_new(&err);
    p.keyring = keyring_new(&p, &err);
    p.recoveries = recoveries_new(&p, &err);
    add_account(USER, "anna", KEY, 0);
    for (size_t i = 0; i < OFFICERS; i++) {
        add_account(FIRST_OFFICER + i, names[i], FIRST_OFFICER + i, 0);
    }
    share_out();
    return 0;
}

static int close_pool(void **state) {
    (void)state;
    for (size_t i = 0; i < OFFICERS; i++) {
        buffer_free(&sealed[i]);
    }
    recoveries_free(p.recoveries);
    p.recoveries = NULL;
    keyring_free(p.keyring);
    accounts_free(p.accounts);
    ev_loop_free(p.loop);
    pool_settings_free(&p.settings);
    return 0;
}

static recovery *ask_with(uint64_t key_id) {
    recovery *r = recovery_make(p.recoveries, accounts_find_key_id(p.accounts, key_id), &stored, &err);
    assert_non_null(r);
    recovery_enter(r);
    return r;
}

/* The officer's program: opens the share, and seals it to the request. */
static void reseal(const recovery *r, size_t i, buffer *out) {
    recovery_share share;
    uint8_t digest[HASH_SIZE];
    *out = buffer_make(RECOVERY_SEALED_MAX);
    assert_true(recovery_open(privates[i], buffer_slice(&sealed[i]), &share, digest, &err));
    assert_true(recovery_seal(&share, r->public_key, digest, out, &err));
}

static bool give_as(recovery *r, size_t i, uint64_t key_id) {
    buffer share;
    reseal(r, i, &share);
    bool given = recovery_give(r, accounts_find_key_id(p.accounts, key_id), buffer_slice(&share), &err);
    buffer_free(&share);
    return given;
}

static bool give(recovery *r, size_t i) {
    return give_as(r, i, FIRST_OFFICER + i);
}

static void test_enough_shares_give_the_key_for_the_key_that_asked(void **state) {
    (void)state;
    add_account(USER, "anna", OTHER_KEY, 0);
    recovery *r = ask_with(KEY);
    assert_true(give(r, 2));
    assert_null(recovery_ready(&p, USER, KEY, salt));
    assert_true(give(r, 0));
    static const uint8_t other_salt[WRAP_SALT_SIZE] = {8};
    assert_memory_equal(recovery_ready(&p, USER, KEY, salt), data_key, sizeof data_key);
    assert_null(recovery_ready(&p, USER, OTHER_KEY, salt));
    assert_null(recovery_ready(&p, USER, KEY, other_salt));
    assert_null(recovery_ready(&p, USER + 1, KEY, salt));
    assert_false(give(r, 1));
    assert_int_equal(err.code, ERROR_CONFLICT);
}

static void test_one_person_counts_once_under_whatever_name(void **state) {
    (void)state;
    recovery *r = ask_with(KEY);
    assert_true(give(r, 0));
    assert_false(give(r, 0));
    assert_int_equal(err.code, ERROR_CONFLICT);
    add_account(FIRST_OFFICER, "otto", 90, 0); /* the same person, called like another officer */
    assert_false(give_as(r, 1, 90));
    assert_int_equal(err.code, ERROR_CONFLICT);
    add_account(FIRST_OFFICER + 50, "olga", 91, 0); /* another person, with a share that was given */
    assert_false(give_as(r, 0, 91));
    assert_int_equal(err.code, ERROR_CONFLICT);
    assert_int_equal(r->given_count, 1);
}

static void test_a_share_is_its_officers_and_of_the_key_that_he_has_now(void **state) {
    (void)state;
    recovery *r = ask_with(KEY);
    assert_false(give_as(r, 1, FIRST_OFFICER));
    assert_int_equal(err.code, ERROR_INVALID);
    assert_false(give_as(r, 1, KEY));
    assert_int_equal(err.code, ERROR_DENIED);
    set_officers(NEEDED, 2);
    assert_false(give(r, 2));
    assert_int_equal(err.code, ERROR_DENIED);
    set_officers(NEEDED, 3);
    uint8_t unused[BOX_KEY_SIZE];
    assert_true(box_make_keys(publics[2], unused, &err));
    set_officers(NEEDED, 3);
    assert_false(give(r, 2));
    assert_int_equal(err.code, ERROR_CONFLICT);
    assert_int_equal(r->given_count, 0);
    assert_true(give(r, 0) && give(r, 1));
}

/* Somebody writes the database: a whole set of a data key that he has made, sealed to the officers. Nothing
 * in it contradicts the rest, but the pool hasn't vouched for it. */
static void test_a_set_that_the_pool_has_not_made_is_refused(void **state) {
    (void)state;
    recovery *r = ask_with(KEY);
    for (size_t i = 0; i < OFFICERS; i++) {
        recovery_share share;
        assert_true(
            recovery_open(privates[i], buffer_slice(&sealed[i]), &share, r->expected[i].digest, &err));
        assert_false(give(r, i));
        assert_int_equal(err.code, ERROR_INVALID);
    }
    assert_int_equal(r->given_count, 0);
    assert_null(recovery_ready(&p, USER, KEY, salt));
}

/* Who writes the database has the pool's secret too: shares of a set that don't belong together. */
static void test_shares_that_do_not_give_the_key_end_the_request(void **state) {
    (void)state;
    recovery_share share;
    uint8_t digest[HASH_SIZE];
    assert_true(recovery_open(privates[1], buffer_slice(&sealed[1]), &share, digest, &err));
    share.bytes[0] ^= 1;
    buffer_clear(&sealed[1]);
    assert_true(recovery_seal(&share, publics[1], rows[1].digest, &sealed[1], &err));
    assert_true(cover_vouch(&p, rows[1].digest, &err));
    rows[1].sealed = buffer_slice(&sealed[1]);
    recovery *r = ask_with(KEY);
    assert_true(give(r, 0));
    assert_false(give(r, 1));
    assert_int_equal(err.code, ERROR_CORRUPT);
    assert_null(recovery_of(p.recoveries, USER));
}

static void test_a_request_ends_with_its_time_its_key_or_recovery_itself(void **state) {
    (void)state;
    uint8_t id[RECOVERY_ID_SIZE];
    for (int way = 0; way < 5; way++) {
        recovery *r = ask_with(KEY);
        memcpy(id, r->id, sizeof id);
        assert_ptr_equal(recovery_find(p.recoveries, id), r);
        assert_true(give(r, 0) && give(r, 1));
        switch (way) {
        case 0:
            r->since_ms -= RECOVERY_LONGEST_MS;
            break;
        case 1:
            remove_account(KEY);
            break;
        case 2:
            set_officers(0, OFFICERS);
            break;
        case 3:
            remove_account(KEY);
            add_account(USER, "anna", KEY, 1); /* it has expired */
            break;
        default:
            keyring_lock_user(p.keyring, USER);
        }
        assert_null(recovery_find(p.recoveries, id));
        assert_null(recovery_of(p.recoveries, USER));
        assert_null(recovery_next(p.recoveries, NULL, 0));
        assert_null(recovery_ready(&p, USER, KEY, salt));
        recoveries_keep_house(p.recoveries);
        set_officers(NEEDED, OFFICERS);
        remove_account(KEY);
        add_account(USER, "anna", KEY, 0);
        assert_null(recovery_find(p.recoveries, id)); /* wiped, and doesn't come back */
    }
}

static void test_as_many_wait_as_are_allowed_and_one_for_each_user(void **state) {
    (void)state;
    uint8_t first[RECOVERY_ID_SIZE];
    memcpy(first, ask_with(KEY)->id, sizeof first);
    (void)ask_with(KEY);
    assert_null(recovery_find(p.recoveries, first));
    for (uint64_t i = 1; i < RECOVERIES_MAX; i++) {
        char name[16];
        snprintf(name, sizeof name, "user%u", (unsigned)i);
        add_account(1000 + i, name, 100 + i, 0);
        (void)ask_with(100 + i);
    }
    const account *who = accounts_find_key_id(p.accounts, KEY);
    assert_null(recovery_make(p.recoveries, who, &stored, &err));
    assert_int_equal(err.code, ERROR_LIMIT);
    size_t seen = 0;
    for (const recovery *r = recovery_next(p.recoveries, NULL, USER); r != NULL;
         r = recovery_next(p.recoveries, r, USER)) {
        assert_true(r->user_id != USER);
        seen++;
    }
    assert_int_equal(seen, RECOVERIES_MAX - 1);
}

static void test_a_user_asks_with_a_few_keys_a_day(void **state) {
    (void)state;
    recovery *r = ask_with(KEY);
    for (unsigned i = 0; i < RECOVERY_CHANGES_MAX; i++) {
        add_account(USER, "anna", 200 + i, 0);
        r = ask_with(200 + i);
    }
    const account *who = accounts_find_key_id(p.accounts, KEY);
    assert_null(recovery_make(p.recoveries, who, &stored, &err));
    assert_int_equal(err.code, ERROR_LIMIT);
    assert_ptr_equal(recovery_of(p.recoveries, USER), r);
    r->since_ms -= RECOVERY_LONGEST_MS;
    (void)ask_with(KEY);
}

static void test_each_failing_allocation_leaves_all_or_nothing(void **state) {
    (void)state;
    bool reached = true;
    for (int nth = 0; reached; nth++) {
        const account *who = accounts_find_key_id(p.accounts, KEY);
        fault_fail_nth(nth);
        recovery *r = recovery_make(p.recoveries, who, &stored, &err);
        reached = fault_stop();
        assert_true(r != NULL || reached);
        if (r != NULL) {
            recovery_end(r);
        }
    }
    recovery *r = ask_with(KEY);
    for (size_t i = 0; i < NEEDED; i++) {
        buffer share;
        const account *who = accounts_find_key_id(p.accounts, FIRST_OFFICER + i);
        reseal(r, i, &share);
        bool given = false;
        for (int nth = 0; !given; nth++) {
            fault_fail_nth(nth);
            given = recovery_give(r, who, buffer_slice(&share), &err);
            reached = fault_stop();
            assert_true(given || reached);
            assert_ptr_equal(recovery_of(p.recoveries, USER), r);
            assert_int_equal(r->given_count, i + given);
            assert_int_equal(r->data_key != NULL, given && i == 1);
        }
        buffer_free(&share);
    }
    assert_memory_equal(recovery_ready(&p, USER, KEY, salt), data_key, sizeof data_key);
}

#define POOL_TEST(test) cmocka_unit_test_setup_teardown(test, open_pool, close_pool)

int main(void) {
    const struct CMUnitTest tests[] = {
        POOL_TEST(test_enough_shares_give_the_key_for_the_key_that_asked),
        POOL_TEST(test_one_person_counts_once_under_whatever_name),
        POOL_TEST(test_a_share_is_its_officers_and_of_the_key_that_he_has_now),
        POOL_TEST(test_a_set_that_the_pool_has_not_made_is_refused),
        POOL_TEST(test_shares_that_do_not_give_the_key_end_the_request),
        POOL_TEST(test_a_request_ends_with_its_time_its_key_or_recovery_itself),
        POOL_TEST(test_as_many_wait_as_are_allowed_and_one_for_each_user),
        POOL_TEST(test_a_user_asks_with_a_few_keys_a_day),
        POOL_TEST(test_each_failing_allocation_leaves_all_or_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
