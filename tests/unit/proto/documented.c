/* The examples of docs/protocol.md hold: their form, their order, their signatures. */
#include "codec/envelope.h"
#include "codec/json.h"
#include "crypto/hash.h"
#include "crypto/sign.h"
#include "crypto/start.h"
#include "examples.h"
#include "ledger/succession.h"
#include "proto/proof.h"
#include "proto/rekey.h"
#include "proto/trust.h"

static void test_the_documented_examples_are_every_message_in_its_written_form(void **state) {
    (void)state;
    example examples[64];
    bool seen[PROTO_TYPE_COUNT] = {false};
    size_t count = read_examples(examples, 64);
    for (size_t i = 0; i < count; i++) {
        proto_message message;
        error err = {.text = ""};
        if (!proto_decode(examples[i].text, memory_of_test, &message, &err)) {
            fail_msg("%.*s: %s", SLICE_FORMAT(examples[i].text), err.text);
        }
        assert_int_equal(proto_type_sender(message.type), examples[i].sender);
        assert_encodes_to(&message, examples[i].text);
        seen[message.type] = true;
    }
    for (unsigned i = 0; i < PROTO_TYPE_COUNT; i++) {
        assert_true(seen[i]);
    }
}

static void test_the_documented_exchange_is_a_whole_session(void **state) {
    (void)state;
    example examples[64];
    size_t count = read_examples(examples, 64);
    proto_state now = PROTO_CLOSED;
    size_t moves = 0;
    for (size_t i = 0; i < count; i++) {
        proto_message message;
        error err;
        unsigned code = 0;
        assert_true(proto_decode(examples[i].text, memory_of_test, &message, &err));
        if (message.type == PROTO_HELLO) {
            now = PROTO_AWAITING_HELLO;
        }
        if (now != PROTO_CLOSED) {
            assert_true(proto_session_move(&now, examples[i].sender, message.type, &code));
            moves++;
        }
    }
    assert_int_equal(now, PROTO_CLOSED);
    assert_true(moves >= 14);
}

/* A blank keeps a message from the decoder for the exact form that proto_encode writes. */
static void test_a_message_means_the_same_with_and_without_blanks(void **state) {
    (void)state;
    example examples[64];
    size_t count = read_examples(examples, 64);
    for (size_t i = 0; i < count; i++) {
        proto_message plain;
        proto_message blank;
        error err;
        buffer spaced = buffer_make(PROTO_MESSAGE_MAX);
        buffer first = buffer_make(PROTO_MESSAGE_MAX);
        buffer second = buffer_make(PROTO_MESSAGE_MAX);
        buffer_append_text(&spaced, "{ ");
        buffer_append(&spaced, slice_after(examples[i].text, 1));
        assert_true(proto_decode(examples[i].text, memory_of_test, &plain, &err));
        assert_true(proto_decode(buffer_slice(&spaced), memory_of_test, &blank, &err));
        assert_true(proto_encode(&plain, &first, &err) && proto_encode(&blank, &second, &err));
        assert_true(slice_equal(buffer_slice(&first), buffer_slice(&second)));
        assert_true(slice_equal(buffer_slice(&first), examples[i].text));
        buffer_free(&spaced);
        buffer_free(&first);
        buffer_free(&second);
    }
}

static void test_the_documented_proof_is_signed_by_the_documented_key(void **state) {
    (void)state;
    example examples[64];
    size_t count = read_examples(examples, 64);
    proto_proof_input input = {.pool_id = {0}};
    uint8_t key[PROTO_PUBLIC_KEY_SIZE] = {0};
    uint8_t signature[PROTO_SIGNATURE_SIZE] = {0};
    memset(input.exporter, 0x33, sizeof input.exporter);
    for (size_t i = 0; i < count; i++) {
        proto_message message;
        error err;
        assert_true(proto_decode(examples[i].text, memory_of_test, &message, &err));
        if (message.type == PROTO_HELLO) {
            memcpy(key, message.hello.public_key, sizeof key);
            memcpy(input.worker_id, message.hello.worker_id, sizeof input.worker_id);
            memcpy(input.worker_nonce, message.hello.nonce, sizeof input.worker_nonce);
        } else if (message.type == PROTO_CHALLENGE) {
            memcpy(input.pool_id, message.challenge.pool_id, sizeof input.pool_id);
            memcpy(input.pool_nonce, message.challenge.nonce, sizeof input.pool_nonce);
        } else if (message.type == PROTO_PROOF) {
            memcpy(signature, message.proof.signature, sizeof signature);
        }
    }
    buffer bytes = buffer_make(4096);
    proto_proof_bytes(&input, &bytes);
    assert_false(buffer_failed(&bytes));
    uint8_t digest[HASH_SIZE];
    char hex[HASH_HEX_SIZE];
    error err;
    assert_true(hash_sha256(buffer_slice(&bytes), digest, &err));
    hex_encode(slice_of(digest, sizeof digest), hex);
    assert_non_null(strstr(document, hex));
    assert_true(sign_verify(key, buffer_slice(&bytes), signature));
    assert_true(hash_sha256(slice_of(key, sizeof key), digest, &err));
    assert_memory_equal(digest, input.worker_id, sizeof input.worker_id);
    buffer_free(&bytes);
}

static void test_the_documented_new_key_is_signed_with_both_keys(void **state) {
    (void)state;
    example examples[64];
    size_t count = read_examples(examples, 64);
    proto_rekey_input input = {.epoch = 0};
    uint8_t key[PROTO_PUBLIC_KEY_SIZE] = {0};
    uint8_t new_id[PROTO_ID_SIZE] = {0};
    proto_new_key wish = {.public_key = {0}};
    error err;
    memset(input.exporter, 0x33, sizeof input.exporter);
    for (size_t i = 0; i < count; i++) {
        proto_message message;
        assert_true(proto_decode(examples[i].text, memory_of_test, &message, &err));
        if (message.type == PROTO_HELLO) {
            memcpy(key, message.hello.public_key, sizeof key);
            memcpy(input.worker_id, message.hello.worker_id, sizeof input.worker_id);
        } else if (message.type == PROTO_CHALLENGE) {
            memcpy(input.pool_id, message.challenge.pool_id, sizeof input.pool_id);
        } else if (message.type == PROTO_REKEY) {
            input.epoch = message.rekey.epoch;
            memcpy(input.nonce, message.rekey.nonce, sizeof input.nonce);
        } else if (message.type == PROTO_NEW_KEY) {
            wish = message.new_key;
        } else if (message.type == PROTO_REKEYED) {
            memcpy(new_id, message.rekeyed.worker_id, sizeof new_id);
        }
    }
    memcpy(input.public_key, wish.public_key, sizeof input.public_key);
    buffer bytes = buffer_make(4096);
    uint8_t digest[HASH_SIZE];
    char hex[HASH_HEX_SIZE];
    proto_rekey_bytes(&input, &bytes);
    assert_true(hash_sha256(buffer_slice(&bytes), digest, &err));
    hex_encode(slice_of(digest, sizeof digest), hex);
    assert_non_null(strstr(document, hex));
    assert_true(sign_verify(wish.public_key, buffer_slice(&bytes), wish.signature));
    assert_true(sign_verify(key, buffer_slice(&bytes), wish.former_signature));
    assert_true(hash_sha256(slice_of(wish.public_key, sizeof wish.public_key), digest, &err));
    assert_memory_equal(digest, new_id, sizeof new_id);
    buffer_free(&bytes);
}

static void assert_documented(const buffer *bytes) {
    uint8_t digest[HASH_SIZE];
    char hex[HASH_HEX_SIZE];
    error err;
    assert_true(hash_sha256(buffer_slice(bytes), digest, &err));
    hex_encode(slice_of(digest, sizeof digest), hex);
    assert_non_null(strstr(document, hex));
}

static void assert_trusted_under(const uint8_t pool_id[HASH_SIZE], const uint8_t key[SIGN_PUBLIC_SIZE],
                                 const proto_trust *told, bool wanted) {
    error err = {0};
    assert_int_equal(proto_trust_verify(pool_id, key, told, &err), wanted);
    assert_int_equal(err.code, wanted ? ERROR_NONE : ERROR_DENIED);
}

/* By the key that the documented `keys` name last, which the worker has been shown before. */
static void test_the_documented_authority_is_signed_by_the_pools_last_key(void **state) {
    (void)state;
    example examples[64];
    size_t count = read_examples(examples, 64);
    uint8_t pool_id[PROTO_POOL_ID_SIZE] = {0};
    succession keys = {.count = 0};
    bool found = false;
    error err;
    for (size_t i = 0; i < count; i++) {
        proto_message message;
        assert_true(proto_decode(examples[i].text, memory_of_test, &message, &err));
        if (message.type == PROTO_CHALLENGE) {
            memcpy(pool_id, message.challenge.pool_id, sizeof pool_id);
        } else if (message.type == PROTO_KEYS) {
            assert_true(succession_read_json(message.keys.keys, pool_id, &keys, &err));
        } else if (message.type == PROTO_TRUST) {
            const uint8_t *key = succession_current(&keys);
            buffer bytes = buffer_make(8192);
            proto_trust_bytes(pool_id, message.trust.ca, &bytes);
            assert_documented(&bytes);
            buffer_free(&bytes);
            assert_trusted_under(pool_id, key, &message.trust, true);
            assert_trusted_under(pool_id, keys.first_key, &message.trust, false);
            proto_trust other = message.trust;
            other.ca = slice_part(other.ca, 0, other.ca.length - 1);
            assert_trusted_under(pool_id, key, &other, false);
            pool_id[0] ^= 1;
            assert_trusted_under(pool_id, key, &message.trust, false);
            found = true;
        }
    }
    assert_true(found);
}

static void assert_first_step_is_documented(const succession *keys) {
    const succession_step *step = &keys->steps[0];
    buffer bytes = buffer_make(1024);
    envelope_begin(&bytes, "cellule succession v1");
    envelope_add(&bytes, slice_of(keys->pool_id, sizeof keys->pool_id));
    envelope_add_u32(&bytes, 1);
    envelope_add(&bytes, slice_of(NULL, 0));
    envelope_add(&bytes, slice_of(NULL, 0));
    envelope_add(&bytes, slice_of(keys->first_key, sizeof keys->first_key));
    envelope_add(&bytes, slice_of(step->key, sizeof step->key));
    envelope_add_u64(&bytes, step->made_ms);
    assert_documented(&bytes);
    assert_true(sign_verify(keys->first_key, buffer_slice(&bytes), step->former_signature));
    assert_true(sign_verify(step->key, buffer_slice(&bytes), step->signature));
    buffer_free(&bytes);
}

static void test_the_documented_keys_go_on_from_those_of_the_welcome(void **state) {
    (void)state;
    example examples[64];
    size_t count = read_examples(examples, 64);
    uint8_t pool_id[PROTO_POOL_ID_SIZE] = {0};
    succession first = {.count = SUCCESSION_MAX};
    succession next = {.count = 0};
    error err;
    for (size_t i = 0; i < count; i++) {
        proto_message message;
        assert_true(proto_decode(examples[i].text, memory_of_test, &message, &err));
        if (message.type == PROTO_CHALLENGE) {
            memcpy(pool_id, message.challenge.pool_id, sizeof pool_id);
        } else if (message.type == PROTO_WELCOME) {
            assert_true(succession_read_json(message.welcome.keys, pool_id, &first, &err));
        } else if (message.type == PROTO_KEYS) {
            assert_true(succession_read_json(message.keys.keys, pool_id, &next, &err));
        }
    }
    assert_int_equal(first.count, 0);
    assert_int_equal(next.count, 1);
    assert_true(succession_goes_on(&first, &next, &err));
    assert_first_step_is_documented(&next);
}

static int start(void **state) {
    (void)state;
    error err;
    json_start(1);
    return crypto_start(&err) ? 0 : -1;
}

static int stop(void **state) {
    (void)state;
    crypto_stop();
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_the_documented_examples_are_every_message_in_its_written_form),
        TEST(test_the_documented_exchange_is_a_whole_session),
        TEST(test_a_message_means_the_same_with_and_without_blanks),
        TEST(test_the_documented_proof_is_signed_by_the_documented_key),
        TEST(test_the_documented_new_key_is_signed_with_both_keys),
        TEST(test_the_documented_authority_is_signed_by_the_pools_last_key),
        TEST(test_the_documented_keys_go_on_from_those_of_the_welcome),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
