#include "options/options.h"

#include "unit.h"

typedef struct values {
    bool flag;
    const char *text;
    const char *name;
    uint64_t number;
    const char *word;
    int status;
} values;

static bool parse(values *v, int argc, char **argv) {
    *v = (values){.text = "first", .number = 5, .status = -1};
    const option_row rows[] = {
        {"flag", OPTION_FLAG, &v->flag, NULL, "a flag", 0, 0},
        {"text", OPTION_TEXT, &v->text, "TEXT", "a text", 0, 0},
        {"name", OPTION_REQUIRED, &v->name, "NAME", "a name", 0, 0},
        {"number", OPTION_U64, &v->number, "N", "a number", 1, 10},
    };
    const option_table table = {.usage = "test --name NAME [options] WORD",
                                .summary = "Tests.",
                                .rows = rows,
                                .row_count = sizeof rows / sizeof rows[0],
                                .takes_word = true};
    return options_parse(&table, argc, argv, &v->word, &v->status);
}

#define PARSE(...)                                                                                           \
    parse(&v, (int)(sizeof((char *[]){__VA_ARGS__}) / sizeof(char *)), (char *[]){__VA_ARGS__, NULL})

static void test_options_and_the_word_are_told_apart(void **state) {
    (void)state;
    values v;
    char *arguments[] = {"test",     "--flag", "--number", "10", "--text=second",
                         "--name=x", "--",     "--two",    NULL};
    assert_true(parse(&v, 8, arguments));
    assert_true(v.flag);
    assert_string_equal(v.text, "second");
    assert_string_equal(v.name, "x");
    assert_int_equal(v.number, 10);
    assert_string_equal(v.word, "--two");
}

static void test_defaults_stay_where_nothing_is_given(void **state) {
    (void)state;
    values v;
    assert_true(PARSE("test", "one", "--name", "x"));
    assert_int_equal(v.status, 0);
    assert_false(v.flag);
    assert_string_equal(v.text, "first");
    assert_int_equal(v.number, 5);
}

#define ASSERT_REFUSED(...)                                                                                  \
    do {                                                                                                     \
        assert_false(PARSE("test", "--name", "x", __VA_ARGS__));                                             \
        assert_int_equal(v.status, OPTIONS_WRONG_USAGE);                                                     \
    } while (0)

static void test_what_does_not_fit_is_refused(void **state) {
    (void)state;
    values v;
    assert_true(PARSE("test", "--name", "x", "a"));
    ASSERT_REFUSED("--flag");
    ASSERT_REFUSED("a", "b");
    ASSERT_REFUSED("a", "--unknown");
    ASSERT_REFUSED("a", "--number", "0");
    ASSERT_REFUSED("a", "--number", "11");
    ASSERT_REFUSED("a", "--number", "1x");
    ASSERT_REFUSED("a", "--text");
}

static void test_an_option_that_must_be_given_is_missed(void **state) {
    (void)state;
    values v;
    assert_false(PARSE("test", "one"));
    assert_int_equal(v.status, OPTIONS_WRONG_USAGE);
}

static void test_help_is_asked_for(void **state) {
    (void)state;
    values v;
    assert_false(PARSE("test", "--help"));
    assert_int_equal(v.status, 0);
    assert_false(PARSE("test", "-h"));
    assert_int_equal(v.status, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_options_and_the_word_are_told_apart),
        cmocka_unit_test(test_defaults_stay_where_nothing_is_given),
        cmocka_unit_test(test_what_does_not_fit_is_refused),
        cmocka_unit_test(test_an_option_that_must_be_given_is_missed),
        cmocka_unit_test(test_help_is_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
