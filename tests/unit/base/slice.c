#include "base/slice.h"

#include "unit.h"

static void test_parts_are_cut_to_what_is_there(void **state) {
    (void)state;
    slice a = SLICE_LITERAL("abcdef");
    assert_true(slice_equal_text(slice_part(a, 2, 2), "cd"));
    assert_true(slice_equal_text(slice_part(a, 4, 100), "ef"));
    assert_true(slice_equal_text(slice_part(a, 4, SIZE_MAX), "ef"));
    assert_int_equal(slice_part(a, 6, 1).length, 0);
    assert_int_equal(slice_part(a, SIZE_MAX, SIZE_MAX).length, 0);
    assert_true(slice_equal_text(slice_after(a, 5), "f"));
}

static void test_the_empty_slice_needs_no_data(void **state) {
    (void)state;
    slice none = slice_of_text(NULL);
    assert_int_equal(none.length, 0);
    assert_true(slice_equal(none, SLICE_LITERAL("")));
    assert_true(slice_starts_with(none, none));
    assert_true(slice_starts_with(SLICE_LITERAL("a"), none));
    assert_false(slice_starts_with(none, SLICE_LITERAL("a")));
    assert_true(slice_find(none, 'a') == SIZE_MAX);
    assert_true(slice_find_slice(none, SLICE_LITERAL("a")) == SIZE_MAX);
    assert_int_equal(slice_find_slice(none, none), 0);
    assert_int_equal(slice_trim(none).length, 0);
    assert_true(slice_is_utf8(none));
    uint32_t first = UINT32_MAX;
    assert_int_equal(slice_utf8_length(none), 0);
    assert_int_equal(slice_utf8_first(none, &first), 0);
}

static void test_finding_gives_the_first_place(void **state) {
    (void)state;
    slice a = SLICE_LITERAL("abcabc");
    assert_int_equal(slice_find(a, 'c'), 2);
    assert_true(slice_find(a, 'x') == SIZE_MAX);
    assert_int_equal(slice_find_slice(a, SLICE_LITERAL("ca")), 2);
    assert_true(slice_find_slice(a, SLICE_LITERAL("abcabcd")) == SIZE_MAX);
}

static void test_case_is_ignored_for_ascii_letters_only(void **state) {
    (void)state;
    assert_true(slice_equal_ignore_case(SLICE_LITERAL("Content-TYPE"), SLICE_LITERAL("content-type")));
    assert_false(slice_equal_ignore_case(SLICE_LITERAL("a"), SLICE_LITERAL("ab")));
    assert_false(slice_equal_ignore_case(SLICE_LITERAL("@"), SLICE_LITERAL("`")));
    assert_false(slice_equal_ignore_case(SLICE_LITERAL("["), SLICE_LITERAL("{")));
    assert_false(slice_equal_ignore_case(SLICE_LITERAL("\xC9"), SLICE_LITERAL("\xE9")));
}

static void test_trimming_takes_blanks_and_tabs_only(void **state) {
    (void)state;
    assert_true(slice_equal_text(slice_trim(SLICE_LITERAL(" \t a b \t")), "a b"));
    assert_int_equal(slice_trim(SLICE_LITERAL(" \t ")).length, 0);
    assert_true(slice_equal_text(slice_trim(SLICE_LITERAL("\na\r")), "\na\r"));
}

static void test_only_strict_decimal_is_a_number(void **state) {
    (void)state;
    uint64_t value = 1;
    assert_true(slice_to_u64(SLICE_LITERAL("0"), &value) && value == 0);
    assert_true(slice_to_u64(SLICE_LITERAL("18446744073709551615"), &value) && value == UINT64_MAX);
    const char *const wrong[] = {
        "",   "00", "01", "+1", "-1", " 1", "1 ", "1a", "0x1", "18446744073709551616", "99999999999999999999",
        "1e3"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        value = 7;
        assert_false(slice_to_u64(slice_of_text(wrong[i]), &value));
        assert_int_equal(value, 7);
    }
}

/* Encodes as RFC 3629 says, without checks. */
static size_t encode(uint32_t code, uint8_t *bytes) {
    if (code < 0x80) {
        bytes[0] = (uint8_t)code;
        return 1;
    }
    size_t length = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = length - 1; i > 0; i--) {
        bytes[i] = (uint8_t)(0x80 | (code & 0x3F));
        code >>= 6;
    }
    bytes[0] = (uint8_t)((0xF00 >> length & 0xFF) | code);
    return length;
}

static void test_every_character_but_the_surrogates_is_utf8_and_no_prefix_of_it(void **state) {
    (void)state;
    for (uint32_t code = 0; code < 0x120000; code++) {
        uint8_t bytes[4];
        size_t length = encode(code, bytes);
        bool valid = code <= 0x10FFFF && (code < 0xD800 || code > 0xDFFF);
        uint32_t first = UINT32_MAX;
        if (slice_utf8_length(slice_of(bytes, length)) != (valid ? length : 0) ||
            slice_utf8_first(slice_of(bytes, length), &first) != (valid ? length : 0) ||
            first != (valid ? code : UINT32_MAX) ||
            (length > 1 && slice_is_utf8(slice_of(bytes, length - 1)))) {
            fail_msg("U+%04X", (unsigned)code);
        }
    }
}

static void test_overlong_and_broken_sequences_are_not_utf8(void **state) {
    (void)state;
    const char *const wrong[] = {"\x80",
                                 "\xC0\x80",
                                 "\xC1\xBF",
                                 "\xE0\x9F\xBF",
                                 "\xF0\x8F\xBF\xBF",
                                 "\xF4\x90\x80\x80",
                                 "\xF5\x80\x80\x80",
                                 "\xFE",
                                 "\xFF",
                                 "\xC3",
                                 "\xC3\x28",
                                 "\xE2\x82",
                                 "\xE2\x28\xA1",
                                 "\xF0\x9F\x98",
                                 "a\xC3\xA9\xC3"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_false(slice_is_utf8(slice_of_text(wrong[i])));
    }
    assert_true(slice_is_utf8(SLICE_LITERAL("a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80")));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parts_are_cut_to_what_is_there),
        cmocka_unit_test(test_the_empty_slice_needs_no_data),
        cmocka_unit_test(test_finding_gives_the_first_place),
        cmocka_unit_test(test_case_is_ignored_for_ascii_letters_only),
        cmocka_unit_test(test_trimming_takes_blanks_and_tabs_only),
        cmocka_unit_test(test_only_strict_decimal_is_a_number),
        cmocka_unit_test(test_every_character_but_the_surrogates_is_utf8_and_no_prefix_of_it),
        cmocka_unit_test(test_overlong_and_broken_sequences_are_not_utf8),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
