#include "crypto/box.h"
#include "crypto/hash.h"
#include "crypto/start.h"

#include "unit.h"

static error err;
static uint8_t public_key[BOX_KEY_SIZE];
static uint8_t private_key[BOX_KEY_SIZE];

static int start(void **state) {
    (void)state;
    return crypto_start(&err) && box_make_keys(public_key, private_key, &err) ? 0 : -1;
}

static int stop(void **state) {
    (void)state;
    crypto_stop();
    return 0;
}

/* RFC 7748, §6.1: Bob's. */
static void test_a_public_key_is_the_published_one(void **state) {
    (void)state;
    uint8_t bob[BOX_KEY_SIZE];
    uint8_t expected[BOX_KEY_SIZE];
    uint8_t made[BOX_KEY_SIZE];
    assert_true(hex_decode(SLICE_LITERAL("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb"),
                           bob, 32));
    assert_true(hex_decode(SLICE_LITERAL("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"),
                           expected, 32));
    assert_true(box_public_key(bob, made, &err));
    assert_memory_equal(made, expected, sizeof made);
}

static void test_what_is_sealed_opens_with_its_key_whatever_its_length(void **state) {
    (void)state;
    uint8_t plain[200] = {1, 2, 3};
    for (size_t length = 0; length <= sizeof plain; length += 25) {
        buffer sealed = buffer_make(4096);
        buffer opened = buffer_make(4096);
        buffer_append_text(&sealed, "before");
        assert_true(box_seal(public_key, slice_of(plain, length), &sealed, &err));
        assert_int_equal(buffer_length(&sealed), 6 + length + BOX_OVERHEAD);
        assert_true(box_open(private_key, slice_after(buffer_slice(&sealed), 6), &opened, &err));
        assert_true(slice_equal(buffer_slice(&opened), slice_of(plain, length)));
        buffer_free(&sealed);
        buffer_wipe(&opened);
    }
}

static void test_another_key_or_a_change_of_any_bit_does_not_open_it(void **state) {
    (void)state;
    uint8_t other_public[BOX_KEY_SIZE];
    uint8_t other_private[BOX_KEY_SIZE];
    buffer sealed = buffer_make(4096);
    buffer opened = buffer_make(4096);
    assert_true(box_make_keys(other_public, other_private, &err));
    assert_true(box_seal(public_key, SLICE_LITERAL("for one alone"), &sealed, &err));
    slice text = buffer_slice(&sealed);
    assert_false(box_open(other_private, text, &opened, &err));
    assert_int_equal(err.code, ERROR_CORRUPT);
    for (size_t bit = 0; bit < 8 * text.length; bit++) {
        sealed.bytes[sealed.start + bit / 8] ^= (uint8_t)(1U << bit % 8);
        assert_false(box_open(private_key, text, &opened, &err));
        sealed.bytes[sealed.start + bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
    for (size_t length = 0; length < text.length; length++) {
        assert_false(box_open(private_key, slice_part(text, 0, length), &opened, &err));
    }
    assert_int_equal(buffer_length(&opened), 0);
    assert_true(box_open(private_key, text, &opened, &err));
    buffer_free(&sealed);
    buffer_wipe(&opened);
}

static void test_the_same_message_is_never_sealed_alike(void **state) {
    (void)state;
    buffer first = buffer_make(4096);
    buffer second = buffer_make(4096);
    assert_true(box_seal(public_key, SLICE_LITERAL("twice"), &first, &err));
    assert_true(box_seal(public_key, SLICE_LITERAL("twice"), &second, &err));
    assert_false(slice_equal(buffer_slice(&first), buffer_slice(&second)));
    buffer_free(&first);
    buffer_free(&second);
}

/* Points of order 1, 2, 4 and 8 (Curve25519): whoever seals for these seals for everybody. */
static void test_nothing_is_sealed_for_a_key_that_everybody_has(void **state) {
    (void)state;
    static const char *const points[] = {
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    };
    buffer sealed = buffer_make(4096);
    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++) {
        uint8_t point[BOX_KEY_SIZE];
        assert_true(hex_decode(slice_of_text(points[i]), point, sizeof point));
        assert_false(box_check_key(point, &err));
        assert_int_equal(err.code, ERROR_INVALID);
        assert_false(box_seal(point, SLICE_LITERAL("secret"), &sealed, &err));
    }
    assert_int_equal(buffer_length(&sealed), 0);
    assert_true(box_check_key(public_key, &err));
    buffer_free(&sealed);
}

static void test_a_full_buffer_and_a_failing_allocation_leave_it_as_it_was(void **state) {
    (void)state;
    buffer full = buffer_make(BOX_OVERHEAD + 2);
    assert_false(box_seal(public_key, SLICE_LITERAL("abc"), &full, &err));
    assert_int_equal(err.code, ERROR_LIMIT);
    assert_int_equal(buffer_length(&full), 0);
    buffer_free(&full);
    for (int nth = 0; nth < 2; nth++) {
        buffer sealed = buffer_make(4096);
        fault_fail_nth(nth);
        bool done = box_seal(public_key, SLICE_LITERAL("abc"), &sealed, &err);
        bool reached = fault_stop();
        assert_int_equal(done, !reached);
        assert_int_equal(buffer_length(&sealed), done ? 3 + BOX_OVERHEAD : 0);
        buffer_free(&sealed);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_public_key_is_the_published_one),
        cmocka_unit_test(test_what_is_sealed_opens_with_its_key_whatever_its_length),
        cmocka_unit_test(test_another_key_or_a_change_of_any_bit_does_not_open_it),
        cmocka_unit_test(test_the_same_message_is_never_sealed_alike),
        cmocka_unit_test(test_nothing_is_sealed_for_a_key_that_everybody_has),
        cmocka_unit_test(test_a_full_buffer_and_a_failing_allocation_leave_it_as_it_was),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
