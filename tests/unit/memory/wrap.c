#include "memory/wrap.h"
#include "crypto/hash.h"
#include "crypto/start.h"

#include "unit.h"

static error err;
static const wrap_owner owner = {.user_id = 7, .key_id = 0x0102030405060708, .salt = {9, 8, 7}};
static const uint64_t now = 1800000000123;
static uint8_t data_key[RECORD_KEY_SIZE];
static buffer wrapped; /* what the other tests open */

#define TOKEN SLICE_LITERAL("ck_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
#define KIND SLICE_LITERAL("pbkdf2-sha256")

static int start(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof data_key; i++) {
        data_key[i] = (uint8_t)(200 + i);
    }
    wrapped = buffer_make(WRAP_SIZE_MAX);
    return crypto_start(&err) && wrap_seal(TOKEN, &owner, WRAP_COST, now, data_key, &wrapped, &err) ? 0 : -1;
}

static int stop(void **state) {
    (void)state;
    buffer_free(&wrapped);
    crypto_stop();
    return 0;
}

static void assert_zeros(const uint8_t opened[RECORD_KEY_SIZE]) {
    static const uint8_t zeros[RECORD_KEY_SIZE];
    assert_memory_equal(opened, zeros, sizeof zeros);
}

static void assert_refused(slice token, const wrap_owner *by, slice bytes, error_code code) {
    uint8_t opened[RECORD_KEY_SIZE] = {1};
    assert_false(wrap_open(token, by, KIND, WRAP_COST, bytes, opened, &err));
    assert_int_equal(err.code, code);
    assert_zeros(opened);
}

static void test_the_token_opens_its_wrap(void **state) {
    (void)state;
    uint8_t opened[RECORD_KEY_SIZE];
    assert_string_equal(wrap_kind, "pbkdf2-sha256");
    assert_true(wrap_open(TOKEN, &owner, KIND, WRAP_COST, buffer_slice(&wrapped), opened, &err));
    assert_memory_equal(opened, data_key, sizeof data_key);
}

/* By the documents alone: the key is PBKDF2 of the token's text, the record's id ends in the key's. */
static void test_a_wrap_is_a_record_under_the_tokens_key(void **state) {
    (void)state;
    uint8_t key[RECORD_KEY_SIZE];
    record_place place = {.kind = RECORD_WRAP, .user_id = 7, .id = {[8] = 1, 2, 3, 4, 5, 6, 7, 8}};
    buffer content = buffer_make(RECORD_KEY_SIZE);
    assert_true(hash_pbkdf2(TOKEN, slice_of(owner.salt, WRAP_SALT_SIZE), 600000, key, sizeof key, &err));
    assert_true(record_open(key, &place, buffer_slice(&wrapped), &content, &err));
    assert_true(slice_equal(buffer_slice(&content), slice_of(data_key, sizeof data_key)));
    buffer_wipe(&content);
}

static void test_nobody_elses_token_opens_it_and_no_other_place(void **state) {
    (void)state;
    slice whole = buffer_slice(&wrapped);
    wrap_owner other = owner;
    assert_refused(SLICE_LITERAL("ck_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB"), &owner, whole,
                   ERROR_DENIED);
    assert_refused((slice){NULL, 0}, &owner, whole, ERROR_DENIED);
    other.user_id = 8;
    assert_refused(TOKEN, &other, whole, ERROR_DENIED);
    other = owner;
    other.key_id++;
    assert_refused(TOKEN, &other, whole, ERROR_DENIED);
    other = owner;
    other.salt[15] ^= 1;
    assert_refused(TOKEN, &other, whole, ERROR_DENIED);
}

static void test_a_changed_wrap_is_refused(void **state) {
    (void)state;
    uint8_t longer[WRAP_SIZE_MAX + 1] = {0};
    size_t size = buffer_length(&wrapped);
    memcpy(longer, wrapped.bytes, size);
    assert_refused(TOKEN, &owner, slice_of(longer, size - 1), ERROR_DENIED);
    assert_refused(TOKEN, &owner, slice_of(longer, sizeof longer), ERROR_DENIED);
    longer[size / 2] ^= 1;
    assert_refused(TOKEN, &owner, slice_of(longer, size), ERROR_DENIED);
}

static void test_a_record_of_another_length_is_no_data_key(void **state) {
    (void)state;
    uint8_t key[RECORD_KEY_SIZE];
    record_place place = {.kind = RECORD_WRAP, .user_id = 7, .id = {[8] = 1, 2, 3, 4, 5, 6, 7, 8}};
    assert_true(hash_pbkdf2(TOKEN, slice_of(owner.salt, WRAP_SALT_SIZE), WRAP_COST, key, sizeof key, &err));
    uint8_t content[RECORD_KEY_SIZE + 1] = {1, 2, 3};
    buffer sealed = buffer_make(WRAP_SIZE_MAX);
    assert_true(record_seal(key, &place, now, slice_of(content, sizeof content), &sealed, &err));
    assert_refused(TOKEN, &owner, buffer_slice(&sealed), ERROR_DENIED);
    buffer_free(&sealed);
}

static void test_kinds_and_costs_that_are_not_known_are_told(void **state) {
    (void)state;
    uint8_t opened[RECORD_KEY_SIZE] = {1};
    const char *const kinds[] = {"", "pbkdf2-sha25", "pbkdf2-sha2566", "argon2id", "PBKDF2-SHA256"};
    const uint64_t costs[] = {0, 1, WRAP_COST_MIN - 1, WRAP_COST_MAX + 1, UINT64_MAX};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        opened[0] = 1;
        assert_false(wrap_open(TOKEN, &owner, slice_of_text(kinds[i]), WRAP_COST, buffer_slice(&wrapped),
                               opened, &err));
        assert_int_equal(err.code, ERROR_UNSUPPORTED);
        assert_zeros(opened);
    }
    for (size_t i = 0; i < sizeof costs / sizeof costs[0]; i++) {
        opened[0] = 1;
        assert_false(wrap_open(TOKEN, &owner, KIND, costs[i], buffer_slice(&wrapped), opened, &err));
        assert_int_equal(err.code, ERROR_UNSUPPORTED);
        assert_zeros(opened);
    }
    buffer weak = buffer_make(WRAP_SIZE_MAX);
    assert_false(wrap_seal(TOKEN, &owner, WRAP_COST_MIN - 1, now, data_key, &weak, &err));
    assert_int_equal(buffer_length(&weak), 0);
    buffer_free(&weak);
}

static void assert_harmless(int nth) {
    uint8_t opened[RECORD_KEY_SIZE] = {1};
    fault_fail_nth(nth);
    bool done = wrap_open(TOKEN, &owner, KIND, WRAP_COST, buffer_slice(&wrapped), opened, &err);
    bool reached = fault_stop();
    assert_true(done || reached);
    if (done) {
        assert_memory_equal(opened, data_key, sizeof data_key);
    } else {
        assert_true(err.code == ERROR_MEMORY || err.code == ERROR_INTERNAL);
        assert_zeros(opened);
    }
}

/* OpenSSL allocates in every iteration: those before the first, and one among the millions that follow. */
static void test_a_failing_allocation_is_an_error_or_harmless(void **state) {
    (void)state;
    for (int nth = 0; nth < 16; nth++) {
        assert_harmless(nth);
    }
    assert_harmless(1000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_token_opens_its_wrap),
        cmocka_unit_test(test_a_wrap_is_a_record_under_the_tokens_key),
        cmocka_unit_test(test_nobody_elses_token_opens_it_and_no_other_place),
        cmocka_unit_test(test_a_changed_wrap_is_refused),
        cmocka_unit_test(test_a_record_of_another_length_is_no_data_key),
        cmocka_unit_test(test_kinds_and_costs_that_are_not_known_are_told),
        cmocka_unit_test(test_a_failing_allocation_is_an_error_or_harmless),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
