#include "base/buffer.h"

#include "unit.h"

static void assert_holds(const buffer *b, const char *expected) {
    assert_true(slice_equal_text(buffer_slice(b), expected));
}

static void test_what_is_appended_comes_out_in_order(void **state) {
    (void)state;
    buffer b = buffer_make(1024);
    assert_true(buffer_append_text(&b, "ab"));
    assert_true(buffer_append_byte(&b, 'c'));
    assert_true(buffer_append(&b, slice_of(NULL, 0)));
    assert_true(buffer_append_format(&b, "-%d-%s", 42, "x"));
    assert_holds(&b, "abc-42-x");
    buffer_consume(&b, 3);
    assert_holds(&b, "-42-x");
    buffer_consume(&b, 100);
    assert_holds(&b, "");
    buffer_free(&b);
}

static void test_numbers_are_big_endian(void **state) {
    (void)state;
    buffer b = buffer_make(64);
    buffer_append_u32_big_endian(&b, 0x01020304);
    buffer_append_u64_big_endian(&b, 0x05060708090A0B0CU);
    assert_holds(&b, "\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0A\x0B\x0C");
    buffer_free(&b);
}

static void test_the_limit_can_be_filled_to_the_byte_and_not_passed(void **state) {
    (void)state;
    buffer b = buffer_make(4);
    assert_true(buffer_append_text(&b, "abcd"));
    assert_false(buffer_append_byte(&b, 'e'));
    assert_true(buffer_failed(&b));
    assert_holds(&b, "abcd");
    buffer_clear(&b);
    assert_true(buffer_append_format(&b, "%d", 1234));
    assert_int_equal(b.limit, 4);
    assert_false(buffer_append_format(&b, "%d", 5));
    assert_int_equal(b.limit, 4);
    assert_holds(&b, "1234");
    buffer_free(&b);
    b = buffer_make(SIZE_MAX);
    assert_true(buffer_append_byte(&b, 'x'));
    assert_null(buffer_reserve(&b, SIZE_MAX));
    buffer_free(&b);
}

static void test_failure_is_sticky_until_cleared(void **state) {
    (void)state;
    buffer b = buffer_make(4);
    assert_false(buffer_append_text(&b, "too long"));
    assert_false(buffer_append_byte(&b, 'x'));
    assert_false(buffer_append_format(&b, "x"));
    assert_false(buffer_append_u32_big_endian(&b, 1));
    assert_null(buffer_reserve(&b, 0));
    assert_int_equal(buffer_length(&b), 0);
    buffer_clear(&b);
    assert_true(buffer_append_byte(&b, 'x'));
    buffer_free(&b);
}

static void test_reserve_and_commit_write_in_place(void **state) {
    (void)state;
    buffer b = buffer_make(1024);
    uint8_t *place = buffer_reserve(&b, 10);
    assert_non_null(place);
    memcpy(place, "abc", 3);
    buffer_commit(&b, 3);
    assert_holds(&b, "abc");
    buffer_commit(&b, SIZE_MAX);
    assert_int_equal(buffer_length(&b), b.capacity);
    buffer_free(&b);
}

/* Appends and takes in a pattern that meets every way of making room; the bytes must stay a plain count. */
static void test_a_queue_keeps_its_bytes_whatever_room_it_needs(void **state) {
    (void)state;
    buffer b = buffer_make(4000);
    uint32_t random = 12345;
    uint8_t next_in = 0;
    uint8_t next_out = 0;
    for (int round = 0; round < 20000; round++) {
        random = random * 1664525 + 1013904223;
        size_t length = random >> 20 & 255;
        if (buffer_length(&b) + length <= 4000) {
            uint8_t *place = buffer_reserve(&b, length);
            assert_non_null(place);
            for (size_t i = 0; i < length; i++) {
                place[i] = next_in++;
            }
            buffer_commit(&b, length);
        }
        size_t taken = random >> 8 & 255;
        slice content = buffer_slice(&b);
        taken = taken < content.length ? taken : content.length;
        for (size_t i = 0; i < taken; i++) {
            assert_int_equal(content.data[i], next_out++);
        }
        buffer_consume(&b, taken);
    }
    assert_false(buffer_failed(&b));
    buffer_free(&b);
}

/* A queue that stays nearly full must not move its content for each append: that would cost the square. */
static void test_a_nearly_full_queue_has_room_after_it_moved(void **state) {
    (void)state;
    buffer b = buffer_make(1 << 20);
    for (size_t i = 0; i < 1000; i++) {
        buffer_append_byte(&b, 'x');
    }
    int moves = 0;
    for (int i = 0; i < 1000; i++) {
        const uint8_t *before = b.bytes;
        size_t start = b.start;
        buffer_consume(&b, 1);
        buffer_append_byte(&b, 'y');
        moves += b.bytes != before || b.start < start;
    }
    assert_true(moves <= 2);
    buffer_free(&b);
}

static void test_a_large_empty_buffer_gives_its_memory_back(void **state) {
    (void)state;
    buffer b = buffer_make(1 << 20);
    assert_non_null(buffer_reserve(&b, 100000));
    buffer_commit(&b, 100000);
    buffer_consume(&b, 100000);
    assert_int_equal(b.capacity, 0);
    assert_true(buffer_append_text(&b, "small"));
    buffer_consume(&b, 5);
    assert_int_not_equal(b.capacity, 0);
    buffer_wipe(&b);
    assert_int_equal(b.limit, 1 << 20);
    assert_true(buffer_append_text(&b, "again"));
    buffer_free(&b);
}

static void test_a_failed_allocation_keeps_the_content(void **state) {
    (void)state;
    bool reached = true;
    for (int nth = 0; reached; nth++) {
        buffer b = buffer_make(1 << 20);
        fault_fail_nth(nth);
        for (int i = 0; i < 100; i++) {
            buffer_append_format(&b, "%010d", i);
        }
        reached = fault_stop();
        assert_int_equal(buffer_failed(&b), reached);
        slice content = buffer_slice(&b);
        assert_true(reached ? content.length < 1000 : content.length == 1000);
        assert_int_equal(content.length % 10, 0);
        for (size_t i = 0; i < content.length / 10; i++) {
            char text[32];
            snprintf(text, sizeof text, "%010zu", i);
            assert_memory_equal(content.data + 10 * i, text, 10);
        }
        buffer_free(&b);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_appended_comes_out_in_order),
        cmocka_unit_test(test_numbers_are_big_endian),
        cmocka_unit_test(test_the_limit_can_be_filled_to_the_byte_and_not_passed),
        cmocka_unit_test(test_failure_is_sticky_until_cleared),
        cmocka_unit_test(test_reserve_and_commit_write_in_place),
        cmocka_unit_test(test_a_queue_keeps_its_bytes_whatever_room_it_needs),
        cmocka_unit_test(test_a_nearly_full_queue_has_room_after_it_moved),
        cmocka_unit_test(test_a_large_empty_buffer_gives_its_memory_back),
        cmocka_unit_test(test_a_failed_allocation_keeps_the_content),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
