#include "rpc.h"

#include "unit.h"

typedef struct reading {
    const char *text;
    rpc_kind kind;
    int code;
} reading;

static void test_messages_are_told_apart(void **state) {
    (void)state;
    static const reading readings[] = {
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}", RPC_REQUEST, 0},
        {"{\"jsonrpc\":\"2.0\",\"id\":\"a\",\"method\":\"ping\",\"params\":{}}", RPC_REQUEST, 0},
        {"{\"jsonrpc\":\"2.0\",\"method\":\"ping\"}", RPC_NOTIFICATION, 0},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}", RPC_RESPONSE, 0},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{}}", RPC_RESPONSE, 0},
        {"{\"id\":1,\"method\":\"ping\"}", RPC_INVALID, RPC_INVALID_REQUEST},
        {"{\"jsonrpc\":2,\"id\":1,\"method\":\"ping\"}", RPC_INVALID, RPC_INVALID_REQUEST},
        {"{\"jsonrpc\":\"2.0\",\"id\":null,\"method\":\"ping\"}", RPC_INVALID, RPC_INVALID_REQUEST},
        {"{\"jsonrpc\":\"2.0\",\"id\":1.5,\"method\":\"ping\"}", RPC_INVALID, RPC_INVALID_REQUEST},
        {"{\"jsonrpc\":\"2.0\",\"id\":{},\"method\":\"ping\"}", RPC_INVALID, RPC_INVALID_REQUEST},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":7}", RPC_INVALID, RPC_INVALID_REQUEST},
        {"{\"jsonrpc\":\"2.0\",\"id\":1}", RPC_INVALID, RPC_INVALID_REQUEST},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\",\"params\":[]}", RPC_INVALID, RPC_INVALID_PARAMS},
        {"[]", RPC_INVALID, RPC_INVALID_REQUEST},
    };
    for (size_t i = 0; i < sizeof readings / sizeof readings[0]; i++) {
        error err = {0};
        rpc_message message;
        int code = 0;
        const char *why = NULL;
        json_value *root =
            json_parse(slice_of_text(readings[i].text), (json_limits){.size = 4096, .depth = 8}, &err);
        assert_non_null(root);
        assert_int_equal(rpc_read(root, &message, &code, &why), readings[i].kind);
        assert_int_equal(code, readings[i].code);
        assert_int_equal(why != NULL, readings[i].kind == RPC_INVALID);
        json_free(root);
    }
}

static void assert_text(const buffer *out, const char *expected) {
    assert_true(slice_equal_text(buffer_slice(out), expected));
}

static void test_answers_have_the_id_of_what_they_answer(void **state) {
    (void)state;
    error err = {0};
    json_value *root =
        json_parse(SLICE_LITERAL("{\"id\":\"a\"}"), (json_limits){.size = 64, .depth = 4}, &err);
    buffer out = buffer_make(256);
    json_writer w = json_writer_make(&out);
    assert_non_null(root);
    rpc_result_begin(&w, json_find(root, "id"));
    json_write_raw(&w, SLICE_LITERAL("{}"));
    rpc_end(&w);
    assert_text(&out, "{\"jsonrpc\":\"2.0\",\"id\":\"a\",\"result\":{}}");
    buffer_clear(&out);
    w = json_writer_make(&out);
    rpc_error(&w, NULL, RPC_PARSE_ERROR, "no \"JSON\"");
    assert_text(
        &out,
        "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32700,\"message\":\"no \\\"JSON\\\"\"}}");
    buffer_free(&out);
    json_free(root);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_messages_are_told_apart),
        cmocka_unit_test(test_answers_have_the_id_of_what_they_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
