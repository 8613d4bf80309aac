#include "chat_request.h"
#include "codec/json.h"

#include "unit.h"

static pool_settings settings = {.body_limit = 1048576, .max_tokens_default = 100, .max_tokens_limit = 1000};

static bool parse(const char *body, chat_request *chat, const char **param, error *err) {
    static arena *memory;
    arena_free(memory);
    memory = body == NULL ? NULL : arena_new(1048576);
    return body != NULL && chat_request_parse(slice_of_text(body), &settings, memory, chat, param, err);
}

static void test_a_small_request_gets_the_defaults_of_the_api(void **state) {
    (void)state;
    chat_request chat;
    const char *param = NULL;
    error err = {0};
    assert_true(
        parse("{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],\"unknown\":[1]}",
              &chat, &param, &err));
    assert_true(slice_equal_text(chat.model, "m"));
    assert_int_equal(chat.message_count, 1);
    assert_true(slice_equal_text(chat.messages[0].content, "hi"));
    assert_float_equal(chat.temperature, 1, 0);
    assert_float_equal(chat.top_p, 1, 0);
    assert_int_equal(chat.max_tokens, 100);
    assert_false(chat.stream || chat.include_usage || chat.has_seed);
    assert_int_equal(chat.stop_count, 0);
}

static void test_every_field_is_read(void **state) {
    (void)state;
    chat_request chat;
    const char *param = NULL;
    error err = {0};
    assert_true(parse(
        "{\"model\":\"m\",\"messages\":[{\"role\":\"system\",\"content\":\"s\"},{\"role\":\"user\","
        "\"content\":[{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"text\",\"text\":\"b\"}]}],"
        "\"temperature\":0.5,\"top_p\":0.25,\"seed\":7,\"max_tokens\":5,\"max_completion_tokens\":6,"
        "\"stop\":[\"x\",\"yz\"],\"stream\":true,\"stream_options\":{\"include_usage\":true},"
        "\"n\":1,\"tools\":[],\"store\":false,\"logprobs\":null,\"response_format\":{\"type\":\"text\"}}",
        &chat, &param, &err));
    assert_true(slice_equal_text(chat.messages[1].content, "ab"));
    assert_float_equal(chat.temperature, 0.5, 0);
    assert_float_equal(chat.top_p, 0.25, 0);
    assert_true(chat.has_seed);
    assert_int_equal(chat.seed, 7);
    assert_int_equal(chat.max_tokens, 6);
    assert_int_equal(chat.stop_count, 2);
    assert_true(slice_equal_text(chat.stops[1], "yz"));
    assert_true(chat.stream && chat.include_usage);
}

#define HEAD "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]"

static void test_what_is_wrong_or_not_built_is_refused_by_name(void **state) {
    (void)state;
    static const struct {
        const char *body;
        const char *param; /* NULL: the body as a whole */
    } cases[] = {
        {"[]", NULL},
        {"{", NULL},
        {"{\"messages\":[]}", "model"},
        {"{\"model\":3,\"messages\":[]}", "model"},
        {"{\"model\":\"m\"}", "messages"},
        {"{\"model\":\"m\",\"messages\":[]}", "messages"},
        {"{\"model\":\"m\",\"messages\":[3]}", "messages"},
        {"{\"model\":\"m\",\"messages\":[{\"role\":\"boss\",\"content\":\"\"}]}", "messages"},
        {"{\"model\":\"m\",\"messages\":[{\"role\":\"user\"}]}", "messages"},
        {"{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":7}]}", "messages"},
        {"{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\"}]}]}",
         "messages"},
        {HEAD ",\"temperature\":2.5}", "temperature"},
        {HEAD ",\"temperature\":\"hot\"}", "temperature"},
        {HEAD ",\"top_p\":0}", "top_p"},
        {HEAD ",\"top_p\":1e-60}", "top_p"},
        {HEAD ",\"seed\":-1}", "seed"},
        {HEAD ",\"seed\":1.5}", "seed"},
        {HEAD ",\"max_tokens\":0}", "max_tokens"},
        {HEAD ",\"max_tokens\":1001}", "max_tokens"},
        {HEAD ",\"max_completion_tokens\":1001}", "max_completion_tokens"},
        {HEAD ",\"stop\":\"\"}", "stop"},
        {HEAD ",\"stop\":[\"a\",\"b\",\"c\",\"d\",\"e\"]}", "stop"},
        {HEAD ",\"stop\":[1]}", "stop"},
        {HEAD ",\"stream\":\"yes\"}", "stream"},
        {HEAD ",\"stream_options\":true}", "stream_options"},
        {HEAD ",\"n\":2}", "n"},
        {HEAD ",\"logprobs\":true}", "logprobs"},
        {HEAD ",\"store\":\"yes\"}", "store"},
        {HEAD ",\"tools\":[{}]}", "tools"},
        {HEAD ",\"response_format\":{\"type\":\"json_object\"}}", "response_format"},
        {HEAD ",\"frequency_penalty\":0.5}", "frequency_penalty"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        chat_request chat;
        const char *param = NULL;
        error err = {0};
        assert_false(parse(cases[i].body, &chat, &param, &err));
        assert_int_equal(err.code, ERROR_INVALID);
        assert_true(err.text[0] != '\0');
        if (cases[i].param == NULL) {
            assert_null(param);
        } else {
            assert_non_null(param);
            assert_string_equal(param, cases[i].param);
        }
    }
}

static void test_each_failed_allocation_is_an_error(void **state) {
    (void)state;
    chat_request chat;
    const char *param = NULL;
    bool reached = true;
    for (int nth = 1; reached; nth++) {
        error err = {0};
        fault_fail_nth(nth);
        bool parsed = parse(HEAD ",\"stop\":[\"x\"],\"stream_options\":{}}", &chat, &param, &err);
        reached = fault_stop();
        assert_int_equal(parsed, !reached);
        assert_int_equal(err.code, reached ? ERROR_MEMORY : ERROR_NONE);
    }
}

static int free_memory(void **state) {
    (void)state;
    (void)!parse(NULL, NULL, NULL, NULL);
    return 0;
}

int main(void) {
    json_start(1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_small_request_gets_the_defaults_of_the_api),
        cmocka_unit_test(test_every_field_is_read),
        cmocka_unit_test(test_what_is_wrong_or_not_built_is_refused_by_name),
        cmocka_unit_test(test_each_failed_allocation_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, free_memory);
}
