#include "codec/json.h"
#include "memory/conversation.h"

#include "unit.h"

enum { LIMIT = 65536 };

static error err;
static const uint8_t id[RECORD_ID_SIZE] = {0xa0, 0xa1, 0xa2, [15] = 0xaf};

static int start(void **state) {
    (void)state;
    json_start(1);
    return 0;
}

static bool matches(const char *text, const char *query) {
    return conversation_matches(slice_of_text(text), slice_of_text(query));
}

static void test_every_word_must_be_there_in_any_case_and_order(void **state) {
    (void)state;
    assert_true(matches("How do I bake Bread?", "bread HOW"));
    assert_true(matches("How do I bake Bread?", " \t bake\n"));
    assert_true(matches("sourdough", "dough"));
    assert_true(matches("anananas ananas", "ananas"));
    assert_true(matches("aabaabaaab", "aabaaab"));
    assert_false(matches("aabaabaab", "aabaaab"));
    assert_false(matches("How do I bake Bread?", "bread cake"));
    assert_false(matches("", "a"));
    assert_false(matches("a", ""));
    assert_false(matches("a", " \t\n"));
    assert_true(matches("a", "\xC2\xA0"
                             "a\xE3\x80\x80"));
}

static void test_letters_of_three_alphabets_match_in_any_case(void **state) {
    (void)state;
    assert_true(matches("\xC3\x84RGER \xC3\xBC"
                        "ber \xC3\x98",
                        "\xC3\xA4rger \xC3\x9C"
                        "BER \xC3\xB8")); /* Ä Ü Ø */
    assert_true(matches("\xCE\xA3\xCE\x9F\xCE\xA6\xCE\x9F\xCE\xA3",
                        "\xCF\x83\xCE\xBF\xCF\x86\xCE\xBF\xCF\x82")); /* ΣΟΦΟΣ σοφος */
    assert_true(
        matches("\xD0\x96\xD0\xA3\xD0\x9A \xD0\x81", "\xD0\xB6\xD1\x83\xD0\xBA \xD1\x91")); /* ЖУК Ё */
    assert_true(matches("\xC5\xBD\xC4\x80", "\xC5\xBE\xC4\x81"));                           /* ŽĀ */
    assert_true(matches("\xE1\xBA\x9E", "\xC3\x9F"));                                       /* ẞ ß */
    assert_true(matches("\xE1\xBB\xA8", "\xE1\xBB\xA9"));                                   /* Ứ */
    assert_false(matches("\xC3\x97", "\xC3\xB7"));                                          /* × ÷ */
}

/* As in the search of facts: who types "eleve" finds "élève", and the other way round. */
static void test_accents_and_other_forms_of_a_letter_match(void **state) {
    (void)state;
    assert_true(matches("\xC3\x89L\xC3\x88VE", "eleve"));                 /* ÉLÈVE */
    assert_true(matches("eleve", "\xC3\xA9l\xC3\xA8ve"));                 /* élève */
    assert_true(matches("e\xCC\x81le\xCC\x80ve", "\xC3\xA9l\xC3\xA8ve")); /* taken apart */
    assert_true(matches("Stra\xC3\x9F"
                        "e",
                        "STRASSE"));                                      /* Straße */
    assert_true(matches("\xC5\x93uvre", "oeuv"));                         /* œuvre */
    assert_true(matches("\xEF\xBC\xA1\xEF\xBC\x91", "a1"));               /* full width */
    assert_true(matches("co\xC2\xADoperate", "cooperate"));               /* soft hyphen */
    assert_true(matches("\xD9\x83\xD9\x8E\xD8\xAA", "\xD9\x83\xD8\xAA")); /* vowel points of Arabic */
    assert_true(matches("\xEF\xAC\x83", "\xEF\xAC\x83"));                 /* a letter of three */
    assert_false(matches("\xC3\xA4", "b"));
    assert_true(matches("C++", "c++"));
    assert_false(matches("C", "c++"));
}

/* A mark alone is no word: there is nothing to look for. */
static void test_a_word_of_marks_alone_is_none(void **state) {
    (void)state;
    assert_false(conversation_query_is_valid(SLICE_LITERAL("\xCC\x81 \xC2\xAD")));
    assert_true(matches("bread", "\xCC\x81 bread"));
    assert_false(matches("bread", "\xCC\x81"));
}

static void test_what_is_not_utf8_is_searched_all_the_same(void **state) {
    (void)state;
    assert_true(matches("\xFF"
                        "bread\xC3",
                        "bread"));
    assert_false(matches("\xC3", "\xC3\x83"));
    assert_false(matches("\xE9", "\xC3\xA9"));      /* the byte isn't the letter of its number */
    assert_true(matches("a\xFF", "a\xEF\xBF\xBD")); /* it is what it is kept as */
    assert_true(matches("a\xC3"
                        "b",
                        "\xC3"
                        "b"));
}

static void test_queries_have_limits(void **state) {
    (void)state;
    char query[CONVERSATION_QUERY_MAX + 1];
    memset(query, 'a', sizeof query);
    assert_true(conversation_query_is_valid(slice_of(query, CONVERSATION_QUERY_MAX)));
    assert_false(conversation_query_is_valid(slice_of(query, CONVERSATION_QUERY_MAX + 1)));
    assert_true(conversation_matches(slice_of(query, CONVERSATION_QUERY_MAX),
                                     slice_of(query, CONVERSATION_QUERY_MAX)));
    assert_false(conversation_matches(slice_of(query, sizeof query), slice_of(query, sizeof query)));
    assert_true(matches("a", "a a a a a a a a a a a a a a a a"));
    assert_false(matches("a", "a a a a a a a a a a a a a a a a a"));
    assert_false(conversation_query_is_valid(SLICE_LITERAL("  ")));
}

static void assert_markdown(const conversation_turn *turn, const char *expected) {
    buffer out = buffer_make(LIMIT);
    conversation_write_markdown(turn, &out);
    assert_false(buffer_failed(&out));
    buffer_append_byte(&out, 0);
    assert_string_equal((const char *)out.bytes, expected);
    buffer_free(&out);
}

static void test_a_turn_reads_well_as_markdown(void **state) {
    (void)state;
    conversation_message m[] = {{SLICE_LITERAL("system"), SLICE_LITERAL("Be brief.")},
                                {SLICE_LITERAL("user"), SLICE_LITERAL("Two things:\n- one\n- two\n")}};
    conversation_turn turn = {
        .created_ms = 1800000000123,
        .model = SLICE_LITERAL("qwen2-0.5b"),
        .messages = m,
        .message_count = 2,
        .answer = SLICE_LITERAL("# Both\n\nFirst *one*:\n```c\n#include <stdio.h>\n```\nthen two"),
        .end = CONVERSATION_COMPLETE};
    assert_markdown(&turn,
                    "### System\n\n```\nBe brief.\n```\n\n"
                    "### User\n\n```\nTwo things:\n- one\n- two\n```\n\n"
                    "### Assistant: `qwen2-0.5b`, 2027-01-15 08:00 UTC\n\n"
                    "> # Both\n>\n> First *one*:\n> ```c\n> #include <stdio.h>\n> ```\n> then two\n\n");
}

static void test_an_answer_that_is_not_whole_says_so(void **state) {
    (void)state;
    conversation_turn turn = {
        .model = SLICE_LITERAL("m"), .answer = SLICE_LITERAL("so far"), .end = CONVERSATION_CUT};
    assert_markdown(&turn,
                    "### Assistant: `m`, 1970-01-01 00:00 UTC\n\n> so far\n\n*The answer was cut off.*\n\n");
    turn.end = CONVERSATION_FAILED;
    turn.answer = (slice){NULL, 0};
    assert_markdown(&turn,
                    "### Assistant: `m`, 1970-01-01 00:00 UTC\n\n*The answer ended with an error.*\n\n");
}

static void test_no_message_ends_the_block_that_it_stands_in(void **state) {
    (void)state;
    conversation_message m = {
        SLICE_LITERAL("user"),
        SLICE_LITERAL("a ``` b\n```\n</pre>\r`````\r# me\n\n### Assistant: `x`\n\nyes")};
    conversation_turn turn = {.model = SLICE_LITERAL("m"), .messages = &m, .message_count = 1};
    assert_markdown(
        &turn,
        "### User\n\n``````\na ``` b\n```\n</pre>\r`````\r# me\n\n### Assistant: `x`\n\nyes\n``````\n\n"
        "### Assistant: `m`, 1970-01-01 00:00 UTC\n\n");
}

static void assert_quoted(const char *answer, const char *expected) {
    char whole[1024];
    conversation_turn turn = {.model = SLICE_LITERAL("m"), .answer = slice_of_text(answer)};
    snprintf(whole, sizeof whole, "### Assistant: `m`, 1970-01-01 00:00 UTC\n\n%s\n", expected);
    assert_markdown(&turn, whole);
}

static void test_no_answer_leaves_the_quote_that_it_stands_in(void **state) {
    (void)state;
    assert_quoted("a\rb\r\nc\n\nd", "> a\n> b\n> c\n>\n> d\n");
    assert_quoted("```\nopen", "> ```\n> open\n");
    assert_quoted("<!-- <b>", "> \\<!-- \\<b>\n");
    assert_quoted("`x<y>` \\<b> \\\\<b>", "> `x\\<y>` \\<b> \\\\\\<b>\n");
    assert_quoted("[1]: http://a\n[^1]: note", "> [1]\\: http://a\n> [^1]\\: note\n");
    assert_quoted("![x](http://a/?secret)", "> \\![x](http://a/?secret)\n");
}

/* Where it isn't certain that a block is open, what reaches out is escaped. */
static void test_blocks_of_code_are_known_for_certain_or_not_at_all(void **state) {
    (void)state;
    assert_quoted("~~~~ c\n<a>\n~~~\n<b>\n  ~~~~~ \n<c>",
                  "> ~~~~ c\n> <a>\n> ~~~\n> <b>\n>   ~~~~~ \n> \\<c>\n");
    assert_quoted("``` `\n<a>", "> ``` `\n> \\<a>\n");
    assert_quoted("- x\n  ```\n<a>", "> - x\n>   ```\n> \\<a>\n");
    assert_quoted("  ```\n```\n<a>", ">   ```\n> ```\n> \\<a>\n");
    assert_quoted("> ```\n```\n<a>", "> > ```\n> ```\n> \\<a>\n");
    assert_quoted("```\n    ```\n<a>\n```\n<b>", "> ```\n>     ```\n> <a>\n> ```\n> \\<b>\n");
    assert_quoted("```\n``` c\n<a>\n``\n<b>", "> ```\n> ``` c\n> <a>\n> ``\n> <b>\n");
}

static void test_names_of_others_do_not_leave_their_heading(void **state) {
    (void)state;
    conversation_message m = {SLICE_LITERAL("x`\n# y"), SLICE_LITERAL("hello")};
    conversation_turn turn = {
        .model = SLICE_LITERAL("a`<b>\n\xC3\xA4|*"), .messages = &m, .message_count = 1};
    assert_markdown(
        &turn, "### `x??? y`\n\n```\nhello\n```\n\n### Assistant: `a??b??????`, 1970-01-01 00:00 UTC\n\n");
}

static void test_a_turn_as_json_is_what_was_said(void **state) {
    (void)state;
    conversation_message m = {SLICE_LITERAL("user"), SLICE_LITERAL("a \"b\"")};
    conversation_turn turn = {.created_ms = 5,
                              .model = SLICE_LITERAL("m"),
                              .messages = &m,
                              .message_count = 1,
                              .answer = SLICE_LITERAL("c\n"),
                              .end = CONVERSATION_CUT,
                              .facts = SLICE_LITERAL("1,2")};
    static const char expected[] =
        "{\"id\":\"a0a1a20000000000000000000000"
        "00af\",\"created_ms\":5,\"model\":\"m\",\"messages\":[{\"role\":\"user\","
        "\"content\":\"a \\\"b\\\"\"}],\"answer\":\"c\\n\",\"end\":\"cut\",\"facts\":\"1,2\"}";
    buffer out = buffer_make(LIMIT);
    conversation_write_json(id, &turn, &out);
    assert_true(slice_equal_text(buffer_slice(&out), expected));
    json_value *root = json_parse(buffer_slice(&out), (json_limits){.size = LIMIT, .depth = 3}, &err);
    assert_non_null(root);
    json_free(root);
    buffer_free(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_word_must_be_there_in_any_case_and_order),
        cmocka_unit_test(test_letters_of_three_alphabets_match_in_any_case),
        cmocka_unit_test(test_accents_and_other_forms_of_a_letter_match),
        cmocka_unit_test(test_a_word_of_marks_alone_is_none),
        cmocka_unit_test(test_what_is_not_utf8_is_searched_all_the_same),
        cmocka_unit_test(test_queries_have_limits),
        cmocka_unit_test(test_a_turn_reads_well_as_markdown),
        cmocka_unit_test(test_an_answer_that_is_not_whole_says_so),
        cmocka_unit_test(test_no_message_ends_the_block_that_it_stands_in),
        cmocka_unit_test(test_no_answer_leaves_the_quote_that_it_stands_in),
        cmocka_unit_test(test_blocks_of_code_are_known_for_certain_or_not_at_all),
        cmocka_unit_test(test_names_of_others_do_not_leave_their_heading),
        cmocka_unit_test(test_a_turn_as_json_is_what_was_said),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
