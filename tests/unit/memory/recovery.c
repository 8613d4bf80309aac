#include "memory/recovery.h"

#include "crypto/start.h"

#include "unit.h"

enum { OFFICERS = 3, NEEDED = 2 };

static error err;
static uint8_t publics[OFFICERS][BOX_KEY_SIZE];
static uint8_t privates[OFFICERS][BOX_KEY_SIZE];
static const uint8_t data_key[RECORD_KEY_SIZE] = {1, 2, 3, 4, 5, 6, 7, 8};

static int start(void **state) {
    (void)state;
    if (!crypto_start(&err)) {
        return -1;
    }
    for (size_t i = 0; i < OFFICERS; i++) {
        assert_true(box_make_keys(publics[i], privates[i], &err));
    }
    return 0;
}

static int stop(void **state) {
    (void)state;
    crypto_stop();
    return 0;
}

static void split(uint64_t user_id, uint8_t set_id, recovery_share shares[OFFICERS]) {
    uint8_t parts[OFFICERS * RECORD_KEY_SIZE];
    recovery_set set = {.user_id = user_id, .needed = NEEDED, .count = OFFICERS};
    memset(set.salt, 9, sizeof set.salt);
    memset(set.id, set_id, sizeof set.id);
    assert_true(recovery_make_check(&set, data_key, &err));
    assert_true(share_split(slice_of(data_key, sizeof data_key), NEEDED, OFFICERS, parts, &err));
    for (size_t i = 0; i < OFFICERS; i++) {
        shares[i] = (recovery_share){.set = set, .point = (uint8_t)(i + 1)};
        memcpy(shares[i].bytes, parts + i * RECORD_KEY_SIZE, RECORD_KEY_SIZE);
        snprintf(shares[i].officer, sizeof shares[i].officer, "officer%zu", i);
    }
}

static bool join(const recovery_share *a, const recovery_share *b, uint8_t joined[RECORD_KEY_SIZE]) {
    const recovery_share *both[] = {a, b};
    return recovery_join(both, 2, joined, &err);
}

static void test_any_two_of_three_officers_give_the_key(void **state) {
    (void)state;
    recovery_share shares[OFFICERS];
    uint8_t joined[RECORD_KEY_SIZE];
    split(7, 1, shares);
    for (size_t i = 0; i < OFFICERS; i++) {
        for (size_t j = 0; j < OFFICERS; j++) {
            assert_int_equal(join(&shares[i], &shares[j], joined), i != j);
            static const uint8_t zeros[RECORD_KEY_SIZE];
            assert_memory_equal(joined, i != j ? data_key : zeros, sizeof joined);
        }
    }
}

static void test_fewer_or_more_than_are_needed_give_nothing(void **state) {
    (void)state;
    recovery_share shares[OFFICERS];
    uint8_t joined[RECORD_KEY_SIZE];
    split(7, 1, shares);
    const recovery_share *all[] = {&shares[0], &shares[1], &shares[2]};
    assert_false(recovery_join(all, 0, joined, &err));
    assert_false(recovery_join(all, 1, joined, &err));
    assert_false(recovery_join(all, 3, joined, &err));
    assert_int_equal(err.code, ERROR_CORRUPT);
}

static void test_a_change_of_any_bit_of_a_share_is_noticed(void **state) {
    (void)state;
    recovery_share shares[OFFICERS];
    uint8_t joined[RECORD_KEY_SIZE];
    split(7, 1, shares);
    for (size_t bit = 0; bit < 8 * RECORD_KEY_SIZE; bit++) {
        recovery_share changed = shares[1];
        changed.bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
        assert_false(join(&shares[0], &changed, joined));
        changed = shares[1];
        changed.set.check[bit / 8] ^= (uint8_t)(1U << bit % 8);
        assert_false(join(&shares[0], &changed, joined));
        assert_false(join(&changed, &shares[0], joined));
    }
    recovery_share moved = shares[1];
    moved.point = 3;
    assert_false(join(&shares[0], &moved, joined));
    for (size_t i = 0; i < 2; i++) {
        recovery_share other[OFFICERS];
        split(i == 0 ? 7 : 8, i == 0 ? 2 : 1, other); /* another set; another user */
        assert_false(join(&shares[0], &other[1], joined));
    }
}

static void test_a_share_opens_for_its_officer_alone_as_what_was_sealed(void **state) {
    (void)state;
    recovery_share shares[OFFICERS];
    split(UINT64_MAX - 1, 1, shares);
    memset(shares[1].officer, 'x', RECOVERY_NAME_MAX); /* the longest name */
    for (size_t i = 0; i < OFFICERS; i++) {
        uint8_t digest[HASH_SIZE];
        uint8_t again[HASH_SIZE];
        recovery_share opened;
        buffer sealed = buffer_make(RECOVERY_SEALED_MAX);
        assert_true(recovery_seal(&shares[i], publics[i], digest, &sealed, &err));
        assert_true(recovery_open(privates[i], buffer_slice(&sealed), &opened, again, &err));
        assert_memory_equal(digest, again, sizeof digest);
        assert_int_equal(opened.set.user_id, UINT64_MAX - 1);
        assert_memory_equal(opened.set.salt, shares[i].set.salt, sizeof opened.set.salt);
        assert_memory_equal(opened.set.id, shares[i].set.id, sizeof opened.set.id);
        assert_memory_equal(opened.set.check, shares[i].set.check, sizeof opened.set.check);
        assert_memory_equal(opened.bytes, shares[i].bytes, sizeof opened.bytes);
        assert_int_equal(opened.set.needed * 100 + opened.set.count * 10 + opened.point, 230 + i + 1);
        assert_string_equal(opened.officer, shares[i].officer);
        static const recovery_share zeros;
        assert_false(
            recovery_open(privates[(i + 1) % OFFICERS], buffer_slice(&sealed), &opened, again, &err));
        assert_int_equal(err.code, ERROR_CORRUPT);
        assert_memory_equal(&opened, &zeros, sizeof zeros);
        buffer_free(&sealed);
    }
}

/* Whatever somebody seals for the pool. */
static void test_what_is_no_share_is_refused(void **state) {
    (void)state;
    recovery_share shares[OFFICERS];
    uint8_t digest[HASH_SIZE];
    buffer sealed = buffer_make(RECOVERY_SEALED_MAX);
    buffer plain = buffer_make(RECOVERY_SHARE_MAX);
    split(7, 1, shares);
    assert_true(recovery_seal(&shares[0], publics[0], digest, &sealed, &err));
    assert_true(box_open(privates[0], buffer_slice(&sealed), &plain, &err));
    slice good = buffer_slice(&plain);
    for (size_t length = 0; length <= good.length + 1; length++) {
        uint8_t bytes[RECOVERY_SHARE_MAX + 1] = {0};
        recovery_share opened;
        memcpy(bytes, good.data, length < good.length ? length : good.length);
        buffer_clear(&sealed);
        assert_true(box_seal(publics[0], slice_of(bytes, length), &sealed, &err));
        assert_int_equal(recovery_open(privates[0], buffer_slice(&sealed), &opened, digest, &err),
                         length == good.length);
    }
    recovery_share bad = shares[0];
    bad.point = 4;
    assert_false(recovery_seal(&bad, publics[0], digest, &sealed, &err));
    bad = shares[0];
    bad.set.needed = 1;
    assert_false(recovery_seal(&bad, publics[0], digest, &sealed, &err));
    bad = shares[0];
    bad.officer[0] = '\0';
    assert_false(recovery_seal(&bad, publics[0], digest, &sealed, &err));
    buffer_wipe(&plain);
    buffer_free(&sealed);
}

static void test_the_code_depends_on_every_bit_of_request_and_key(void **state) {
    (void)state;
    uint8_t id[RECOVERY_ID_SIZE] = {1};
    uint8_t key[BOX_KEY_SIZE] = {2};
    char code[RECOVERY_CODE_SIZE];
    char other[RECOVERY_CODE_SIZE];
    assert_true(recovery_code(id, key, code, &err));
    assert_int_equal(strlen(code), 19);
    for (size_t bit = 0; bit < 8 * (sizeof id + sizeof key); bit++) {
        uint8_t *byte = bit / 8 < sizeof id ? &id[bit / 8] : &key[bit / 8 - sizeof id];
        *byte ^= (uint8_t)(1U << bit % 8);
        assert_true(recovery_code(id, key, other, &err));
        assert_string_not_equal(code, other);
        *byte ^= (uint8_t)(1U << bit % 8);
    }
}

static void test_each_failing_allocation_is_an_error_and_leaves_nothing(void **state) {
    (void)state;
    recovery_share shares[OFFICERS];
    split(7, 1, shares);
    bool reached = true;
    for (int nth = 0; reached; nth++) {
        uint8_t digest[HASH_SIZE];
        uint8_t joined[RECORD_KEY_SIZE] = {0};
        recovery_share opened;
        buffer sealed = buffer_make(RECOVERY_SEALED_MAX);
        fault_fail_nth(nth);
        bool done = recovery_seal(&shares[0], publics[0], digest, &sealed, &err) &&
                    recovery_open(privates[0], buffer_slice(&sealed), &opened, digest, &err) &&
                    join(&opened, &shares[1], joined);
        reached = fault_stop();
        assert_true(done || reached); /* libcrypto does without, now and then */
        static const uint8_t zeros[RECORD_KEY_SIZE];
        assert_memory_equal(joined, done ? data_key : zeros, sizeof joined);
        buffer_free(&sealed);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_two_of_three_officers_give_the_key),
        cmocka_unit_test(test_fewer_or_more_than_are_needed_give_nothing),
        cmocka_unit_test(test_a_change_of_any_bit_of_a_share_is_noticed),
        cmocka_unit_test(test_a_share_opens_for_its_officer_alone_as_what_was_sealed),
        cmocka_unit_test(test_what_is_no_share_is_refused),
        cmocka_unit_test(test_the_code_depends_on_every_bit_of_request_and_key),
        cmocka_unit_test(test_each_failing_allocation_is_an_error_and_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
