#include "unit.h"

#include "codec/json.h"
#include "crypto/start.h"
#include "sample/recogniser.h"

static bool follows(const char *source, slice text) {
    error err;
    grammar *g = grammar_from_schema(slice_of_text(source), &err);
    if (g == NULL) {
        fail_msg("%s: %s", source, err.text);
    }
    recogniser *r = recogniser_new(g, &err);
    assert_non_null(r);
    bool good = recogniser_accept(r, text) && recogniser_can_end(r);
    assert_null(recogniser_failure(r));
    recogniser_free(r);
    grammar_free(g);
    return good;
}

typedef struct example {
    const char *schema;
    const char *accepted[9];
    const char *refused[14];
} example;

static const example examples[] = {
    {"{}",
     {"{}", "{ }", "{\"a\": [1, {\"b\":null}], \"c\": \"d\"}"},
     {"", "[]", "1", "{\"a\"}", "{,}", "{\"a\":1,}"}},
    {"{\"anyOf\":[true]}",
     {"1", "null", "[]", "{}", "\"x\"", "-1.5e3", "[[],[true,false]]"},
     {"", "nul", "[1,]", "01", "1.", ".5", "1e", "+1"}},
    {"{\"type\":\"string\"}",
     {"\"\"", "\"a\\n\\u00e9\\ud83d\\ude00\xc3\xa9\""},
     {"", "\"", "a", "\"\n\"", "\"\\x\"", "\"\\u12\"", "\"\\ud800\"", "\"\\ude00\"", "\"\\u0000\"",
      "\"\\ud800\\u0041\"", "\"\xc3\"", "\"\x01\""}},
    {"{\"type\":\"string\",\"minLength\":2,\"maxLength\":3}",
     {"\"ab\"", "\"abc\"", "\"\xc3\xa9\xf0\x9f\x98\x80\"", "\"\\n\\ud83d\\ude00a\""},
     {"\"\"", "\"a\"", "\"abcd\"", "\"\\n\""}},
    {"{\"type\":\"string\",\"maxLength\":0}", {"\"\""}, {"\"a\""}},
    {"{\"type\":\"integer\"}",
     {"0", "-7", "1234567890123456"},
     {"", "-", "01", "1.0", "1e2", "12345678901234567"}},
    {"{\"type\":\"number\"}", {"0", "-7.25", "1e-7", "3E+2"}, {"", "1.", "1e", "00", "1e100"}},
    {"{\"type\":\"boolean\"}", {"true", "false"}, {"null", "True", "0"}},
    {"{\"type\":[\"null\",\"integer\"]}", {"null", "5"}, {"\"5\"", "true"}},
    {"{\"type\":\"integer\",\"minimum\":-12,\"maximum\":105}",
     {"-12", "-9", "-1", "0", "7", "99", "100", "105"},
     {"-13", "-20", "-0", "106", "110", "200", "1000", "00"}},
    {"{\"type\":\"integer\",\"exclusiveMinimum\":9,\"exclusiveMaximum\":12}",
     {"10", "11"},
     {"9", "12", "1", "100"}},
    {"{\"type\":\"integer\",\"minimum\":95}",
     {"95", "99", "100", "1234567890123456"},
     {"94", "9", "-95", "10"}},
    {"{\"type\":\"integer\",\"maximum\":-5}", {"-5", "-6", "-100"}, {"-4", "0", "5", "-0"}},
    {"{\"type\":\"integer\",\"multipleOf\":7,\"minimum\":-21,\"maximum\":30}",
     {"-21", "-7", "0", "7", "28"},
     {"-22", "-28", "1", "13", "35", "29"}},
    {"{\"type\":\"number\",\"minimum\":0.5,\"exclusiveMaximum\":2}",
     {"0.5", "0.50", "1", "1.999", "0.75", "1.0"},
     {"0.49", "0", "0.4999", "2", "2.0", "-1", "1.", "1e0", "10"}},
    {"{\"type\":\"number\",\"exclusiveMinimum\":-1.25,\"maximum\":-0.5}",
     {"-1.2", "-0.5", "-0.50", "-1", "-1.2499"},
     {"-1.25", "-1.250", "-0.4", "0", "-2"}},
    {"{\"type\":\"number\",\"multipleOf\":0.25}",
     {"0", "0.25", "1.5", "2.75", "-0.75", "3"},
     {"0.3", "0.251", "1.1"}},
    {"{\"type\":\"number\",\"minimum\":-1e300,\"maximum\":1e-3}",
     {"0.001", "0.0005", "-1234567890123456"},
     {"0.002", "1"}},
    {"{\"enum\":[\"a\",1,null,true,{\"k\":[1,\"\\\"\"]}]}",
     {"\"a\"", "1", "null", "true", "{\"k\":[1,\"\\\"\"]}"},
     {"\"b\"", "a", "11", "false", "{}"}},
    {"{\"enum\":[\"a\",1],\"type\":\"string\"}", {"\"a\""}, {"1"}},
    {"{\"const\":\"only\"}", {"\"only\""}, {"\"onl\"", "null"}},
    {"{\"type\":\"array\",\"items\":{\"type\":\"integer\"}}",
     {"[]", "[1]", "[1, 2,3]", "[\n  1,\n  2\n]"},
     {"[1,]", "[\"a\"]", "[", "1"}},
    {"{\"type\":\"array\",\"items\":{\"const\":1},\"minItems\":2,\"maxItems\":3}",
     {"[1,1]", "[1,1,1]"},
     {"[]", "[1]", "[1,1,1,1]"}},
    {"{\"type\":\"array\",\"items\":{\"const\":1},\"minItems\":2}", {"[1,1]", "[1,1,1,1,1]"}, {"[]", "[1]"}},
    {"{\"type\":\"array\",\"maxItems\":0}", {"[]", "[ ]"}, {"[1]"}},
    {"{\"prefixItems\":[{\"const\":1},{\"const\":2}]}", {"[]", "[1]", "[1,2]"}, {"[2]", "[1,2,3]"}},
    {"{\"prefixItems\":[{\"const\":1},{\"const\":2}],\"items\":{\"const\":3},\"minItems\":1}",
     {"[1]", "[1,2]", "[1,2,3,3]"},
     {"[]", "[1,3]", "[1,2,3,1]"}},
    {"{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\"},\"b\":{\"type\":\"string\"},\"c\":{"
     "\"type\":\"null\"}},"
     "\"required\":[\"b\"],\"additionalProperties\":false}",
     {"{\"b\":\"\"}", "{\"a\":1,\"b\":\"x\"}", "{\"a\": 1, \"b\": \"x\", \"c\": null}",
      "{\n\t\"b\": \"x\",\n\t\"c\":null\n}"},
     {"{}", "{\"a\":1}", "{\"b\":\"\",\"a\":1}", "{\"b\":1}", "{\"b\":\"\",\"d\":1}", "{,\"b\":\"\"}",
      "{\"b\":\"\",}", "{\"b\":\"\",\"b\":\"\"}"}},
    {"{\"type\":\"object\",\"properties\":{\"a\":true}}", {"{}", "{\"a\":[]}"}, {"{\"b\":1}"}},
    {"{\"type\":\"object\",\"properties\":{\"ab\":{\"const\":1},\"\xc3\xa9\":{\"const\":2}},"
     "\"additionalProperties\":{\"type\":\"string\"}}",
     {"{}", "{\"ab\":1}", "{\"a\":\"\"}", "{\"abc\":\"x\"}", "{\"\":\"x\"}", "{\"ab\":1,\"z\":\"\"}",
      "{\"\xc3\xa9\":2,\"\xc3\xa9z\":\"\"}", "{\"\xe2\x82\xac\":\"\"}"},
     {"{\"ab\":\"\"}", "{\"\xc3\xa9\":\"\"}", "{\"\\u0061b\":\"\"}", "{\"z\":1}", "{\"z\":\"\",\"ab\":1}",
      "{\"\xc3\":\"\"}", "{\"\xed\xa0\x80\":\"\"}"}},
    {"{\"required\":[\"x\",\"x\"]}",
     {"{\"x\":1}", "{\"x\":{},\"y\":2}"},
     {"{}", "{\"y\":1}", "{\"x\":1,\"x\":1}"}},
    {"{\"anyOf\":[{\"type\":\"integer\"},{\"type\":\"array\",\"items\":{\"$ref\":\"#\"}}]}",
     {"1", "[]", "[1,[2,[]]]"},
     {"\"x\"", "[\"x\"]", "[1"}},
    {"{\"oneOf\":[{\"const\":1},{\"const\":2}]}", {"1", "2"}, {"3"}},
    {"{\"type\":\"object\",\"properties\":{\"next\":{\"anyOf\":[{\"$ref\":\"#/$defs/"
     "node\"},{\"type\":\"null\"}]}},\"required\":[\"next\"],"
     "\"additionalProperties\":false,\"$defs\":{\"node\":{\"type\":\"object\",\"properties\":{\"v\":{"
     "\"type\":\"integer\"},"
     "\"next\":{\"anyOf\":[{\"$ref\":\"#/$defs/"
     "node\"},{\"type\":\"null\"}]}},\"required\":[\"v\",\"next\"],\"additionalProperties\":false}}}",
     {"{\"next\":null}", "{\"next\":{\"v\":1,\"next\":{\"v\":2,\"next\":null}}}"},
     {"{}", "{\"next\":{}}", "{\"next\":{\"v\":1}}"}},
    {"{\"allOf\":[{\"properties\":{\"a\":{\"const\":1}},\"required\":[\"a\"]},{\"properties\":{\"b\":{"
     "\"const\":2}},\"required\":[\"b\"]}],\"type\":\"object\"}",
     {"{\"a\":1,\"b\":2}"},
     {"{\"a\":1}", "{\"b\":2}", "{}"}},
    {"{\"type\":\"object\",\"properties\":{\"a\":{\"const\":1},\"b\":{\"const\":2}},\"additionalProperties\":"
     "false,\"anyOf\":[{\"required\":[\"a\"]},{\"required\":[\"b\"]}]}",
     {"{\"a\":1}", "{\"b\":2}", "{\"a\":1,\"b\":2}"},
     {"{}"}},
    {"{\"allOf\":[{\"type\":[\"number\",\"null\"]},{\"type\":[\"integer\",\"string\"]}]}",
     {"5"},
     {"5.5", "null", "\"x\""}},
    {"{\"$ref\":\"#/$defs/a~1b\",\"description\":\"x\",\"$defs\":{\"a/b\":{\"const\":1}}}", {"1"}, {"2"}},
    {"{\"type\":\"string\",\"pattern\":\"^[a-c]+(-\\\\d{2,3})?$\"}",
     {"\"a\"", "\"abc-12\"", "\"c-123\""},
     {"\"\"", "\"d\"", "\"a-1\"", "\"a-1234\"", "\"xa\""}},
    {"{\"type\":\"string\",\"pattern\":\"b\"}", {"\"b\"", "\"abc\"", "\"\\nb\\u0041\""}, {"\"\"", "\"ac\""}},
    {"{\"type\":\"string\",\"pattern\":\"^(?:x|(?<n>yy))*?$|^\\\\.$\"}",
     {"\"\"", "\"xyyx\"", "\".\""},
     {"\"y\"", "\"a\""}},
    {"{\"type\":\"string\",\"pattern\":\"^[\\\"\\\\\\\\\\\\n]$\"}",
     {"\"\\\"\"", "\"\\\\\"", "\"\\n\""},
     {"\"\"\"", "\"\n\"", "\"n\""}},
    {"{\"type\":\"string\",\"pattern\":\"^.\\\\W[^\\\\s\\\\w]\\\\x41\\\\u00e9$\"}",
     {"\"a-+A\xc3\xa9\""},
     {"\"\\n-+A\xc3\xa9\"", "\"aa+A\xc3\xa9\"", "\"a- A\xc3\xa9\""}},
    {"{\"type\":\"string\",\"format\":\"date\"}",
     {"\"2024-02-29\"", "\"2023-12-31\"", "\"2000-02-29\""},
     {"\"2023-02-29\"", "\"1900-02-29\"", "\"2024-13-01\"", "\"2024-04-31\"", "\"2024-1-1\""}},
    {"{\"type\":\"string\",\"format\":\"time\"}",
     {"\"23:59:59Z\"", "\"00:00:00.5+01:30\""},
     {"\"24:00:00Z\"", "\"12:00\"", "\"12:00:00\""}},
    {"{\"format\":\"date-time\"}", {"\"2024-05-06T07:08:09Z\""}, {"\"2024-05-06 07:08:09Z\"", "1"}},
    {"{\"format\":\"uuid\"}",
     {"\"123e4567-e89b-12d3-a456-426614174000\""},
     {"\"123e4567e89b12d3a456426614174000\""}},
    {"{\"format\":\"duration\"}",
     {"\"P3Y6M4DT12H30M5S\"", "\"P2W\"", "\"PT5S\"", "\"P1D\""},
     {"\"P\"", "\"PT\"", "\"3D\"", "\"P1DT\""}},
    {"{\"format\":\"email\"}", {"\"a.b+c@x-y.example\""}, {"\"a@\"", "\"@b\"", "\"a..b@c\"", "\"a@-b\""}},
    {"{\"format\":\"hostname\"}", {"\"a.b-c.example\""}, {"\"-a\"", "\"a..b\"", "\"a_b\""}},
    {"{\"format\":\"ipv4\"}",
     {"\"127.0.0.1\"", "\"255.255.255.255\""},
     {"\"256.0.0.1\"", "\"1.2.3\"", "\"01.2.3.4\""}},
    {"{\"format\":\"ipv6\"}",
     {"\"::\"", "\"::1\"", "\"2001:db8::8:800:200c:417a\"", "\"1:2:3:4:5:6:7:8\"", "\"1::\""},
     {"\":\"", "\"1:2\"", "\"1::2::3\"", "\"12345::\""}},
};

static void test_values_follow_their_schema_or_not(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof examples / sizeof examples[0]; i++) {
        for (size_t j = 0; j < 9 && examples[i].accepted[j] != NULL; j++) {
            if (!follows(examples[i].schema, slice_of_text(examples[i].accepted[j]))) {
                fail_msg("%s refuses '%s'", examples[i].schema, examples[i].accepted[j]);
            }
        }
        for (size_t j = 0; j < 14 && examples[i].refused[j] != NULL; j++) {
            if (follows(examples[i].schema, slice_of_text(examples[i].refused[j]))) {
                fail_msg("%s accepts '%s'", examples[i].schema, examples[i].refused[j]);
            }
        }
    }
}

/* Every whole number of three digits, and every tenth, against the comparison itself. */
static void test_bounds_hold_for_every_number(void **state) {
    (void)state;
    static const int bounds[][2] = {{-999, 999}, {-250, 37},  {0, 0},    {5, 5},  {-8, -8},
                                    {9, 101},    {-110, -99}, {-1, 100}, {50, 49}};
    for (size_t i = 0; i < sizeof bounds / sizeof bounds[0]; i++) {
        for (int places = 0; places < 2; places++) {
            char text[160];
            error err;
            double scale = places == 0 ? 1 : 10;
            snprintf(text, sizeof text, "{\"type\":\"%s\",\"minimum\":%g,\"maximum\":%g}",
                     places == 0 ? "integer" : "number", bounds[i][0] / scale, bounds[i][1] / scale);
            grammar *g = grammar_from_schema(slice_of_text(text), &err);
            if (bounds[i][0] > bounds[i][1]) {
                assert_null(g);
                continue;
            }
            assert_non_null(g);
            for (int n = -1100; n <= 1100; n++) {
                recogniser *r = recogniser_new(g, &err);
                snprintf(text, sizeof text, "%.*f", places, n / scale);
                bool good = recogniser_accept(r, slice_of_text(text)) && recogniser_can_end(r);
                if (good != (n >= bounds[i][0] && n <= bounds[i][1])) {
                    fail_msg("%s in %d to %d", text, bounds[i][0], bounds[i][1]);
                }
                recogniser_free(r);
            }
            grammar_free(g);
        }
    }
}

static const struct {
    const char *schema;
    error_code code;
    const char *message;
} wrong[] = {
    {"{", ERROR_INVALID, "schema"},
    {"[]", ERROR_INVALID, "neither an object nor true or false"},
    {"{\"anyOf\":[false]}", ERROR_INVALID, "no text follows"},
    {"{\"not\":{}}", ERROR_UNSUPPORTED, "'not'"},
    {"{\"properties\":{\"a\":{\"uniqueItems\":true}}}", ERROR_UNSUPPORTED, "'uniqueItems'"},
    {"{\"type\":\"object\",\"patternProperties\":{}}", ERROR_UNSUPPORTED, "'patternProperties'"},
    {"{\"type\":\"text\"}", ERROR_INVALID, "'type'"},
    {"{\"type\":1}", ERROR_INVALID, "'type'"},
    {"{\"$ref\":\"#/$defs/x\"}", ERROR_INVALID, "'$ref'"},
    {"{\"$ref\":\"http://example.org/x\"}", ERROR_INVALID, "'$ref'"},
    {"{\"$ref\":1}", ERROR_INVALID, "'$ref'"},
    {"{\"enum\":1}", ERROR_INVALID, "'enum'"},
    {"{\"enum\":[]}", ERROR_INVALID, "no text follows"},
    {"{\"enum\":[1],\"minimum\":0}", ERROR_UNSUPPORTED, "'enum'"},
    {"{\"anyOf\":{}}", ERROR_INVALID, "'anyOf'"},
    {"{\"properties\":[]}", ERROR_INVALID, "'properties'"},
    {"{\"required\":\"a\"}", ERROR_INVALID, "'required'"},
    {"{\"required\":[1]}", ERROR_INVALID, "'required'"},
    {"{\"required\":[\"a\"],\"additionalProperties\":false}", ERROR_INVALID, "no text follows"},
    {"{\"minLength\":-1}", ERROR_INVALID, "'minLength'"},
    {"{\"minLength\":100000,\"type\":\"string\"}", ERROR_LIMIT, "too large"},
    {"{\"minLength\":1,\"pattern\":\"a\"}", ERROR_UNSUPPORTED, "'pattern'"},
    {"{\"format\":\"uri-template\"}", ERROR_UNSUPPORTED, "uri-template"},
    {"{\"minimum\":\"1\"}", ERROR_UNSUPPORTED, "'minimum'"},
    {"{\"minimum\":1e17}", ERROR_UNSUPPORTED, "'minimum'"},
    {"{\"multipleOf\":0}", ERROR_UNSUPPORTED, "'multipleOf'"},
    {"{\"multipleOf\":1009}", ERROR_UNSUPPORTED, "'multipleOf'"},
    {"{\"allOf\":[{\"minimum\":1},{\"minimum\":2}]}", ERROR_UNSUPPORTED, "'minimum'"},
    {"{\"pattern\":\"a\\\\b\"}", ERROR_UNSUPPORTED, "byte 3"},
    {"{\"pattern\":\"(a)\\\\1\"}", ERROR_UNSUPPORTED, "'pattern'"},
    {"{\"pattern\":\"(?=a)\"}", ERROR_UNSUPPORTED, "this kind of group"},
    {"{\"pattern\":\"(?<!a)\"}", ERROR_UNSUPPORTED, "this kind of group"},
    {"{\"pattern\":\"a^\"}", ERROR_UNSUPPORTED, "'pattern'"},
    {"{\"pattern\":\"a$b\"}", ERROR_UNSUPPORTED, "'$' isn't at the end"},
    {"{\"pattern\":\"[b-a]\"}", ERROR_UNSUPPORTED, "backwards"},
    {"{\"pattern\":\"(a\"}", ERROR_UNSUPPORTED, "')' is missing"},
    {"{\"pattern\":\"a)\"}", ERROR_UNSUPPORTED, "without its '('"},
    {"{\"pattern\":\"[a\"}", ERROR_UNSUPPORTED, "ends too early"},
    {"{\"pattern\":\"a{2,1}\"}", ERROR_UNSUPPORTED, "a repetition isn't"},
    {"{\"pattern\":\"a**\"}", ERROR_UNSUPPORTED, "'pattern'"},
};

static void test_a_wrong_or_unsupported_schema_is_refused_by_name(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        error err = {0};
        grammar *g = grammar_from_schema(slice_of_text(wrong[i].schema), &err);
        if (g != NULL || err.code != wrong[i].code || strstr(err.text, wrong[i].message) == NULL) {
            fail_msg("%s: %s", wrong[i].schema, g != NULL ? "accepted" : err.text);
        }
    }
}

static void test_every_failed_allocation_is_an_error_and_leaks_nothing(void **state) {
    (void)state;
    static const char schema[] = "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"number\","
                                 "\"maximum\":7.5},\"b\":{\"enum\":[\"x\",[1]]},"
                                 "\"c\":{\"$ref\":\"#\"},\"d\":{\"pattern\":\"^a*$\"}},"
                                 "\"additionalProperties\":{\"type\":\"string\",\"maxLength\":3}}";
    bool reached = true;
    for (int nth = 0; reached; nth++) {
        error err = {0};
        fault_fail_nth(nth);
        grammar *g = grammar_from_schema(slice_of_text(schema), &err);
        recogniser *r = g == NULL ? NULL : recogniser_new(g, &err);
        bool good = r != NULL && recogniser_accept(r, SLICE_LITERAL("{\"a\": 5, \"c\": {}, \"e\": \"f\"}"));
        reached = fault_stop();
        if (r != NULL && !good) {
            err = *recogniser_failure(r);
        }
        assert_true(good != reached);
        assert_true(good || err.code == ERROR_MEMORY);
        recogniser_free(r);
        grammar_free(g);
    }
}

static int set_up(void **state) {
    (void)state;
    error err;
    json_start(1);
    return crypto_start(&err) ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    crypto_stop();
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values_follow_their_schema_or_not),
        cmocka_unit_test(test_bounds_hold_for_every_number),
        cmocka_unit_test(test_a_wrong_or_unsupported_schema_is_refused_by_name),
        cmocka_unit_test(test_every_failed_allocation_is_an_error_and_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
