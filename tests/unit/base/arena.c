#include "base/arena.h"

#include "unit.h"

#include <stdalign.h>

static void test_memory_is_aligned_zeroed_and_apart(void **state) {
    (void)state;
    arena *a = arena_new(1 << 20);
    uint8_t *before = NULL;
    for (size_t size = 0; size < 400; size++) {
        uint8_t *place = arena_allocate(a, size);
        assert_non_null(place);
        assert_int_equal((uintptr_t)place % alignof(max_align_t), 0);
        for (size_t i = 0; i < size; i++) {
            assert_int_equal(place[i], 0);
        }
        memset(place, 0xAA, size);
        assert_true(before == NULL || before[0] == 0xAA || size < 2);
        before = place;
    }
    arena_free(a);
}

static void test_the_limit_holds_and_a_refusal_changes_nothing(void **state) {
    (void)state;
    arena *a = arena_new(1024);
    assert_non_null(arena_allocate(a, 1000));
    size_t used = arena_used(a);
    assert_null(arena_allocate(a, 100));
    assert_int_equal(arena_used(a), used);
    assert_non_null(arena_allocate(a, 16));
    assert_null(arena_allocate(a, 1));
    arena_free(a);
}

static void test_sizes_that_overflow_are_refused(void **state) {
    (void)state;
    arena *a = arena_new(SIZE_MAX);
    assert_null(arena_allocate(a, SIZE_MAX));
    assert_null(arena_allocate(a, SIZE_MAX - 40));
    assert_null(arena_allocate_array(a, SIZE_MAX / 2, 3));
    assert_null(arena_copy_text(a, slice_of("x", SIZE_MAX)));
    assert_int_equal(arena_used(a), 0);
    uint32_t *numbers = arena_allocate_array(a, 10, sizeof *numbers);
    assert_non_null(numbers);
    assert_int_equal(numbers[9], 0);
    arena_free(a);
}

static void test_reset_forgets_all_and_gives_zeroed_memory_again(void **state) {
    (void)state;
    arena *a = arena_new(1 << 20);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 50; i++) {
            uint8_t *place = arena_allocate(a, 3000);
            assert_non_null(place);
            assert_int_equal(place[0] | place[2999], 0);
            memset(place, 0xFF, 3000);
        }
        arena_reset(a);
        assert_int_equal(arena_used(a), 0);
    }
    arena_free(a);
    arena_free(NULL);
}

static void test_copies_end_in_a_zero_and_formats_fit(void **state) {
    (void)state;
    arena *a = arena_new(1 << 20);
    slice copy;
    assert_true(arena_copy(a, SLICE_LITERAL("a\0b"), &copy));
    assert_true(slice_equal(copy, SLICE_LITERAL("a\0b")));
    assert_int_equal(copy.data[3], 0);
    assert_string_equal(arena_copy_text(a, slice_of(NULL, 0)), "");
    char *text = arena_format(a, "%s-%d-%0300d", "x", 7, 1);
    assert_non_null(text);
    assert_int_equal(strlen(text), 304);
    assert_int_equal(strncmp(text, "x-7-000", 7), 0);
    arena_free(a);
}

static void test_wiping_leaves_nothing_in_the_block_that_is_kept(void **state) {
    (void)state;
    static const uint8_t zeros[100];
    arena *a = arena_new(1 << 20);
    uint8_t *first = arena_allocate(a, 100);
    assert_non_null(first);
    memset(first, 'x', 100);
    assert_non_null(arena_allocate(a, 9000));
    arena_wipe(a);
    assert_int_equal(arena_used(a), 0);
    assert_memory_equal(first, zeros, 100);
    arena_free(a);
}

static void test_each_failed_allocation_is_told_and_leaks_nothing(void **state) {
    (void)state;
    bool reached = true;
    for (int nth = 0; reached; nth++) {
        fault_fail_nth(nth);
        arena *a = arena_new(1 << 20);
        bool good = a != NULL && arena_allocate(a, 100) != NULL && arena_allocate(a, 9000) != NULL &&
                    arena_format(a, "%05000d", 1) != NULL;
        slice copy = slice_of("x", 1);
        good = good && arena_copy(a, SLICE_LITERAL("text"), &copy);
        reached = fault_stop();
        assert_int_equal(good, !reached);
        arena_free(a);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memory_is_aligned_zeroed_and_apart),
        cmocka_unit_test(test_the_limit_holds_and_a_refusal_changes_nothing),
        cmocka_unit_test(test_sizes_that_overflow_are_refused),
        cmocka_unit_test(test_reset_forgets_all_and_gives_zeroed_memory_again),
        cmocka_unit_test(test_wiping_leaves_nothing_in_the_block_that_is_kept),
        cmocka_unit_test(test_copies_end_in_a_zero_and_formats_fit),
        cmocka_unit_test(test_each_failed_allocation_is_told_and_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
