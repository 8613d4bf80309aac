#include "serve/schedule.h"

#include "unit.h"

#include "model_file.h"

static uint32_t total(const schedule_entry *entries, size_t count) {
    uint32_t sum = 0;
    for (size_t i = 0; i < count; i++) {
        sum += entries[i].count;
    }
    return sum;
}

static void test_writers_come_before_readers(void **state) {
    (void)state;
    schedule_entry e[] = {{.pending = 1000}, {.pending = 1, .writes = true}, {.pending = 1, .writes = true}};
    schedule_pass(e, 3, 0, 10);
    assert_int_equal(e[0].count, 8);
    assert_int_equal(e[1].count, 1);
    assert_int_equal(e[2].count, 1);
}

static void test_writers_take_turns_when_the_batch_is_too_small(void **state) {
    (void)state;
    uint32_t served[5] = {0};
    for (size_t turn = 0; turn < 5; turn++) {
        schedule_entry e[5];
        for (size_t i = 0; i < 5; i++) {
            e[i] = (schedule_entry){.pending = 1, .writes = true};
        }
        schedule_pass(e, 5, turn, 2);
        assert_int_equal(total(e, 5), 2);
        for (size_t i = 0; i < 5; i++) {
            served[i] += e[i].count;
        }
    }
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(served[i], 2);
    }
}

static void test_a_short_prompt_does_not_wait_for_a_long_one(void **state) {
    (void)state;
    schedule_entry e[] = {{.pending = 100000}, {.pending = 20}, {.pending = 300}};
    schedule_pass(e, 3, 0, 512);
    assert_int_equal(e[1].count, 20);
    assert_int_equal(e[2].count, 512 / 2 / 3);
    assert_int_equal(e[0].count, 512 - 20 - 512 / 2 / 3);
}

static void test_whole_texts_go_in_order(void **state) {
    (void)state;
    schedule_entry e[] = {
        {.pending = 300, .whole = true}, {.pending = 300, .whole = true}, {.pending = 5, .whole = true}};
    schedule_pass(e, 3, 7, 512);
    assert_int_equal(e[0].count, 300);
    assert_int_equal(e[1].count, 0);
    assert_int_equal(e[2].count, 0);
    schedule_pass(e + 1, 2, 8, 512);
    assert_int_equal(e[1].count, 300);
    assert_int_equal(e[2].count, 5);
}

static void test_the_batch_is_filled_and_never_passed(void **state) {
    (void)state;
    uint64_t random = 3;
    for (int round = 0; round < 2000; round++) {
        schedule_entry e[20];
        size_t count = test_random(&random) % 21;
        uint32_t pending = 0;
        uint32_t batch = 1 + (uint32_t)(test_random(&random) % 100);
        for (size_t i = 0; i < count; i++) {
            bool writes = test_random(&random) % 2 == 0;
            e[i] = (schedule_entry){.pending = writes ? 1 : 1 + (uint32_t)(test_random(&random) % 60),
                                    .writes = writes};
            pending += e[i].pending;
        }
        schedule_pass(e, count, (size_t)round, batch);
        assert_int_equal(total(e, count), pending < batch ? pending : batch);
        for (size_t i = 0; i < count; i++) {
            assert_true(e[i].count <= e[i].pending);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_writers_come_before_readers),
        cmocka_unit_test(test_writers_take_turns_when_the_batch_is_too_small),
        cmocka_unit_test(test_a_short_prompt_does_not_wait_for_a_long_one),
        cmocka_unit_test(test_whole_texts_go_in_order),
        cmocka_unit_test(test_the_batch_is_filled_and_never_passed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
