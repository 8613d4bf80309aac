#include "auth/token.h"

#include "crypto/hash.h"
#include "crypto/start.h"
#include "unit.h"

static const char user_key[] = "ck_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

static void fill(uint8_t *bytes, size_t length, uint8_t first) {
    for (size_t i = 0; i < length; i++) {
        bytes[i] = (uint8_t)(first + i);
    }
}

static void test_a_user_key_is_made_and_checked(void **state) {
    (void)state;
    uint8_t secret[AUTH_SECRET_SIZE];
    char text[AUTH_USER_KEY_LENGTH + 1];
    fill(secret, sizeof secret, 0);
    auth_user_key_make(secret, text);
    assert_string_equal(text, user_key);
    assert_true(auth_user_key_check(slice_of_text(text)));
}

static void test_any_other_text_is_no_user_key(void **state) {
    (void)state;
    static const char *const bad[] = {
        "",
        "ck_",
        "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
        "CK_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
        "ck_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh",
        "ck_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8A",
        "ck_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
        "ck_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh9", /* the same bytes, if the last two bits were dropped
                                                           */
        "ck_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh ",
        "ck_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwd+/8",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        uint8_t digest[AUTH_HASH_SIZE];
        error err;
        assert_false(auth_user_key_check(slice_of_text(bad[i])));
        assert_false(auth_user_key_hash(slice_of_text(bad[i]), digest, &err));
        assert_int_equal(err.code, ERROR_DENIED);
    }
}

static void test_a_user_key_is_stored_as_the_hash_of_its_text(void **state) {
    (void)state;
    uint8_t digest[AUTH_HASH_SIZE];
    uint8_t wanted[AUTH_HASH_SIZE];
    error err;
    assert_true(auth_user_key_hash(slice_of_text(user_key), digest, &err));
    assert_true(hash_sha256(slice_of_text(user_key), wanted, &err));
    assert_memory_equal(digest, wanted, sizeof digest);
}

static auth_join_token token_for(const char *address) {
    auth_join_token token = {.id = {0}};
    fill(token.id, sizeof token.id, 0xA0);
    fill(token.secret, sizeof token.secret, 1);
    fill(token.pin, sizeof token.pin, 100);
    snprintf(token.address, sizeof token.address, "%s", address);
    return token;
}

static void test_a_join_token_comes_back_as_it_was_made(void **state) {
    (void)state;
    char longest[AUTH_ADDRESS_MAX + 1];
    memset(longest, 'a', sizeof longest);
    snprintf(longest + 253, sizeof longest - 253, ":65535");
    const char *const addresses[] = {"pool.example:8443", "127.0.0.1:1", "[::1]:65535", "localhost:80",
                                     longest};
    for (size_t i = 0; i < sizeof addresses / sizeof addresses[0]; i++) {
        auth_join_token token = token_for(addresses[i]);
        auth_join_token back;
        char text[AUTH_JOIN_TOKEN_MAX + 1];
        error err;
        assert_true(auth_join_token_make(&token, text, &err));
        assert_memory_equal(text, "cj_a0a1a2a3a4a5a6a7.", 20);
        assert_true(auth_join_token_parse(slice_of_text(text), &back, &err));
        assert_memory_equal(back.id, token.id, sizeof token.id);
        assert_memory_equal(back.secret, token.secret, sizeof token.secret);
        assert_memory_equal(back.pin, token.pin, sizeof token.pin);
        assert_string_equal(back.address, token.address);
    }
}

static void test_any_altered_join_token_is_refused_or_another(void **state) {
    (void)state;
    auth_join_token token = token_for("pool.example:8443");
    char text[AUTH_JOIN_TOKEN_MAX + 1];
    error err;
    assert_true(auth_join_token_make(&token, text, &err));
    size_t length = strlen(text);
    for (size_t i = 0; i < length; i++) {
        auth_join_token back;
        if (auth_join_token_parse(slice_of(text, i), &back, &err)) { /* cut inside the port's digits */
            assert_string_not_equal(back.address, token.address);
            assert_true(i + 4 >= length);
        }
        char was = text[i];
        text[i] = '!';
        assert_false(auth_join_token_parse(slice_of(text, length), &back, &err));
        assert_int_equal(back.secret[0], 0);
        text[i] = was == 'a' ? 'b' : 'a';
        if (auth_join_token_parse(slice_of(text, length), &back, &err)) {
            assert_memory_not_equal(&back, &token, sizeof back);
        }
        text[i] = was;
    }
    auth_join_token back;
    snprintf(text + length, sizeof text - length, ".x");
    assert_false(auth_join_token_parse(slice_of_text(text), &back, &err));
}

static void test_an_address_is_a_host_and_a_port(void **state) {
    (void)state;
    slice host;
    uint16_t port = 0;
    assert_true(auth_address_split(SLICE_LITERAL("[fe80::1]:8443"), &host, &port));
    assert_true(slice_equal_text(host, "fe80::1"));
    assert_int_equal(port, 8443);
    assert_true(auth_address_split(SLICE_LITERAL("a-b.c:1"), &host, &port));
    assert_true(slice_equal_text(host, "a-b.c"));
    static const char *const bad[] = {"",       "a",     "a:",      ":1",     "a:0",       "a:65536",
                                      "a:01",   "a:1x",  "a b:1",   "a/b:1",  "u@a:1",     "a..b:1",
                                      ".a:1",   "a.:1",  "-a:1",    "a-:1",   "a-.b:1",    "a_b:1",
                                      "::1:80", "[::1]", "[::1]80", "[]:1",   "[::1:1",    "[::g]:1",
                                      "[a]:1",  "a:1:2", "a:+1",    "[::1]:", "\xC3\xA9:1"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(auth_address_split(slice_of_text(bad[i]), &host, &port));
        assert_int_equal(host.length, 0);
        auth_join_token token = token_for(bad[i]);
        char text[AUTH_JOIN_TOKEN_MAX + 1];
        error err;
        assert_false(auth_join_token_make(&token, text, &err));
        assert_int_equal(err.code, ERROR_INVALID);
    }
}

static void test_the_bearer_field_is_parsed_strictly(void **state) {
    (void)state;
    slice token;
    assert_true(auth_bearer_parse(SLICE_LITERAL("Bearer ck_abc"), &token));
    assert_true(slice_equal_text(token, "ck_abc"));
    assert_true(auth_bearer_parse(SLICE_LITERAL("bEARER  a.b-c~d+e/f=="), &token));
    assert_true(slice_equal_text(token, "a.b-c~d+e/f=="));
    static const char *const bad[] = {"",          "Bearer",     "Bearer ",    "Bearer  ",
                                      "Basic abc", "Bearerabc",  "Bearer a b", "Bearer a,b",
                                      "Bearer =",  "Bearer a=b", "Bearer \ta", "ck_abc"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(auth_bearer_parse(slice_of_text(bad[i]), &token));
        assert_int_equal(token.length, 0);
    }
}

static int start(void **state) {
    (void)state;
    error err;
    return crypto_start(&err) ? 0 : -1;
}

static int stop(void **state) {
    (void)state;
    crypto_stop();
    return 0;
}

static void test_a_refresh_token_names_its_session_and_is_read_one_way(void **state) {
    (void)state;
    error err = {0};
    uint8_t id[AUTH_SESSION_ID_SIZE] = {1, 2, 3};
    uint8_t secret[AUTH_SECRET_SIZE] = {4, 5};
    uint8_t read_id[AUTH_SESSION_ID_SIZE];
    uint8_t digest[AUTH_HASH_SIZE];
    uint8_t expected[AUTH_HASH_SIZE];
    char text[AUTH_REFRESH_LENGTH + 1];
    auth_refresh_make(id, secret, text);
    assert_int_equal(strlen(text), AUTH_REFRESH_LENGTH);
    assert_true(auth_refresh_read(slice_of_text(text), read_id, digest, &err));
    assert_memory_equal(read_id, id, sizeof id);
    assert_true(hash_sha256(slice_of(secret, sizeof secret), expected, &err));
    assert_memory_equal(digest, expected, sizeof digest);
    static const char *const bad[] = {"", "cr_", "ck_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "cr_AAAA"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(auth_refresh_read(slice_of_text(bad[i]), read_id, digest, &err));
        assert_int_equal(err.code, ERROR_DENIED);
    }
    text[AUTH_REFRESH_LENGTH - 1] = '=';
    assert_false(auth_refresh_read(slice_of_text(text), read_id, digest, &err));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_refresh_token_names_its_session_and_is_read_one_way),
        cmocka_unit_test(test_a_user_key_is_made_and_checked),
        cmocka_unit_test(test_any_other_text_is_no_user_key),
        cmocka_unit_test(test_a_user_key_is_stored_as_the_hash_of_its_text),
        cmocka_unit_test(test_a_join_token_comes_back_as_it_was_made),
        cmocka_unit_test(test_any_altered_join_token_is_refused_or_another),
        cmocka_unit_test(test_an_address_is_a_host_and_a_port),
        cmocka_unit_test(test_the_bearer_field_is_parsed_strictly),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
