#include "log_keys.h"

#include "crypto/start.h"

#include "unit.h"

enum { KEY_COUNT = 4 };

static const uint64_t start_ms = UINT64_C(1700000000000);
static sign_key *keys[KEY_COUNT];
static char origin[NOTE_NAME_MAX + 1];

static int start(void **state) {
    error err;
    uint8_t id[HASH_SIZE];
    char hex[HASH_HEX_SIZE];
    (void)state;
    if (!crypto_start(&err)) {
        return -1;
    }
    for (size_t i = 0; i < KEY_COUNT; i++) {
        const uint8_t seed[SIGN_SEED_SIZE] = {(uint8_t)(i + 1)};
        keys[i] = sign_key_from_seed(seed, &err);
        if (keys[i] == NULL) {
            return -1;
        }
    }
    if (!hash_sha256(slice_of(sign_key_public(keys[0]), SIGN_PUBLIC_SIZE), id, &err)) {
        return -1;
    }
    hex_encode(slice_of(id, sizeof id), hex);
    snprintf(origin, sizeof origin, "cellule/%s", hex);
    return 0;
}

static int stop(void **state) {
    (void)state;
    for (size_t i = 0; i < KEY_COUNT; i++) {
        sign_key_free(keys[i]);
    }
    crypto_stop();
    return 0;
}

static note_key named(const char *name, size_t key) {
    note_key k = {.kind = NOTE_ED25519};
    snprintf(k.name, sizeof k.name, "%s", name);
    memcpy(k.public_key, sign_key_public(keys[key]), SIGN_PUBLIC_SIZE);
    return k;
}

/* The pool has had the first `count` + 1 keys. */
static log_keys after(size_t count) {
    error err;
    succession chain;
    log_keys k;
    assert_true(succession_begin(sign_key_public(keys[0]), &chain, &err));
    for (size_t i = 0; i < count; i++) {
        assert_true(succession_append(&chain, keys[i], keys[i + 1], start_ms + i, &err));
    }
    log_keys_of_pool(&k, &chain);
    return k;
}

/* A note, in `bytes`, that this key signed as the log, or damaged afterwards. */
static note signed_by(size_t key, bool damaged, buffer *bytes) {
    error err;
    note n;
    const note_key signer = named(origin, key);
    buffer text = buffer_make(NOTE_SIZE_MAX);
    buffer_append_format(&text, "%s\n1\nAAAA\n", origin);
    buffer_append_format(bytes, "%s%s\n", origin, damaged ? "\n2\nAAAA\n" : "\n1\nAAAA\n");
    assert_true(note_sign(buffer_slice(&text), &signer, keys[key], 0, bytes, &err));
    assert_true(note_parse(buffer_slice(bytes), &n, &err));
    buffer_free(&text);
    return n;
}

typedef bool check(const log_keys *k, const note *n, error *err);

static void expect(check *verify, const log_keys *k, size_t key, bool damaged, error_code code) {
    error err = {0};
    buffer bytes = buffer_make(NOTE_SIZE_MAX);
    const note n = signed_by(key, damaged, &bytes);
    assert_int_equal(verify(k, &n, &err), code == ERROR_NONE);
    if (code != ERROR_NONE) {
        assert_int_equal(err.code, code);
    }
    buffer_free(&bytes);
}

static void test_what_is_shown_now_is_signed_with_the_last_key_alone(void **state) {
    (void)state;
    for (size_t count = 0; count + 1 < KEY_COUNT; count++) {
        const log_keys k = after(count);
        assert_int_equal(log_keys_count(&k), count + 1);
        for (size_t key = 0; key < KEY_COUNT; key++) {
            const error_code code = key > count ? ERROR_NOT_FOUND : key < count ? ERROR_CORRUPT : ERROR_NONE;
            expect(log_keys_verify_shown, &k, key, false, code);
        }
    }
}

static void test_what_was_seen_earlier_is_signed_with_any_key_that_the_pool_has_had(void **state) {
    (void)state;
    for (size_t count = 0; count + 1 < KEY_COUNT; count++) {
        const log_keys k = after(count);
        for (size_t key = 0; key < KEY_COUNT; key++) {
            expect(log_keys_verify_older, &k, key, false, key <= count ? ERROR_NONE : ERROR_NOT_FOUND);
        }
    }
}

static void test_a_changed_note_is_refused_whichever_key_signed_it(void **state) {
    const log_keys k = after(2);
    (void)state;
    for (size_t key = 0; key <= 2; key++) {
        expect(log_keys_verify_shown, &k, key, true, ERROR_CORRUPT);
        expect(log_keys_verify_older, &k, key, true, ERROR_CORRUPT);
    }
}

static void test_why_a_replaced_key_and_a_stranger_s_are_refused_is_told_apart(void **state) {
    error err;
    const log_keys k = after(1);
    buffer bytes = buffer_make(NOTE_SIZE_MAX);
    note n = signed_by(0, false, &bytes);
    (void)state;
    assert_false(log_keys_verify_shown(&k, &n, &err));
    assert_non_null(strstr(err.text, "had replaced the key"));
    buffer_clear(&bytes);
    n = signed_by(3, false, &bytes);
    assert_false(log_keys_verify_shown(&k, &n, &err));
    assert_non_null(strstr(err.text, "none of the pool's keys has signed it, of 2"));
    buffer_free(&bytes);
}

static void test_one_key_that_is_trusted_needs_no_others(void **state) {
    const note_key trusted = named(origin, 2);
    log_keys k;
    (void)state;
    log_keys_of_one(&k, &trusted);
    assert_int_equal(log_keys_count(&k), 1);
    expect(log_keys_verify_shown, &k, 2, false, ERROR_NONE);
    expect(log_keys_verify_older, &k, 2, false, ERROR_NONE);
    expect(log_keys_verify_shown, &k, 1, false, ERROR_NOT_FOUND);
    expect(log_keys_verify_older, &k, 1, false, ERROR_NOT_FOUND);
}

static void test_a_key_is_the_log_s_by_its_name_too(void **state) {
    const log_keys k = after(1);
    note_key key = named(origin, 1);
    (void)state;
    assert_true(log_keys_have(&k, &key, false));
    key.kind = NOTE_COSIGNATURE;
    assert_false(log_keys_have(&k, &key, true));
    key = named("cellule/other", 1);
    assert_false(log_keys_have(&k, &key, true));
    key = named(origin, 0);
    assert_false(log_keys_have(&k, &key, false));
    assert_true(log_keys_have(&k, &key, true));
    key = named(origin, 2);
    assert_false(log_keys_have(&k, &key, true));
}

static void test_a_log_s_name_says_its_pool(void **state) {
    uint8_t pool_id[HASH_SIZE];
    const log_keys k = after(1);
    (void)state;
    assert_true(log_keys_pool(&k.current, pool_id));
    assert_memory_equal(pool_id, k.chain.pool_id, sizeof pool_id);
    const char *const others[] = {"cellule", "cellule/", "cellule/00", "other", origin + 1};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        const note_key key = named(others[i], 0);
        assert_false(log_keys_pool(&key, pool_id));
    }
    note_key key = named(origin, 0);
    key.kind = NOTE_COSIGNATURE;
    assert_false(log_keys_pool(&key, pool_id));
}

static void test_each_failed_allocation_is_an_error_and_leaks_nothing(void **state) {
    error err;
    const log_keys k = after(2);
    buffer bytes = buffer_make(NOTE_SIZE_MAX);
    const note n = signed_by(0, false, &bytes);
    (void)state;
    bool more = true;
    for (int nth = 0; more; nth++) {
        fault_fail_nth(nth);
        const bool verified = log_keys_verify_older(&k, &n, &err);
        more = fault_stop();
        assert_int_equal(verified, !more);
        assert_true(verified || err.code == ERROR_MEMORY);
    }
    buffer_free(&bytes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_shown_now_is_signed_with_the_last_key_alone),
        cmocka_unit_test(test_what_was_seen_earlier_is_signed_with_any_key_that_the_pool_has_had),
        cmocka_unit_test(test_a_changed_note_is_refused_whichever_key_signed_it),
        cmocka_unit_test(test_why_a_replaced_key_and_a_stranger_s_are_refused_is_told_apart),
        cmocka_unit_test(test_one_key_that_is_trusted_needs_no_others),
        cmocka_unit_test(test_a_key_is_the_log_s_by_its_name_too),
        cmocka_unit_test(test_a_log_s_name_says_its_pool),
        cmocka_unit_test(test_each_failed_allocation_is_an_error_and_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
