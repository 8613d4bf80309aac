#include "unit.h"

#include "crypto/start.h"
#include "sample/recogniser.h"

/* Whether the whole text follows the grammar. */
static bool follows(const char *source, slice text) {
    error err;
    grammar *g = grammar_from_gbnf(slice_of_text(source), &err);
    if (g == NULL) {
        print_message("%s\n", err.text);
    }
    assert_non_null(g);
    recogniser *r = recogniser_new(g, &err);
    assert_non_null(r);
    bool good = recogniser_accept(r, text) && recogniser_can_end(r);
    assert_null(recogniser_failure(r));
    recogniser_free(r);
    grammar_free(g);
    return good;
}

typedef struct example {
    const char *grammar;
    const char *accepted[8];
    const char *refused[10];
} example;

static const char arithmetic[] = "root  ::= (expr \"=\" ws term \"\\n\")+\n"
                                 "expr  ::= term ([-+*/] term)*\n"
                                 "term  ::= ident | num | \"(\" ws expr \")\" ws\n"
                                 "ident ::= [a-z] [a-z0-9_]* ws\n"
                                 "num   ::= [0-9]+ ws\n"
                                 "ws    ::= [ \\t\\n]*\n";
static const char json[] =
    "root   ::= object\n"
    "value  ::= object | array | string | number | (\"true\" | \"false\" | \"null\") ws\n\n"
    "object ::=\n  \"{\" ws (\n            string \":\" ws value\n    (\",\" ws string \":\" ws value)*\n  "
    ")? \"}\" ws\n\n"
    "array  ::=\n  \"[\" ws (\n            value\n    (\",\" ws value)*\n  )? \"]\" ws\n\n"
    "string ::=\n  \"\\\"\" (\n    [^\"\\\\\\x7F\\x00-\\x1F] |\n"
    "    \"\\\\\" ([\"\\\\bfnrt] | \"u\" [0-9a-fA-F]{4}) # escapes\n  )* \"\\\"\" ws\n\n"
    "number ::= (\"-\"? ([0-9] | [1-9] [0-9]{0,15})) (\".\" [0-9]+)? ([eE] [-+]? [0-9] [1-9]{0,15})? ws\n\n"
    "# Optional space: by convention, applied in this grammar after literal chars when allowed\n"
    "ws ::= | \" \" | \"\\n\" [ \\t]{0,20}\n";
static const char list[] = "root ::= item+\n\n# Excludes various line break characters\n"
                           "item ::= \"- \" [^\\r\\n\\x0b\\x0c\\x85\\u2028\\u2029]+ \"\\n\"\n";
static const char chess[] =
    "root   ::= \"1. \" move \" \" move \"\\n\" ([1-9] [0-9]? \". \" move \" \" move \"\\n\")+\n"
    "move   ::= (pawn | nonpawn | castle) [+#]?\n"
    "nonpawn ::= [NBKQR] [a-h]? [1-8]? \"x\"? [a-h] [1-8]\n"
    "pawn   ::= ([a-h] \"x\")? [a-h] [1-8] (\"=\" [NBKQR])?\n"
    "castle ::= \"O-O\" \"-O\"?\n";

static const example examples[] = {
    {arithmetic,
     {"1=2\n", "a+1=3\n", "(a*(b-12))/c = 4\n", "x=1\ny_2=x\n"},
     {"", "1=2", "1+=2\n", "(1=2\n", "1=2\n\nA=1\n", "1 2=3\n"}},
    {json,
     {"{}", "{\"a\":1}", "{\"a\": [1, -2.5e+1, true, null], \"b\": {\"c\": \"\\u00e9\\n\"}}",
      "{\"\xc3\xa9\xf0\x9f\x98\x80\":[]}", "{\n  \"x\": \"\"\n}"},
     {"", "[]", "{", "{\"a\"}", "{\"a\":01}", "{\"a\":1,}", "{\"a\":\"\n\"}", "{\"a\":\"\xff\"}",
      "{\"a\":tru}", "{}}"}},
    {list,
     {"- a\n", "- a\n- \xe2\x82\xac b\n"},
     {"", "- \n", "-a\n", "- a", "- a\r\n", "- \xe2\x80\xa8\n", "- \xc2\x85\n"}},
    {chess,
     {"1. e4 e5\n2. Nf3 Nc6\n", "1. e4 e5\n2. O-O exd8=Q#\n10. Rae1+ O-O-O\n"},
     {"1. e4 e5\n", "1. e4 e9\n2. Nf3 Nc6\n", "1. e4  e5\n2. e4 e5\n"}},
    {"root ::= \"a\" root \"b\" | \"\"", {"", "ab", "aaabbb"}, {"a", "b", "aab", "abab"}},
    {"root ::= root \"+\" n | n\nn ::= [0-9]",
     {"1", "1+2", "1+2+3+4"},
     {"", "+", "1+", "12"}}, /* left recursion */
    {"root ::= a root | \"x\"\na ::= \"\" | root",
     {"x", "xx", "xxx"},
     {"", "y"}},                                              /* hidden, through nothing */
    {"root ::= (\"\" | [ab]*)*", {"", "abba"}, {"c", "abc"}}, /* loops that take nothing */
    {"root ::= \"a\"{3}", {"aaa"}, {"", "aa", "aaaa"}},
    {"root ::= \"ab\"{2,3}", {"abab", "ababab"}, {"", "ab", "aba", "abababab"}},
    {"root ::= [a-c]{2,}", {"aa", "abcabc"}, {"", "a", "ad"}},
    {"root ::= [a]{0,2} \"b\"{0} \"c\"", {"c", "ac", "aac"}, {"bc", "aaac"}},
    {"root ::= .",
     {"a", "\n", "\xc3\xa9", "\xf0\x9f\x98\x80"},
     {"", "ab", "\xc3", "\xff", "\xed\xa0\x80", "\xc0\x80", "\xf4\x90\x80\x80"}},
    {"root ::= [^a-y\\u00e0-\\u00ff]", {"z", "A", "\xc4\x80"}, {"a", "\xc3\xa9", "y"}},
    {"root ::= [\xc3\xa9-\xe2\x82\xac\\U0001F600]",
     {"\xc3\xa9", "\xe2\x82\xac", "\xe0\xa4\x80", "\xf0\x9f\x98\x80"},
     {"e", "\xe2\x82\xad"}},
    {"root ::= [-a\\]^]", {"-", "a", "]", "^"}, {"b", "\\"}},
    {"root ::= x-1 | (\n x-1 \n | y_2\n)\n# end\nx-1 ::= \"\\x41\"\r\ny_2 ::=\n \"\\\"\" ",
     {"A", "\""},
     {"B"}},
    {"root ::= a | b\na ::= \"x\" a\nb ::= \"y\"",
     {"y"},
     {"x", "xx"}}, /* a never ends: nothing leads into it */
};

static void test_texts_follow_their_grammar_or_not(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof examples / sizeof examples[0]; i++) {
        for (size_t j = 0; j < 8 && examples[i].accepted[j] != NULL; j++) {
            if (!follows(examples[i].grammar, slice_of_text(examples[i].accepted[j]))) {
                fail_msg("grammar %zu refuses '%s'", i, examples[i].accepted[j]);
            }
        }
        for (size_t j = 0; j < 10 && examples[i].refused[j] != NULL; j++) {
            if (follows(examples[i].grammar, slice_of_text(examples[i].refused[j]))) {
                fail_msg("grammar %zu accepts '%s'", i, examples[i].refused[j]);
            }
        }
    }
}

/* Every character through a class of many odd ranges, against the ranges themselves. */
static void test_classes_hold_just_their_characters(void **state) {
    (void)state;
    static const struct {
        uint32_t low;
        uint32_t high;
    } ranges[] = {{0x01, 0x20},     {0x7e, 0x81},      {0x7fe, 0x801},     {0x812, 0x1047},
                  {0xd7f0, 0xe003}, {0xfffe, 0x10001}, {0x1fffe, 0x4003f}, {0x10ffff, 0x10ffff}};
    characters set = {0};
    network net = {0};
    error err;
    for (size_t i = 0; i < 8; i++) {
        assert_true(characters_add(&set, ranges[7 - i].low, ranges[7 - i].high));
    }
    assert_true(characters_normalise(&set));
    uint32_t root = network_rule(&net);
    network_define(&net, root, network_characters(&net, &set));
    grammar *g = grammar_new(&net, &err);
    assert_non_null(g);
    uint32_t start = grammar_frame_of(g, grammar_rule_start(g, 0));
    for (uint32_t c = 0; c <= CHARACTER_MOST; c++) {
        uint8_t bytes[4] = {(uint8_t)c};
        size_t length = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
        uint32_t rest = c;
        for (size_t i = length - 1; length > 1 && i > 0; i--, rest >>= 6) {
            bytes[i] = (uint8_t)(0x80 | (rest & 0x3f));
        }
        bytes[0] = (uint8_t)(length == 1   ? c
                             : length == 2 ? 0xc0 | rest
                             : length == 3 ? 0xe0 | rest
                                           : 0xf0 | rest);
        bool expected = false;
        for (size_t i = 0; i < 8; i++) {
            expected = expected || (c >= ranges[i].low && c <= ranges[i].high);
        }
        expected = expected && (c < 0xd800 || c > 0xdfff);
        uint32_t at = start;
        for (size_t i = 0; i < length; i++) {
            at = grammar_move(g, at, bytes[i]);
        }
        if ((at != FRAME_DEAD && grammar_frame(g, at)->ends) != expected) {
            fail_msg("U+%04X", c);
        }
    }
    grammar_free(g);
}

static const struct {
    const char *grammar;
    const char *message;
} wrong[] = {
    {"", "there is no rule 'root'"},
    {"a ::= \"x\"", "there is no rule 'root'"},
    {"root ::= a", "line 1, column 10: this rule isn't defined anywhere"},
    {"root ::= \"x\"\nroot ::= \"y\"", "line 2, column 1: the rule is there already"},
    {"root = \"x\"", "'::=' is missing"},
    {"root ::= \"x", "the text ends within"},
    {"root ::= [x", "the text ends within"},
    {"root ::= (\"x\"", "a ')' is missing"},
    {"root ::= \"x\")", "something stands here that can't"},
    {"root ::= *", "something stands here that can't"},
    {"root ::= <[12]>", "something stands here that can't"},
    {"root ::= \"\\q\"", "an escape is not one of"},
    {"root ::= \"\\x4\"", "a hexadecimal digit is missing"},
    {"root ::= \"\\ud800\"", "an escape is not a character"},
    {"root ::= \"\\U00110000\"", "an escape is not a character"},
    {"root ::= [z-a]", "a range of characters goes backwards"},
    {"root ::= \"a\"{2", "a '}' is missing"},
    {"root ::= \"a\"{,2}", "a number is missing"},
    {"root ::= \"a\"{3,2}", "most is below its least"},
    {"root ::= \"a\"{99999999999}", "larger than this engine follows"},
    {"root ::= \"a\"{1000}{1000}", "too large for this engine"},
    {"root ::= \"a\" root", "no text follows the grammar"},
    {"root ::= a\na ::= b\nb ::= a \"x\" | a a", "no text follows the grammar"},
    {"root ::= [\\xd9\xff]", "not UTF-8"},
};

static void test_a_wrong_grammar_is_refused_with_the_place(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        error err;
        grammar *g = grammar_from_gbnf(slice_of_text(wrong[i].grammar), &err);
        if (g != NULL || strstr(err.text, wrong[i].message) == NULL) {
            fail_msg("'%s': %s", wrong[i].grammar, g != NULL ? "accepted" : err.text);
        }
    }
    char deep[1024] = "root ::= ";
    memset(deep + 9, '(', 200);
    error err;
    assert_null(grammar_from_gbnf(slice_of_text(deep), &err));
    assert_non_null(strstr(err.text, "nested too deep"));
}

/* 2^n ways to read n letters share their nodes. */
static void test_ambiguity_costs_little(void **state) {
    (void)state;
    char text[2001];
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = 0;
    assert_true(follows("root ::= s\ns ::= s s | \"a\" | \"a\" \"a\"", slice_of(text, 60)));
    assert_true(follows("root ::= x*\nx ::= y | z\ny ::= \"a\"\nz ::= \"a\"", slice_of(text, 2000)));
    assert_true(follows("root ::= \"a\" root | \"a\"", slice_of(text, 2000)));
    assert_true(follows("root ::= root \"a\" | \"a\"", slice_of(text, 2000)));
}

/* Far more calls than are kept: what nobody waits for is dropped. */
static void test_a_long_answer_takes_bounded_memory(void **state) {
    (void)state;
    error err;
    grammar *g = grammar_from_gbnf(slice_of_text(json), &err);
    recogniser *r = recogniser_new(g, &err);
    assert_non_null(r);
    assert_true(recogniser_accept(r, SLICE_LITERAL("{\"list\": [0")));
    for (size_t i = 0; i < 20000; i++) {
        assert_true(recogniser_accept(r, SLICE_LITERAL(", {\"a\": [1, 2]}")));
        assert_false(recogniser_can_end(r));
        assert_false(recogniser_accept(r, SLICE_LITERAL("}")));
    }
    assert_true(recogniser_accept(r, SLICE_LITERAL("]}")));
    assert_true(recogniser_can_end(r));
    recogniser_free(r);
    grammar_free(g);
}

static void test_nesting_is_bounded(void **state) {
    (void)state;
    error err;
    grammar *g = grammar_from_gbnf(slice_of_text("root ::= \"[\" root \"]\" | \"\""), &err);
    recogniser *r = recogniser_new(g, &err);
    size_t depth = 0;
    while (depth < 1 << 21 && recogniser_accept(r, SLICE_LITERAL("[[[[[[[[[[[[[[[["))) {
        depth += 16;
    }
    assert_true(depth > 1 << 16 && depth < 1 << 21);
    assert_int_equal(recogniser_failure(r)->code, ERROR_LIMIT);
    recogniser_free(r);
    grammar_free(g);
}

static void test_every_failed_allocation_is_an_error_and_leaks_nothing(void **state) {
    (void)state;
    bool reached = true;
    for (int nth = 0; reached; nth++) {
        error err;
        fault_fail_nth(nth);
        grammar *g = grammar_from_gbnf(slice_of_text(json), &err);
        recogniser *r = g == NULL ? NULL : recogniser_new(g, &err);
        bool good = r != NULL && recogniser_accept(r, SLICE_LITERAL("{\"a\": [1, {\"b\": null}]}"));
        reached = fault_stop();
        if (r != NULL && !good) {
            err = *recogniser_failure(r);
        }
        assert_true(good != reached);
        /* libcrypto has other words for it. */
        if (!good && err.code != ERROR_MEMORY && strstr(err.text, "hashing") == NULL) {
            fail_msg("%d: %s", nth, err.text);
        }
        recogniser_free(r);
        grammar_free(g);
    }
}

static int set_up(void **state) {
    (void)state;
    error err;
    return crypto_start(&err) ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    crypto_stop();
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_texts_follow_their_grammar_or_not),
        cmocka_unit_test(test_classes_hold_just_their_characters),
        cmocka_unit_test(test_a_wrong_grammar_is_refused_with_the_place),
        cmocka_unit_test(test_ambiguity_costs_little),
        cmocka_unit_test(test_a_long_answer_takes_bounded_memory),
        cmocka_unit_test(test_nesting_is_bounded),
        cmocka_unit_test(test_every_failed_allocation_is_an_error_and_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
