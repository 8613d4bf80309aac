#include "memory/recalled.h"

#include "unit.h"

static void assert_written(const slice *facts, size_t count, slice system, const char *expected) {
    buffer out = buffer_make(4096);
    assert_true(recalled_write(facts, count, system, &out));
    assert_int_equal(buffer_length(&out), strlen(expected));
    assert_memory_equal(buffer_slice(&out).data, expected, strlen(expected));
    buffer_free(&out);
}

#define HEADING                                                                                              \
    "Facts that the user wants to be remembered. Use what helps to answer, and leave the rest unmentioned:"

static void test_facts_come_one_a_line(void **state) {
    (void)state;
    const slice facts[] = {SLICE_LITERAL("The user's dog is called Rex."), SLICE_LITERAL("Él vive en Cádiz")};
    assert_written(facts, 2, (slice){0}, HEADING "\n- The user's dog is called Rex.\n- Él vive en Cádiz");
}

static void test_a_line_break_in_a_fact_cant_begin_another(void **state) {
    (void)state;
    const slice facts[] = {SLICE_LITERAL("one\n- not another\r\nend")};
    assert_written(facts, 1, (slice){0}, HEADING "\n- one - not another  end");
}

static void test_the_users_own_system_message_follows(void **state) {
    (void)state;
    const slice facts[] = {SLICE_LITERAL("one")};
    assert_written(facts, 1, SLICE_LITERAL("Answer in verse."), HEADING "\n- one\n\nAnswer in verse.");
}

static void test_characters_are_counted_not_bytes(void **state) {
    (void)state;
    assert_int_equal(recalled_characters(SLICE_LITERAL("Cádiz 東京")), 8);
    assert_int_equal(recalled_characters((slice){0}), 0);
}

static void test_what_is_written_beyond_the_limit_fails(void **state) {
    (void)state;
    const slice facts[] = {SLICE_LITERAL("one")};
    buffer out = buffer_make(20);
    assert_false(recalled_write(facts, 1, (slice){0}, &out));
    buffer_free(&out);
}

static void assert_learned(slice answer, const char *const *expected) {
    slice line;
    size_t count = 0;
    while (learned_next(&answer, &line)) {
        assert_non_null(expected[count]);
        assert_true(slice_equal_text(line, expected[count]));
        count++;
    }
    assert_null(expected[count]);
}

static void test_each_line_of_an_answer_is_a_fact(void **state) {
    (void)state;
    assert_learned(SLICE_LITERAL("The user lives in Cádiz.\r\n\r\n- The user has a dog.\n* It is old\n"
                                 "\xE2\x80\xA2 4 dogs\n12. The user sings.\n3) He is 40.\n2024 was good"),
                   (const char *const[]){"The user lives in Cádiz.", "The user has a dog.", "It is old", "4 dogs",
                                         "The user sings.", "He is 40.", "2024 was good", NULL});
}

static void test_none_is_no_fact(void **state) {
    (void)state;
    assert_learned(SLICE_LITERAL("NONE"), (const char *const[]){NULL});
    assert_learned(SLICE_LITERAL(" - None.\n"), (const char *const[]){NULL});
    assert_learned((slice){0}, (const char *const[]){NULL});
}

static void test_lines_that_cant_be_facts_are_left_out(void **state) {
    (void)state;
    char answer[LEARNED_LINE_MAX + 64];
    memset(answer, 'a', sizeof answer);
    answer[LEARNED_LINE_MAX + 1] = '\n';
    memcpy(answer + LEARNED_LINE_MAX + 2, "good\n\xFF" "bad\nalso good", 19);
    assert_learned(slice_of(answer, LEARNED_LINE_MAX + 2 + 19), (const char *const[]){"good", "also good", NULL});
}

static void test_the_question_has_the_conversation_in_it(void **state) {
    (void)state;
    buffer out = buffer_make(8192);
    assert_true(learned_ask(SLICE_LITERAL("user: I am Ana."), &out));
    assert_true(slice_find_slice(buffer_slice(&out), SLICE_LITERAL("<conversation>\nuser: I am Ana.\n</conversation>")) !=
                SIZE_MAX);
    buffer_free(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_facts_come_one_a_line),
        cmocka_unit_test(test_a_line_break_in_a_fact_cant_begin_another),
        cmocka_unit_test(test_the_users_own_system_message_follows),
        cmocka_unit_test(test_characters_are_counted_not_bytes),
        cmocka_unit_test(test_what_is_written_beyond_the_limit_fails),
        cmocka_unit_test(test_each_line_of_an_answer_is_a_fact),
        cmocka_unit_test(test_none_is_no_fact),
        cmocka_unit_test(test_lines_that_cant_be_facts_are_left_out),
        cmocka_unit_test(test_the_question_has_the_conversation_in_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
