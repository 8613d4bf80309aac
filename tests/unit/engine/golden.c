#include "engine/golden.h"

#include "unit.h"

#include "base/memory.h"

typedef struct results {
    golden_operation operations[GOLDEN_OPERATIONS_MAX];
    size_t count;
} results;

static void run(results *r, const char *form) {
    void *memory = memory_allocate(golden_memory());
    assert_non_null(memory);
    r->count = golden_run(form, memory, r->operations);
    assert_true(r->count <= GOLDEN_OPERATIONS_MAX);
    memory_free(memory);
}

static void test_every_form_gives_the_same_bits(void **state) {
    (void)state;
    const char *forms[GOLDEN_FORMS_MAX];
    size_t count = golden_forms(forms);
    assert_true(count > 0);
    assert_string_equal(forms[count - 1], "plain");
    results plain;
    run(&plain, "plain");
    for (size_t i = 0; i < count; i++) {
        results r;
        run(&r, forms[i]);
        assert_int_equal(r.count, plain.count);
        for (size_t k = 0; k < r.count; k++) {
            assert_string_equal(r.operations[k].name, plain.operations[k].name);
            assert_true(r.operations[k].hash == plain.operations[k].hash);
        }
    }
}

static void test_each_operation_depends_on_what_it_does(void **state) {
    (void)state;
    results r;
    run(&r, "plain");
    assert_true(r.count > 0);
    for (size_t i = 0; i < r.count; i++) {
        for (size_t k = 0; k < i; k++) {
            assert_true(r.operations[i].hash != r.operations[k].hash);
        }
    }
}

static void test_a_form_that_is_not_there_gives_nothing(void **state) {
    (void)state;
    results r;
    run(&r, "abacus");
    assert_int_equal(r.count, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_form_gives_the_same_bits),
        cmocka_unit_test(test_each_operation_depends_on_what_it_does),
        cmocka_unit_test(test_a_form_that_is_not_there_gives_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
