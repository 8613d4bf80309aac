#include "verify/honeytoken.h"

#include "codec/base64.h"
#include "crypto/start.h"
#include "random.h"

static const uint8_t secret[HONEYTOKEN_SECRET_SIZE] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10,
                                                       11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21,
                                                       22, 23, 24, 25, 26, 27, 28, 29, 30, 31};
static const uint8_t worker[HONEYTOKEN_WORKER_SIZE] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
static const char known[] = "9eeae640-6c11-41d4-8e29-3038f67152d5"; /* from Python's hmac and uuid */

static void test_a_marker_is_a_random_uuid_of_worker_and_number(void **state) {
    (void)state;
    error err;
    char marker[HONEYTOKEN_LENGTH + 1];
    assert_true(honeytoken_make(secret, worker, 7, marker, &err));
    assert_string_equal(marker, known);
    char another[HONEYTOKEN_LENGTH + 1];
    assert_true(honeytoken_make(secret, worker, 8, another, &err));
    assert_string_not_equal(marker, another);
    const uint8_t other_worker[HONEYTOKEN_WORKER_SIZE] = {1};
    assert_true(honeytoken_make(secret, other_worker, 7, another, &err));
    assert_string_not_equal(marker, another);
    uint8_t other_secret[HONEYTOKEN_SECRET_SIZE] = {1};
    assert_true(honeytoken_make(other_secret, worker, 7, another, &err));
    assert_string_not_equal(marker, another);
    assert_int_equal(strlen(another), HONEYTOKEN_LENGTH);
    assert_int_equal(another[14], '4');
}

static bool is_found(slice text) {
    char marker[HONEYTOKEN_LENGTH + 1];
    for (size_t at = 0; honeytoken_find(text, &at, marker);) {
        if (strcmp(marker, known) == 0) {
            return true;
        }
    }
    return false;
}

static void test_a_marker_is_found_however_it_was_written(void **state) {
    (void)state;
    const char *const texts[] = {
        "9eeae640-6c11-41d4-8e29-3038f67152d5",
        "id=9EEAE640-6C11-41D4-8E29-3038F67152D5;",
        "9eeae6406c1141d48e293038f67152d5",
        "{9eeae640\xe2\x80\x91"
        "6c11\xe2\x80\x91"
        "41d4\xe2\x80\x91"
        "8e29\xe2\x80\x91"
        "3038f67152d5}", /* hyphens that don't break */
        "order **9eeae640**-**6c11**-41d4-\n> 8e29-\r\n  3038f67152d5",
        "9e ea e6 40 6c 11 41 d4 8e 29 30 38 f6 71 52 d5",
        "(\"9eeae640\", \"6c11\", \"41d4\", \"8e29\", \"3038f67152d5\")",
        "deadbeef 9eeae640-6c11-41d4-8e29-3038f67152d5 cafe",
        "x9eeae640-6c11-41d4-8e29-3038f67152d5x",
        "44444444444444444449eeae640-6c11-41d4-8e29-3038f67152d588888",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        assert_true(is_found(slice_of_text(texts[i])));
    }
    const uint8_t zeros[] = "\0\0\0"
                            "9eeae640-6c11-41d4-8e29-3038f67152d5\0";
    assert_true(is_found(slice_of(zeros, sizeof zeros)));
}

static void test_what_is_no_marker_is_not_found(void **state) {
    (void)state;
    const char *const texts[] = {
        "",
        "9eeae640-6c11-41d4-8e29-3038f67152d",          /* a digit short */
        "9eeae640-6c11-31d4-8e29-3038f67152d5",         /* another version of UUID */
        "9eeae640-6c11-41d4-ce29-3038f67152d5",         /* another variant */
        "9eeae640-6c11-41d4-8e29-3038g67152d5",         /* a letter that is no digit */
        "9eeae640-6c11-41d4-8e29 ------- 3038f67152d5", /* too far apart */
        "The quick brown fox jumps over the lazy dog, again and again and again.",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        char marker[HONEYTOKEN_LENGTH + 1];
        size_t at = 0;
        assert_false(honeytoken_find(slice_of_text(texts[i]), &at, marker));
        assert_int_equal(at, strlen(texts[i]));
        assert_string_equal(marker, "");
    }
}

static void test_all_of_several_are_found_in_order(void **state) {
    (void)state;
    char text[8 * (HONEYTOKEN_LENGTH + 4)] = "";
    char markers[8][HONEYTOKEN_LENGTH + 1];
    error err;
    for (size_t i = 0; i < 8; i++) {
        assert_true(honeytoken_make(secret, worker, i, markers[i], &err));
        strcat(strcat(text, markers[i]), i % 2 == 0 ? "" : ", ");
    }
    size_t next = 0;
    size_t at = 0;
    char marker[HONEYTOKEN_LENGTH + 1];
    while (honeytoken_find(slice_of_text(text), &at, marker)) {
        next += next < 8 && strcmp(marker, markers[next]) == 0 ? 1 : 0; /* others overlap them */
    }
    assert_int_equal(next, 8);
}

/* Any bytes around it, before and behind, hide none. */
static void test_in_random_bytes_every_marker_is_found(void **state) {
    (void)state;
    uint64_t random = random_seed();
    for (int round = 0; round < 3000; round++) {
        static const char digits[] = "0123456789abcdefABCDEF-4489 ";
        char text[160];
        for (size_t i = 0; i < sizeof text; i++) {
            text[i] = round % 2 == 0 ? digits[random_below(&random, sizeof digits - 1)]
                                     : (char)random_below(&random, 256);
        }
        memcpy(text + random_below(&random, sizeof text - HONEYTOKEN_LENGTH), known, HONEYTOKEN_LENGTH);
        assert_true(is_found(slice_of(text, sizeof text)));
    }
}

static bool is_known(void *context, const char marker[HONEYTOKEN_LENGTH + 1]) {
    bool *found = context;
    *found = *found || strcmp(marker, known) == 0;
    return !*found;
}

static bool is_there(slice text) {
    error err;
    bool found = false;
    assert_true(honeytoken_search(text, is_known, &found, &err));
    return found;
}

static void test_a_marker_is_found_in_other_codings(void **state) {
    (void)state;
    static const char spaced[] =
        "39 65 65 61 65 36 34 30 2d 36 63 31 31 2d 34 31\n64 34 2d 38 65 32 39 2d 33 30 "
        "33 38 66 36 37 31\n35 32 64 35\n";
    const char *const texts[] = {
        "plain 9eeae640-6c11-41d4-8e29-3038f67152d5.",
        "?q=%39%65%65%61e640%2d6c11-41d4-8e29-3038f67152d5",
        "\"\\u0039\\u0065eae640-6c11-41d4-8e29-3038f67152\\u00645\"",
        "b'\\x39\\x65eae640-6c11-41d4-8e29-3038f67152d5'",
        "<td>&#57;&#101;eae640&#45;6c11&#x2D;41d4-8e29-3038f67152d5</td>",
        /* base64 of the marker behind 0, 1 and 2 bytes, in both alphabets and over lines */
        "OWVlYWU2NDAtNmMxMS00MWQ0LThlMjktMzAzOGY2NzE1MmQ1",
        "eDllZWFlNjQwLTZjMTEtNDFkNC04ZTI5LTMwMzhmNjcxNTJkNQ==",
        "data:text/plain;base64,4oKsOWVlYWU2NDAtNmMxMS00MWQ0LThl\r\nMjktMzAzOGY2NzE1MmQ1Cg==",
        "_-7_eHk5ZWVhZTY0MC02YzExLTQxZDQtOGUyOS0zMDM4ZjY3MTUyZDU",
        /* its digits in hexadecimal */
        "39656561653634302d366331312d343164342d386532392d333033386636373135326435",
        "a39656561653634302D366331312D343164342D386532392D333033386636373135326435f",
        spaced,
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (!is_there(slice_of_text(texts[i]))) {
            fail_msg("not found in %s", texts[i]);
        }
    }
}

static void test_a_marker_is_found_in_utf_16_and_utf_32_and_in_base64_of_them(void **state) {
    (void)state;
    for (size_t width = 2; width <= 4; width += 2) {
        for (size_t place = 0; place < width; place += width - 1) {
            uint8_t wide[4 * (HONEYTOKEN_LENGTH + 1)] = {0};
            char coded[2 * sizeof wide];
            for (size_t i = 0; i < HONEYTOKEN_LENGTH; i++) {
                wide[i * width + place] = (uint8_t)known[i];
            }
            slice text = slice_of(wide, width * HONEYTOKEN_LENGTH);
            assert_true(is_there(text));
            base64url_encode(text, coded);
            assert_true(is_there(slice_of_text(coded)));
        }
    }
}

static void test_texts_like_markers_are_searched_to_their_end(void **state) {
    (void)state;
    uint64_t random = random_seed();
    enum { SIZE = 20000 };
    static uint8_t text[SIZE];
    for (int round = 0; round < 40; round++) {
        static const char *const alphabets[] = {"0123456789abcdef", "0123456789ABCDEFabcdef-%&#;\\xu+/ \r\n"};
        const char *alphabet = alphabets[round % 2];
        for (size_t i = 0; i < SIZE; i++) {
            text[i] = round % 4 == 3 ? (uint8_t)random_below(&random, 256)
                                     : (uint8_t)alphabet[random_below(&random, strlen(alphabet))];
        }
        size_t length = (size_t)random_below(&random, SIZE) + 1;
        assert_false(is_there(slice_of(text, length)));
        memcpy(text + SIZE - HONEYTOKEN_LENGTH, known, HONEYTOKEN_LENGTH);
        assert_true(is_there(slice_of(text, SIZE)));
    }
    assert_false(is_there(slice_of_text("")));
    assert_false(is_there(slice_of_text("%")));
    assert_false(is_there(slice_of_text("&#x")));
    assert_false(is_there(slice_of_text("\\u00")));
}

static void test_a_search_without_memory_is_an_error(void **state) {
    (void)state;
    for (int nth = 0; nth < 2; nth++) {
        error err = {0};
        bool found = false;
        fault_fail_nth(nth);
        bool searched = honeytoken_search(slice_of_text(known), is_known, &found, &err);
        bool reached = fault_stop();
        assert_int_equal(searched, !reached);
        assert_int_equal(err.code, reached ? ERROR_MEMORY : ERROR_NONE);
    }
}

static void test_each_pattern_of_the_program_makes_a_prompt_with_the_marker(void **state) {
    (void)state;
    for (uint64_t number = 0; number < 100; number++) {
        error err;
        buffer prompt = buffer_make(4096);
        assert_true(slice_is_utf8(honeytoken_pattern(number)));
        assert_true(honeytoken_write(honeytoken_pattern(number), known, &prompt, &err));
        assert_true(is_found(buffer_slice(&prompt)));
        assert_int_equal(slice_find_slice(buffer_slice(&prompt), SLICE_LITERAL("{id}")), SIZE_MAX);
        buffer_free(&prompt);
    }
    assert_false(slice_equal(honeytoken_pattern(0), honeytoken_pattern(1)));
    assert_true(honeytoken_pattern(UINT64_MAX).length > 0);
}

static void test_a_marker_stands_at_each_place_of_a_pattern(void **state) {
    (void)state;
    error err;
    buffer prompt = buffer_make(64);
    assert_true(honeytoken_write(SLICE_LITERAL("{id}{id} {i}{id"), "M", &prompt, &err));
    assert_true(honeytoken_write(SLICE_LITERAL(" and {id}."), "M", &prompt, &err));
    assert_true(slice_equal_text(buffer_slice(&prompt), "MM {i}{id and M."));
    buffer_free(&prompt);
}

static void test_a_pattern_without_a_place_or_too_long_is_refused(void **state) {
    (void)state;
    error err;
    buffer prompt = buffer_make(16);
    assert_true(buffer_append_text(&prompt, "before "));
    assert_false(honeytoken_write(SLICE_LITERAL("hello"), known, &prompt, &err));
    assert_int_equal(err.code, ERROR_INVALID);
    assert_false(honeytoken_write(SLICE_LITERAL("{id}"), known, &prompt, &err));
    assert_int_equal(err.code, ERROR_LIMIT);
    assert_false(honeytoken_write(SLICE_LITERAL("{id} is much too long"), "M", &prompt, &err));
    assert_int_equal(err.code, ERROR_LIMIT);
    assert_true(honeytoken_write(SLICE_LITERAL("{id} is it"), "MM", &prompt, &err)); /* to the byte: 7 + 8 */
    assert_true(slice_equal_text(buffer_slice(&prompt), "before MM is it"));
    buffer_free(&prompt);
}

static void test_each_failed_allocation_is_an_error_that_leaves_nothing(void **state) {
    (void)state;
    bool reached = true;
    for (int nth = 0; reached; nth++) {
        error err;
        char marker[HONEYTOKEN_LENGTH + 1] = "x";
        fault_fail_nth(nth);
        bool good = honeytoken_make(secret, worker, 7, marker, &err);
        reached = fault_stop();
        assert_true(good || reached);
        assert_string_equal(marker, good ? known : "");
    }
    buffer prompt = buffer_make(4096);
    error err;
    fault_fail_nth(0);
    bool good = honeytoken_write(honeytoken_pattern(0), known, &prompt, &err);
    assert_int_equal(good, !fault_stop());
    assert_true(good || (err.code == ERROR_MEMORY && buffer_length(&prompt) == 0));
    buffer_free(&prompt);
}

static int start(void **state) {
    (void)state;
    error err;
    return crypto_start(&err) ? 0 : -1;
}

static int stop(void **state) {
    (void)state;
    crypto_stop();
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_marker_is_a_random_uuid_of_worker_and_number),
        cmocka_unit_test(test_a_marker_is_found_however_it_was_written),
        cmocka_unit_test(test_a_marker_is_found_in_other_codings),
        cmocka_unit_test(test_a_marker_is_found_in_utf_16_and_utf_32_and_in_base64_of_them),
        cmocka_unit_test(test_texts_like_markers_are_searched_to_their_end),
        cmocka_unit_test(test_a_search_without_memory_is_an_error),
        cmocka_unit_test(test_what_is_no_marker_is_not_found),
        cmocka_unit_test(test_all_of_several_are_found_in_order),
        cmocka_unit_test(test_in_random_bytes_every_marker_is_found),
        cmocka_unit_test(test_each_pattern_of_the_program_makes_a_prompt_with_the_marker),
        cmocka_unit_test(test_a_marker_stands_at_each_place_of_a_pattern),
        cmocka_unit_test(test_a_pattern_without_a_place_or_too_long_is_refused),
        cmocka_unit_test(test_each_failed_allocation_is_an_error_that_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
