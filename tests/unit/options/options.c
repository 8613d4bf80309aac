#include "options/options.h"

#include "unit.h"

typedef struct values {
    bool flag;
    const char *text;
    const char *name;
    uint64_t number;
    option_texts several;
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
        {"several", OPTION_TEXTS, &v->several, "TEXT", "a text, again and again", 0, 2},
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

static void test_a_text_may_come_several_times_in_its_order(void **state) {
    (void)state;
    values v;
    assert_true(PARSE("test", "one", "--name", "x", "--several", "b", "--several=a"));
    assert_int_equal(v.several.count, 2);
    assert_string_equal(v.several.texts[0], "b");
    assert_string_equal(v.several.texts[1], "a");
    assert_false(PARSE("test", "one", "--name", "x", "--several", "b", "--several", "a", "--several", "c"));
    assert_int_equal(v.status, OPTIONS_WRONG_USAGE);
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

typedef struct variable {
    double real;
    option_words words;
    int status;
} variable;

static bool parse_variable(variable *v, int argc, char **argv) {
    *v = (variable){.real = 0.25, .words = {.least = 1, .most = 3}, .status = -1};
    const option_row rows[] = {{"real", OPTION_REAL, &v->real, "X", "a number", 0, 2}};
    const option_table table = {.usage = "test WORD...",
                                .summary = "Tests.",
                                .rows = rows,
                                .row_count = sizeof rows / sizeof rows[0],
                                .words = &v->words};
    return options_parse(&table, argc, argv, NULL, &v->status);
}

#define PARSE_VARIABLE(...)                                                                                  \
    parse_variable(&v, (int)(sizeof((char *[]){__VA_ARGS__}) / sizeof(char *)), (char *[]){__VA_ARGS__, NULL})

static void test_so_many_words_as_the_table_takes(void **state) {
    (void)state;
    variable v;
    char *arguments[] = {"test", "one", "--real=1.5", "two", "--", "--three", NULL};
    assert_true(parse_variable(&v, 6, arguments));
    assert_int_equal(v.words.count, 3);
    assert_string_equal(v.words.first[0], "one");
    assert_string_equal(v.words.first[2], "--three");
    assert_false(PARSE_VARIABLE("test"));
    assert_int_equal(v.status, OPTIONS_WRONG_USAGE);
    assert_false(PARSE_VARIABLE("test", "a", "b", "c", "d"));
    assert_true(PARSE_VARIABLE("test", "a"));
    assert_true(v.real == 0.25);
}

static void test_real_numbers_are_the_nearest_ones(void **state) {
    (void)state;
    static const struct {
        const char *text;
        double value;
    } good[] = {{"0", 0},     {"0.0", 0},    {"2", 2}, {"0.1", 0.1}, {"1.99999999999999", 1.99999999999999},
                {"0.7", 0.7}, {"00.30", 0.3}};
    static const char *const bad[] = {
        "",    ".",   ".5",  "1.",    "1..2", "-1", "+1",    "1e0",
        "nan", "0x1", "0,5", "2.001", "3",    " 1", "1.2.3", "0.1234567890123456"};
    variable v;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        char *arguments[] = {"test", "--real", (char *)(uintptr_t)good[i].text, "a", NULL};
        assert_true(parse_variable(&v, 4, arguments));
        assert_true(v.real == good[i].value);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char *arguments[] = {"test", "--real", (char *)(uintptr_t)bad[i], "a", NULL};
        assert_false(parse_variable(&v, 4, arguments));
        assert_int_equal(v.status, OPTIONS_WRONG_USAGE);
        assert_true(v.real == 0.25);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_options_and_the_word_are_told_apart),
        cmocka_unit_test(test_a_text_may_come_several_times_in_its_order),
        cmocka_unit_test(test_defaults_stay_where_nothing_is_given),
        cmocka_unit_test(test_what_does_not_fit_is_refused),
        cmocka_unit_test(test_an_option_that_must_be_given_is_missed),
        cmocka_unit_test(test_help_is_asked_for),
        cmocka_unit_test(test_so_many_words_as_the_table_takes),
        cmocka_unit_test(test_real_numbers_are_the_nearest_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
