#include "engine/gguf.h"

#include "unit.h"

#include "model_file.h"

enum { PARTS = 3, TENSORS = 4 }; /* one in the first part, none in the second, three in the third */

typedef struct split {
    buffer files[PARTS];
    slice slices[PARTS];
} split;

/* What a part is written with, for the tests to change. */
typedef struct part_plan {
    uint16_t number;
    uint16_t count;
    const char *name; /* of the model */
    const char *tensors[3];
} part_plan;

static const part_plan plans[PARTS] = {
    {0, PARTS, "one", {"a"}}, {1, PARTS, NULL, {NULL}}, {2, PARTS, "one", {"b", "c", "d"}}};

static void write_part(const part_plan *plan, int32_t tensor_count, buffer *file) {
    static gguf_writer writer;
    writer_start(&writer);
    if (plan->count > 0) {
        writer_split(&writer, plan->number, plan->count, tensor_count);
    }
    if (plan->name != NULL) {
        writer_text(&writer, "general.name", plan->name);
    }
    for (size_t i = 0; i < 3 && plan->tensors[i] != NULL; i++) {
        float value = (float)plan->tensors[i][0];
        writer_tensor(&writer, plan->tensors[i], GGUF_F32, 1, 1, &value);
    }
    writer_finish(&writer, file);
}

static void write_split(split *s, const part_plan parts[PARTS], int32_t tensor_count) {
    for (size_t i = 0; i < PARTS; i++) {
        write_part(&parts[i], tensor_count, &s->files[i]);
        s->slices[i] = buffer_slice(&s->files[i]);
    }
}

static void free_split(split *s) {
    for (size_t i = 0; i < PARTS; i++) {
        buffer_free(&s->files[i]);
    }
}

static void test_the_parts_of_a_model_read_as_one(void **state) {
    (void)state;
    static const uint32_t places[TENSORS] = {0, 2, 2, 2};
    error err;
    split s;
    slice name;
    write_split(&s, plans, TENSORS);
    gguf *g = gguf_open(s.slices, PARTS, &err);
    assert_non_null(g);
    assert_int_equal(gguf_part_count(g), PARTS);
    assert_int_equal(gguf_tensor_count(g), TENSORS);
    assert_true(gguf_text(g, "general.name", &name, &err) && slice_equal_text(name, "one"));
    assert_int_equal(gguf_key_count(g), 4);
    for (uint32_t i = 0; i < TENSORS; i++) {
        char letter[2] = {(char)('a' + i), 0};
        const gguf_tensor *t = gguf_find_tensor(g, letter);
        float value = 0;
        assert_ptr_equal(t, gguf_tensor_at(g, i));
        assert_int_equal(t->part, places[i]);
        memcpy(&value, t->data.data, sizeof value);
        assert_true(value == (float)letter[0]);
    }
    gguf_free(g);
    free_split(&s);
}

static void refuse(const split *s, const size_t *order, size_t count, const char *says) {
    error err;
    slice files[PARTS];
    for (size_t i = 0; i < count; i++) {
        files[i] = s->slices[order[i]];
    }
    assert_null(gguf_open(files, count, &err));
    assert_int_equal(err.code, ERROR_CORRUPT);
    if (strstr(err.text, says) == NULL) {
        fail_msg("'%s' doesn't say '%s'", err.text, says);
    }
}

static void test_parts_that_are_missing_or_out_of_order_are_refused(void **state) {
    (void)state;
    split s;
    write_split(&s, plans, TENSORS);
    refuse(&s, (size_t[]){0}, 1, "has 3 files by key 'split.count', 1 is given");
    refuse(&s, (size_t[]){0, 1}, 2, "part 1 of 2: the model has 3 files");
    refuse(&s, (size_t[]){0, 2, 1}, 3, "part 2 of 3: key 'split.no' is 2, where 1 is due");
    refuse(&s, (size_t[]){1, 0, 2}, 3, "part 1 of 3");
    refuse(&s, (size_t[]){0, 1, 1}, 3, "part 3 of 3");
    free_split(&s);
}

static void test_parts_that_do_not_belong_together_are_refused(void **state) {
    (void)state;
    static const struct {
        part_plan second;
        int32_t tensor_count;
        const char *says;
    } changes[] = {
        {{1, PARTS, "another", {NULL}},
         TENSORS,
         "part 2 of 3: key 'general.name' is not what the first part says"},
        {{1, PARTS, NULL, {"a"}}, TENSORS, "part 2 of 3: tensor 'a' stands twice"},
        {{1, PARTS + 1, NULL, {NULL}}, TENSORS, "part 2 of 3: the model has 4 files"},
        {{7, PARTS, NULL, {NULL}}, TENSORS, "part 2 of 3: key 'split.no' is 7 of a 'split.count' of 3"},
        {{0, 0, NULL, {NULL}},
         TENSORS,
         "part 2 of 3: the model has 1 files by key 'split.count', 3 are given"},
        {{1, PARTS, NULL, {"e"}}, TENSORS, "4 tensors by key 'split.tensors.count', its files 5"},
        {{1, PARTS, NULL, {NULL}}, -1, "'split.tensors.count' is negative"},
    };
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        split s;
        part_plan parts[PARTS];
        memcpy(parts, plans, sizeof parts);
        parts[1] = changes[i].second;
        write_split(&s, parts, changes[i].tensor_count);
        refuse(&s, (size_t[]){0, 1, 2}, PARTS, changes[i].says);
        free_split(&s);
    }
}

static void test_a_part_cut_short_is_refused_wherever_it_ends(void **state) {
    (void)state;
    split s;
    write_split(&s, plans, TENSORS);
    for (size_t part = 0; part < PARTS; part++) {
        slice whole = s.slices[part];
        /* The part without tensors ends in padding, which nothing needs. */
        for (size_t cut = part == 1 ? 32 : 1; cut <= whole.length; cut++) {
            char says[32];
            s.slices[part] = slice_part(whole, 0, whole.length - cut);
            snprintf(says, sizeof says, "part %zu of 3", part + 1);
            refuse(&s, (size_t[]){0, 1, 2}, PARTS, says);
        }
        s.slices[part] = whole;
    }
    free_split(&s);
}

static void test_a_number_of_files_that_no_model_has_is_refused(void **state) {
    (void)state;
    static slice files[GGUF_PARTS_MAX + 1];
    error err;
    assert_null(gguf_open(files, 0, &err));
    assert_int_equal(err.code, ERROR_INVALID);
    assert_null(gguf_open(files, GGUF_PARTS_MAX + 1, &err));
    assert_int_equal(err.code, ERROR_INVALID);
    assert_null(gguf_open(files, GGUF_PARTS_MAX, &err));
    assert_int_equal(err.code, ERROR_CORRUPT);
}

static void test_version_2_reads_as_version_3_does(void **state) {
    (void)state;
    static gguf_writer writer;
    error err;
    buffer file;
    uint32_t number = 0;
    float value = 2;
    writer_start(&writer);
    writer.version = 2;
    writer_u32(&writer, "k", 5);
    writer_tensor(&writer, "t", GGUF_F32, 1, 1, &value);
    writer_finish(&writer, &file);
    gguf *g = written_open(&file, &err);
    assert_non_null(g);
    assert_int_equal(gguf_version(g), 2);
    assert_int_equal(gguf_part_count(g), 1);
    assert_true(gguf_u32(g, "k", &number, &err) && number == 5);
    assert_non_null(gguf_find_tensor(g, "t"));
    gguf_free(g);
    buffer_free(&file);
}

static void test_every_failed_allocation_is_an_error(void **state) {
    (void)state;
    split s;
    bool reached = true;
    write_split(&s, plans, TENSORS);
    for (int nth = 0; reached; nth++) {
        error err = {0};
        fault_fail_nth(nth);
        gguf *g = gguf_open(s.slices, PARTS, &err);
        reached = fault_stop();
        assert_int_equal(g == NULL, reached);
        assert_int_equal(err.code, reached ? ERROR_MEMORY : ERROR_NONE);
        gguf_free(g);
    }
    free_split(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_parts_of_a_model_read_as_one),
        cmocka_unit_test(test_parts_that_are_missing_or_out_of_order_are_refused),
        cmocka_unit_test(test_parts_that_do_not_belong_together_are_refused),
        cmocka_unit_test(test_a_part_cut_short_is_refused_wherever_it_ends),
        cmocka_unit_test(test_a_number_of_files_that_no_model_has_is_refused),
        cmocka_unit_test(test_version_2_reads_as_version_3_does),
        cmocka_unit_test(test_every_failed_allocation_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
