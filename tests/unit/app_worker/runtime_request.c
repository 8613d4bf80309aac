#include "runtime_request.h"

#include "codec/json.h"
#include "crypto/hash.h"
#include "crypto/start.h"
#include "unit.h"

static const char list[] =
    "{\"object\":\"list\",\"data\":[{\"id\":\"other\"},{\"id\":\"tiny\",\"created\":17,\"owned_by\":"
    "\"llamacpp\","
    "\"meta\":{\"n_vocab\":32000,\"n_ctx_train\":2048,\"n_embd\":64,\"n_params\":1e9,\"size\":7}}]}";

static void test_urls_name_a_server_and_nothing_else(void **state) {
    (void)state;
    static const struct {
        const char *text;
        const char *wanted; /* NULL: refused */
        bool exposed;
    } cases[] = {
        {"http://127.0.0.1:8080", "http://127.0.0.1:8080", false},
        {"http://127.0.0.1:8080/", "http://127.0.0.1:8080", false},
        {"http://localhost/v1", "http://localhost", false},
        {"http://localhost:11434/v1/", "http://localhost:11434", false},
        {"http://[::1]:8080", "http://[::1]:8080", false},
        {"https://npu.example/api/v1", "https://npu.example/api", false},
        {"https://10.1.2.3", "https://10.1.2.3", false},
        {"http://npu.example:80/a-b_c.d~e/", "http://npu.example:80/a-b_c.d~e", true},
        {"http://localhost.example", "http://localhost.example", true},
        {"http://127.0.0.1.example", "http://127.0.0.1.example", true},
        {"http://127.evil", "http://127.evil", true},
        {"http://[2001:db8::1]", "http://[2001:db8::1]", true},
        {"HTTP://h", NULL, false},
        {"ftp://h", NULL, false},
        {"h:80", NULL, false},
        {"http://", NULL, false},
        {"http:///v1", NULL, false},
        {"http://:80", NULL, false},
        {"http://u@h", NULL, false},
        {"http://u:p@h", NULL, false},
        {"http://h:0", NULL, false},
        {"http://h:65536", NULL, false},
        {"http://h:", NULL, false},
        {"http://h:8 0", NULL, false},
        {"http://h?x", NULL, false},
        {"http://h/#x", NULL, false},
        {"http://h/%2e", NULL, false},
        {"http://h\\x", NULL, false},
        {"http://h\r\nX: y", NULL, false},
        {"http://[::1", NULL, false},
        {"http://[]", NULL, false},
        {"http://[::1]x", NULL, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char url[RUNTIME_URL_MAX + 1];
        error err;
        bool good = runtime_url_parse(cases[i].text, url, &err);
        if (good != (cases[i].wanted != NULL)) {
            fail_msg("%s", cases[i].text);
        }
        if (good) {
            assert_string_equal(url, cases[i].wanted);
            assert_int_equal(runtime_url_is_exposed(url), cases[i].exposed);
        }
    }
}

static pipe_generate question(const engine_message *messages, size_t count) {
    return (pipe_generate){
        .messages = messages,
        .message_count = count,
        .parameters = {.temperature = 0.5F, .top_p = 0.25F, .repetition_penalty = 1, .max_tokens = 7},
        .seed = UINT64_MAX};
}

static void test_a_job_becomes_a_chat_completion(void **state) {
    (void)state;
    const engine_message messages[] = {
        {.role = SLICE_LITERAL("system"), .content = SLICE_LITERAL("Be \"brief\".")},
        {.role = SLICE_LITERAL("user"), .content = SLICE_LITERAL("Hi\n")}};
    pipe_generate wanted = question(messages, 2);
    buffer out = buffer_make(4096);
    error err;
    assert_true(runtime_request_write(SLICE_LITERAL("tiny"), &wanted, &out, &err));
    assert_true(slice_equal_text(
        buffer_slice(&out),
        "{\"model\":\"tiny\",\"messages\":[{\"role\":\"system\",\"content\":\"Be "
        "\\\"brief\\\".\"},{\"role\":\"user\","
        "\"content\":\"Hi\\n\"}],\"temperature\":0.5,\"top_p\":0.25,\"max_tokens\":7,\"seed\":2147483647,"
        "\"stream\":true,\"stream_options\":{\"include_usage\":true}}"));
    buffer_clear(&out);
    wanted.parameters.top_p = 0; /* nothing but the most likely token */
    wanted.parameters.stops[0] = SLICE_LITERAL("\n\n");
    wanted.parameters.stop_count = 1;
    wanted.seed = 3;
    assert_true(runtime_request_write(SLICE_LITERAL("tiny"), &wanted, &out, &err));
    slice rest =
        slice_after(buffer_slice(&out), slice_find_slice(buffer_slice(&out), SLICE_LITERAL("\"temperature")));
    assert_true(slice_starts_with(
        rest,
        SLICE_LITERAL("\"temperature\":0,\"top_p\":1,\"max_tokens\":7,\"seed\":3,\"stop\":[\"\\n\\n\"],")));
    buffer_free(&out);
    buffer small = buffer_make(100);
    assert_false(runtime_request_write(SLICE_LITERAL("tiny"), &wanted, &small, &err));
    buffer_free(&small);
}

static runtime_description describe(const char *json, const char *model, const char *name) {
    runtime_description d;
    error err;
    if (!runtime_describe(slice_of_text(json), slice_of_text(model), name, &d, &err)) {
        fail_msg("%s", err.text);
    }
    return d;
}

static void test_what_a_server_says_of_itself_is_taken(void **state) {
    (void)state;
    runtime_description d = describe(list, "tiny", NULL);
    assert_string_equal(d.profile, "runtime-llama.cpp");
    assert_string_equal(d.more, "/props");
    assert_int_equal(d.context, 0);
    runtime_describe_more(
        SLICE_LITERAL("{\"default_generation_settings\":{\"n_ctx\":512},\"total_slots\":4}"),
        SLICE_LITERAL("tiny"), &d);
    assert_int_equal(d.context, 512);
    assert_int_equal(d.slots, 4);

    d = describe("{\"data\":[{\"id\":\"m\",\"owned_by\":\"vllm\",\"max_model_len\":8192}]}", "m", NULL);
    assert_string_equal(d.profile, "runtime-vllm");
    assert_null(d.more);
    assert_int_equal(d.context, 8192);
    assert_int_equal(d.slots, 0);

    d = describe("{\"data\":[{\"id\":\"m:latest\",\"owned_by\":\"library\"}]}", "m", NULL);
    assert_string_equal(d.profile, "runtime-ollama");
    runtime_describe_more(SLICE_LITERAL("{\"models\":[{\"name\":\"x\",\"context_length\":5},"
                                        "{\"name\":\"m:latest\",\"context_length\":4096}]}"),
                          SLICE_LITERAL("m"), &d);
    assert_int_equal(d.context, 4096);
    runtime_describe_more(SLICE_LITERAL("{\"models\":[]}"), SLICE_LITERAL("m"), &d);
    assert_int_equal(d.context, 4096);
    runtime_describe_more(SLICE_LITERAL("nonsense"), SLICE_LITERAL("m"), &d);
    assert_int_equal(d.context, 4096);

    assert_string_equal(describe("{\"data\":[{\"id\":\"m\"}]}", "m", NULL).profile, "runtime-openai");
    assert_string_equal(describe("{\"data\":[{\"id\":\"m\"}]}", "m", "npu-1").profile, "runtime-npu-1");
}

static void test_the_digest_is_of_what_doesn_t_differ_between_machines(void **state) {
    (void)state;
    static const struct {
        const char *json;
        const char *model;
        const char *name;
        bool same;
    } cases[] = {
        {"{\"data\":[{\"meta\":{\"size\":7,\"n_params\":1e9,\"n_embd\":64,\"n_ctx_train\":2048,\"n_vocab\":"
         "32000,"
         "\"n_ctx\":99},\"owned_by\":\"llamacpp\",\"created\":18,\"permission\":[1],\"id\":\"tiny\"}]}",
         "tiny", NULL, true},
        {"{\"data\":[{\"id\":\"tiny\",\"owned_by\":\"llamacpp\",\"meta\":{\"n_vocab\":32000,\"n_ctx_train\":"
         "2048,"
         "\"n_embd\":64,\"n_params\":1e9,\"size\":8}}]}",
         "tiny", NULL, false},
        {"{\"data\":[{\"id\":\"tiny\",\"owned_by\":\"llamacpp\"}]}", "tiny", NULL, false},
        {list, "other", NULL, false},
        {list, "tiny", "npu", false},
        {list, "tiny", "llama.cpp", true},
    };
    runtime_description d = describe(list, "tiny", NULL);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        runtime_description other = describe(cases[i].json, cases[i].model, cases[i].name);
        assert_int_equal(memcmp(d.digest, other.digest, sizeof d.digest) == 0, cases[i].same);
    }
}

static void test_lists_that_are_none_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *json;
        error_code code;
    } cases[] = {
        {"", ERROR_IO},
        {"<html>", ERROR_IO},
        {"{}", ERROR_IO},
        {"{\"data\":{}}", ERROR_IO},
        {"{\"data\":[]}", ERROR_NOT_FOUND},
        {"{\"data\":[7,null,{\"id\":7},{\"id\":\"tin\"},{\"id\":\"tiny:small\"}]}", ERROR_NOT_FOUND}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        runtime_description d;
        error err = {0};
        assert_false(runtime_describe(slice_of_text(cases[i].json), SLICE_LITERAL("tiny"), NULL, &d, &err));
        assert_int_equal(err.code, cases[i].code);
    }
    runtime_description d;
    error err = {0};
    assert_false(runtime_describe(slice_of_text(list), SLICE_LITERAL("tin"), NULL, &d, &err));
    assert_string_equal(err.text, "the runtime has no model \"tin\"; it has \"other\", \"tiny\"");
}

static void test_names_are_short_and_plain(void **state) {
    (void)state;
    assert_true(runtime_name_is_valid("llama.cpp"));
    assert_true(runtime_name_is_valid("1234567890123456789012345678901234567890"));
    const char *const bad[] = {"",    "A",        "a b",
                               "a/b", "\xC3\xBC", "12345678901234567890123456789012345678901"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(runtime_name_is_valid(bad[i]));
    }
}

static void test_memory_that_runs_out_is_told_and_changes_no_digest(void **state) {
    (void)state;
    runtime_description d = describe(list, "tiny", NULL);
    const engine_message message = {.role = SLICE_LITERAL("user"), .content = SLICE_LITERAL("Hi")};
    pipe_generate wanted = question(&message, 1);
    bool reached = true;
    for (int nth = 0; reached; nth++) {
        runtime_description now;
        error err = {0};
        buffer out = buffer_make(4096);
        fault_fail_nth(nth);
        bool described = runtime_describe(slice_of_text(list), SLICE_LITERAL("tiny"), NULL, &now, &err);
        bool written = described && runtime_request_write(SLICE_LITERAL("tiny"), &wanted, &out, &err);
        reached = fault_stop();
        assert_int_equal(written, !reached);
        assert_int_equal(err.code, reached ? ERROR_MEMORY : ERROR_NONE);
        assert_true(!described || memcmp(now.digest, d.digest, sizeof d.digest) == 0);
        buffer_free(&out);
    }
}

int main(void) {
    error err;
    json_start(7);
    if (!crypto_start(&err)) {
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_urls_name_a_server_and_nothing_else),
        cmocka_unit_test(test_a_job_becomes_a_chat_completion),
        cmocka_unit_test(test_what_a_server_says_of_itself_is_taken),
        cmocka_unit_test(test_the_digest_is_of_what_doesn_t_differ_between_machines),
        cmocka_unit_test(test_lists_that_are_none_are_refused),
        cmocka_unit_test(test_names_are_short_and_plain),
        cmocka_unit_test(test_memory_that_runs_out_is_told_and_changes_no_digest),
    };
    int failures = cmocka_run_group_tests(tests, NULL, NULL);
    crypto_stop();
    return failures;
}
