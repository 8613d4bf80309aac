#include "crypto/seal.h"
#include "crypto/hash.h"
#include "crypto/start.h"

#include "unit.h"

static error err;
static const uint8_t key[SEAL_KEY_SIZE] = {1, 2, 3, 4, 5};

static int start(void **state) {
    (void)state;
    return crypto_start(&err) ? 0 : -1;
}

static int stop(void **state) {
    (void)state;
    crypto_stop();
    return 0;
}

/* draft-irtf-cfrg-xchacha-03, A.3.1: nonce, cipher text, tag. */
static void test_the_published_message_opens(void **state) {
    (void)state;
    static const char text[] = "404142434445464748494a4b4c4d4e4f5051525354555657"
                               "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb"
                               "731c7f1b0b4aa6440bf3a82f4eda7e39ae64c6708c54c216cb96b72e1213b452"
                               "2f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff9"
                               "21f9664c97637da9768812f615c68b13b52e"
                               "c0875924c1c7987947deafd8780acf49";
    static const char plain[] = "Ladies and Gentlemen of the class of '99: If I could offer you only one tip "
                                "for the future, sunscreen would be it.";
    static const uint8_t associated[] = {0x50, 0x51, 0x52, 0x53, 0xc0, 0xc1,
                                         0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7};
    uint8_t published_key[SEAL_KEY_SIZE];
    uint8_t message[(sizeof text - 1) / 2];
    for (size_t i = 0; i < sizeof published_key; i++) {
        published_key[i] = (uint8_t)(0x80 + i);
    }
    assert_true(hex_decode(slice_of_text(text), message, sizeof message));
    buffer opened = buffer_make(1024);
    assert_true(seal_open(published_key, slice_of(associated, sizeof associated),
                          slice_of(message, sizeof message), &opened, &err));
    assert_int_equal(buffer_length(&opened), sizeof plain - 1);
    assert_memory_equal(buffer_slice(&opened).data, plain, sizeof plain - 1);
    buffer_wipe(&opened);
}

static void test_what_is_sealed_opens_again_whatever_its_length(void **state) {
    (void)state;
    uint8_t plain[300];
    for (size_t i = 0; i < sizeof plain; i++) {
        plain[i] = (uint8_t)i;
    }
    for (size_t length = 0; length <= sizeof plain; length += length < 70 ? 1 : 23) {
        buffer sealed = buffer_make(4096);
        buffer opened = buffer_make(4096);
        buffer_append_text(&sealed, "before");
        buffer_append_text(&opened, "in front");
        assert_true(seal(key, SLICE_LITERAL("row 1"), slice_of(plain, length), &sealed, &err));
        assert_int_equal(buffer_length(&sealed), 6 + length + SEAL_OVERHEAD);
        assert_true(
            seal_open(key, SLICE_LITERAL("row 1"), slice_after(buffer_slice(&sealed), 6), &opened, &err));
        assert_int_equal(buffer_length(&opened), 8 + length);
        assert_memory_equal(buffer_slice(&opened).data, "in front", 8);
        assert_true(slice_equal(slice_after(buffer_slice(&opened), 8), slice_of(plain, length)));
        buffer_free(&sealed);
        buffer_wipe(&opened);
    }
}

static void test_the_same_message_is_never_sealed_alike(void **state) {
    (void)state;
    buffer first = buffer_make(4096);
    buffer second = buffer_make(4096);
    assert_true(seal(key, (slice){0}, SLICE_LITERAL("the same"), &first, &err));
    assert_true(seal(key, (slice){0}, SLICE_LITERAL("the same"), &second, &err));
    assert_int_equal(buffer_length(&first), buffer_length(&second));
    assert_memory_not_equal(first.bytes, second.bytes, 24);
    assert_memory_not_equal(first.bytes + 24, second.bytes + 24, 8);
    buffer_free(&first);
    buffer_free(&second);
}

static void assert_refused(const uint8_t *with, slice associated, slice sealed) {
    buffer opened = buffer_make(4096);
    buffer_append_text(&opened, "kept");
    err = (error){0};
    assert_false(seal_open(with, associated, sealed, &opened, &err));
    assert_int_equal(err.code, ERROR_CORRUPT);
    assert_true(slice_equal_text(buffer_slice(&opened), "kept"));
    assert_false(buffer_failed(&opened));
    buffer_wipe(&opened);
}

static void test_a_change_of_any_bit_is_noticed(void **state) {
    (void)state;
    slice row = SLICE_LITERAL("inference_verifications 1");
    buffer sealed = buffer_make(4096);
    assert_true(seal(key, row, SLICE_LITERAL("what was asked"), &sealed, &err));
    for (size_t i = 0; i < buffer_length(&sealed); i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            sealed.bytes[i] = (uint8_t)(sealed.bytes[i] ^ 1U << bit);
            assert_refused(key, row, buffer_slice(&sealed));
            sealed.bytes[i] = (uint8_t)(sealed.bytes[i] ^ 1U << bit);
        }
    }
    for (size_t length = 0; length < buffer_length(&sealed); length++) {
        assert_refused(key, row, slice_of(sealed.bytes, length));
        assert_refused(key, row, slice_after(buffer_slice(&sealed), buffer_length(&sealed) - length));
    }
    buffer_append_byte(&sealed, 0);
    assert_refused(key, row, buffer_slice(&sealed));
    buffer_free(&sealed);
}

static void test_another_key_or_another_place_does_not_open_it(void **state) {
    (void)state;
    uint8_t other[SEAL_KEY_SIZE];
    buffer sealed = buffer_make(4096);
    assert_true(seal(key, SLICE_LITERAL("row 1"), SLICE_LITERAL("what was asked"), &sealed, &err));
    for (size_t i = 0; i < sizeof other; i++) {
        memcpy(other, key, sizeof other);
        other[i] ^= 0x80;
        assert_refused(other, SLICE_LITERAL("row 1"), buffer_slice(&sealed));
    }
    assert_refused(key, SLICE_LITERAL("row 2"), buffer_slice(&sealed));
    assert_refused(key, SLICE_LITERAL("row 11"), buffer_slice(&sealed));
    assert_refused(key, (slice){0}, buffer_slice(&sealed));
    buffer_free(&sealed);
}

static void test_a_full_buffer_is_left_as_it_was(void **state) {
    (void)state;
    buffer sealed = buffer_make(SEAL_OVERHEAD + 3);
    assert_false(seal(key, (slice){0}, SLICE_LITERAL("four"), &sealed, &err));
    assert_int_equal(err.code, ERROR_LIMIT);
    assert_int_equal(buffer_length(&sealed), 0);
    assert_true(seal(key, (slice){0}, SLICE_LITERAL("six"), &sealed, &err));
    buffer opened = buffer_make(2);
    assert_false(seal_open(key, (slice){0}, buffer_slice(&sealed), &opened, &err));
    assert_int_equal(err.code, ERROR_LIMIT);
    assert_int_equal(buffer_length(&opened), 0);
    buffer_free(&sealed);
    buffer_wipe(&opened);
}

static void test_each_failing_allocation_is_an_error_and_leaves_nothing(void **state) {
    (void)state;
    bool reached = true;
    for (int nth = 0; reached; nth++) {
        buffer sealed = buffer_make(4096);
        buffer opened = buffer_make(4096);
        fault_fail_nth(nth);
        bool done = seal(key, (slice){0}, SLICE_LITERAL("asked"), &sealed, &err) &&
                    seal_open(key, (slice){0}, buffer_slice(&sealed), &opened, &err);
        reached = fault_stop();
        assert_int_equal(done, !reached);
        assert_int_equal(buffer_length(&opened), done ? 5 : 0);
        if (!done) {
            assert_int_equal(err.code, ERROR_MEMORY);
        }
        buffer_free(&sealed);
        buffer_wipe(&opened);
    }
}

static void test_nothing_is_sealed_before_the_start(void **state) {
    (void)state;
    crypto_stop();
    buffer sealed = buffer_make(4096);
    assert_false(seal(key, (slice){0}, SLICE_LITERAL("asked"), &sealed, &err));
    assert_int_equal(buffer_length(&sealed), 0);
    buffer_free(&sealed);
    assert_true(crypto_start(&err));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_published_message_opens),
        cmocka_unit_test(test_what_is_sealed_opens_again_whatever_its_length),
        cmocka_unit_test(test_the_same_message_is_never_sealed_alike),
        cmocka_unit_test(test_a_change_of_any_bit_is_noticed),
        cmocka_unit_test(test_another_key_or_another_place_does_not_open_it),
        cmocka_unit_test(test_a_full_buffer_is_left_as_it_was),
        cmocka_unit_test(test_each_failing_allocation_is_an_error_and_leaves_nothing),
        cmocka_unit_test(test_nothing_is_sealed_before_the_start),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
