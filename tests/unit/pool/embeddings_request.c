#include "embeddings_request.h"
#include "codec/json.h"
#include "proto/message.h"

#include "unit.h"

static pool_settings settings = {.body_limit = 1048576};

static bool parse(const char *body, embeddings_request *wanted, const char **param, error *err) {
    static arena *memory;
    arena_free(memory);
    memory = body == NULL ? NULL : arena_new(4 << 20);
    return body != NULL &&
           embeddings_request_parse(slice_of_text(body), &settings, memory, wanted, param, err);
}

static void test_one_text_or_several_are_read(void **state) {
    (void)state;
    embeddings_request wanted;
    const char *param = NULL;
    error err = {0};
    assert_true(
        parse("{\"model\":\"m\",\"input\":\"one\",\"user\":\"me\",\"unknown\":[1]}", &wanted, &param, &err));
    assert_true(slice_equal_text(wanted.model, "m"));
    assert_int_equal(wanted.count, 1);
    assert_true(slice_equal_text(wanted.texts[0], "one"));
    assert_false(wanted.base64);
    assert_true(parse("{\"model\":\"m\",\"input\":[\"one\",\"two\"],\"encoding_format\":\"base64\","
                      "\"dimensions\":null}",
                      &wanted, &param, &err));
    assert_int_equal(wanted.count, 2);
    assert_true(slice_equal_text(wanted.texts[1], "two"));
    assert_true(wanted.base64);
}

static void test_what_is_wrong_or_not_built_is_refused_by_name(void **state) {
    (void)state;
    static const struct {
        const char *members;
        const char *param;
        const char *word;
    } cases[] = {
        {"", "input", "missing"},
        {",\"input\":[]", "input", "1 to 256"},
        {",\"input\":\"\"", "input", "1 to 32768"},
        {",\"input\":[\"one\",\"\"]", "input", "1 to 32768"},
        {",\"input\":7", "input", "tokens"},
        {",\"input\":[1,2,3]", "input", "arrays of tokens"},
        {",\"input\":[[1,2],[3]]", "input", "arrays of tokens"},
        {",\"input\":[\"one\",null]", "input", "array of strings"},
        {",\"input\":{}", "input", "array of strings"},
        {",\"input\":\"one\",\"encoding_format\":\"int8\"", "encoding_format", "base64"},
        {",\"input\":\"one\",\"encoding_format\":1", "encoding_format", "encoding_format"},
        {",\"input\":\"one\",\"dimensions\":256", "dimensions", "not supported"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char body[256];
        embeddings_request wanted;
        const char *param = NULL;
        error err = {.text = ""};
        snprintf(body, sizeof body, "{\"model\":\"m\"%s}", cases[i].members);
        assert_false(parse(body, &wanted, &param, &err));
        assert_int_equal(err.code, ERROR_INVALID);
        assert_non_null(param);
        assert_string_equal(param, cases[i].param);
        if (strstr(err.text, cases[i].word) == NULL) {
            fail_msg("%s: %s", body, err.text);
        }
    }
}

static bool parse_texts(size_t count, size_t length, const char **param, error *err) {
    embeddings_request wanted;
    buffer body = buffer_make(8 << 20);
    buffer_append_text(&body, "{\"model\":\"m\",\"input\":[");
    for (size_t i = 0; i < count; i++) {
        buffer_append_text(&body, i == 0 ? "\"" : ",\"");
        for (size_t k = 0; k < length; k++) {
            buffer_append_text(&body, "a");
        }
        buffer_append_text(&body, "\"");
    }
    buffer_append_text(&body, "]}");
    buffer_append(&body, slice_of("", 1));
    bool good = parse((const char *)body.bytes, &wanted, param, err);
    assert_true(!good || wanted.count == count);
    buffer_free(&body);
    return good;
}

static void test_texts_have_limits_in_number_and_length(void **state) {
    (void)state;
    const char *param = NULL;
    error err = {0};
    assert_true(parse_texts(EMBEDDINGS_TEXTS_MAX, 3, &param, &err));
    assert_false(parse_texts(EMBEDDINGS_TEXTS_MAX + 1, 3, &param, &err));
    assert_string_equal(param, "input");
    assert_true(parse_texts(2, PROTO_TEXT_SIZE_MAX, &param, &err));
    assert_false(parse_texts(1, PROTO_TEXT_SIZE_MAX + 1, &param, &err));
    assert_string_equal(param, "input");
}

static void test_a_body_that_is_no_object_is_refused(void **state) {
    (void)state;
    static const char *const bodies[] = {
        "", "[]", "7", "{", "{\"model\":1,\"input\":\"a\"}", "{\"input\":\"a\"}"};
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        embeddings_request wanted;
        const char *param = NULL;
        error err = {0};
        assert_false(parse(bodies[i], &wanted, &param, &err));
    }
}

static int start(void **state) {
    (void)state;
    json_start(1);
    return 0;
}

static int stop(void **state) {
    (void)state;
    embeddings_request wanted;
    const char *param = NULL;
    error err;
    (void)!parse(NULL, &wanted, &param, &err);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_text_or_several_are_read),
        cmocka_unit_test(test_what_is_wrong_or_not_built_is_refused_by_name),
        cmocka_unit_test(test_texts_have_limits_in_number_and_length),
        cmocka_unit_test(test_a_body_that_is_no_object_is_refused),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
