#include "memory/record.h"
#include "crypto/fernet.h"
#include "crypto/start.h"

#include "unit.h"

#include <stdlib.h>

enum { RECORDS = 10000, LENGTHS_MAX = 300, LONGEST = 1024 * 1024, DAY_MS = 86400000, LIMIT = 65536 };

static error err;
static const uint8_t key[RECORD_KEY_SIZE] = {1, 2, 3, [16] = 4, 5, 6};
static const record_place here = {
    .kind = RECORD_TURN, .user_id = 0x0102030405060708, .id = {0xa0, 0xa1, 0xa2, [15] = 0xaf}};
static const uint64_t now = 1800000000123;

static int start(void **state) {
    (void)state;
    return crypto_start(&err) ? 0 : -1;
}

static int stop(void **state) {
    (void)state;
    crypto_stop();
    return 0;
}

/* Nikitin et al., §4, by its definition: of the length's binary digits as many stay as their number takes. */
static void test_padded_lengths_are_those_of_the_paper(void **state) {
    (void)state;
    static const size_t pairs[][2] = {{0, 0},     {1, 1},       {2, 2},       {3, 3},         {4, 4},
                                      {7, 7},     {8, 8},       {9, 10},      {15, 16},       {16, 16},
                                      {17, 18},   {31, 32},     {33, 36},     {62, 64},       {100, 104},
                                      {129, 144}, {1000, 1024}, {1025, 1088}, {65536, 65536}, {65537, 67584}};
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        assert_int_equal(record_padded_length(pairs[i][0]), pairs[i][1]);
    }
    for (size_t length = 1; length < 200000; length += 7) {
        size_t padded = record_padded_length(length);
        assert_true(padded >= length && (padded - length) * 100 <= length * 12);
        assert_int_equal(record_padded_length(padded), padded);
    }
    assert_true(record_padded_length(SIZE_MAX) == SIZE_MAX);
}

static void test_ten_thousand_lengths_make_few_sizes(void **state) {
    (void)state;
    static bool seen[2 * LONGEST];
    size_t distinct = 0;
    for (size_t i = 0; i < RECORDS; i++) {
        size_t size = record_sealed_size(1 + i * (LONGEST - 1) / (RECORDS - 1));
        assert_true(size < sizeof seen);
        distinct += seen[size] ? 0 : 1;
        seen[size] = true;
    }
    assert_in_range(distinct, 2, LENGTHS_MAX);
}

static void fill(uint8_t *bytes, size_t length) {
    for (size_t i = 0; i < length; i++) {
        bytes[i] = (uint8_t)(i * 31 + i / 256);
    }
}

static void test_what_is_sealed_opens_again_and_has_the_padded_size(void **state) {
    (void)state;
    static uint8_t bytes[LONGEST];
    fill(bytes, sizeof bytes);
    for (size_t length = 0; length <= sizeof bytes; length = length < 80 ? length + 1 : length * 9 / 5) {
        buffer sealed = buffer_make(6 + record_sealed_size(length));
        buffer content = buffer_make(length);
        buffer_append_text(&sealed, "before");
        assert_true(record_seal(key, &here, now, slice_of(bytes, length), &sealed, &err));
        slice token = slice_after(buffer_slice(&sealed), 6);
        assert_int_equal(token.length, record_sealed_size(length));
        assert_int_equal(token.length, fernet_sealed_size(record_padded_length(RECORD_HEADER_SIZE + length)));
        assert_true(record_open(key, &here, token, &content, &err));
        assert_true(slice_equal(buffer_slice(&content), slice_of(bytes, length)));
        assert_int_equal(content.limit, length);
        buffer_free(&sealed);
        buffer_wipe(&content);
    }
}

static void test_an_opened_record_is_appended(void **state) {
    (void)state;
    buffer sealed = buffer_make(LIMIT);
    buffer content = buffer_make(LIMIT);
    buffer_append_text(&content, "in front, ");
    assert_true(record_seal(key, &here, now, SLICE_LITERAL("and behind"), &sealed, &err));
    assert_true(record_open(key, &here, buffer_slice(&sealed), &content, &err));
    assert_true(slice_equal_text(buffer_slice(&content), "in front, and behind"));
    assert_true(record_open(key, &here, buffer_slice(&sealed), &content, &err));
    assert_true(slice_equal_text(buffer_slice(&content), "in front, and behindand behind"));
    buffer_free(&sealed);
    buffer_wipe(&content);
}

/* By the format in the header alone. */
static void test_a_record_is_a_fernet_token_of_what_the_header_says(void **state) {
    (void)state;
    static const uint8_t expected[] = {1, 3, 1, 2, 3, 4, 5, 6,    7, 8, 0xa0, 0xa1, 0xa2, 0,   0,   0, 0, 0,
                                       0, 0, 0, 0, 0, 0, 0, 0xaf, 0, 0, 0,    3,    'a',  'b', 'c', 0, 0, 0};
    uint64_t seconds = 0;
    buffer sealed = buffer_make(LIMIT);
    buffer text = buffer_make(LIMIT);
    assert_true(record_seal(key, &here, now, SLICE_LITERAL("abc"), &sealed, &err));
    assert_true(fernet_open(key, buffer_slice(&sealed), &seconds, &text, &err));
    assert_true(slice_equal(buffer_slice(&text), slice_of(expected, sizeof expected)));
    assert_int_equal(seconds, now / DAY_MS * (DAY_MS / 1000));
    buffer_free(&sealed);
    buffer_wipe(&text);
}

static void test_a_records_date_is_its_day(void **state) {
    (void)state;
    static const uint64_t times[][2] = {
        {0, 0}, {DAY_MS - 1, 0}, {DAY_MS, 86400}, {2 * (uint64_t)DAY_MS - 1, 86400}};
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        uint64_t seconds = 7;
        buffer sealed = buffer_make(LIMIT);
        buffer text = buffer_make(LIMIT);
        assert_true(record_seal(key, &here, times[i][0], SLICE_LITERAL("abc"), &sealed, &err));
        assert_true(fernet_open(key, buffer_slice(&sealed), &seconds, &text, &err));
        assert_int_equal(seconds, times[i][1]);
        buffer_free(&sealed);
        buffer_wipe(&text);
    }
}

static void assert_refused(const uint8_t *with, const record_place *place, slice sealed) {
    buffer content = buffer_make(LIMIT);
    buffer_append_text(&content, "kept");
    err = (error){0};
    assert_false(record_open(with, place, sealed, &content, &err));
    assert_int_equal(err.code, ERROR_CORRUPT);
    assert_true(slice_equal_text(buffer_slice(&content), "kept"));
    assert_false(buffer_failed(&content));
    assert_int_equal(content.limit, LIMIT);
    buffer_wipe(&content);
}

static void test_a_record_opens_in_its_own_place_alone(void **state) {
    (void)state;
    buffer sealed = buffer_make(LIMIT);
    assert_true(record_seal(key, &here, now, SLICE_LITERAL("what was asked"), &sealed, &err));
    for (int kind = 0; kind < 256; kind++) {
        record_place other = here;
        other.kind = (record_kind)kind;
        if (other.kind != here.kind) {
            assert_refused(key, &other, buffer_slice(&sealed));
        }
    }
    for (size_t bit = 0; bit < 64; bit++) {
        record_place other = here;
        other.user_id ^= (uint64_t)1 << bit;
        assert_refused(key, &other, buffer_slice(&sealed));
    }
    for (size_t i = 0; i < RECORD_ID_SIZE; i++) {
        record_place other = here;
        other.id[i] ^= 1;
        assert_refused(key, &other, buffer_slice(&sealed));
    }
    uint8_t other_key[RECORD_KEY_SIZE];
    memcpy(other_key, key, sizeof other_key);
    other_key[0] ^= 1;
    assert_refused(other_key, &here, buffer_slice(&sealed));
    buffer_free(&sealed);
}

static void test_every_changed_bit_and_every_part_of_a_record_is_refused(void **state) {
    (void)state;
    buffer sealed = buffer_make(LIMIT);
    assert_true(
        record_seal(key, &here, now, SLICE_LITERAL("what was asked, and what was answered"), &sealed, &err));
    for (size_t i = 0; i < buffer_length(&sealed); i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            sealed.bytes[i] = (uint8_t)(sealed.bytes[i] ^ 1U << bit);
            assert_refused(key, &here, buffer_slice(&sealed));
            sealed.bytes[i] = (uint8_t)(sealed.bytes[i] ^ 1U << bit);
        }
        assert_refused(key, &here, slice_of(sealed.bytes, i));
        assert_refused(key, &here, slice_after(buffer_slice(&sealed), i + 1));
    }
    buffer_free(&sealed);
}

/* Sealed by somebody who has the key, and not as records are. */
static void assert_text_refused(const uint8_t *text, size_t length) {
    buffer sealed = buffer_make(LIMIT);
    assert_true(fernet_seal(key, 0, slice_of(text, length), &sealed, &err));
    assert_refused(key, &here, buffer_slice(&sealed));
    buffer_free(&sealed);
}

static void test_what_is_sealed_otherwise_is_refused(void **state) {
    (void)state;
    uint8_t text[64];
    buffer sealed = buffer_make(LIMIT);
    buffer opened = buffer_make(LIMIT);
    assert_true(record_seal(key, &here, now, SLICE_LITERAL("abc"), &sealed, &err));
    assert_true(fernet_open(key, buffer_slice(&sealed), NULL, &opened, &err));
    size_t length = buffer_length(&opened);
    assert_int_equal(length, 36);
    memset(text, 0, sizeof text);
    memcpy(text, buffer_slice(&opened).data, length);
    for (size_t i = 0; i < 64; i++) { /* all other lengths, of zeros or cut */
        if (i != length) {
            assert_text_refused(text, i);
        }
    }
    for (size_t i = 0; i < length; i++) { /* version, place, length, padding; not the content */
        if (i < RECORD_HEADER_SIZE || i >= RECORD_HEADER_SIZE + 3) {
            for (unsigned bit = 0; bit < 8; bit++) {
                text[i] = (uint8_t)(text[i] ^ 1U << bit);
                /* Two lengths that differ in zeros at the end alone are both right. */
                if (i != RECORD_HEADER_SIZE - 1) {
                    assert_text_refused(text, length);
                }
                text[i] = (uint8_t)(text[i] ^ 1U << bit);
            }
        }
    }
    text[RECORD_HEADER_SIZE - 1] = 2; /* one byte of the content would be padding */
    assert_text_refused(text, length);
    text[RECORD_HEADER_SIZE - 1] = 7; /* one byte that isn't there */
    assert_text_refused(text, length);
    buffer_free(&sealed);
    buffer_wipe(&opened);
}

static void test_what_is_too_long_is_refused(void **state) {
    (void)state;
    uint8_t *bytes = calloc(RECORD_CONTENT_MAX + 1, 1);
    assert_non_null(bytes);
    buffer sealed = buffer_make(SIZE_MAX - 1);
    assert_false(record_seal(key, &here, now, slice_of(bytes, RECORD_CONTENT_MAX + 1), &sealed, &err));
    assert_int_equal(err.code, ERROR_LIMIT);
    assert_int_equal(buffer_length(&sealed), 0);
    assert_true(record_seal(key, &here, now, slice_of(bytes, RECORD_CONTENT_MAX), &sealed, &err));
    buffer content = buffer_make(RECORD_CONTENT_MAX);
    assert_true(record_open(key, &here, buffer_slice(&sealed), &content, &err));
    assert_int_equal(buffer_length(&content), RECORD_CONTENT_MAX);
    buffer_wipe(&content);
    content = buffer_make(RECORD_CONTENT_MAX - 1);
    assert_false(record_open(key, &here, buffer_slice(&sealed), &content, &err));
    assert_int_equal(err.code, ERROR_LIMIT);
    assert_int_equal(buffer_length(&content), 0);
    assert_int_equal(content.limit, RECORD_CONTENT_MAX - 1);
    buffer_wipe(&content);
    buffer_free(&sealed);
    sealed = buffer_make(record_sealed_size(3) - 1);
    assert_false(record_seal(key, &here, now, SLICE_LITERAL("abc"), &sealed, &err));
    assert_int_equal(err.code, ERROR_LIMIT);
    assert_false(buffer_failed(&sealed));
    buffer_free(&sealed);
    free(bytes);
}

static void test_each_failing_allocation_is_an_error_or_harmless_and_leaves_nothing(void **state) {
    (void)state;
    bool reached = true;
    for (int nth = 0; reached; nth++) {
        buffer sealed = buffer_make(LIMIT);
        buffer content = buffer_make(LIMIT);
        fault_fail_nth(nth);
        bool is_sealed = record_seal(key, &here, now, SLICE_LITERAL("asked of nobody"), &sealed, &err);
        bool done = is_sealed && record_open(key, &here, buffer_slice(&sealed), &content, &err);
        reached = fault_stop();
        assert_true(done || reached);
        assert_true(slice_equal_text(buffer_slice(&content), done ? "asked of nobody" : ""));
        assert_int_equal(content.limit, LIMIT);
        if (!done) {
            assert_int_equal(err.code, ERROR_MEMORY);
        }
        if (!is_sealed &&
            sealed.bytes != NULL) { /* the text was there already, to be encrypted in its place */
            assert_int_equal(buffer_length(&sealed), 0);
            assert_true(slice_find_slice(slice_of(sealed.bytes, sealed.capacity), SLICE_LITERAL("asked")) ==
                        SIZE_MAX);
        }
        buffer_free(&sealed);
        buffer_wipe(&content);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_padded_lengths_are_those_of_the_paper),
        cmocka_unit_test(test_ten_thousand_lengths_make_few_sizes),
        cmocka_unit_test(test_what_is_sealed_opens_again_and_has_the_padded_size),
        cmocka_unit_test(test_an_opened_record_is_appended),
        cmocka_unit_test(test_a_record_is_a_fernet_token_of_what_the_header_says),
        cmocka_unit_test(test_a_records_date_is_its_day),
        cmocka_unit_test(test_a_record_opens_in_its_own_place_alone),
        cmocka_unit_test(test_every_changed_bit_and_every_part_of_a_record_is_refused),
        cmocka_unit_test(test_what_is_sealed_otherwise_is_refused),
        cmocka_unit_test(test_what_is_too_long_is_refused),
        cmocka_unit_test(test_each_failing_allocation_is_an_error_or_harmless_and_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
