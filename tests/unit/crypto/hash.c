#include "crypto/hash.h"
#include "crypto/start.h"

#include "unit.h"

static int start(void **state) {
    (void)state;
    error err;
    uint8_t digest[HASH_SIZE];
    bool refused = !hash_sha256(SLICE_LITERAL("x"), digest, &err) && err.code == ERROR_INTERNAL;
    return refused && crypto_start(&err) && crypto_start(&err) ? 0 : -1;
}

static int stop(void **state) {
    (void)state;
    crypto_stop();
    return 0;
}

static void assert_hex(const uint8_t *bytes, size_t length, const char *expected) {
    char text[512];
    assert_true(2 * length < sizeof text);
    hex_encode(slice_of(bytes, length), text);
    assert_string_equal(text, expected);
}

static void assert_sha256(slice message, const char *expected) {
    error err;
    uint8_t digest[HASH_SIZE];
    assert_true(hash_sha256(message, digest, &err));
    assert_hex(digest, sizeof digest, expected);
    hash *h = hash_new(&err);
    assert_non_null(h);
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < message.length; i += 997) {
            hash_update(h, slice_part(message, i, 997));
        }
        memset(digest, 0, sizeof digest);
        assert_true(hash_finish(h, digest, &err));
        assert_hex(digest, sizeof digest, expected);
    }
    hash_free(h);
}

/* FIPS 180-2 appendix B and the empty message. */
static void test_sha256_gives_the_published_digests_whole_and_in_pieces(void **state) {
    (void)state;
    static uint8_t million[1000000];
    memset(million, 'a', sizeof million);
    assert_sha256(SLICE_LITERAL(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_sha256(SLICE_LITERAL("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_sha256(SLICE_LITERAL("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
                  "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    assert_sha256(slice_of(million, sizeof million),
                  "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

/* RFC 4231, cases 1, 2 and 6. */
static void test_hmac_gives_the_published_codes(void **state) {
    (void)state;
    error err;
    uint8_t key[131];
    uint8_t mac[HASH_SIZE];
    memset(key, 0x0b, sizeof key);
    assert_true(hash_hmac(slice_of(key, 20), SLICE_LITERAL("Hi There"), mac, &err));
    assert_hex(mac, sizeof mac, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    assert_true(hash_hmac(SLICE_LITERAL("Jefe"), SLICE_LITERAL("what do ya want for nothing?"), mac, &err));
    assert_hex(mac, sizeof mac, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    memset(key, 0xaa, sizeof key);
    assert_true(hash_hmac(slice_of(key, 131),
                          SLICE_LITERAL("Test Using Larger Than Block-Size Key - Hash Key First"), mac,
                          &err));
    assert_hex(mac, sizeof mac, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

/* RFC 5869, A.1 and A.3. */
static void test_hkdf_gives_the_published_keys(void **state) {
    (void)state;
    error err;
    uint8_t key[22];
    uint8_t salt[13];
    uint8_t info[10];
    uint8_t derived[42];
    memset(key, 0x0b, sizeof key);
    for (size_t i = 0; i < sizeof salt; i++) {
        salt[i] = (uint8_t)i;
    }
    for (size_t i = 0; i < sizeof info; i++) {
        info[i] = (uint8_t)(0xf0 + i);
    }
    assert_true(hash_derive(slice_of(key, 22), slice_of(salt, 13), slice_of(info, 10), derived, 42, &err));
    assert_hex(derived, 42,
               "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865");
    assert_true(hash_derive(slice_of(key, 22), slice_of(NULL, 0), slice_of(NULL, 0), derived, 42, &err));
    assert_hex(derived, 42,
               "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8");
}

/* RFC 7914, §11, and RFC 6070's longest with SHA-256 in SHA-1's place. */
static void test_pbkdf2_gives_the_published_keys(void **state) {
    (void)state;
    error err;
    uint8_t derived[64];
    assert_true(hash_pbkdf2(SLICE_LITERAL("passwd"), SLICE_LITERAL("salt"), 1, derived, 64, &err));
    assert_hex(derived, 64,
               "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc"
               "49ca9cccf179b645991664b39d77ef317c71b845b1e30bd509112041d3a19783");
    assert_true(hash_pbkdf2(SLICE_LITERAL("Password"), SLICE_LITERAL("NaCl"), 80000, derived, 64, &err));
    assert_hex(derived, 64,
               "4ddcd8f60b98be21830cee5ef22701f9641a4418d04c0414aeff08876b34ab56"
               "a1d425a1225833549adb841b51c9b3176a272bdebba1d078478f62b397f33c8d");
    assert_true(hash_pbkdf2(SLICE_LITERAL("passwordPASSWORDpassword"),
                            SLICE_LITERAL("saltSALTsaltSALTsaltSALTsaltSALTsalt"), 4096, derived, 40, &err));
    assert_hex(derived, 40,
               "348c89dbcbd32b2f32d814b8116e84cf2b17347ebc1800181c4e2a1fb8dd53e1c635518c7dac47e9");
}

static void test_an_empty_key_and_an_impossible_length_are_refused(void **state) {
    (void)state;
    error err;
    static uint8_t derived[255 * HASH_SIZE + 1];
    slice none = slice_of(NULL, 0);
    assert_false(hash_hmac(none, SLICE_LITERAL("message"), derived, &err));
    assert_false(hash_derive(none, none, none, derived, 32, &err));
    assert_false(hash_derive(SLICE_LITERAL("key"), none, none, derived, 0, &err));
    assert_false(hash_derive(SLICE_LITERAL("key"), none, none, derived, sizeof derived, &err));
    assert_true(hash_derive(SLICE_LITERAL("key"), none, none, derived, sizeof derived - 1, &err));
    assert_false(hash_pbkdf2(none, SLICE_LITERAL("salt"), 1, derived, 32, &err));
    assert_false(hash_pbkdf2(SLICE_LITERAL("key"), none, 1, derived, 32, &err));
    assert_false(hash_pbkdf2(SLICE_LITERAL("key"), SLICE_LITERAL("salt"), 0, derived, 32, &err));
    assert_false(hash_pbkdf2(SLICE_LITERAL("key"), SLICE_LITERAL("salt"), 1, derived, 0, &err));
}

static void test_hexadecimal_is_lower_case_and_of_exact_length(void **state) {
    (void)state;
    uint8_t bytes[2] = {7, 7};
    assert_true(hex_decode(SLICE_LITERAL("00ff"), bytes, 2));
    assert_int_equal(bytes[0], 0);
    assert_int_equal(bytes[1], 255);
    const char *const wrong[] = {"00FF", "00f", "00fff", "", "0x00", "00 f", "00fg"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        bytes[0] = 7;
        assert_false(hex_decode(slice_of_text(wrong[i]), bytes, 2));
        assert_int_equal(bytes[0], 0);
    }
    assert_true(hex_decode(slice_of(NULL, 0), bytes, 0));
}

static void test_comparison_sees_each_byte(void **state) {
    (void)state;
    uint8_t a[HASH_SIZE] = {0};
    uint8_t b[HASH_SIZE] = {0};
    assert_true(hash_equal(a, b, sizeof a));
    for (size_t i = 0; i < sizeof a; i++) {
        b[i] ^= 0x80;
        assert_false(hash_equal(a, b, sizeof a));
        b[i] ^= 0x80;
    }
}

static bool use_all(uint8_t out[5][HASH_SIZE], error *err) {
    hash *h = hash_new(err);
    bool good = h != NULL;
    if (good) {
        hash_update(h, SLICE_LITERAL("a"));
        good = hash_finish(h, out[0], err);
    }
    hash_free(h);
    return good && hash_sha256(SLICE_LITERAL("a"), out[1], err) &&
           hash_hmac(SLICE_LITERAL("a"), SLICE_LITERAL("b"), out[2], err) &&
           hash_derive(SLICE_LITERAL("a"), SLICE_LITERAL("b"), SLICE_LITERAL("c"), out[3], HASH_SIZE, err) &&
           hash_pbkdf2(SLICE_LITERAL("a"), SLICE_LITERAL("b"), 2, out[4], HASH_SIZE, err);
}

/* OpenSSL gets over some of the failures, and does not always name memory as the reason of the others. */
static void test_each_failed_allocation_is_an_error_or_harmless_and_leaks_nothing(void **state) {
    (void)state;
    error err;
    uint8_t expected[5][HASH_SIZE];
    assert_true(use_all(expected, &err));
    bool reached = true;
    for (int nth = 0; reached; nth++) {
        uint8_t out[5][HASH_SIZE] = {{0}};
        fault_fail_nth(nth);
        bool good = use_all(out, &err);
        reached = fault_stop();
        assert_true(good || reached);
        if (good) {
            assert_memory_equal(out, expected, sizeof out);
        } else {
            assert_true(err.code == ERROR_MEMORY || err.code == ERROR_INTERNAL);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sha256_gives_the_published_digests_whole_and_in_pieces),
        cmocka_unit_test(test_hmac_gives_the_published_codes),
        cmocka_unit_test(test_hkdf_gives_the_published_keys),
        cmocka_unit_test(test_pbkdf2_gives_the_published_keys),
        cmocka_unit_test(test_an_empty_key_and_an_impossible_length_are_refused),
        cmocka_unit_test(test_hexadecimal_is_lower_case_and_of_exact_length),
        cmocka_unit_test(test_comparison_sees_each_byte),
        cmocka_unit_test(test_each_failed_allocation_is_an_error_or_harmless_and_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
