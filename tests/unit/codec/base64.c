#include "codec/base64.h"

#include "unit.h"

/* RFC 4648 §10, without the padding. */
static void test_the_published_texts_go_both_ways(void **state) {
    (void)state;
    static const char *const pairs[][2] = {
        {"", ""},           {"f", "Zg"},          {"fo", "Zm8"},         {"foo", "Zm9v"},
        {"foob", "Zm9vYg"}, {"fooba", "Zm9vYmE"}, {"foobar", "Zm9vYmFy"}};
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        char text[16];
        uint8_t bytes[8];
        size_t length = 99;
        base64url_encode(slice_of_text(pairs[i][0]), text);
        assert_string_equal(text, pairs[i][1]);
        assert_int_equal(strlen(text), BASE64URL_LENGTH(strlen(pairs[i][0])));
        assert_true(base64url_decode(slice_of_text(text), bytes, sizeof bytes, &length));
        assert_true(slice_equal_text(slice_of(bytes, length), pairs[i][0]));
    }
}

static void test_the_padded_texts_go_both_ways(void **state) {
    (void)state;
    static const char *const pairs[][2] = {{"", ""},
                                           {"f", "Zg=="},
                                           {"fo", "Zm8="},
                                           {"foo", "Zm9v"},
                                           {"foob", "Zm9vYg=="},
                                           {"fooba", "Zm9vYmE="},
                                           {"foobar", "Zm9vYmFy"},
                                           {"\xFB\xFF\xFE", "+//+"}};
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        char text[16];
        uint8_t bytes[8];
        size_t length = 99;
        base64_encode(slice_of_text(pairs[i][0]), text);
        assert_string_equal(text, pairs[i][1]);
        assert_int_equal(strlen(text), BASE64_LENGTH(strlen(pairs[i][0])));
        assert_true(base64_decode(slice_of_text(text), bytes, sizeof bytes, &length));
        assert_true(slice_equal_text(slice_of(bytes, length), pairs[i][0]));
    }
}

static void test_padded_texts_that_are_not_exact_are_refused(void **state) {
    (void)state;
    const char *const wrong[] = {"Zg",   "Zg=",      "Zg===", "Zh==",   "Zm9=",  "=",      "==",   "====",
                                 "Z===", "Zg==Zg==", "-__-",  "Zm9v\n", " Zm9v", "Zg==\n", "Zg= ", "Zm=v"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        uint8_t bytes[8];
        size_t length = 99;
        assert_false(base64_decode(slice_of_text(wrong[i]), bytes, sizeof bytes, &length));
        assert_int_equal(length, 0);
    }
    uint8_t bytes[3];
    size_t length = 0;
    assert_false(base64_decode(SLICE_LITERAL("Zm9v"), bytes, 2, &length));
}

static void test_every_byte_string_has_one_text(void **state) {
    (void)state;
    buffer out = buffer_make(4096);
    uint8_t bytes[600];
    uint8_t back[600];
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)(i * 167 + i / 256);
    }
    for (size_t length = 0; length <= sizeof bytes; length++) {
        buffer_clear(&out);
        assert_true(base64url_append(&out, slice_of(bytes, length)));
        assert_int_equal(buffer_length(&out), BASE64URL_LENGTH(length));
        assert_true(base64url_decode_exact(buffer_slice(&out), back, length));
        assert_memory_equal(bytes, back, length);
    }
    buffer_free(&out);
}

static void test_padding_blanks_leftover_bits_and_the_other_alphabet_are_refused(void **state) {
    (void)state;
    const char *const wrong[] = {"Zg==",   "Zg=",   "Zh",    "Zm9=", "Zm9",  "Z",      "Zm9vY",
                                 "Zm9v\n", " Zm9v", "Zm 9v", "-_+A", "-_/A", "Zm9\xC3"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        uint8_t bytes[8];
        size_t length = 99;
        assert_false(base64url_decode(slice_of_text(wrong[i]), bytes, sizeof bytes, &length));
        assert_int_equal(length, 0);
    }
    uint8_t bytes[3];
    size_t length = 0;
    assert_false(base64url_decode(SLICE_LITERAL("Zm9v"), bytes, 2, &length));
    assert_false(base64url_decode_exact(SLICE_LITERAL("Zm8"), bytes, 3));
    assert_true(base64url_decode_exact(SLICE_LITERAL("-_-_"), bytes, 3));
}

static void test_a_full_buffer_and_a_failed_allocation_are_told(void **state) {
    (void)state;
    buffer out = buffer_make(7);
    assert_false(base64url_append(&out, SLICE_LITERAL("foobar")));
    assert_true(buffer_failed(&out));
    assert_int_equal(buffer_length(&out), 0);
    buffer_free(&out);
    out = buffer_make(8);
    fault_fail_nth(0);
    bool good = base64url_append(&out, SLICE_LITERAL("foobar"));
    assert_int_equal(good, !fault_stop());
    buffer_free(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_published_texts_go_both_ways),
        cmocka_unit_test(test_the_padded_texts_go_both_ways),
        cmocka_unit_test(test_padded_texts_that_are_not_exact_are_refused),
        cmocka_unit_test(test_every_byte_string_has_one_text),
        cmocka_unit_test(test_padding_blanks_leftover_bits_and_the_other_alphabet_are_refused),
        cmocka_unit_test(test_a_full_buffer_and_a_failed_allocation_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
