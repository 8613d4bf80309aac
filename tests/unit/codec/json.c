#include "codec/json.h"
#include "codec/json_writer.h"

#include "unit.h"

#include <math.h>

static const json_limits limits = {.size = 1 << 20, .depth = 32};

static int start(void **state) {
    (void)state;
    json_start(12345);
    return 0;
}

static json_value *parse(const char *text) {
    error err;
    json_value *root = json_parse(slice_of_text(text), limits, &err);
    assert_non_null(root);
    return root;
}

static void assert_refused(slice text, error_code code) {
    error err;
    assert_null(json_parse(text, limits, &err));
    assert_int_equal(err.code, code);
}

static void test_what_is_not_strict_json_is_refused(void **state) {
    (void)state;
    const char *const wrong[] = {"",
                                 "{",
                                 "}",
                                 "{} {}",
                                 "{\"a\":1,}",
                                 "{a:1}",
                                 "[1,]",
                                 "'x'",
                                 "{\"a\":01}",
                                 "{\"a\":+1}",
                                 "{\"a\":.5}",
                                 "{\"a\":NaN}",
                                 "{\"a\":1e999}",
                                 "\xEF\xBB\xBF{}",
                                 "[\"\x01\"]",
                                 "nul",
                                 "{\"a\":1,\"a\":2}",
                                 "[\"\\u0000\"]",
                                 "{\"\\u0000\":1}",
                                 "[\"\\ud800\"]",
                                 "[\"\xC0\x80\"]",
                                 "[18446744073709551616]",
                                 "/**/{}",
                                 "[1] x",
                                 "[\"\\x41\"]",
                                 "[\"\xED\xA0\x80\"]"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_refused(slice_of_text(wrong[i]), ERROR_INVALID);
    }
    assert_refused(slice_of("[1]\0", 4), ERROR_INVALID);
    assert_refused(slice_of("[\"a\0b\"]", 7), ERROR_INVALID);
}

static void test_size_and_depth_are_bounded(void **state) {
    (void)state;
    error err;
    char deep[80];
    memset(deep, '[', 33);
    memset(deep + 33, ']', 33);
    assert_refused(slice_of(deep, 66), ERROR_LIMIT);
    json_value *root = json_parse(slice_of(deep + 1, 64), limits, &err);
    assert_non_null(root);
    json_free(root);
    root = parse("[\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\\"[[[[\"]");
    json_free(root);
    assert_null(json_parse(SLICE_LITERAL("[1,2,3]"), (json_limits){.size = 6, .depth = 2}, &err));
    assert_int_equal(err.code, ERROR_LIMIT);
    json_limits few = {.size = 100, .depth = 2, .values = 4};
    assert_null(json_parse(SLICE_LITERAL("[1,2,[],3]"), few, &err));
    assert_int_equal(err.code, ERROR_LIMIT);
    root = json_parse(SLICE_LITERAL("[1,\"a,b,{,\",[]]"), few, &err);
    assert_non_null(root);
    json_free(root);
    static char huge[100000];
    memset(huge, '[', sizeof huge);
    assert_null(
        json_parse(slice_of(huge, sizeof huge), (json_limits){.size = sizeof huge, .depth = 1000000}, &err));
    assert_int_equal(err.code, ERROR_LIMIT);
}

static void test_an_error_never_quotes_the_text(void **state) {
    (void)state;
    error err;
    assert_null(json_parse(SLICE_LITERAL("{\"prompt\": secret}"), limits, &err));
    assert_null(strstr(err.text, "secret"));
    assert_non_null(strstr(err.text, "line 1"));
}

static void test_getters_fill_values_of_the_right_type(void **state) {
    (void)state;
    error err;
    json_value *root =
        parse("{\"t\":\"a\\u00e9\",\"u\":7,\"whole\":3.0,\"d\":0.5,\"b\":true,\"a\":[1,2],\"o\":{\"x\":null},"
              "\"bytes\":\"Zm9v\",\"big\":\"18446744073709551615\",\"n\":null}");
    slice text;
    uint64_t number = 0;
    double real = 0;
    bool flag = false;
    const json_value *value = NULL;
    uint8_t bytes[3];
    assert_true(json_get_text(root, "t", &text, &err));
    assert_true(slice_equal_text(text, "a\xC3\xA9"));
    assert_true(json_get_u64(root, "u", 7, 7, &number, &err));
    assert_int_equal(number, 7);
    assert_true(json_get_u64(root, "whole", 0, 10, &number, &err));
    assert_int_equal(number, 3);
    assert_true(json_get_double(root, "d", 0, 2, &real, &err) && real == 0.5);
    assert_true(json_get_double(root, "u", 0, 10, &real, &err) && real == 7);
    assert_true(json_get_bool(root, "b", &flag, &err) && flag);
    assert_true(json_get_array(root, "a", &value, &err));
    assert_int_equal(json_count(value), 2);
    assert_int_equal(json_kind_of(json_at(value, 1)), JSON_KIND_NUMBER);
    assert_null(json_at(value, 2));
    assert_true(json_get_object(root, "o", &value, &err));
    assert_int_equal(json_kind_of(json_find(value, "x")), JSON_KIND_NULL);
    assert_null(json_find(value, "y"));
    assert_true(json_get_bytes(root, "bytes", bytes, sizeof bytes, &err));
    assert_memory_equal(bytes, "foo", 3);
    assert_true(json_get_u64_text(root, "big", &number, &err));
    assert_true(number == UINT64_MAX);
    json_free(root);
}

static void test_a_wrong_type_or_range_is_refused_by_field_name(void **state) {
    (void)state;
    error err;
    json_value *root = parse("{\"x\":\"1\",\"neg\":-1,\"half\":1.5,\"large\":1e300,\"one\":1,\"list\":[]}");
    slice text;
    uint64_t number = 0;
    double real = 0;
    bool flag = false;
    const json_value *value = NULL;
    uint8_t bytes[3];
    assert_false(json_get_text(root, "one", &text, &err));
    assert_non_null(strstr(err.text, "\"one\""));
    assert_int_equal(err.code, ERROR_INVALID);
    assert_false(json_get_text_or(root, "one", SLICE_LITERAL("f"), &text, &err));
    const char *const not_u64[] = {"x", "neg", "half", "large", "list"};
    for (size_t i = 0; i < 5; i++) {
        assert_false(json_get_u64(root, not_u64[i], 0, UINT64_MAX, &number, &err));
        assert_false(json_get_u64_or(root, not_u64[i], 0, UINT64_MAX, 5, &number, &err));
        assert_non_null(strstr(err.text, not_u64[i]));
    }
    assert_false(json_get_u64(root, "one", 2, 5, &number, &err));
    assert_string_equal(err.text, "\"one\" must be an integer from 2 to 5");
    assert_false(json_get_double(root, "x", 0, 1, &real, &err));
    assert_false(json_get_double_or(root, "large", 0, 1, 0, &real, &err));
    assert_false(json_get_bool(root, "one", &flag, &err));
    assert_false(json_get_bool_or(root, "x", false, &flag, &err));
    assert_false(json_get_array(root, "x", &value, &err));
    assert_false(json_get_array_or(root, "x", &value, &err));
    assert_false(json_get_object(root, "list", &value, &err));
    assert_false(json_get_object_or(root, "list", &value, &err));
    assert_false(json_get_bytes(root, "x", bytes, sizeof bytes, &err));
    assert_false(json_get_u64_text(root, "one", &number, &err));
    json_free(root);
}

static void test_an_absent_or_null_field_is_missing_or_takes_the_fallback(void **state) {
    (void)state;
    error err;
    json_value *root = parse("{\"n\":null}");
    const char *const names[] = {"n", "absent"};
    for (size_t i = 0; i < 2; i++) {
        slice text;
        uint64_t number = 0;
        double real = 0;
        bool flag = false;
        const json_value *value = root;
        assert_false(json_get_text(root, names[i], &text, &err));
        assert_non_null(strstr(err.text, "missing"));
        assert_false(json_get_u64(root, names[i], 0, 1, &number, &err));
        assert_false(json_get_double(root, names[i], 0, 1, &real, &err));
        assert_false(json_get_bool(root, names[i], &flag, &err));
        assert_false(json_get_array(root, names[i], &value, &err));
        assert_false(json_get_object(root, names[i], &value, &err));
        assert_true(json_get_text_or(root, names[i], SLICE_LITERAL("f"), &text, &err));
        assert_true(slice_equal_text(text, "f"));
        assert_true(json_get_u64_or(root, names[i], 0, 1, 9, &number, &err));
        assert_int_equal(number, 9);
        assert_true(json_get_double_or(root, names[i], 0, 1, 2.5, &real, &err) && real == 2.5);
        assert_true(json_get_bool_or(root, names[i], true, &flag, &err) && flag);
        assert_true(json_get_array_or(root, names[i], &value, &err));
        assert_null(value);
        assert_true(json_get_object_or(root, names[i], &value, &err));
        assert_null(value);
    }
    json_free(root);
}

static void test_members_come_in_the_order_of_the_text(void **state) {
    (void)state;
    json_value *root = parse("{\"z\":1,\"a\":2,\"m\":3}");
    const json_value *value = NULL;
    char order[4] = {0};
    size_t count = 0;
    for (const char *name = NULL; json_next_member(root, &name, &value);) {
        order[count++] = name[0];
    }
    assert_string_equal(order, "zam");
    json_free(root);
}

static void test_equality_ignores_the_order_of_members_only(void **state) {
    (void)state;
    json_value *a = parse("{\"x\":[1,2],\"y\":{\"z\":null}}");
    const char *const others[] = {"{\"y\":{\"z\":null},\"x\":[1,2]}", "{\"x\":[2,1],\"y\":{\"z\":null}}",
                                  "{\"x\":[1,2],\"y\":{}}", "{\"x\":[1,2],\"y\":{\"z\":null},\"w\":0}"};
    for (size_t i = 0; i < 4; i++) {
        json_value *b = parse(others[i]);
        assert_int_equal(json_values_equal(a, b), i == 0);
        json_free(b);
    }
    json_free(a);
}

static void test_the_writer_sets_commas_and_escapes(void **state) {
    (void)state;
    buffer out = buffer_make(4096);
    json_writer w = json_writer_make(&out);
    json_write_object_begin(&w);
    json_add_text(&w, "t", SLICE_LITERAL("\"\\/\b\f\n\r\t\x01\x7f\xC3\xA9\xF0\x9F\x98\x80"));
    json_write_key(&w, "a\"b");
    json_write_array_begin(&w);
    json_write_u64(&w, UINT64_MAX);
    json_write_i64(&w, INT64_MIN);
    json_write_array_begin(&w);
    json_write_array_end(&w);
    json_write_null(&w);
    json_write_object_begin(&w);
    json_write_object_end(&w);
    json_write_array_end(&w);
    json_add_bool(&w, "b", false);
    json_add_double(&w, "d", 0.1);
    json_add_double(&w, "e", 1e21);
    json_add_double(&w, "z", -0.0);
    json_add_double(&w, "nan", NAN);
    json_add_bytes(&w, "y", SLICE_LITERAL("foob"));
    json_add_u64_text(&w, "u", UINT64_MAX);
    json_add_null(&w, "n");
    json_add_u64(&w, "one", 1);
    json_write_object_end(&w);
    assert_false(buffer_failed(&out));
    buffer_append_byte(&out, 0);
    assert_string_equal(
        (const char *)buffer_slice(&out).data,
        "{\"t\":\"\\\"\\\\/\\b\\f\\n\\r\\t\\u0001\x7f\xC3\xA9\xF0\x9F\x98\x80\",\"a\\\"b\":["
        "18446744073709551615,-9223372036854775808,[],null,{}],\"b\":false,\"d\":0.1,\"e\":1e+21,\"z\":-0.0,"
        "\"nan\":null,\"y\":\"Zm9vYg\",\"u\":\"18446744073709551615\",\"n\":null,\"one\":1}");
    buffer_free(&out);
}

static void test_invalid_utf8_is_written_as_replacement_characters(void **state) {
    (void)state;
    static const char *const pairs[][2] = {
        {"a\xFFz", "[\"a\xEF\xBF\xBDz\"]"},
        {"\xC3", "[\"\xEF\xBF\xBD\"]"},
        {"\xC3(", "[\"\xEF\xBF\xBD(\"]"},
        {"\xC0\x80", "[\"\xEF\xBF\xBD\xEF\xBF\xBD\"]"},
        {"\xED\xA0\x80", "[\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\"]"},
        {"\xF4\x8F\xBF\xBF", "[\"\xF4\x8F\xBF\xBF\"]"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        buffer out = buffer_make(4096);
        json_writer w = json_writer_make(&out);
        json_write_array_begin(&w);
        json_write_text(&w, slice_of_text(pairs[i][0]));
        json_write_array_end(&w);
        assert_true(slice_equal_text(buffer_slice(&out), pairs[i][1]));
        error err;
        json_value *root = json_parse(buffer_slice(&out), limits, &err);
        assert_non_null(root);
        json_free(root);
        buffer_free(&out);
    }
}

static void test_a_parsed_value_is_written_as_it_was(void **state) {
    (void)state;
    static const char text[] = "{\"z\":[1,-2,0.25,true,false,null,\"x\\ny\"],\"a\":{\"b\":{}},\"c\":[]}";
    json_value *root = parse(text);
    buffer out = buffer_make(4096);
    json_writer w = json_writer_make(&out);
    json_write_value(&w, root);
    assert_true(slice_equal_text(buffer_slice(&out), text));
    buffer_free(&out);
    json_free(root);
}

static void test_each_failed_allocation_is_out_of_memory_and_leaks_nothing(void **state) {
    (void)state;
    bool reached = true;
    for (int nth = 0; reached; nth++) {
        error err;
        fault_fail_nth(nth);
        json_value *root = json_parse(
            SLICE_LITERAL(
                "{\"a\":[1,2.5,\"a text that is longer than a short one\"],\"b\":{\"c\":\"\\u00e9\"}}"),
            limits, &err);
        reached = fault_stop();
        assert_int_equal(root != NULL, !reached);
        assert_true(root != NULL || err.code == ERROR_MEMORY);
        json_free(root);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_not_strict_json_is_refused),
        cmocka_unit_test(test_size_and_depth_are_bounded),
        cmocka_unit_test(test_an_error_never_quotes_the_text),
        cmocka_unit_test(test_getters_fill_values_of_the_right_type),
        cmocka_unit_test(test_a_wrong_type_or_range_is_refused_by_field_name),
        cmocka_unit_test(test_an_absent_or_null_field_is_missing_or_takes_the_fallback),
        cmocka_unit_test(test_members_come_in_the_order_of_the_text),
        cmocka_unit_test(test_equality_ignores_the_order_of_members_only),
        cmocka_unit_test(test_the_writer_sets_commas_and_escapes),
        cmocka_unit_test(test_invalid_utf8_is_written_as_replacement_characters),
        cmocka_unit_test(test_a_parsed_value_is_written_as_it_was),
        cmocka_unit_test(test_each_failed_allocation_is_out_of_memory_and_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
