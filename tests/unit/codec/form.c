#include "codec/form.h"

#include "unit.h"

static arena *memory;

static int start(void **state) {
    (void)state;
    memory = arena_new(1 << 20);
    return memory == NULL ? -1 : 0;
}

static int stop(void **state) {
    (void)state;
    arena_free(memory);
    return 0;
}

static void check(const char *form, const char *name, const char *expected) {
    error err = {0};
    slice value;
    assert_true(form_get(slice_of_text(form), name, memory, &value, &err));
    assert_true(slice_equal_text(value, expected));
}

static void test_a_field_is_found_and_decoded(void **state) {
    (void)state;
    check("a=1&b=2", "a", "1");
    check("a=1&b=2", "b", "2");
    check("a=1&b=2", "c", "");
    check("", "a", "");
    check("a", "a", "");
    check("a=", "a", "");
    check("a=b=c", "a", "b=c");
    check("a=%41%62+%2b", "a", "Ab +");
    check("%61=x", "a", "x");
    check("aa=1&a=2", "a", "2");
    check("&&a=2&", "a", "2");
    check("a=%c3%A9", "a", "é");
}

static void test_what_can_be_read_in_two_ways_is_refused(void **state) {
    static const char *const bad[] = {"a=1&a=1", "a&a", "a=%", "a=%4", "a=%4g", "a=%00", "%=1", "b=1&%4=1"};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        error err = {0};
        slice value;
        assert_false(form_get(slice_of_text(bad[i]), "a", memory, &value, &err));
        assert_int_equal(err.code, ERROR_INVALID);
    }
}

static void test_there_are_bounds(void **state) {
    (void)state;
    error err = {0};
    slice value;
    static char many[2 * FORM_FIELDS_MAX + 3];
    for (size_t i = 0; i < FORM_FIELDS_MAX; i++) {
        memcpy(many + 2 * i, "b&", 2);
    }
    assert_true(form_get(slice_of(many, 2 * FORM_FIELDS_MAX), "a", memory, &value, &err));
    memcpy(many + 2 * FORM_FIELDS_MAX, "b", 1);
    assert_false(form_get(slice_of(many, 2 * FORM_FIELDS_MAX + 1), "a", memory, &value, &err));
    static uint8_t large[FORM_SIZE_MAX + 1];
    memset(large, 'x', sizeof large);
    assert_true(form_get(slice_of(large, FORM_SIZE_MAX), "a", memory, &value, &err));
    assert_false(form_get(slice_of(large, sizeof large), "a", memory, &value, &err));
}

static void test_what_is_written_is_read_back(void **state) {
    (void)state;
    error err = {0};
    slice value;
    buffer form = buffer_make(4096);
    char all[256];
    for (int i = 1; i < 256; i++) {
        all[i - 1] = (char)i;
    }
    all[255] = '\0';
    assert_true(form_add(&form, "first", SLICE_LITERAL("a b&c=d")));
    assert_true(form_add(&form, "all of it", slice_of_text(all)));
    assert_true(
        slice_starts_with(buffer_slice(&form), SLICE_LITERAL("first=a%20b%26c%3Dd&all%20of%20it=%01%02")));
    assert_true(form_get(buffer_slice(&form), "all of it", memory, &value, &err));
    assert_true(slice_equal_text(value, all));
    buffer_free(&form);
}

static void test_each_failed_allocation_is_an_error(void **state) {
    (void)state;
    bool reached = true;
    for (int nth = 0; reached; nth++) {
        error err = {0};
        slice value;
        fault_fail_nth(nth);
        arena *a = arena_new(4096);
        bool found = a != NULL && form_get(SLICE_LITERAL("b=1&a=2"), "a", a, &value, &err);
        reached = fault_stop();
        assert_int_equal(found, !reached);
        arena_free(a);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_field_is_found_and_decoded),
        cmocka_unit_test(test_what_can_be_read_in_two_ways_is_refused),
        cmocka_unit_test(test_there_are_bounds),
        cmocka_unit_test(test_what_is_written_is_read_back),
        cmocka_unit_test(test_each_failed_allocation_is_an_error),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
