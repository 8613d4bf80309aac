#include "options/options.h"

#include "unit.h"

typedef struct values {
    bool flag;
    const char *text;
    uint64_t number;
} values;

static options_result parse(values *v, int argc, char **argv, char ***words, int *count) {
    *v = (values){.text = "first", .number = 5};
    const option_row rows[] = {
        {"flag", OPTION_FLAG, &v->flag, NULL, "a flag", 0, 0},
        {"text", OPTION_TEXT, &v->text, "TEXT", "a text", 0, 0},
        {"number", OPTION_U64, &v->number, "N", "a number", 1, 10},
    };
    const option_table table = {.usage = "test [options] WORD",
                                .summary = "Tests.",
                                .rows = rows,
                                .row_count = 3,
                                .least_arguments = 1,
                                .most_arguments = 2};
    return options_parse(&table, argc, argv, words, count);
}

#define PARSE(...)                                                                                           \
    parse(&v, (int)(sizeof((char *[]){__VA_ARGS__}) / sizeof(char *)), (char *[]){__VA_ARGS__, NULL},        \
          &words, &count)

static void test_options_and_words_are_told_apart(void **state) {
    (void)state;
    values v;
    char **words = NULL;
    int count = 0;
    char *arguments[] = {"test", "one", "--flag", "--number", "10", "--text=second", "--", "--two", NULL};
    assert_int_equal(parse(&v, 8, arguments, &words, &count), OPTIONS_RUN);
    assert_true(v.flag);
    assert_string_equal(v.text, "second");
    assert_int_equal(v.number, 10);
    assert_int_equal(count, 2);
    assert_string_equal(words[0], "one");
    assert_string_equal(words[1], "--two");
}

static void test_defaults_stay_where_nothing_is_given(void **state) {
    (void)state;
    values v;
    char **words = NULL;
    int count = 0;
    assert_int_equal(PARSE("test", "one"), OPTIONS_RUN);
    assert_false(v.flag);
    assert_string_equal(v.text, "first");
    assert_int_equal(v.number, 5);
}

static void test_what_does_not_fit_is_refused(void **state) {
    (void)state;
    values v;
    char **words = NULL;
    int count = 0;
    assert_int_equal(PARSE("test"), OPTIONS_BAD);
    assert_int_equal(PARSE("test", "a", "b", "c"), OPTIONS_BAD);
    assert_int_equal(PARSE("test", "a", "--unknown"), OPTIONS_BAD);
    assert_int_equal(PARSE("test", "a", "--number", "0"), OPTIONS_BAD);
    assert_int_equal(PARSE("test", "a", "--number", "11"), OPTIONS_BAD);
    assert_int_equal(PARSE("test", "a", "--number", "1x"), OPTIONS_BAD);
    assert_int_equal(PARSE("test", "a", "--text"), OPTIONS_BAD);
}

static void test_help_is_asked_for(void **state) {
    (void)state;
    values v;
    char **words = NULL;
    int count = 0;
    assert_int_equal(PARSE("test", "--help"), OPTIONS_HELP);
    assert_int_equal(PARSE("test", "-h"), OPTIONS_HELP);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_options_and_words_are_told_apart),
        cmocka_unit_test(test_defaults_stay_where_nothing_is_given),
        cmocka_unit_test(test_what_does_not_fit_is_refused),
        cmocka_unit_test(test_help_is_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
