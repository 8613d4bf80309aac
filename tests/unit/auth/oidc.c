#include "auth/oidc.h"

#include "crypto/start.h"

#include "unit.h"

#include <stdio.h>

enum { NOW = 1800000000 };

#define ISSUER "https://login.example"

static sign_key *own;
static auth_jwks *keys;
static arena *memory;

static const auth_oidc_rule rules[] = {{SLICE_LITERAL("admins"), AUTH_IT_ADMIN},
                                       {SLICE_LITERAL("staff"), AUTH_EMPLOYEE}};
static const auth_oidc_client client = {.issuer = SLICE_LITERAL(ISSUER),
                                        .client_id = SLICE_LITERAL("cellule"),
                                        .name_claim = SLICE_LITERAL("preferred_username"),
                                        .groups_claim = SLICE_LITERAL("groups"),
                                        .rules = rules,
                                        .rule_count = 2,
                                        .default_role = AUTH_ROLE_COUNT};

static int start(void **state) {
    error err;
    uint8_t seed[SIGN_SEED_SIZE] = {1};
    (void)state;
    json_start(1);
    memory = arena_new(1 << 22);
    if (!crypto_start(&err) || memory == NULL) {
        return -1;
    }
    own = sign_key_from_seed(seed, &err);
    buffer json = buffer_make(4096);
    buffer_append_text(&json, "{\"keys\":[");
    auth_jwks_write_key(sign_key_public(own), SLICE_LITERAL("k1"), &json);
    buffer_append_text(&json, "]}");
    keys = auth_jwks_parse(buffer_slice(&json), AUTH_ALGORITHMS_ALL, &err);
    buffer_free(&json);
    return keys != NULL ? 0 : -1;
}

static int stop(void **state) {
    (void)state;
    auth_jwks_free(keys);
    sign_key_free(own);
    arena_free(memory);
    crypto_stop();
    return 0;
}

static slice make(const char *claims) {
    error err;
    slice kept;
    buffer token = buffer_make(AUTH_JWS_SIZE_MAX);
    assert_true(auth_jws_sign(slice_of_text(claims), "JWT", SLICE_LITERAL("k1"), own, &token, &err));
    assert_true(arena_copy(memory, buffer_slice(&token), &kept));
    buffer_free(&token);
    return kept;
}

static error_code read_id(slice token, const char *nonce, auth_oidc_person *person) {
    error err = {0};
    return auth_oidc_read_id_token(token, &client, keys, slice_of_text(nonce), NOW, memory, person, &err)
               ? ERROR_NONE
               : err.code;
}

#define TIMES "\"iat\":1799999990,\"exp\":1800000300"
#define BASE "\"iss\":\"" ISSUER "\",\"aud\":\"cellule\",\"sub\":\"s-1\"," TIMES

static void test_a_login_gives_a_person_with_name_and_role(void **state) {
    (void)state;
    auth_oidc_person person;
    assert_int_equal(read_id(make("{" BASE ",\"nonce\":\"n\",\"sid\":\"x\",\"preferred_username\":\"Anna.B\","
                                  "\"groups\":[\"other\",\"staff\",\"admins\"]}"),
                             "n", &person),
                     ERROR_NONE);
    assert_true(slice_equal_text(person.subject, "s-1"));
    assert_true(slice_equal_text(person.provider_session, "x"));
    assert_true(slice_equal_text(person.name, "anna.b"));
    assert_int_equal(person.role, AUTH_IT_ADMIN); /* the first rule that fits */
    assert_int_equal(read_id(make("{" BASE ",\"groups\":\"staff\"}"), "", &person), ERROR_NONE);
    assert_int_equal(person.role, AUTH_EMPLOYEE);
    assert_int_equal(person.name.length, 0);
}

static void test_a_session_s_name_that_is_too_long_is_refused(void **state) {
    (void)state;
    char json[1024];
    char name[257] = "";
    auth_oidc_person person;
    memset(name, 'a', 255);
    for (size_t length = 255; length <= 256; length++) {
        name[length - 1] = 'a';
        snprintf(json, sizeof json, "{" BASE ",\"sid\":\"%s\"}", name);
        assert_int_equal(read_id(make(json), "", &person), length == 255 ? ERROR_NONE : ERROR_DENIED);
    }
}

static void test_who_is_in_no_group_has_no_role(void **state) {
    (void)state;
    static const char *const none[] = {
        "{" BASE "}",
        "{" BASE ",\"groups\":[]}",
        "{" BASE ",\"groups\":[\"admin\",\"Admins\",\"admins \",7,null,[\"admins\"]]}",
        "{" BASE ",\"groups\":{\"admins\":true}}",
        "{" BASE ",\"groups\":7,\"role\":\"it_admin\"}",
    };
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
        auth_oidc_person person;
        assert_int_equal(read_id(make(none[i]), "", &person), ERROR_NONE);
        assert_int_equal(person.role, AUTH_ROLE_COUNT);
    }
}

static void test_a_token_for_others_or_another_time_logs_nobody_in(void **state) {
    (void)state;
    static const char *const bad[] = {
        "{\"iss\":\"https://evil.example\",\"aud\":\"cellule\",\"sub\":\"s\"," TIMES "}",
        "{\"iss\":\"" ISSUER "/\",\"aud\":\"cellule\",\"sub\":\"s\"," TIMES "}",
        "{\"iss\":\"" ISSUER "\",\"aud\":\"another\",\"sub\":\"s\"," TIMES "}",
        "{\"iss\":\"" ISSUER "\",\"aud\":[\"cellule\",\"x\"],\"azp\":\"x\",\"sub\":\"s\"," TIMES "}",
        "{\"iss\":\"" ISSUER "\",\"aud\":\"cellule\"," TIMES "}",
        "{\"iss\":\"" ISSUER "\",\"aud\":\"cellule\",\"sub\":\"s\",\"iat\":1799999000,\"exp\":1799999900}",
        "{\"iss\":\"" ISSUER "\",\"aud\":\"cellule\",\"sub\":\"s\",\"iat\":1800000100,\"exp\":1800000300}",
        "{\"iss\":\"" ISSUER "\",\"aud\":\"cellule\",\"sub\":\"s\",\"iat\":1799990000,\"exp\":1800000300}",
        "{" BASE ",\"nbf\":1800000100}",
        "{" BASE ",\"events\":{\"http://schemas.openid.net/event/backchannel-logout\":{}}}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        auth_oidc_person person;
        if (read_id(make(bad[i]), "", &person) != ERROR_DENIED) {
            fail_msg("%s", bad[i]);
        }
    }
}

static void test_a_token_of_another_login_is_refused_by_its_nonce(void **state) {
    (void)state;
    auth_oidc_person person;
    assert_int_equal(read_id(make("{" BASE ",\"nonce\":\"mine\"}"), "mine", &person), ERROR_NONE);
    assert_int_equal(read_id(make("{" BASE ",\"nonce\":\"yours\"}"), "mine", &person), ERROR_DENIED);
    assert_int_equal(read_id(make("{" BASE "}"), "mine", &person), ERROR_DENIED);
}

static void test_the_token_chooses_neither_key_nor_algorithm(void **state) {
    (void)state;
    error err = {0};
    auth_oidc_person person;
    slice good = make("{" BASE "}");
    size_t dot = slice_find(good, '.');
    static const char *const headers[] = {
        "eyJhbGciOiJub25lIiwia2lkIjoiazEifQ",  /* {"alg":"none","kid":"k1"} */
        "eyJhbGciOiJIUzI1NiIsImtpZCI6ImsxIn0", /* HS256 */
        "eyJhbGciOiJSUzI1NiIsImtpZCI6ImsxIn0", /* RS256 */
        "eyJhbGciOiJFZERTQSIsImtpZCI6ImsyIn0", /* EdDSA, k2 */
    };
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
        char *text = arena_format(memory, "%s%.*s", headers[i], SLICE_FORMAT(slice_after(good, dot)));
        assert_int_equal(read_id(slice_of_text(text), "", &person), ERROR_DENIED);
        char *bare =
            arena_format(memory, "%s%.*s", headers[i],
                         SLICE_FORMAT(slice_part(slice_after(good, dot), 0, good.length - dot - 86)));
        assert_int_equal(read_id(slice_of_text(bare), "", &person), ERROR_DENIED);
    }
    /* The same key, but of an algorithm that the site doesn't allow this issuer. */
    buffer json = buffer_make(4096);
    buffer_append_text(&json, "{\"keys\":[");
    auth_jwks_write_key(sign_key_public(own), SLICE_LITERAL("k1"), &json);
    buffer_append_text(&json, "]}");
    auth_jwks *others = auth_jwks_parse(buffer_slice(&json), AUTH_ALGORITHM_BIT(PUBLIC_KEY_RS256), &err);
    assert_false(
        auth_oidc_read_id_token(good, &client, others, (slice){NULL, 0}, NOW, memory, &person, &err));
    assert_int_equal(err.code, ERROR_DENIED);
    auth_jwks_free(others);
    buffer_free(&json);
}

static void test_userinfo_is_believed_of_the_same_person_only(void **state) {
    (void)state;
    error err = {0};
    auth_oidc_person person;
    assert_int_equal(read_id(make("{" BASE "}"), "", &person), ERROR_NONE);
    assert_false(auth_oidc_read_userinfo(SLICE_LITERAL("{\"sub\":\"s-2\",\"groups\":[\"admins\"]}"), &client,
                                         memory, &person, &err));
    assert_int_equal(person.role, AUTH_ROLE_COUNT);
    assert_false(
        auth_oidc_read_userinfo(SLICE_LITERAL("{\"groups\":[\"admins\"]}"), &client, memory, &person, &err));
    assert_true(auth_oidc_read_userinfo(
        SLICE_LITERAL("{\"sub\":\"s-1\",\"groups\":[\"admins\"],\"preferred_username\":\"anna\"}"), &client,
        memory, &person, &err));
    assert_int_equal(person.role, AUTH_IT_ADMIN);
    assert_true(slice_equal_text(person.name, "anna"));
    /* What the ID token says of groups isn't widened afterwards. */
    assert_int_equal(read_id(make("{" BASE ",\"groups\":[\"staff\"]}"), "", &person), ERROR_NONE);
    assert_true(auth_oidc_read_userinfo(SLICE_LITERAL("{\"sub\":\"s-1\",\"groups\":[\"admins\"]}"), &client,
                                        memory, &person, &err));
    assert_int_equal(person.role, AUTH_EMPLOYEE);
}

static void test_metadata_speak_of_their_issuer_and_of_safe_places(void **state) {
    (void)state;
    error err = {0};
    auth_oidc_metadata m;
#define PLACES(token)                                                                                        \
    "\"authorization_endpoint\":\"https://login.example/a\",\"jwks_uri\":\"https://login.example/j\","       \
    "\"token_endpoint\":\"" token "\""
    slice good = SLICE_LITERAL("{\"issuer\":\"" ISSUER "\"," PLACES("https://login.example/t") "}");
    assert_true(auth_oidc_metadata_parse(good, SLICE_LITERAL(ISSUER), memory, &m, &err));
    assert_true(slice_equal_text(m.token_endpoint, "https://login.example/t"));
    assert_int_equal(m.device_endpoint.length, 0);
    assert_false(auth_oidc_metadata_parse(good, SLICE_LITERAL("https://other.example"), memory, &m, &err));
    static const char *const bad[] = {
        "{}",
        "[]",
        "{\"issuer\":\"" ISSUER "/\"," PLACES("https://login.example/t") "}",
        "{\"issuer\":\"" ISSUER "\"," PLACES("http://login.example/t") "}",
        "{\"issuer\":\"" ISSUER "\"," PLACES("file:///etc/passwd") "}",
        "{\"issuer\":\"" ISSUER "\"," PLACES("") "}",
        "{\"issuer\":\"" ISSUER "\"," PLACES("https://a@login.example/t") "}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (auth_oidc_metadata_parse(slice_of_text(bad[i]), SLICE_LITERAL(ISSUER), memory, &m, &err)) {
            fail_msg("%s", bad[i]);
        }
    }
}

static void test_tokens_go_to_https_or_to_loopback_alone(void **state) {
    (void)state;
    static const char *const good[] = {
        "https://a.example",  "https://a.example:8443/x?y=z", "https://10.0.0.1/",  "http://127.0.0.1:80/x",
        "http://localhost/x", "http://[::1]:8080/x",          "https://[fd00::1]/x"};
    static const char *const bad[] = {"",
                                      "https://",
                                      "http://a.example/",
                                      "http://127.0.0.1.evil.example/",
                                      "http://localhost.evil.example/",
                                      "http://localhost@evil.example/",
                                      "https://user@a.example/",
                                      "https://a.example/#f",
                                      "https://a.example\\@evil.example/",
                                      "https://a .example/",
                                      "HTTPS://a.example/",
                                      "ftp://a.example/",
                                      "javascript:alert(1)",
                                      "//a.example/"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(auth_oidc_url_is_safe(slice_of_text(good[i])));
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (auth_oidc_url_is_safe(slice_of_text(bad[i]))) {
            fail_msg("%s", bad[i]);
        }
    }
}

#define EVENT "\"events\":{\"http://schemas.openid.net/event/backchannel-logout\":{}}"
#define LOGOUT "\"iss\":\"" ISSUER "\",\"aud\":\"cellule\"," TIMES

static void test_a_logout_token_names_somebody_and_is_no_other_token(void **state) {
    (void)state;
    error err = {0};
    auth_oidc_logout logout;
    assert_true(auth_oidc_read_logout_token(make("{" LOGOUT ",\"jti\":\"j\",\"sid\":\"x\"," EVENT "}"),
                                            &client, keys, NOW, memory, &logout, &err));
    assert_true(slice_equal_text(logout.provider_session, "x") && logout.subject.length == 0);
    assert_true(slice_equal_text(logout.id, "j"));
    assert_int_equal(logout.expires_s, 1800000300);
    assert_true(auth_oidc_read_logout_token(make("{" LOGOUT ",\"jti\":\"j\",\"sub\":\"s\"," EVENT "}"),
                                            &client, keys, NOW, memory, &logout, &err));
    static const char *const bad[] = {
        "{" LOGOUT ",\"jti\":\"j\"," EVENT "}",
        "{" LOGOUT ",\"sub\":\"s\"," EVENT "}",
        "{" LOGOUT ",\"jti\":\"j\",\"sub\":\"s\"}",
        "{" LOGOUT ",\"jti\":\"j\",\"sub\":\"s\",\"events\":{}}",
        "{" LOGOUT
        ",\"jti\":\"j\",\"sub\":\"s\",\"events\":[\"http://schemas.openid.net/event/backchannel-logout\"]}",
        "{" LOGOUT ",\"jti\":\"j\",\"sub\":\"s\",\"nonce\":\"n\"," EVENT "}",
        "{\"iss\":\"https://evil.example\",\"aud\":\"cellule\",\"jti\":\"j\",\"sub\":\"s\"," TIMES "," EVENT
        "}",
        "{\"iss\":\"" ISSUER "\",\"aud\":\"another\",\"jti\":\"j\",\"sub\":\"s\"," TIMES "," EVENT "}",
        "{\"iss\":\"" ISSUER
        "\",\"aud\":\"cellule\",\"jti\":\"j\",\"sub\":\"s\",\"iat\":1799990000,\"exp\":1799999000," EVENT "}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (auth_oidc_read_logout_token(make(bad[i]), &client, keys, NOW, memory, &logout, &err)) {
            fail_msg("%s", bad[i]);
        }
    }
}

static void test_a_token_s_issuer_can_be_looked_at(void **state) {
    (void)state;
    assert_true(slice_equal_text(auth_oidc_issuer(make("{" BASE "}"), memory), ISSUER));
    assert_int_equal(auth_oidc_issuer(make("{\"sub\":\"s\"}"), memory).length, 0);
    assert_int_equal(auth_oidc_issuer(make("{\"iss\":1}"), memory).length, 0);
    assert_int_equal(auth_oidc_issuer(make("[]"), memory).length, 0);
    assert_int_equal(auth_oidc_issuer(SLICE_LITERAL("a.b"), memory).length, 0);
    assert_int_equal(auth_oidc_issuer((slice){NULL, 0}, memory).length, 0);
}

static void test_each_failed_allocation_is_an_error(void **state) {
    (void)state;
    slice token = make("{" BASE ",\"preferred_username\":\"anna\",\"groups\":[\"staff\"]}");
    bool reached = true;
    for (int nth = 0; reached; nth++) {
        error err = {0};
        auth_oidc_person person;
        fault_fail_nth(nth);
        arena *a = arena_new(1 << 20);
        bool read = a != NULL &&
                    auth_oidc_read_id_token(token, &client, keys, (slice){NULL, 0}, NOW, a, &person, &err);
        reached = fault_stop();
        assert_int_equal(read, !reached);
        arena_free(a);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_login_gives_a_person_with_name_and_role),
        cmocka_unit_test(test_a_session_s_name_that_is_too_long_is_refused),
        cmocka_unit_test(test_who_is_in_no_group_has_no_role),
        cmocka_unit_test(test_a_token_for_others_or_another_time_logs_nobody_in),
        cmocka_unit_test(test_a_token_of_another_login_is_refused_by_its_nonce),
        cmocka_unit_test(test_the_token_chooses_neither_key_nor_algorithm),
        cmocka_unit_test(test_userinfo_is_believed_of_the_same_person_only),
        cmocka_unit_test(test_metadata_speak_of_their_issuer_and_of_safe_places),
        cmocka_unit_test(test_tokens_go_to_https_or_to_loopback_alone),
        cmocka_unit_test(test_a_logout_token_names_somebody_and_is_no_other_token),
        cmocka_unit_test(test_a_token_s_issuer_can_be_looked_at),
        cmocka_unit_test(test_each_failed_allocation_is_an_error),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
