#include "memory/index_internal.h"

#include "unit.h"

#include "base/memory.h"

#include <math.h>

enum { DIMENSIONS = 8 };

static error err;
static char model_name[] = "vectors";
static char no_model[] = "";

static index_data *make(char *model) {
    pool p = {.settings = {.embedding_model = model}};
    index_data *data = index_data_new(&p, &err);
    assert_non_null(data);
    return data;
}

static const uint8_t *id_of(uint8_t number) {
    static uint8_t id[RECORD_ID_SIZE];
    memset(id, number, sizeof id);
    return id;
}

/* `axis` below 0: without a vector of the model's. */
static bool put(index_data *data, uint8_t number, const char *text, int axis, bool is_new) {
    float plain[EMBEDDER_DIMENSIONS];
    float vector[DIMENSIONS] = {0};
    bool has_words = index_embed(slice_of_text(text), plain);
    index_entry entry = {.plain = has_words ? plain : NULL, .is_new = is_new, .current = axis >= 0};
    memcpy(entry.id, id_of(number), sizeof entry.id);
    if (axis >= 0) {
        vector[axis] = 1;
        entry.vector = vector;
        entry.dimensions = DIMENSIONS;
    }
    return index_data_put(data, &entry, &err);
}

static index_search search_for(const index_data *data, const char *text, int axis, size_t most) {
    float vector[DIMENSIONS] = {0};
    index_search s = {.text = slice_of_text(text), .most = most};
    if (axis >= 0) {
        vector[axis] = 1;
        s.vector = vector;
        s.dimensions = DIMENSIONS;
    }
    s.count = index_data_search(data, &s);
    s.vector = NULL;
    return s;
}

static void test_facts_are_found_by_words_where_there_is_no_model(void **state) {
    (void)state;
    index_data *data = make(no_model);
    assert_true(put(data, 1, "My dog is called Rex", -1, true));
    assert_true(put(data, 2, "Invoices are due on Fridays", -1, true));
    assert_true(put(data, 3, "???", -1, true));
    index_search s = search_for(data, "What is the dog called?", -1, 1);
    assert_int_equal(s.count, 1);
    assert_memory_equal(s.found[0].id, id_of(1), RECORD_ID_SIZE);
    assert_false(s.found[0].by_model);
    assert_int_equal(data->used, 3);
    index_data_free(data);
}

static void test_those_without_the_models_vector_are_found_beside_those_with_it(void **state) {
    (void)state;
    index_data *data = make(model_name);
    assert_true(put(data, 1, "My dog is called Rex", 1, true));
    assert_true(put(data, 2, "My parrot is called Polly", -1, true));
    index_search s = search_for(data, "My parrot is called Polly", 1, 2);
    assert_int_equal(s.count, 2);
    assert_true(s.found[0].by_model != s.found[1].by_model);
    assert_int_equal(data->current, 1);
    s = search_for(data, "My parrot is called Polly", -1, 2);
    assert_int_equal(s.count, 2);
    assert_memory_equal(s.found[0].id, id_of(2), RECORD_ID_SIZE);
    assert_false(s.found[0].by_model || s.found[1].by_model);
    index_data_free(data);
}

static void test_what_is_written_replaces_and_what_is_gone_stays_gone(void **state) {
    (void)state;
    index_data *data = make(model_name);
    assert_true(put(data, 1, "My dog is called Rex", 1, true));
    assert_true(put(data, 1, "My parrot is called Polly", 2, true));
    assert_int_equal(data->used, 1);
    assert_int_equal(data->current, 1);
    assert_true(search_for(data, "x", 2, 1).found[0].score > 0.99F);
    assert_true(fabsf(search_for(data, "x", 1, 1).found[0].score) < 0.01F);
    assert_true(put(data, 1, "My parrot is called Polly", -1, true));
    assert_int_equal(data->current, 0);
    index_data_remove(data, id_of(1));
    index_data_remove(data, id_of(1));
    assert_int_equal(data->used, 0);
    assert_true(put(data, 1, "late", 1, false));
    assert_int_equal(data->used, 0);
    assert_int_equal(search_for(data, "My parrot is called Polly", 2, 1).count, 0);
    index_data_free(data);
}

static void test_vectors_of_another_length_begin_anew(void **state) {
    (void)state;
    index_data *data = make(model_name);
    const float longer[DIMENSIONS + 1] = {1};
    index_entry entry = {.vector = longer, .dimensions = DIMENSIONS + 1, .current = true, .is_new = true};
    assert_true(put(data, 1, "one", 1, true));
    assert_true(put(data, 2, "two", 2, true));
    memcpy(entry.id, id_of(2), sizeof entry.id);
    assert_true(index_data_put(data, &entry, &err));
    assert_int_equal(data->current, 1);
    assert_int_equal(data->wish.dimensions, DIMENSIONS + 1);
    fact f = {.text = SLICE_LITERAL("one"), .embedder = slice_of_text(model_name), .dimensions = DIMENSIONS};
    assert_false(index_is_current(&data->wish, &f));
    f.dimensions = DIMENSIONS + 1;
    assert_true(index_is_current(&data->wish, &f));
    index_data_free(data);
}

static void test_without_a_model_a_fact_without_words_lacks_nothing(void **state) {
    (void)state;
    index_data *data = make(no_model);
    fact f = {.text = SLICE_LITERAL("???")};
    assert_true(index_is_current(&data->wish, &f));
    f.text = SLICE_LITERAL("words");
    assert_false(index_is_current(&data->wish, &f));
    f.embedder = slice_of_text(embedder_name);
    f.dimensions = EMBEDDER_DIMENSIONS;
    assert_true(index_is_current(&data->wish, &f));
    index_data_free(data);
}

static void test_memory_that_runs_out_is_told(void **state) {
    (void)state;
    index_data *data = make(model_name);
    bool reached = true;
    for (int nth = 0; reached; nth++) {
        fault_fail_nth(nth);
        bool done = put(data, (uint8_t)(nth + 1), "My dog is called Rex", 1, true);
        reached = fault_stop();
        assert_int_equal(done, !reached);
    }
    index_data_free(data);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_facts_are_found_by_words_where_there_is_no_model),
        cmocka_unit_test(test_those_without_the_models_vector_are_found_beside_those_with_it),
        cmocka_unit_test(test_what_is_written_replaces_and_what_is_gone_stays_gone),
        cmocka_unit_test(test_vectors_of_another_length_begin_anew),
        cmocka_unit_test(test_without_a_model_a_fact_without_words_lacks_nothing),
        cmocka_unit_test(test_memory_that_runs_out_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
