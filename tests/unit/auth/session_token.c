#include "auth/session_token.h"

#include "auth/jwks.h"
#include "auth/jws.h"
#include "codec/base64.h"
#include "codec/json.h"
#include "crypto/start.h"

#include "unit.h"

static const uint64_t now_ms = 1800000000000;
static const char pool_id[] = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
static arena *memory;
static auth_key_ring ring;

static sign_key *make_key(uint8_t first) {
    error err;
    uint8_t seed[SIGN_SEED_SIZE] = {first};
    sign_key *key = sign_key_from_seed(seed, &err);
    assert_non_null(key);
    return key;
}

static int start(void **state) {
    error err;
    (void)state;
    json_start(1);
    memory = arena_new(1 << 22);
    return crypto_start(&err) && memory != NULL ? 0 : -1;
}

static int stop(void **state) {
    (void)state;
    arena_free(memory);
    crypto_stop();
    return 0;
}

static int make_ring(void **state) {
    error err;
    (void)state;
    ring = (auth_key_ring){.keep_ms = 960000};
    return auth_key_ring_add(&ring, make_key(1), now_ms - 1000, &err) ? 0 : -1;
}

static int free_ring(void **state) {
    (void)state;
    auth_key_ring_free(&ring);
    return 0;
}

static auth_session_token make_token(void) {
    return (auth_session_token){.session_id = {0xAB, 1},
                                .user_name = SLICE_LITERAL("anna"),
                                .role = AUTH_IT_ADMIN,
                                .issued_s = now_ms / 1000,
                                .expires_s = now_ms / 1000 + 600};
}

static void make_text(const auth_session_token *token, buffer *text) {
    error err = {0};
    uint8_t id[AUTH_SESSION_ID_SIZE] = {7};
    assert_true(auth_session_token_make(token, id, pool_id, &ring, text, &err));
}

static error_code read_at(slice text, const char *pool, uint64_t at_ms, auth_session_token *read) {
    error err = {0};
    bool good = auth_session_token_read(text, pool, &ring, at_ms, memory, read, &err);
    return good ? ERROR_NONE : err.code;
}

static void test_a_token_is_read_back_until_it_expires(void **state) {
    (void)state;
    auth_session_token made = make_token();
    auth_session_token read;
    buffer text = buffer_make(AUTH_SESSION_TOKEN_MAX);
    make_text(&made, &text);
    assert_int_equal(read_at(buffer_slice(&text), pool_id, now_ms, &read), ERROR_NONE);
    assert_memory_equal(read.session_id, made.session_id, sizeof made.session_id);
    assert_true(slice_equal_text(read.user_name, "anna"));
    assert_int_equal(read.issued_s, made.issued_s);
    assert_int_equal(read.expires_s, made.expires_s);
    assert_int_equal(read_at(buffer_slice(&text), pool_id, now_ms + 599000, &read), ERROR_NONE);
    assert_int_equal(read_at(buffer_slice(&text), pool_id, now_ms + 605000, &read), ERROR_DENIED);
    assert_int_equal(read_at(buffer_slice(&text), pool_id, now_ms - 6000, &read), ERROR_DENIED);
    buffer_free(&text);
}

static void test_a_token_of_another_pool_or_for_longer_than_allowed_is_refused(void **state) {
    (void)state;
    auth_session_token made = make_token();
    auth_session_token read;
    char other[sizeof pool_id];
    memcpy(other, pool_id, sizeof other);
    other[0] = 'f';
    buffer text = buffer_make(AUTH_SESSION_TOKEN_MAX);
    make_text(&made, &text);
    assert_int_equal(read_at(buffer_slice(&text), other, now_ms, &read), ERROR_DENIED);
    buffer_clear(&text);
    made.expires_s = made.issued_s + 100000;
    make_text(&made, &text);
    assert_int_equal(read_at(buffer_slice(&text), pool_id, now_ms + 900000, &read), ERROR_NONE);
    assert_int_equal(read_at(buffer_slice(&text), pool_id, now_ms + 906000, &read), ERROR_DENIED);
    buffer_free(&text);
}

static void check_refused(const char *header, const char *claims, slice signature) {
    auth_session_token read;
    buffer text = buffer_make(AUTH_JWS_SIZE_MAX);
    base64url_append(&text, slice_of_text(header));
    buffer_append_byte(&text, '.');
    base64url_append(&text, slice_of_text(claims));
    buffer_append_byte(&text, '.');
    base64url_append(&text, signature);
    assert_int_equal(read_at(buffer_slice(&text), pool_id, now_ms, &read), ERROR_DENIED);
    buffer_free(&text);
}

static void test_the_header_chooses_no_algorithm(void **state) {
    (void)state;
    static const char *const algorithms[] = {"none", "None", "", "HS256", "RS256", "ES256", "eddsa"};
    uint8_t zeros[64] = {0};
    for (size_t i = 0; i < sizeof algorithms / sizeof algorithms[0]; i++) {
        char header[256];
        snprintf(header, sizeof header, "{\"alg\":\"%s\",\"typ\":\"at+jwt\",\"kid\":\"%s\"}", algorithms[i],
                 ring.keys[0].id);
        check_refused(header, "{\"sub\":\"anna\"}", (slice){NULL, 0});
        check_refused(header, "{\"sub\":\"anna\"}", slice_of(zeros, sizeof zeros));
        /* A MAC that takes the public key for a secret. */
        check_refused(header, "{\"sub\":\"anna\"}",
                      slice_of(sign_key_public(ring.keys[0].own), SIGN_PUBLIC_SIZE));
    }
    check_refused("{\"alg\":\"EdDSA\",\"typ\":\"at+jwt\"}", "{}", slice_of(zeros, sizeof zeros));
}

static void test_every_changed_byte_is_refused(void **state) {
    (void)state;
    auth_session_token made = make_token();
    auth_session_token read;
    buffer text = buffer_make(AUTH_SESSION_TOKEN_MAX);
    make_text(&made, &text);
    for (size_t i = 0; i < buffer_length(&text); i++) {
        uint8_t before = text.bytes[text.start + i];
        text.bytes[text.start + i] = before == 'A' ? 'B' : 'A';
        assert_int_equal(read_at(buffer_slice(&text), pool_id, now_ms, &read), ERROR_DENIED);
        text.bytes[text.start + i] = before;
        assert_int_equal(read_at(slice_part(buffer_slice(&text), 0, i), pool_id, now_ms, &read),
                         ERROR_DENIED);
    }
    buffer_free(&text);
}

static void test_keys_change_with_an_overlap(void **state) {
    (void)state;
    error err = {0};
    auth_session_token made = make_token();
    auth_session_token read;
    char dropped[AUTH_RING_ID_LENGTH + 1];
    buffer text = buffer_make(AUTH_SESSION_TOKEN_MAX);
    uint64_t begins = now_ms + 600000;
    const char *first = ring.keys[0].id;
    assert_true(auth_key_ring_add(&ring, make_key(2), begins, &err));
    char second[AUTH_RING_ID_LENGTH + 1];
    memcpy(second, ring.keys[1].id, sizeof second);
    assert_string_equal(auth_key_ring_signer(&ring, begins - 1)->id, first);
    assert_string_equal(auth_key_ring_signer(&ring, begins)->id, second);
    made.issued_s = (begins - 1) / 1000;
    made.expires_s = made.issued_s + 600;
    make_text(&made, &text);
    /* Signed by the old key in its last second: good to its end. */
    assert_int_equal(read_at(buffer_slice(&text), pool_id, begins + 590000, &read), ERROR_NONE);
    assert_false(auth_key_ring_drop_ended(&ring, begins + 959999, dropped));
    assert_non_null(auth_key_ring_find(&ring, slice_of_text(first), begins + 959999));
    assert_null(auth_key_ring_find(&ring, slice_of_text(first), begins + 960000));
    assert_true(auth_key_ring_drop_ended(&ring, begins + 960000, dropped));
    assert_int_equal(ring.count, 1);
    assert_false(auth_key_ring_drop_ended(&ring, begins + 960000, dropped));
    assert_string_equal(ring.keys[0].id, second);
    assert_string_equal(auth_key_ring_signer(&ring, 0)->id, second);
    buffer_free(&text);
}

static void test_the_key_set_has_what_is_good_or_will_be(void **state) {
    (void)state;
    error err = {0};
    buffer json = buffer_make(8192);
    assert_true(auth_key_ring_add(&ring, make_key(2), now_ms + 600000, &err));
    auth_key_ring_write(&ring, now_ms, &json);
    auth_jwks *set = auth_jwks_parse(buffer_slice(&json), AUTH_ALGORITHMS_ALL, &err);
    assert_non_null(set);
    assert_int_equal(auth_jwks_count(set), 2);
    assert_non_null(auth_jwks_find(set, slice_of_text(ring.keys[0].id), SLICE_LITERAL("EdDSA")));
    assert_non_null(auth_jwks_find(set, slice_of_text(ring.keys[1].id), SLICE_LITERAL("EdDSA")));
    auth_jwks_free(set);
    buffer_clear(&json);
    auth_key_ring_write(&ring, now_ms + 600000 + 960000, &json);
    set = auth_jwks_parse(buffer_slice(&json), AUTH_ALGORITHMS_ALL, &err);
    assert_non_null(set);
    assert_int_equal(auth_jwks_count(set), 1);
    auth_jwks_free(set);
    buffer_free(&json);
}

static void test_a_ring_takes_so_many_keys_and_an_empty_one_signs_nothing(void **state) {
    (void)state;
    error err = {0};
    for (unsigned i = 2; i <= AUTH_RING_MAX; i++) {
        assert_true(auth_key_ring_add(&ring, make_key((uint8_t)i), now_ms - i, &err));
    }
    assert_false(auth_key_ring_add(&ring, make_key(99), now_ms, &err));
    assert_int_equal(err.code, ERROR_LIMIT);
    for (size_t i = 1; i < ring.count; i++) {
        assert_true(ring.keys[i - 1].begins_ms <= ring.keys[i].begins_ms);
    }
    auth_key_ring_free(&ring);
    assert_null(auth_key_ring_signer(&ring, now_ms));
    auth_session_token token = make_token();
    uint8_t id[AUTH_SESSION_ID_SIZE] = {0};
    buffer text = buffer_make(AUTH_SESSION_TOKEN_MAX);
    assert_false(auth_session_token_make(&token, id, pool_id, &ring, &text, &err));
    assert_int_equal(err.code, ERROR_NOT_FOUND);
}

/* RFC 8037, appendix A.3. */
static void test_a_key_is_named_by_its_thumbprint(void **state) {
    (void)state;
    error err = {0};
    char id[AUTH_RING_ID_LENGTH + 1];
    uint8_t seed[SIGN_SEED_SIZE];
    assert_true(base64url_decode_exact(SLICE_LITERAL("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"), seed,
                                       sizeof seed));
    sign_key *key = sign_key_from_seed(seed, &err);
    assert_true(auth_key_ring_id(key, id, &err));
    assert_string_equal(id, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    sign_key_free(key);
}

static void test_each_failed_allocation_is_an_error(void **state) {
    (void)state;
    auth_session_token token = make_token();
    uint8_t id[AUTH_SESSION_ID_SIZE] = {0};
    bool reached = true;
    for (int nth = 0; reached; nth++) {
        error err = {0};
        auth_session_token read;
        auth_key_ring scratch = {.keep_ms = 1};
        buffer text = buffer_make(AUTH_SESSION_TOKEN_MAX);
        sign_key *key = make_key(3);
        arena_reset(memory);
        fault_fail_nth(nth);
        bool good =
            auth_key_ring_add(&scratch, key, now_ms, &err) &&
            auth_session_token_make(&token, id, pool_id, &scratch, &text, &err) &&
            auth_session_token_read(buffer_slice(&text), pool_id, &scratch, now_ms, memory, &read, &err);
        reached = fault_stop();
        assert_int_equal(good, !reached);
        auth_key_ring_free(&scratch);
        buffer_free(&text);
    }
}

#define RING_TEST(test) cmocka_unit_test_setup_teardown(test, make_ring, free_ring)

int main(void) {
    const struct CMUnitTest tests[] = {
        RING_TEST(test_a_token_is_read_back_until_it_expires),
        RING_TEST(test_a_token_of_another_pool_or_for_longer_than_allowed_is_refused),
        RING_TEST(test_the_header_chooses_no_algorithm),
        RING_TEST(test_every_changed_byte_is_refused),
        RING_TEST(test_keys_change_with_an_overlap),
        RING_TEST(test_the_key_set_has_what_is_good_or_will_be),
        RING_TEST(test_a_ring_takes_so_many_keys_and_an_empty_one_signs_nothing),
        cmocka_unit_test(test_a_key_is_named_by_its_thumbprint),
        cmocka_unit_test(test_each_failed_allocation_is_an_error),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
