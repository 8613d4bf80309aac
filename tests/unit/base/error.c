#include "base/error.h"

#include "base/slice.h"

#include "unit.h"

#include <errno.h>

static void test_an_error_holds_its_code_and_text_and_is_always_false(void **state) {
    (void)state;
    error err;
    assert_false(error_set(&err, ERROR_LIMIT, "at most %d", 7));
    assert_int_equal(err.code, ERROR_LIMIT);
    assert_string_equal(err.text, "at most 7");
    assert_false(error_memory(&err));
    assert_int_equal(err.code, ERROR_MEMORY);
}

static void test_context_goes_before_and_the_code_stays(void **state) {
    (void)state;
    error err;
    error_set(&err, ERROR_CORRUPT, "bad byte");
    assert_false(error_context(&err, "reading %s", "x"));
    assert_false(error_context(&err, "starting"));
    assert_string_equal(err.text, "starting: reading x: bad byte");
    assert_int_equal(err.code, ERROR_CORRUPT);
}

static void test_the_system_reason_goes_behind(void **state) {
    (void)state;
    error err;
    assert_false(error_set_errno(&err, ERROR_IO, ENOENT, "opening %s", "f"));
    assert_string_equal(err.text, "opening f: No such file or directory");
}

static void test_the_old_text_may_be_part_of_the_new(void **state) {
    (void)state;
    error err;
    error_set(&err, ERROR_IO, "inner");
    error_set(&err, ERROR_IO, "outer (%s)", err.text);
    assert_string_equal(err.text, "outer (inner)");
    error_context(&err, "again %s", err.text);
    assert_string_equal(err.text, "again outer (inner): outer (inner)");
}

/* Each length that puts the cut at another place of a sequence of 2, 3 and 4 bytes. */
static void test_a_text_that_is_too_long_is_cut_between_characters(void **state) {
    (void)state;
    static const char *const characters[] = {"\xC3\xA9", "\xE2\x82\xAC", "\xF0\x9F\x98\x80"};
    for (size_t kind = 0; kind < 3; kind++) {
        for (int before = ERROR_TEXT_SIZE - 12; before < ERROR_TEXT_SIZE + 4; before++) {
            error err;
            error_set(&err, ERROR_INVALID, "%*s%s%s", before, "", characters[kind], characters[kind]);
            assert_true(strlen(err.text) < ERROR_TEXT_SIZE);
            assert_true(slice_is_utf8(slice_of_text(err.text)));
            error_context(&err, "%s", "context");
            assert_true(slice_is_utf8(slice_of_text(err.text)));
            error_set_errno(&err, ERROR_IO, ENOENT, "%*s%s", before, "", characters[kind]);
            assert_true(slice_is_utf8(slice_of_text(err.text)));
        }
    }
}

static void test_each_code_has_its_name(void **state) {
    (void)state;
    assert_string_equal(error_code_name(ERROR_NOT_FOUND), "not_found");
    assert_string_equal(error_code_name(ERROR_INTERNAL), "internal");
    assert_string_equal(error_code_name((error_code)999), "unknown");
    for (int code = ERROR_NONE; code <= ERROR_INTERNAL; code++) {
        assert_non_null(error_code_name((error_code)code));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_error_holds_its_code_and_text_and_is_always_false),
        cmocka_unit_test(test_context_goes_before_and_the_code_stays),
        cmocka_unit_test(test_the_system_reason_goes_behind),
        cmocka_unit_test(test_the_old_text_may_be_part_of_the_new),
        cmocka_unit_test(test_a_text_that_is_too_long_is_cut_between_characters),
        cmocka_unit_test(test_each_code_has_its_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
