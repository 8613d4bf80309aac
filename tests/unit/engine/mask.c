#include "unit.h"

#include "arithmetic/arithmetic.h"
#include "codec/json.h"
#include "crypto/start.h"
#include "sample/mask.h"
#include "sample/sampler.h"

/* A vocabulary of all single bytes, pieces of JSON and of characters, the same text twice, and two ends. */
enum { SINGLES = 256, END = 254, OTHER_END = 255 };
static const char *const pieces[] = {
    "{\"",      "\": ",     "\", \"",   "\"}",
    "},",       "}]",       "true",     "false",
    "null",     "tr",       "ue",       "123",
    "-1",       "0.",       ".5",       "e+",
    "1e",       "\\u00",    "\\n",      "\\\"",
    "\"a\":",   "\"b\": [", "\"name\"", "name",
    "na",       "me",       "  ",       "\n  ",
    "\n\t",     "], ",      "[[",       "]]",
    "[]",       "{}",       "\": {",    "\"\"",
    "a",        "abc",      "\xc3",     "\xa9",
    "\xc3\xa9", "\xf0\x9f", "\x98\x80", "\xe2\x82\xac\"",
    "x\": \"y", "\",\n",    "\"}}}",    "{\"a\": {\"a\": ",
    ", ",       ": ",       "true, ",   "12, 1",
    "a\xc3",    "(1+",      ")*",       "+1)",
    "=2\n",
};
enum { PIECES = sizeof pieces / sizeof pieces[0], VOCABULARY = SINGLES + PIECES };

static slice text_of(const void *context, uint32_t token) {
    static uint8_t singles[SINGLES];
    (void)context;
    if (token == END || token == OTHER_END) {
        return SLICE_LITERAL(""); /* 0xfe and 0xff begin no character */
    }
    if (token >= SINGLES) {
        return slice_of_text(pieces[token - SINGLES]);
    }
    singles[token] = (uint8_t)token;
    return slice_of(&singles[token], 1);
}

static const uint32_t ends[] = {END, OTHER_END};
static const sampling_model model = {
    .vocabulary = VOCABULARY, .text = text_of, .ends = ends, .end_count = sizeof ends / sizeof ends[0]};

static uint64_t next_random(uint64_t *seed) {
    *seed = *seed * 6364136223846793005U + 1442695040888963407U;
    return *seed >> 33;
}

static const char *const grammars[] = {
    "root  ::= (expr \"=\" [0-9] \"\\n\")+\nexpr  ::= term ([-+*/] term)*\nterm  ::= [0-9]+ | \"(\" expr "
    "\")\"",
    "root ::= root \"a\" | root root | \"abc\" | \"\"",
    "root ::= [^a]+ \"a\" | .{3,5} | \"\xc3\xa9\"*",
    "root ::= \"{\" (pair (\", \" pair)*)? \"}\"\npair ::= \"\\\"\" [a-z]* \"\\\"\" \": \" (\"1\" | root | "
    "\"\\\"\" [^\"]* \"\\\"\")",
    "root ::= a a? b\na ::= (\"tr\" \"ue\")? \"a\"?\nb ::= \"true\" | \"abc\" b | \"\"",
};

/* Every token against the same token read alone, along random answers. */
static void check_masks(const word_tree *words, grammar *g, uint64_t seed) {
    error err;
    constraint *c = constraint_new(words, g, &err);
    assert_non_null(c);
    recogniser *alone = recogniser_new(g, &err);
    uint8_t said[4096];
    size_t length = 0;
    for (size_t step = 0; step < 60; step++) {
        const uint64_t *allowed = constraint_allowed(c, &err);
        assert_non_null(allowed);
        uint32_t chosen = VOCABULARY;
        size_t count = 0;
        for (uint32_t token = 0; token < VOCABULARY; token++) {
            slice text = text_of(NULL, token);
            size_t taken = 0;
            recogniser_allow_work(alone);
            while (taken < text.length && recogniser_step(alone, text.data[taken])) {
                taken++;
            }
            bool expected = text.length > 0 && taken == text.length;
            for (; taken > 0; taken--) {
                recogniser_take_back(alone);
            }
            if (expected != ((allowed[token / 64] >> token % 64 & 1) != 0)) {
                fail_msg("'%.*s' then '%.*s'", (int)length, (const char *)said, (int)text.length,
                         (const char *)text.data);
            }
            count += expected ? 1 : 0;
            chosen = expected && next_random(&seed) % count == 0 ? token : chosen;
        }
        if (chosen == VOCABULARY) {
            assert_true(constraint_can_end(c));
            break;
        }
        slice text = text_of(NULL, chosen);
        memcpy(said + length, text.data, text.length);
        length += text.length;
        assert_true(constraint_accept(c, text));
        assert_true(recogniser_accept(alone, text));
    }
    recogniser_free(alone);
    constraint_free(c);
}

static void test_a_mask_allows_just_what_can_be_read(void **state) {
    (void)state;
    error err;
    word_tree words;
    assert_true(word_tree_start(&words, VOCABULARY, text_of, NULL, &err));
    for (size_t i = 0; i < sizeof grammars / sizeof grammars[0]; i++) {
        for (uint64_t seed = 0; seed < 3; seed++) {
            grammar *g = grammar_from_gbnf(slice_of_text(grammars[i]), &err);
            assert_non_null(g);
            check_masks(&words, g, seed);
        }
    }
    grammar *g = grammar_from_schema(
        SLICE_LITERAL("{\"properties\":{\"name\":{\"type\":\"string\"},\"a\":{\"$ref\":\"#\"},"
                      "\"b\":{\"type\":\"array\"}},\"additionalProperties\":{\"maximum\":7}}"),
        &err);
    assert_non_null(g);
    check_masks(&words, g, 7);
    word_tree_free(&words);
}

/* A schema with its own idea of validity, as the test's: random schemas are made with what they ask for. */
typedef struct random_schema {
    char text[8192];
    size_t length;
    uint64_t seed;
} random_schema;

static void put(random_schema *s, const char *text) {
    size_t length = strlen(text);
    assert_true(s->length + length < sizeof s->text);
    memcpy(s->text + s->length, text, length + 1);
    s->length += length;
}

static void put_number(random_schema *s, const char *name, long value) {
    char text[64];
    snprintf(text, sizeof text, ",\"%s\":%ld", name, value);
    put(s, text);
}

static void make_schema(random_schema *s, unsigned depth) {
    static const char *const scalars[] = {"{\"type\":\"null\"}", "{\"type\":\"boolean\"}",
                                          "{\"enum\":[1,\"a\",null,[]]}", "{\"type\":\"number\"}",
                                          "{\"type\":\"string\"}"};
    uint64_t kind = next_random(&s->seed) % (depth > 2 ? 7 : 10);
    long least = (long)(next_random(&s->seed) % 5);
    if (kind < 5) {
        put(s, scalars[kind]);
    } else if (kind == 5) {
        put(s, "{\"type\":\"integer\"");
        put_number(s, "minimum", least * 30 - 60);
        put_number(s, "maximum", least * 30 + (long)(next_random(&s->seed) % 300));
        put(s, "}");
    } else if (kind == 6) {
        put(s, "{\"type\":\"string\"");
        put_number(s, "minLength", least);
        put_number(s, "maxLength", least + 3);
        put(s, "}");
    } else if (kind == 7) {
        put(s, "{\"type\":\"array\",\"items\":");
        make_schema(s, depth + 1);
        put_number(s, "minItems", least % 3);
        put_number(s, "maxItems", least % 3 + 2);
        put(s, "}");
    } else if (kind == 8) {
        put(s, "{\"anyOf\":[");
        make_schema(s, depth + 1);
        put(s, ",");
        make_schema(s, depth + 1);
        put(s, "]}");
    } else {
        static const char *const names[] = {"\"name\":", ",\"b\":", ",\"\xc3\xa9\\\"\":"};
        put(s, "{\"type\":\"object\",\"properties\":{");
        for (size_t i = 0; i < 3; i++) {
            put(s, names[i]);
            make_schema(s, depth + 1);
        }
        put(s, "},\"required\":[\"b\"],\"additionalProperties\":false}");
    }
}

static size_t length_in_characters(slice text) {
    size_t count = 0;
    for (size_t i = 0; i < text.length; i++) {
        count += (text.data[i] & 0xc0) != 0x80 ? 1 : 0;
    }
    return count;
}

static double bound(const json_value *schema, const char *name, double fallback) {
    const json_value *value = json_find(schema, name);
    return value == NULL ? fallback : json_to_double(value);
}

static bool is_valid(const json_value *schema, const json_value *value);

static bool is_valid_object(const json_value *schema, const json_value *value) {
    const json_value *member = NULL;
    for (const char *name = NULL; json_next_member(value, &name, &member);) {
        const json_value *of = json_find(json_find(schema, "properties"), name);
        if (of == NULL || !is_valid(of, member)) {
            return false;
        }
    }
    return json_find(value, "b") != NULL;
}

static bool is_valid(const json_value *schema, const json_value *value) {
    const json_value *choices = json_find(schema, json_find(schema, "enum") != NULL ? "enum" : "anyOf");
    for (size_t i = 0; i < json_count(choices); i++) {
        if (json_find(schema, "enum") != NULL ? json_values_equal(json_at(choices, i), value)
                                              : is_valid(json_at(choices, i), value)) {
            return true;
        }
    }
    slice type = json_text_of(json_find(schema, "type"));
    json_kind kind = json_kind_of(value);
    int64_t whole = 0;
    if (slice_equal_text(type, "integer")) {
        return kind == JSON_KIND_NUMBER && json_to_i64(value, &whole) &&
               (double)whole >= bound(schema, "minimum", 0) && (double)whole <= bound(schema, "maximum", 0);
    }
    if (slice_equal_text(type, "string")) {
        double length = (double)length_in_characters(json_text_of(value));
        return kind == JSON_KIND_TEXT && length >= bound(schema, "minLength", 0) &&
               length <= bound(schema, "maxLength", 1e9);
    }
    if (slice_equal_text(type, "array")) {
        bool good = kind == JSON_KIND_ARRAY && (double)json_count(value) >= bound(schema, "minItems", 0) &&
                    (double)json_count(value) <= bound(schema, "maxItems", 0);
        for (size_t i = 0; good && i < json_count(value); i++) {
            good = is_valid(json_find(schema, "items"), json_at(value, i));
        }
        return good;
    }
    return slice_equal_text(type, "null")      ? kind == JSON_KIND_NULL
           : slice_equal_text(type, "boolean") ? kind == JSON_KIND_BOOL
           : slice_equal_text(type, "number")  ? kind == JSON_KIND_NUMBER
           : slice_equal_text(type, "object")  ? kind == JSON_KIND_OBJECT && is_valid_object(schema, value)
                                               : false;
}

/* Random logits through the mask, until the end; a sampler that is only told the same tokens agrees at each.
 */
static size_t generate(sampling *shared, const engine_parameters *p, uint64_t seed, uint8_t *said,
                       size_t room) {
    error err;
    sampler *s = sampler_new(shared, p, seed, &err);
    sampler *told = sampler_new(shared, p, seed, &err);
    if (s == NULL || told == NULL) {
        fail_msg("%.*s: %s", SLICE_FORMAT(p->schema), err.text);
    }
    size_t length = 0;
    for (uint64_t position = 0;; position++) {
        float logits[VOCABULARY];
        draw first;
        draw second;
        for (size_t i = 0; i < VOCABULARY; i++) {
            logits[i] = (float)(next_random(&seed) % 1000) / 250.0f;
        }
        logits[END] += length > 40 ? 20 : 0;
        for (size_t i = 0; length > 40 && i < VOCABULARY; i++) { /* towards the end */
            logits[i] += i == '}' || i == ']' || i == '"' ? 10.0f : 0;
        }
        assert_true(sampler_draw(s, 0, logits, position, &first, &err));
        assert_true(sampler_accept(s, first.token, false, &err));
        if (position % 3 == 0) {
            assert_true(sampler_draw(told, 0, logits, position, &second, &err));
            assert_int_equal(first.token, second.token);
        }
        assert_true(sampler_accept(told, first.token, false, &err));
        if (first.token == END || first.token == OTHER_END) {
            break;
        }
        slice text = text_of(NULL, first.token);
        assert_true(length + text.length < room);
        memcpy(said + length, text.data, text.length);
        length += text.length;
    }
    sampler_free(s);
    sampler_free(told);
    return length;
}

static void test_random_answers_are_valid_by_their_random_schemas(void **state) {
    (void)state;
    static uint8_t said[1 << 16];
    const json_limits limits = {1 << 16, 64, 0};
    error err;
    sampling *shared = sampling_new(&model, &err);
    assert_non_null(shared);
    for (uint64_t round = 0; round < 150; round++) {
        random_schema made = {.seed = round};
        put(&made, "{\"type\":\"object\",\"properties\":{\"b\":");
        make_schema(&made, 0);
        put(&made, "},\"required\":[\"b\"],\"additionalProperties\":false}");
        engine_parameters p = {
            .temperature = 1, .top_p = 1, .repetition_penalty = 1, .schema = slice_of_text(made.text)};
        size_t length = generate(shared, &p, round, said, sizeof said);
        json_value *schema = json_parse(slice_of_text(made.text), limits, &err);
        json_value *value = json_parse(slice_of(said, length), limits, &err);
        if (value == NULL || !is_valid(schema, value)) {
            fail_msg("%s\n%.*s\n%s", made.text, (int)length, (const char *)said,
                     value == NULL ? err.text : "");
        }
        json_free(value);
        json_free(schema);
    }
    sampling_free(shared);
}

static void test_only_the_end_follows_a_finished_or_broken_answer(void **state) {
    (void)state;
    error err;
    float logits[VOCABULARY] = {0};
    draw result;
    logits['a'] = 9;
    logits[OTHER_END] = 1;
    sampling *shared = sampling_new(&model, &err);
    const engine_parameters p = {
        .top_p = 1, .repetition_penalty = 1, .grammar = SLICE_LITERAL("root ::= \"aa\"")};
    sampler *s = sampler_new(shared, &p, 0, &err);
    assert_true(sampler_has_memory(s));
    assert_true(sampler_accept(s, 'z', true, &err)); /* the prompt is free */
    for (size_t i = 0; i < 3; i++) {
        assert_true(sampler_draw(s, 0, logits, i, &result, &err));
        assert_int_equal(result.token, i < 2 ? 'a' : OTHER_END);
        assert_true(sampler_accept(s, result.token, false, &err));
    }
    sampler_free(s);
    s = sampler_new(shared, &p, 0, &err);
    assert_true(sampler_accept(s, 'b', false, &err)); /* claimed by a liar */
    assert_true(sampler_draw(s, 0, logits, 1, &result, &err));
    assert_int_equal(result.token, OTHER_END);
    sampler_free(s);
    sampling_free(shared);
}

static slice only_b(const void *context, uint32_t token) {
    (void)context;
    return token == 0 ? SLICE_LITERAL("b") : SLICE_LITERAL("");
}

static void test_what_a_grammar_needs_of_the_model_is_checked(void **state) {
    (void)state;
    error err;
    const float logits[2] = {1, 2};
    draw result;
    const uint32_t end = 1;
    engine_parameters p = {.top_p = 1, .repetition_penalty = 1, .grammar = SLICE_LITERAL("root ::= \"a\"")};
    sampling *endless = sampling_new(&(sampling_model){.vocabulary = 2, .text = only_b}, &err);
    assert_null(sampler_new(endless, &p, 0, &err));
    assert_int_equal(err.code, ERROR_UNSUPPORTED);
    sampling_free(endless);
    sampling *poor =
        sampling_new(&(sampling_model){.vocabulary = 2, .text = only_b, .ends = &end, .end_count = 1}, &err);
    sampler *s = sampler_new(poor, &p, 0, &err);
    assert_false(sampler_draw(s, 0, logits, 0, &result, &err));
    assert_int_equal(err.code, ERROR_UNSUPPORTED);
    sampler_free(s);
    p.schema = SLICE_LITERAL("{}");
    assert_null(sampler_new(poor, &p, 0, &err));
    assert_int_equal(err.code, ERROR_INVALID);
    sampling_free(poor);
}

static void test_every_failed_allocation_is_an_error_and_leaks_nothing(void **state) {
    (void)state;
    bool reached = true;
    float logits[VOCABULARY] = {0};
    logits['x'] = 1;
    const engine_parameters p = {
        .temperature = 1, .top_p = 1, .repetition_penalty = 1.1f, .schema = SLICE_LITERAL("{}")};
    for (int nth = 0; reached; nth++) {
        error err;
        draw result;
        fault_fail_nth(nth);
        sampling *shared = sampling_new(&model, &err);
        sampler *s = shared == NULL ? NULL : sampler_new(shared, &p, 5, &err);
        bool good = s != NULL;
        for (uint64_t i = 0; good && i < 4; i++) {
            good =
                sampler_draw(s, 0, logits, i, &result, &err) && sampler_accept(s, result.token, false, &err);
        }
        reached = fault_stop();
        assert_true(good || reached); /* a mask that can't be kept is made again */
        sampler_free(s);
        sampling_free(shared);
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
        cmocka_unit_test(test_a_mask_allows_just_what_can_be_read),
        cmocka_unit_test(test_random_answers_are_valid_by_their_random_schemas),
        cmocka_unit_test(test_only_the_end_follows_a_finished_or_broken_answer),
        cmocka_unit_test(test_what_a_grammar_needs_of_the_model_is_checked),
        cmocka_unit_test(test_every_failed_allocation_is_an_error_and_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
