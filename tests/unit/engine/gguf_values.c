#include "engine/gguf.h"

#include "unit.h"

#include "model_file.h"

static gguf_writer writer;

static gguf *open_written(buffer *file) {
    error err;
    writer_finish(&writer, file);
    gguf *g = written_open(file, &err);
    if (g == NULL) {
        fail_msg("%s", err.text);
    }
    return g;
}

/* Opening fails; the error names the key and says why. */
static void refuse_written(const char *key, const char *says) {
    error err;
    buffer file;
    writer_finish(&writer, &file);
    assert_null(written_open(&file, &err));
    assert_int_equal(err.code, ERROR_CORRUPT);
    assert_non_null(strstr(err.text, key));
    assert_non_null(strstr(err.text, says));
    buffer_free(&file);
}

typedef struct number {
    gguf_value_type type;
    uint64_t bits;
    size_t size;
    bool is_u32;
    bool is_i32;
    bool is_u64;
    int64_t value;
} number;

static const number numbers[] = {
    {GGUF_VALUE_U8, 0xff, 1, true, true, true, 255},
    {GGUF_VALUE_I8, 0x7f, 1, true, true, true, 127},
    {GGUF_VALUE_I8, 0x80, 1, false, true, false, -128},
    {GGUF_VALUE_U16, 0xffff, 2, true, true, true, 65535},
    {GGUF_VALUE_I16, 0x8000, 2, false, true, false, -32768},
    {GGUF_VALUE_U32, 0x7fffffff, 4, true, true, true, INT32_MAX},
    {GGUF_VALUE_U32, 0x80000000, 4, true, false, true, INT64_C(0x80000000)},
    {GGUF_VALUE_I32, 0x80000000, 4, false, true, false, INT32_MIN},
    {GGUF_VALUE_I32, 0xffffffff, 4, false, true, false, -1},
    {GGUF_VALUE_U64, 0xffffffff, 8, true, false, true, UINT32_MAX},
    {GGUF_VALUE_U64, INT64_MAX, 8, false, false, true, INT64_MAX},
    {GGUF_VALUE_I64, 5, 8, true, true, true, 5},
    {GGUF_VALUE_I64, UINT64_MAX, 8, false, true, false, -1},
    {GGUF_VALUE_I64, UINT64_MAX - 0x80000000, 8, false, false, false, -INT64_C(0x80000001)},
    {GGUF_VALUE_I64, UINT64_C(1) << 63, 8, false, false, false, INT64_MIN},
    {GGUF_VALUE_I64, UINT64_C(1) << 32, 8, false, false, true, INT64_C(1) << 32},
};
enum { NUMBERS = sizeof numbers / sizeof numbers[0] };

static void test_whole_numbers_of_any_width_are_read_where_they_fit(void **state) {
    (void)state;
    for (size_t i = 0; i < NUMBERS; i++) {
        const number *n = &numbers[i];
        error err;
        buffer file;
        uint32_t u32 = 0;
        int32_t i32 = 0;
        uint64_t u64 = 0;
        float real = 0;
        writer_start(&writer);
        writer_value(&writer, "n", n->type, &n->bits, n->size);
        gguf *g = open_written(&file);
        assert_int_equal(gguf_u32(g, "n", &u32, &err), n->is_u32);
        assert_true(!n->is_u32 || u32 == n->value);
        assert_true(n->is_u32 || (err.code == ERROR_CORRUPT && strstr(err.text, "'n'") != NULL));
        assert_int_equal(gguf_i32(g, "n", &i32, &err), n->is_i32);
        assert_true(!n->is_i32 || i32 == n->value);
        assert_int_equal(gguf_u64(g, "n", &u64, &err), n->is_u64);
        assert_true(!n->is_u64 || u64 == (uint64_t)n->value);
        assert_false(gguf_f32(g, "n", &real, &err));
        gguf_value v = gguf_key_value(g, 0);
        assert_int_equal(v.type, n->type);
        assert_int_equal(v.whole, n->value);
        gguf_free(g);
        buffer_free(&file);
    }
}

static void test_arrays_of_whole_numbers_of_any_width_are_read_where_all_fit(void **state) {
    (void)state;
    for (size_t i = 0; i < NUMBERS; i++) {
        const number *n = &numbers[i];
        error err;
        buffer file;
        gguf_array array;
        uint8_t bytes[16] = {0}; /* 0, then the number */
        memcpy(bytes + n->size, &n->bits, n->size);
        writer_start(&writer);
        writer_array(&writer, "n", n->type, 2, bytes, 2 * n->size);
        writer_value(&writer, "one", n->type, &n->bits, n->size);
        gguf *g = open_written(&file);
        assert_int_equal(gguf_u32_array(g, "n", &array, &err), n->is_u32);
        assert_true(!n->is_u32 || (array.count == 2 && gguf_array_u32(array, 0) == 0 &&
                                   gguf_array_u32(array, 1) == n->value));
        assert_true(n->is_u32 || strstr(err.text, "'n': element 1 is") != NULL);
        assert_int_equal(gguf_i32_array(g, "n", &array, &err), n->is_i32);
        assert_true(!n->is_i32 || gguf_array_i32(array, 1) == n->value);
        assert_int_equal(gguf_i32_array(g, "one", &array, &err), n->is_i32);
        assert_true(!n->is_i32 || (array.count == 1 && gguf_array_i32(array, 0) == n->value));
        assert_int_equal(gguf_byte_array(g, "n", &array, &err), n->size == 1);
        assert_false(gguf_f32_array(g, "n", &array, &err));
        assert_false(gguf_bool_array(g, "n", &array, &err));
        assert_false(gguf_text_array(g, "n", &array, &err));
        gguf_free(g);
        buffer_free(&file);
    }
}

static void test_floats_truths_and_strings_are_read_alone_and_in_arrays(void **state) {
    (void)state;
    static const float reals[] = {0.5f, -2};
    static const double wide = 0.1;
    static const uint8_t truths[] = {1, 0, 1};
    static const char *const texts[] = {"a", "", "ccc"};
    error err;
    buffer file;
    gguf_array array;
    float real = 0;
    slice text;
    writer_start(&writer);
    writer_array(&writer, "reals", GGUF_VALUE_F32, 2, reals, sizeof reals);
    writer_f32(&writer, "real", 3);
    writer_value(&writer, "wide", GGUF_VALUE_F64, &wide, sizeof wide);
    writer_array(&writer, "truths", GGUF_VALUE_BOOL, 3, truths, 3);
    writer_bool(&writer, "truth", true);
    writer_texts(&writer, "texts", texts, 3);
    writer_text(&writer, "text", "alone");
    gguf *g = open_written(&file);
    assert_true(gguf_f32_array(g, "reals", &array, &err) && array.count == 2);
    assert_true(gguf_array_f32(array, 0) == 0.5f && gguf_array_f32(array, 1) == -2);
    assert_true(gguf_f32_array(g, "real", &array, &err) && array.count == 1);
    assert_true(gguf_array_f32(array, 0) == 3);
    assert_false(gguf_f32(g, "wide", &real, &err));
    assert_non_null(strstr(err.text, "'wide' is of type f64, not f32"));
    assert_true(gguf_key_value(g, 2).real == 0.1);
    assert_true(gguf_bool_array(g, "truths", &array, &err) && array.count == 3);
    assert_true(gguf_array_bool(array, 0) && !gguf_array_bool(array, 1) && gguf_array_bool(array, 2));
    assert_true(gguf_bool_array(g, "truth", &array, &err) && gguf_array_bool(array, 0));
    assert_true(gguf_key_value(g, 4).truth);
    assert_false(gguf_u32_array(g, "truths", &array, &err));
    assert_non_null(strstr(err.text, "array of bool"));
    assert_false(gguf_byte_array(g, "truths", &array, &err));
    assert_true(gguf_text_array(g, "texts", &array, &err) && array.count == 3);
    for (size_t i = 0; i < 3; i++) {
        assert_true(gguf_next_text(&array, &text) && slice_equal_text(text, texts[i]));
    }
    assert_false(gguf_next_text(&array, &text));
    assert_false(gguf_text_array(g, "text", &array, &err));
    assert_true(slice_equal_text(gguf_key_value(g, 6).text, "alone"));
    assert_true(slice_equal_text(gguf_key_name(g, 6), "text"));
    assert_int_equal(gguf_key_count(g), 7);
    gguf_free(g);
    buffer_free(&file);
}

/* `depth` arrays in each other, the innermost of two bytes. */
static void write_nested(int depth) {
    uint8_t bytes[12 * 8 + 2] = {0};
    size_t length = 0;
    for (int level = 2; level <= depth; level++) {
        bytes[length] = level == depth ? GGUF_VALUE_U8 : GGUF_VALUE_ARRAY;
        bytes[length + 4] = level == depth ? 2 : 1;
        length += 12;
    }
    bytes[length] = 7;
    bytes[length + 1] = 9;
    writer_array(&writer, "nested", GGUF_VALUE_ARRAY, 1, bytes, length + 2);
}

static void test_arrays_in_arrays_are_read_to_a_bounded_depth(void **state) {
    (void)state;
    buffer file;
    gguf_value v;
    writer_start(&writer);
    write_nested(GGUF_NESTING_MAX);
    gguf *g = open_written(&file);
    v = gguf_key_value(g, 0);
    for (int level = 1; level < GGUF_NESTING_MAX; level++) {
        gguf_array rest = v.array;
        assert_int_equal(v.type, GGUF_VALUE_ARRAY);
        assert_int_equal(rest.count, 1);
        assert_true(gguf_next_value(&rest, &v));
        assert_false(gguf_next_value(&rest, &(gguf_value){0}));
    }
    gguf_array rest = v.array;
    assert_true(gguf_next_value(&rest, &v) && v.type == GGUF_VALUE_U8 && v.natural == 7);
    assert_true(gguf_next_value(&rest, &v) && v.natural == 9);
    assert_false(gguf_next_value(&rest, &v));
    gguf_free(g);
    buffer_free(&file);
    writer_start(&writer);
    write_nested(GGUF_NESTING_MAX + 1);
    refuse_written("'nested'", "nested deeper");
}

static void test_arrays_that_do_not_hold_together_are_refused(void **state) {
    (void)state;
    static const uint8_t bytes[20] = {2};
    writer_start(&writer);
    writer_array(&writer, "k", GGUF_VALUE_BOOL, 3, bytes, 3);
    refuse_written("'k'", "neither true nor false");
    writer_start(&writer);
    writer_array(&writer, "k", GGUF_VALUE_TYPES, 3, bytes, 3);
    refuse_written("'k'", "unknown type 13");
    writer_start(&writer);
    writer_array(&writer, "k", GGUF_VALUE_U8, (size_t)GGUF_ELEMENTS_MAX + 1, bytes, 3);
    refuse_written("'k'", "more than");
    writer_start(&writer);
    writer_array(&writer, "k", GGUF_VALUE_U64, 30, bytes, 20);
    refuse_written("'k'", "ends within");
    writer_start(&writer);
    writer_array(&writer, "k", GGUF_VALUE_TEXT, 30, bytes, 20);
    refuse_written("'k'", "ends within");
    writer_start(&writer);
    writer_array(&writer, "k", GGUF_VALUE_ARRAY, GGUF_ELEMENTS_MAX, bytes, 20);
    refuse_written("'k'", "");
}

static void test_every_key_of_a_file_with_the_most_there_may_be_is_found(void **state) {
    (void)state;
    error err;
    buffer file;
    writer_start(&writer);
    for (uint32_t i = 0; i < GGUF_KEYS_MAX; i++) {
        char name[32];
        snprintf(name, sizeof name, "key.%u", i * 77773 % 65537);
        writer_u32(&writer, name, i);
    }
    gguf *g = open_written(&file);
    for (uint32_t i = 0; i < GGUF_KEYS_MAX; i++) {
        char name[32];
        uint32_t value = 0;
        snprintf(name, sizeof name, "key.%u", i * 77773 % 65537);
        assert_true(slice_equal_text(gguf_key_name(g, i), name));
        assert_true(gguf_u32(g, name, &value, &err) && value == i);
    }
    assert_false(gguf_has(g, "key."));
    gguf_free(g);
    buffer_free(&file);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole_numbers_of_any_width_are_read_where_they_fit),
        cmocka_unit_test(test_arrays_of_whole_numbers_of_any_width_are_read_where_all_fit),
        cmocka_unit_test(test_floats_truths_and_strings_are_read_alone_and_in_arrays),
        cmocka_unit_test(test_arrays_in_arrays_are_read_to_a_bounded_depth),
        cmocka_unit_test(test_arrays_that_do_not_hold_together_are_refused),
        cmocka_unit_test(test_every_key_of_a_file_with_the_most_there_may_be_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
