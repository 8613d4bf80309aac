/* Each kind of change to what users keep, when the process is killed or the disk full at each step of writing
 * it: all of it is there, or nothing, and it can be done again. */
#include "interrupted.h"

static int changing;

static void prepare_users(void) {
    fill_kept();
    store_close(site);
}

static error_code change(unsigned i) {
    (void)i;
    outcome o = {0};
    return outcome_of(change_something(changing, &o), &o);
}

static void interrupt_changes(int from, int to) {
    for (changing = from; changing < to; changing++) {
        work w = {.name = "a change", .prepare = prepare_users, .steps = 1, .step = change};
        assert_true(interrupt_everywhere(&w) > 20);
    }
}

static void test_from_opening_to_closing(void **state) {
    (void)state;
    const work w = {.name = "all of it", .prepare = prepare_users, .steps = 1, .step = change, .whole = true};
    changing = 1;
    assert_true(interrupt_everywhere(&w) > 40);
}

enum { FIRST_OF_CONVERSATIONS = 4, FIRST_OF_FACTS = 9, FIRST_OF_THE_REST = 13 };

static void test_keys_that_come_and_go(void **state) {
    (void)state;
    interrupt_changes(0, FIRST_OF_CONVERSATIONS);
}

static void test_conversations(void **state) {
    (void)state;
    interrupt_changes(FIRST_OF_CONVERSATIONS, FIRST_OF_FACTS);
}

static void test_facts(void **state) {
    (void)state;
    interrupt_changes(FIRST_OF_FACTS, FIRST_OF_THE_REST);
}

static void test_erasing_and_sharing_out(void **state) {
    (void)state;
    interrupt_changes(FIRST_OF_THE_REST, CHANGES);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_from_opening_to_closing), cmocka_unit_test(test_keys_that_come_and_go),
        cmocka_unit_test(test_conversations),           cmocka_unit_test(test_facts),
        cmocka_unit_test(test_erasing_and_sharing_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
