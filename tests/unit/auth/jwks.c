#include "auth/jwks.h"

#include "codec/json.h"
#include "crypto/start.h"

#include "unit.h"

static int start(void **state) {
    error err;
    (void)state;
    json_start(1);
    return crypto_start(&err) ? 0 : -1;
}

static int stop(void **state) {
    (void)state;
    crypto_stop();
    return 0;
}

/* The keys of RFC 8037 A.2, RFC 7515 A.3 and A.2. */
#define OKP "\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\""
#define EC                                                                                                   \
    "\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","                \
    "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\""
#define RSA                                                                                                  \
    "\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":"                                                                  \
    "\"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-"   \
    "yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-"    \
    "KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_"    \
    "h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ\""

static auth_jwks *parse(const char *json, unsigned algorithms) {
    error err = {0};
    auth_jwks *set = auth_jwks_parse(slice_of_text(json), algorithms, &err);
    if (set == NULL) {
        fail_msg("%s", err.text);
    }
    return set;
}

static void test_keys_are_found_by_id_and_algorithm_together(void **state) {
    auth_jwks *set =
        parse("{\"keys\":[{" OKP ",\"kid\":\"a\"},{" EC ",\"kid\":\"b\"},{" RSA ",\"kid\":\"c\"}]}",
              AUTH_ALGORITHMS_ALL);
    (void)state;
    assert_int_equal(auth_jwks_count(set), 3);
    const public_key *found = auth_jwks_find(set, SLICE_LITERAL("b"), SLICE_LITERAL("ES256"));
    assert_non_null(found);
    assert_int_equal(public_key_algorithm_of(found), PUBLIC_KEY_ES256);
    assert_null(auth_jwks_find(set, SLICE_LITERAL("b"), SLICE_LITERAL("EdDSA")));
    assert_null(auth_jwks_find(set, SLICE_LITERAL("b"), SLICE_LITERAL("none")));
    assert_null(auth_jwks_find(set, SLICE_LITERAL("d"), SLICE_LITERAL("ES256")));
    assert_non_null(auth_jwks_find(set, (slice){NULL, 0}, SLICE_LITERAL("RS256")));
    auth_jwks_free(set);
    set = parse("{\"keys\":[{" OKP ",\"kid\":\"a\"},{" OKP ",\"kid\":\"b\"}]}", AUTH_ALGORITHMS_ALL);
    assert_null(auth_jwks_find(set, (slice){NULL, 0}, SLICE_LITERAL("EdDSA")));
    auth_jwks_free(set);
}

static void test_only_allowed_signing_keys_that_are_good_are_kept(void **state) {
    (void)state;
    auth_jwks *set = parse("{\"keys\":[{" OKP "},{" EC "},{" RSA "}]}", AUTH_ALGORITHM_BIT(PUBLIC_KEY_ES256));
    assert_int_equal(auth_jwks_count(set), 1);
    assert_null(auth_jwks_find(set, (slice){NULL, 0}, SLICE_LITERAL("RS256")));
    auth_jwks_free(set);
    set =
        parse("{\"keys\":[{" OKP ",\"use\":\"enc\"},{" EC ",\"alg\":\"ECDH-ES\"},{" RSA ",\"alg\":\"RS512\"},"
              "{\"kty\":\"oct\",\"k\":\"AAAA\"},{\"kty\":\"EC\",\"crv\":\"P-384\"},{\"kty\":\"OKP\"},7,null,"
              "{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\"},{" OKP ",\"use\":\"sig\",\"alg\":\"EdDSA\"}]}",
              AUTH_ALGORITHMS_ALL);
    assert_int_equal(auth_jwks_count(set), 1);
    auth_jwks_free(set);
    set = parse("{\"keys\":[]}", AUTH_ALGORITHMS_ALL);
    assert_int_equal(auth_jwks_count(set), 0);
    assert_null(auth_jwks_find(set, (slice){NULL, 0}, SLICE_LITERAL("EdDSA")));
    auth_jwks_free(set);
}

static void test_what_is_no_key_set_is_refused(void **state) {
    static const char *const wrong[] = {"", "[]", "{}", "{\"keys\":{}}", "{\"keys\":[]} x"};
    error err;
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_null(auth_jwks_parse(slice_of_text(wrong[i]), AUTH_ALGORITHMS_ALL, &err));
        assert_int_equal(err.code, ERROR_INVALID);
    }
    buffer many = buffer_make(AUTH_JWKS_SIZE_MAX);
    buffer_append_text(&many, "{\"keys\":[0");
    for (int i = 0; i < AUTH_JWKS_KEYS_MAX; i++) {
        buffer_append_text(&many, ",0");
    }
    buffer_append_text(&many, "]}");
    assert_null(auth_jwks_parse(buffer_slice(&many), AUTH_ALGORITHMS_ALL, &err));
    assert_int_equal(err.code, ERROR_INVALID);
    buffer_free(&many);
}

static void test_our_own_key_is_read_back(void **state) {
    error err;
    uint8_t seed[SIGN_SEED_SIZE] = {9};
    sign_key *key = sign_key_from_seed(seed, &err);
    buffer json = buffer_make(4096);
    (void)state;
    assert_non_null(key);
    buffer_append_text(&json, "{\"keys\":[");
    auth_jwks_write_key(sign_key_public(key), SLICE_LITERAL("2026-11"), &json);
    buffer_append_text(&json, "]}");
    auth_jwks *set = auth_jwks_parse(buffer_slice(&json), AUTH_ALGORITHMS_ALL, &err);
    assert_non_null(set);
    const public_key *found = auth_jwks_find(set, SLICE_LITERAL("2026-11"), SLICE_LITERAL("EdDSA"));
    uint8_t signature[SIGN_SIGNATURE_SIZE];
    assert_non_null(found);
    assert_true(sign_bytes(key, SLICE_LITERAL("text"), signature, &err));
    assert_true(public_key_verify(found, SLICE_LITERAL("text"), slice_of(signature, sizeof signature)));
    auth_jwks_free(set);
    sign_key_free(key);
    buffer_free(&json);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys_are_found_by_id_and_algorithm_together),
        cmocka_unit_test(test_only_allowed_signing_keys_that_are_good_are_kept),
        cmocka_unit_test(test_what_is_no_key_set_is_refused),
        cmocka_unit_test(test_our_own_key_is_read_back),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
