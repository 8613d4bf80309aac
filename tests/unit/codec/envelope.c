#include "codec/envelope.h"

#include "unit.h"

static const char label[] = "cellule test v1";

static buffer make(void) {
    buffer out = buffer_make(1024);
    envelope_begin(&out, label);
    envelope_add(&out, SLICE_LITERAL("ab"));
    envelope_add(&out, SLICE_LITERAL(""));
    envelope_add_u32(&out, 0x01020304);
    envelope_add_u64(&out, 0x05060708090a0b0cU);
    assert_false(buffer_failed(&out));
    return out;
}

/* True if `bytes` reads as what make() wrote. */
static bool reads_back(slice bytes, const char *expected_label) {
    envelope_reader r = envelope_open(bytes, expected_label);
    uint8_t text[2];
    envelope_read_exact(&r, text, sizeof text);
    slice empty = envelope_read(&r);
    uint32_t small = envelope_read_u32(&r);
    uint64_t large = envelope_read_u64(&r);
    return envelope_close(&r) && memcmp(text, "ab", 2) == 0 && empty.length == 0 && small == 0x01020304 &&
           large == 0x05060708090a0b0cU;
}

static void test_the_bytes_are_lengths_and_fields(void **state) {
    (void)state;
    buffer out = make();
    static const uint8_t expected[] = "\0\0\0\x0f"
                                      "cellule test v1"
                                      "\0\0\0\x02"
                                      "ab"
                                      "\0\0\0\0"
                                      "\0\0\0\x04"
                                      "\x01\x02\x03\x04"
                                      "\0\0\0\x08"
                                      "\x05\x06\x07\x08\x09\x0a\x0b\x0c";
    assert_true(slice_equal(buffer_slice(&out), slice_of(expected, sizeof expected - 1)));
    buffer_free(&out);
}

static void test_only_the_whole_under_its_label_reads_back(void **state) {
    (void)state;
    buffer out = make();
    assert_true(reads_back(buffer_slice(&out), label));
    assert_false(reads_back(buffer_slice(&out), "cellule test v2"));
    assert_false(reads_back(buffer_slice(&out), "cellule test v"));
    assert_false(reads_back(slice_of(NULL, 0), label));
    for (size_t cut = 0; cut < buffer_length(&out); cut++) {
        assert_false(reads_back(slice_part(buffer_slice(&out), 0, cut), label));
    }
    buffer_append_byte(&out, 0);
    assert_false(reads_back(buffer_slice(&out), label));
    buffer_free(&out);
}

static void test_any_flipped_bit_is_seen(void **state) {
    (void)state;
    buffer out = make();
    for (size_t bit = 0; bit < 8 * buffer_length(&out); bit++) {
        out.bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
        assert_false(reads_back(buffer_slice(&out), label));
        out.bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
    buffer_free(&out);
}

static void test_a_failed_read_stays_failed_and_gives_zeros(void **state) {
    (void)state;
    buffer out = make();
    envelope_reader r = envelope_open(buffer_slice(&out), label);
    uint8_t text[3] = {9, 9, 9};
    envelope_read_exact(&r, text, sizeof text);
    assert_int_equal(text[0] | text[1] | text[2], 0);
    assert_int_equal(envelope_read(&r).length, 0);
    assert_int_equal(envelope_read_u32(&r), 0);
    assert_int_equal(envelope_read_u64(&r), 0);
    assert_false(envelope_close(&r));
    buffer_free(&out);
}

static void test_a_length_beyond_the_end_is_refused(void **state) {
    (void)state;
    static const uint8_t bytes[] = {0, 0, 0, 1, 'x', 0xff, 0xff, 0xff, 0xff, 'y'};
    envelope_reader r = envelope_open(slice_of(bytes, sizeof bytes), "x");
    assert_int_equal(envelope_read(&r).length, 0);
    assert_false(envelope_close(&r));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_bytes_are_lengths_and_fields),
        cmocka_unit_test(test_only_the_whole_under_its_label_reads_back),
        cmocka_unit_test(test_any_flipped_bit_is_seen),
        cmocka_unit_test(test_a_failed_read_stays_failed_and_gives_zeros),
        cmocka_unit_test(test_a_length_beyond_the_end_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
