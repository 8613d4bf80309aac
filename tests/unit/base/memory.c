#include "base/memory.h"
#include "base/arena.h"
#include "base/buffer.h"

#include "unit.h"

/* A process that wipes leaves nothing behind where the memory stays. */

static const char secret[] = "The heron flies at dusk";
enum { LENGTH = sizeof secret - 1 };

static bool is_there(const uint8_t *bytes, size_t length) {
    return memmem(bytes, length, secret, 8) != NULL; /* any part of it */
}

static void test_what_is_taken_from_a_buffers_front_is_gone(void **state) {
    (void)state;
    buffer b = buffer_make(4096);
    assert_true(buffer_append_text(&b, secret));
    (void)buffer_append_text(&b, "what stays");
    const uint8_t *bytes = b.bytes;
    assert_true(is_there(bytes, LENGTH));
    buffer_consume(&b, LENGTH);
    assert_true(!is_there(bytes, b.capacity));
    assert_true(slice_equal_text(buffer_slice(&b), "what stays"));
    buffer_free(&b);
}

static void test_what_is_cut_off_or_cleared_is_gone(void **state) {
    (void)state;
    buffer b = buffer_make(4096);
    (void)buffer_append_text(&b, "what stays");
    assert_true(buffer_append_text(&b, secret));
    buffer_truncate(&b, 10);
    assert_true(!is_there(b.bytes, b.capacity));
    assert_true(slice_equal_text(buffer_slice(&b), "what stays"));
    assert_true(buffer_append_text(&b, secret));
    buffer_clear(&b);
    assert_true(!is_there(b.bytes, b.capacity));
    buffer_free(&b);
}

static void test_what_moves_to_a_buffers_beginning_leaves_its_old_place(void **state) {
    (void)state;
    buffer b = buffer_make(256);
    for (int i = 0; i < 8; i++) {
        (void)buffer_append_text(&b, "01234567890123456789");
    }
    assert_true(buffer_append_text(&b, secret));
    buffer_consume(&b, 160);
    const uint8_t *bytes = b.bytes;
    assert_true(buffer_reserve(&b, 200) == bytes + LENGTH);
    assert_true(slice_equal_text(buffer_slice(&b), secret));
    assert_true(!is_there(bytes + LENGTH, b.capacity - LENGTH));
    buffer_free(&b);
}

static void test_what_an_arena_forgets_is_gone_from_the_block_that_it_keeps(void **state) {
    (void)state;
    arena *a = arena_new(65536);
    slice copy = {0};
    assert_true(a != NULL && arena_copy(a, slice_of_text(secret), &copy));
    const uint8_t *bytes = copy.data;
    arena_reset(a);
    assert_true(!is_there(bytes, LENGTH));
    arena_free(a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_taken_from_a_buffers_front_is_gone),
        cmocka_unit_test(test_what_is_cut_off_or_cleared_is_gone),
        cmocka_unit_test(test_what_moves_to_a_buffers_beginning_leaves_its_old_place),
        cmocka_unit_test(test_what_an_arena_forgets_is_gone_from_the_block_that_it_keeps),
    };
    memory_wipe_freed();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
