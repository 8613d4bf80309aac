#include "auth/jwt.h"

#include "auth/jwks.h"
#include "codec/base64.h"
#include "crypto/start.h"

#include "unit.h"

static sign_key *key;
static public_key *trusted;
static arena *memory;

enum { NOW = 1800000000 };

static int start(void **state) {
    error err;
    uint8_t seed[SIGN_SEED_SIZE] = {1};
    (void)state;
    json_start(1);
    if (!crypto_start(&err)) {
        return -1;
    }
    key = sign_key_from_seed(seed, &err);
    trusted = key == NULL ? NULL : public_key_eddsa(slice_of(sign_key_public(key), SIGN_PUBLIC_SIZE), &err);
    memory = arena_new(1 << 20);
    return trusted != NULL && memory != NULL ? 0 : -1;
}

static int stop(void **state) {
    (void)state;
    public_key_free(trusted);
    sign_key_free(key);
    arena_free(memory);
    crypto_stop();
    return 0;
}

static auth_jwt_expected make_expected(void) {
    return (auth_jwt_expected){.issuer = SLICE_LITERAL("https://issuer.example"),
                               .audience = SLICE_LITERAL("cellule"),
                               .now_s = NOW,
                               .leeway_s = AUTH_JWT_LEEWAY_S};
}

/* Signs the claims, reads the token back and checks it. */
static bool check(const char *claims, const auth_jwt_expected *expected, error *err) {
    auth_jws jws;
    auth_jwt jwt = {0};
    buffer token = buffer_make(AUTH_JWS_SIZE_MAX);
    assert_true(auth_jws_sign(slice_of_text(claims), "JWT", SLICE_LITERAL("k1"), key, &token, err));
    assert_true(auth_jws_parse(buffer_slice(&token), memory, &jws, err));
    assert_true(slice_equal_text(jws.key_id, "k1"));
    assert_true(auth_jws_verify(&jws, trusted, err));
    bool good = auth_jwt_check(&jws, expected, &jwt, err);
    json_free(jwt.root);
    buffer_free(&token);
    return good;
}

#define CLAIMS(issuer, audience, subject, times)                                                             \
    "{\"iss\":" issuer ",\"aud\":" audience ",\"sub\":" subject "," times "}"
#define ISSUER "\"https://issuer.example\""
#define TIMES "\"iat\":1799999990,\"exp\":1800000300"

static void test_a_good_token_is_taken(void **state) {
    static const char *const good[] = {
        CLAIMS(ISSUER, "\"cellule\"", "\"anna\"", TIMES),
        CLAIMS(ISSUER, "[\"cellule\"]", "\"anna\"", TIMES),
        CLAIMS(ISSUER, "[\"other\",\"cellule\"]", "\"anna\"", TIMES),
        CLAIMS(ISSUER, "[\"other\",\"cellule\"]", "\"anna\"", TIMES ",\"azp\":\"cellule\""),
        CLAIMS(ISSUER, "\"cellule\"", "\"anna\"",
               "\"iat\":1800000060,\"exp\":1800000300.5,\"nbf\":1800000059"),
        CLAIMS(ISSUER, "\"cellule\"", "\"anna\"", "\"iat\":1700000000,\"exp\":1799999941"),
    };
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        error err;
        auth_jwt_expected expected = make_expected();
        if (!check(good[i], &expected, &err)) {
            fail_msg("%s: %s", good[i], err.text);
        }
    }
}

static void test_a_token_for_others_or_another_time_is_refused_by_its_claim(void **state) {
    static const struct {
        const char *claims;
        const char *claim;
    } bad[] = {
        {"[]", "\"iss\""},
        {"{}", "\"iss\""},
        {CLAIMS("\"https://issuer.example/\"", "\"cellule\"", "\"anna\"", TIMES), "\"iss\""},
        {CLAIMS("[\"https://issuer.example\"]", "\"cellule\"", "\"anna\"", TIMES), "\"iss\""},
        {CLAIMS(ISSUER, "\"Cellule\"", "\"anna\"", TIMES), "\"aud\""},
        {CLAIMS(ISSUER, "[]", "\"anna\"", TIMES), "\"aud\""},
        {CLAIMS(ISSUER, "[\"cellule\",7]", "\"anna\"", TIMES), "\"aud\""},
        {CLAIMS(ISSUER, "null", "\"anna\"", TIMES), "\"aud\""},
        {CLAIMS(ISSUER, "[\"cellule\",\"other\"]", "\"anna\"", TIMES ",\"azp\":\"other\""), "\"aud\""},
        {CLAIMS(ISSUER, "\"cellule\"", "\"anna\"", TIMES ",\"azp\":\"other\""), "\"aud\""},
        {CLAIMS(ISSUER, "\"cellule\"", "\"\"", TIMES), "\"sub\""},
        {CLAIMS(ISSUER, "\"cellule\"", "7", TIMES), "\"sub\""},
        {CLAIMS(ISSUER, "\"cellule\"", "\"anna\"", "\"iat\":1799999990"), "\"exp\""},
        {CLAIMS(ISSUER, "\"cellule\"", "\"anna\"", "\"iat\":1799999990,\"exp\":1799999940"), "\"exp\""},
        {CLAIMS(ISSUER, "\"cellule\"", "\"anna\"", "\"iat\":1799999990,\"exp\":\"1800000300\""), "\"exp\""},
        {CLAIMS(ISSUER, "\"cellule\"", "\"anna\"", "\"iat\":1799999990,\"exp\":1e300"), "\"exp\""},
        {CLAIMS(ISSUER, "\"cellule\"", "\"anna\"", "\"iat\":1799999990,\"exp\":-1"), "\"exp\""},
        {CLAIMS(ISSUER, "\"cellule\"", "\"anna\"", "\"exp\":1800000300"), "\"iat\""},
        {CLAIMS(ISSUER, "\"cellule\"", "\"anna\"", "\"iat\":1800000061,\"exp\":1800000300"), "\"iat\""},
        {CLAIMS(ISSUER, "\"cellule\"", "\"anna\"", TIMES ",\"nbf\":1800000061"), "\"nbf\""},
        {CLAIMS(ISSUER, "\"cellule\"", "\"anna\"", TIMES ",\"nbf\":null"), "\"nbf\""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        error err = {0};
        auth_jwt_expected expected = make_expected();
        assert_false(check(bad[i].claims, &expected, &err));
        assert_int_equal(err.code, ERROR_DENIED);
        if (strstr(err.text, bad[i].claim) == NULL) {
            fail_msg("%s: %s", bad[i].claims, err.text);
        }
    }
}

static void test_nonce_type_and_age_count_where_they_are_asked_for(void **state) {
    error err = {0};
    auth_jwt_expected expected = make_expected();
    (void)state;
    expected.nonce = SLICE_LITERAL("n1");
    assert_true(check(CLAIMS(ISSUER, "\"cellule\"", "\"anna\"", TIMES ",\"nonce\":\"n1\""), &expected, &err));
    assert_false(
        check(CLAIMS(ISSUER, "\"cellule\"", "\"anna\"", TIMES ",\"nonce\":\"n2\""), &expected, &err));
    assert_false(check(CLAIMS(ISSUER, "\"cellule\"", "\"anna\"", TIMES), &expected, &err));
    expected = make_expected();
    expected.type = SLICE_LITERAL("jwt");
    assert_true(check(CLAIMS(ISSUER, "\"cellule\"", "\"anna\"", TIMES), &expected, &err));
    expected.type = SLICE_LITERAL("logout+jwt");
    assert_false(check(CLAIMS(ISSUER, "\"cellule\"", "\"anna\"", TIMES), &expected, &err));
    expected = make_expected();
    expected.age_s = 100;
    assert_true(check(CLAIMS(ISSUER, "\"cellule\"", "\"anna\"", "\"iat\":1799999840,\"exp\":1800000300"),
                      &expected, &err));
    assert_false(check(CLAIMS(ISSUER, "\"cellule\"", "\"anna\"", "\"iat\":1799999839,\"exp\":1800000300"),
                       &expected, &err));
    expected = make_expected();
    expected.subject_optional = true;
    assert_true(check("{\"iss\":" ISSUER ",\"aud\":\"cellule\"," TIMES ",\"sid\":\"s\"}", &expected, &err));
    assert_false(check(CLAIMS(ISSUER, "\"cellule\"", "\"\"", TIMES), &expected, &err));
    expected = make_expected();
    expected.audience = (slice){NULL, 0};
    assert_false(check(CLAIMS(ISSUER, "\"\"", "\"anna\"", TIMES), &expected, &err));
}

/* A token of any header, signed with the trusted key. */
static void make_token(buffer *token, const char *header, const char *payload) {
    error err;
    uint8_t signature[SIGN_SIGNATURE_SIZE];
    base64url_append(token, slice_of_text(header));
    buffer_append_byte(token, '.');
    base64url_append(token, slice_of_text(payload));
    assert_true(sign_bytes(key, buffer_slice(token), signature, &err));
    buffer_append_byte(token, '.');
    base64url_append(token, slice_of(signature, sizeof signature));
}

static void test_the_header_chooses_nothing(void **state) {
    static const char *const headers[] = {
        "{\"alg\":\"none\"}",  "{\"alg\":\"HS256\"}", "{\"alg\":\"ES256\"}",       "{\"alg\":\"RS256\"}",
        "{\"alg\":\"eddsa\"}", "{\"alg\":\"\"}",      "{\"alg\":\"EdDSA\\u0000\"}"};
    (void)state;
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
        error err = {0};
        auth_jws jws;
        buffer token = buffer_make(AUTH_JWS_SIZE_MAX);
        make_token(&token, headers[i], "{}");
        assert_false(auth_jws_parse(buffer_slice(&token), memory, &jws, &err) &&
                     auth_jws_verify(&jws, trusted, &err));
        assert_int_equal(err.code, ERROR_DENIED);
        buffer_free(&token);
    }
}

static void test_what_is_no_token_is_refused(void **state) {
    static const char *const wrong[] = {"",
                                        ".",
                                        "..",
                                        "...",
                                        "e30.e30",
                                        "e30.e30.",
                                        "bnVsbA.e30.AAAA",
                                        "eyJhbGciOjF9.e30.AAAA",
                                        "eyJhbGciOiJFZERTQSJ9=.e30.AAAA",
                                        "eyJhbGciOiJFZERTQSJ9.e30.AAAA.AAAA",
                                        "eyJhbGciOiJFZERTQSJ9.e3 0.AAAA"};
    static const char *const headers[] = {
        "{\"alg\":\"EdDSA\",\"crit\":[\"exp\"]}", "{\"alg\":\"EdDSA\",\"b64\":false}",
        "{\"alg\":\"EdDSA\",\"kid\":1}", "{\"alg\":\"EdDSA\",\"alg\":\"EdDSA\"}"};
    error err = {0};
    auth_jws jws;
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        if (auth_jws_parse(slice_of_text(wrong[i]), memory, &jws, &err)) {
            fail_msg("accepted: %s", wrong[i]);
        }
        assert_int_equal(err.code, ERROR_DENIED);
    }
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
        buffer token = buffer_make(AUTH_JWS_SIZE_MAX);
        make_token(&token, headers[i], "{}");
        assert_false(auth_jws_parse(buffer_slice(&token), memory, &jws, &err));
        assert_int_equal(err.code, ERROR_DENIED);
        buffer_free(&token);
    }
    static char much[AUTH_JWS_SIZE_MAX + 1];
    memset(much, 'A', sizeof much);
    much[4] = '.';
    much[8] = '.';
    assert_false(auth_jws_parse(slice_of(much, sizeof much), memory, &jws, &err));
}

static void test_a_change_anywhere_voids_a_token(void **state) {
    buffer token = buffer_make(AUTH_JWS_SIZE_MAX);
    (void)state;
    make_token(&token, "{\"alg\":\"EdDSA\"}", "{\"sub\":\"anna\"}");
    slice text = buffer_slice(&token);
    for (size_t i = 0; i < text.length; i++) {
        error err;
        auth_jws jws;
        uint8_t changed[512];
        assert_true(text.length <= sizeof changed);
        memcpy(changed, text.data, text.length);
        changed[i] = changed[i] == 'A' ? 'B' : 'A';
        assert_false(auth_jws_parse(slice_of(changed, text.length), memory, &jws, &err) &&
                     auth_jws_verify(&jws, trusted, &err));
    }
    buffer_free(&token);
}

static void test_no_memory_is_told(void **state) {
    (void)state;
    for (int nth = 0;; nth++) {
        error err = {0};
        auth_jws jws;
        auth_jwt jwt = {0};
        auth_jwt_expected expected = make_expected();
        buffer token = buffer_make(AUTH_JWS_SIZE_MAX);
        arena *a = arena_new(65536);
        assert_non_null(a);
        fault_fail_nth(nth);
        bool good = auth_jws_sign(SLICE_LITERAL(CLAIMS(ISSUER, "\"cellule\"", "\"anna\"", TIMES)), "JWT",
                                  SLICE_LITERAL("k1"), key, &token, &err) &&
                    auth_jws_parse(buffer_slice(&token), a, &jws, &err) &&
                    auth_jws_verify(&jws, trusted, &err) && auth_jwt_check(&jws, &expected, &jwt, &err);
        bool reached = fault_stop();
        json_free(jwt.root);
        buffer_free(&token);
        arena_free(a);
        assert_int_equal(good, !reached);
        if (!reached) {
            break;
        }
        assert_int_equal(err.code, ERROR_MEMORY);
        assert_true(nth < 200);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_good_token_is_taken),
        cmocka_unit_test(test_a_token_for_others_or_another_time_is_refused_by_its_claim),
        cmocka_unit_test(test_nonce_type_and_age_count_where_they_are_asked_for),
        cmocka_unit_test(test_the_header_chooses_nothing),
        cmocka_unit_test(test_what_is_no_token_is_refused),
        cmocka_unit_test(test_a_change_anywhere_voids_a_token),
        cmocka_unit_test(test_no_memory_is_told),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
