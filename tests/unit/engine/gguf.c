#include "engine/gguf.h"

#include "unit.h"

#include "model_file.h"

#include <stdlib.h>

static gguf_writer writer;

/* Opens what the writer holds, in memory of exactly its size, so that reading past it is seen. */
static gguf *open_written(buffer *file, error *err) {
    writer_finish(&writer, file);
    return written_open(file, err);
}

static gguf *open_exactly(slice bytes, uint8_t **copy, error *err) {
    *copy = malloc(bytes.length == 0 ? 1 : bytes.length);
    assert_non_null(*copy);
    memcpy(*copy, bytes.data, bytes.length);
    return gguf_open(&(slice){*copy, bytes.length}, 1, err);
}

static void test_keys_and_tensors_are_read_as_written(void **state) {
    (void)state;
    static const char *const texts[] = {"one", "", "three"};
    static const int32_t numbers[] = {-1, 0, INT32_MAX};
    float values[64];
    uint64_t random = 1;
    error err;
    buffer file;
    for (size_t i = 0; i < 64; i++) {
        values[i] = test_random_float(&random);
    }
    writer_start(&writer);
    writer_text(&writer, "a.text", "value");
    writer_u32(&writer, "a.number", 77);
    writer_f32(&writer, "a.float", 0.25f);
    writer_bool(&writer, "a.bool", true);
    writer_texts(&writer, "a.texts", texts, 3);
    writer_i32s(&writer, "a.numbers", numbers, 3);
    writer_tensor(&writer, "first", GGUF_F16, 3, 2, values);
    writer_tensor(&writer, "second", GGUF_Q8_0, 32, 2, values);
    gguf *g = open_written(&file, &err);
    assert_non_null(g);

    slice text;
    uint32_t number = 0;
    float real = 0;
    bool truth = false;
    gguf_array list;
    gguf_array array;
    assert_true(gguf_text(g, "a.text", &text, &err) && slice_equal_text(text, "value"));
    assert_true(gguf_u32(g, "a.number", &number, &err) && number == 77);
    assert_true(gguf_f32(g, "a.float", &real, &err) && real == 0.25f);
    assert_true(gguf_bool(g, "a.bool", &truth, &err) && truth);
    assert_true(gguf_text_array(g, "a.texts", &list, &err));
    for (size_t i = 0; i < 3; i++) {
        assert_true(gguf_next_text(&list, &text) && slice_equal_text(text, texts[i]));
    }
    assert_false(gguf_next_text(&list, &text));
    assert_true(gguf_i32_array(g, "a.numbers", &array, &err));
    assert_int_equal(array.count, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(gguf_array_i32(array, i), numbers[i]);
    }
    const gguf_tensor *t = gguf_find_tensor(g, "second");
    assert_non_null(t);
    assert_int_equal(t->type, GGUF_Q8_0);
    assert_int_equal(t->dimensions[0], 32);
    assert_int_equal(t->dimensions[1], 2);
    assert_int_equal(t->dimensions[2], 1);
    assert_int_equal(t->data.length, 68);
    assert_int_equal(gguf_find_tensor(g, "first")->data.length, 12);
    assert_null(gguf_find_tensor(g, "third"));
    gguf_free(g);
    buffer_free(&file);
}

static void test_a_missing_key_and_a_key_of_another_type_are_told_apart(void **state) {
    (void)state;
    error err;
    buffer file;
    uint32_t number = 0;
    float real = 0;
    bool truth = false;
    slice text;
    gguf_array texts;
    writer_start(&writer);
    writer_text(&writer, "text", "value");
    writer_u32(&writer, "number", 1);
    gguf *g = open_written(&file, &err);
    assert_non_null(g);
    assert_false(gguf_u32(g, "absent", &number, &err));
    assert_int_equal(err.code, ERROR_NOT_FOUND);
    assert_non_null(strstr(err.text, "absent"));
    assert_false(gguf_u32(g, "text", &number, &err));
    assert_int_equal(err.code, ERROR_CORRUPT);
    assert_non_null(strstr(err.text, "text"));
    assert_false(gguf_f32(g, "number", &real, &err));
    assert_false(gguf_bool(g, "number", &truth, &err));
    assert_false(gguf_text(g, "number", &text, &err));
    assert_false(gguf_text_array(g, "text", &texts, &err));
    assert_false(gguf_i32_array(g, "text", &texts, &err));
    gguf_free(g);
    buffer_free(&file);
}

static void test_every_file_cut_short_is_refused(void **state) {
    (void)state;
    error err;
    model_file file;
    model_shape shape = model_shape_small;
    shape.layers = 1;
    model_file_make(&file, &shape, 1);
    slice whole = buffer_slice(&file.bytes);
    for (size_t length = 0; length < whole.length; length += length < 12000 ? 1 : 997) {
        uint8_t *copy = NULL;
        assert_null(open_exactly(slice_part(whole, 0, length), &copy, &err));
        assert_int_equal(err.code, ERROR_CORRUPT);
        free(copy);
    }
    uint8_t *copy = NULL;
    gguf *g = open_exactly(whole, &copy, &err);
    assert_non_null(g);
    gguf_free(g);
    free(copy);
    model_file_free(&file);
}

/* Puts `count` bytes of `value` at `place` of a file with a key "k" (u32) and a tensor "t" of 32 F32. Places:
 * 4 version, 8 tensor count, 16 key count, 24 key length, 33 key type, 37 value, 41 name length, 50 dimension
 * count, 54 dimension, 62 type, 66 offset. */
static error_code open_changed(size_t place, uint64_t value, size_t count, char text[ERROR_TEXT_SIZE]) {
    error err = {0};
    buffer file;
    float values[32] = {1};
    writer_start(&writer);
    writer_u32(&writer, "k", 5);
    writer_tensor(&writer, "t", GGUF_F32, 32, 1, values);
    writer_finish(&writer, &file);
    for (size_t i = 0; i < count; i++) {
        file.bytes[file.start + place + i] = (uint8_t)(value >> (8 * i));
    }
    uint8_t *copy = NULL;
    gguf *g = open_exactly(buffer_slice(&file), &copy, &err);
    error_code code = g == NULL ? err.code : ERROR_NONE;
    memcpy(text, err.text, sizeof err.text);
    gguf_free(g);
    free(copy);
    buffer_free(&file);
    return code;
}

static void test_each_wrong_field_is_refused_and_named(void **state) {
    (void)state;
    static const struct {
        size_t place;
        uint64_t value;
        size_t count;
        error_code code;
        const char *says;
    } changes[] = {
        {0, 'g', 1, ERROR_CORRUPT, "not a GGUF"},
        {4, 1, 4, ERROR_UNSUPPORTED, "version 1"},
        {4, 0x03000000, 4, ERROR_UNSUPPORTED, "big-endian"},
        {8, UINT64_MAX, 8, ERROR_CORRUPT, "claims"},
        {16, GGUF_KEYS_MAX + 1, 8, ERROR_CORRUPT, "claims"},
        {16, 2, 8, ERROR_CORRUPT, ""},
        {24, UINT64_MAX, 8, ERROR_CORRUPT, "keys"},
        {24, 0, 8, ERROR_CORRUPT, ""},
        {32, 0xff, 1, ERROR_CORRUPT, "readable name"},
        {33, 13, 4, ERROR_CORRUPT, "'k'"},
        {33, 8, 4, ERROR_CORRUPT, "'k'"},
        {33, 9, 4, ERROR_CORRUPT, "ends within"},
        {41, 1000, 8, ERROR_CORRUPT, "tensor"},
        {50, 0, 4, ERROR_CORRUPT, "'t'"},
        {50, 5, 4, ERROR_CORRUPT, "'t'"},
        {54, 0, 8, ERROR_CORRUPT, "'t'"},
        {54, UINT64_MAX, 8, ERROR_CORRUPT, "'t'"},
        {54, 33, 8, ERROR_CORRUPT, "'t'"},
        {62, 11, 4, ERROR_UNSUPPORTED, "'t': it has type Q3_K (11)"},
        {62, 12, 4, ERROR_CORRUPT, "'t': its rows are not whole blocks of 256"},
        {62, 4000, 4, ERROR_UNSUPPORTED, "unknown"},
        {66, 1, 8, ERROR_CORRUPT, "'t'"},
        {66, 32, 8, ERROR_CORRUPT, "'t'"},
        {66, UINT64_MAX - 31, 8, ERROR_CORRUPT, "'t'"},
    };
    char text[ERROR_TEXT_SIZE];
    assert_int_equal(open_changed(37, 6, 4, text), ERROR_NONE);
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        assert_int_equal(open_changed(changes[i].place, changes[i].value, changes[i].count, text),
                         changes[i].code);
        if (strstr(text, changes[i].says) == NULL) {
            fail_msg("change %zu says: %s", i, text);
        }
    }
}

static void test_a_type_that_is_not_read_is_refused_by_its_name(void **state) {
    (void)state;
    static const struct {
        uint32_t type;
        const char *says;
    } types[] = {{4, "unknown (4)"},    {9, "Q8_1 (9)"},
                 {10, "Q2_K (10)"},     {20, "IQ4_NL (20)"},
                 {26, "I32 (26)"},      {29, "IQ1_M (29)"},
                 {31, "Q4_0_4_4 (31)"}, {39, "MXFP4 (39)"},
                 {43, "unknown (43)"},  {UINT32_MAX, "unknown (4294967295)"}};
    char text[ERROR_TEXT_SIZE];
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        assert_int_equal(open_changed(62, types[i].type, 4, text), ERROR_UNSUPPORTED);
        assert_non_null(strstr(text, types[i].says));
    }
}

static void test_doubled_names_and_wrong_alignments_are_refused(void **state) {
    (void)state;
    float values[32] = {1};
    for (int kind = 0; kind < 6; kind++) {
        static const uint32_t alignments[] = {0, 0, 0, 12, 4, 1 << 20};
        error err = {0};
        buffer file;
        writer_start(&writer);
        writer_u32(&writer, "key", 5);
        writer_tensor(&writer, "tensor", GGUF_F32, 32, 1, values);
        if (kind == 0) {
            writer_u32(&writer, "key", 5);
        } else if (kind == 1) {
            writer_tensor(&writer, "tensor", GGUF_F32, 32, 1, values);
        } else {
            writer_u32(&writer, "general.alignment", alignments[kind]);
        }
        assert_null(open_written(&file, &err));
        assert_int_equal(err.code, ERROR_CORRUPT);
        assert_non_null(strstr(err.text, kind == 0 ? "'key'" : kind == 1 ? "'tensor'" : "alignment"));
        buffer_free(&file);
    }
}

static void test_rows_of_q8_must_be_whole_blocks(void **state) {
    (void)state;
    error err;
    buffer file;
    float values[32] = {1};
    writer_start(&writer);
    writer_tensor(&writer, "t", GGUF_F32, 31, 1, values);
    writer_finish(&writer, &file);
    file.bytes[24 + 8 + 1 + 4 + 8] = GGUF_Q8_0; /* the type field of the only tensor */
    assert_null(written_open(&file, &err));
    assert_non_null(strstr(err.text, "blocks of 32"));
    buffer_free(&file);
}

/* Two tensors of 128 bytes, with another offset written in the description that ends at `end`. */
static void refuse_offset(size_t end, uint8_t offset, const char *says) {
    error err;
    buffer file;
    float values[32] = {1};
    writer_start(&writer);
    writer_tensor(&writer, "a", GGUF_F32, 32, 1, values);
    writer_tensor(&writer, "b", GGUF_F32, 32, 1, values);
    writer_finish(&writer, &file);
    file.bytes[end - 8] = offset;
    assert_null(written_open(&file, &err));
    assert_int_equal(err.code, ERROR_CORRUPT);
    assert_non_null(strstr(err.text, says));
    buffer_free(&file);
}

static void test_tensors_that_overlap_or_are_not_aligned_are_refused(void **state) {
    (void)state;
    enum { DESCRIPTION = 8 + 1 + 4 + 8 + 4 + 8, FIRST = 24 + DESCRIPTION, SECOND = FIRST + DESCRIPTION };
    refuse_offset(SECOND, 0, "'b' overlaps");
    refuse_offset(SECOND, 96, "'b' overlaps");
    refuse_offset(FIRST, 128, "'b' overlaps");
    refuse_offset(FIRST, 32, "'b' overlaps");
    refuse_offset(SECOND, 144, "'b' is not aligned");
    refuse_offset(SECOND, 160, "'b' lies outside");
}

static void test_every_tensor_of_a_file_with_the_most_there_may_be_is_found(void **state) {
    (void)state;
    error err;
    buffer file;
    writer_start(&writer);
    for (uint32_t i = 0; i < GGUF_TENSORS_MAX; i++) {
        char name[32];
        float value = (float)i;
        snprintf(name, sizeof name, "tensor.%u", i * 7919 % GGUF_TENSORS_MAX);
        writer_tensor(&writer, name, GGUF_F32, 1, 1, &value);
    }
    gguf *g = open_written(&file, &err);
    assert_non_null(g);
    assert_int_equal(gguf_tensor_count(g), GGUF_TENSORS_MAX);
    for (uint32_t i = 0; i < GGUF_TENSORS_MAX; i++) {
        char name[32];
        float value = 0;
        snprintf(name, sizeof name, "tensor.%u", i * 7919 % GGUF_TENSORS_MAX);
        memcpy(&value, gguf_find_tensor(g, name)->data.data, sizeof value);
        assert_true(value == (float)i);
        assert_ptr_equal(gguf_tensor_at(g, i), gguf_find_tensor(g, name));
    }
    assert_null(gguf_find_tensor(g, "tensor.8192"));
    gguf_free(g);
    buffer_free(&file);
}

static void test_every_failed_allocation_is_an_error(void **state) {
    (void)state;
    model_file file;
    bool reached = true;
    model_file_make(&file, &model_shape_small, 1);
    for (int nth = 0; reached; nth++) {
        error err = {0};
        fault_fail_nth(nth);
        gguf *g = written_open(&file.bytes, &err);
        reached = fault_stop();
        assert_int_equal(g == NULL, reached);
        assert_int_equal(err.code, reached ? ERROR_MEMORY : ERROR_NONE);
        gguf_free(g);
    }
    model_file_free(&file);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys_and_tensors_are_read_as_written),
        cmocka_unit_test(test_a_missing_key_and_a_key_of_another_type_are_told_apart),
        cmocka_unit_test(test_every_file_cut_short_is_refused),
        cmocka_unit_test(test_each_wrong_field_is_refused_and_named),
        cmocka_unit_test(test_a_type_that_is_not_read_is_refused_by_its_name),
        cmocka_unit_test(test_doubled_names_and_wrong_alignments_are_refused),
        cmocka_unit_test(test_rows_of_q8_must_be_whole_blocks),
        cmocka_unit_test(test_tensors_that_overlap_or_are_not_aligned_are_refused),
        cmocka_unit_test(test_every_tensor_of_a_file_with_the_most_there_may_be_is_found),
        cmocka_unit_test(test_every_failed_allocation_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
