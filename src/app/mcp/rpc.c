#include "rpc.h"

/* A string or an integer; MCP allows no null. */
static bool is_id(const json_value *value) {
    int64_t number = 0;
    return json_kind_of(value) == JSON_KIND_TEXT || (value != NULL && json_to_i64(value, &number));
}

static rpc_kind invalid(int code, const char *why, int *code_out, const char **why_out) {
    *code_out = code;
    *why_out = why;
    return RPC_INVALID;
}

rpc_kind rpc_read(const json_value *value, rpc_message *message, int *code, const char **why) {
    const json_value *id = json_find(value, "id");
    const json_value *method = json_find(value, "method");
    *message = (rpc_message){.id = is_id(id) ? id : NULL,
                             .method = json_text_of(method),
                             .params = json_find(value, "params")};
    if (json_kind_of(value) != JSON_KIND_OBJECT ||
        !slice_equal_text(json_text_of(json_find(value, "jsonrpc")), "2.0")) {
        return invalid(RPC_INVALID_REQUEST, "not a message of JSON-RPC 2.0", code, why);
    }
    if (method == NULL && (json_find(value, "result") != NULL || json_find(value, "error") != NULL)) {
        return RPC_RESPONSE;
    }
    if (json_kind_of(method) != JSON_KIND_TEXT || (id != NULL && message->id == NULL)) {
        return invalid(RPC_INVALID_REQUEST, "a request has a method, and a string or an integer as its id",
                       code, why);
    }
    if (message->params != NULL && json_kind_of(message->params) != JSON_KIND_OBJECT) {
        return invalid(RPC_INVALID_PARAMS, "params must be an object", code, why);
    }
    return message->id == NULL ? RPC_NOTIFICATION : RPC_REQUEST;
}

static void begin(json_writer *w, const json_value *id) {
    json_write_object_begin(w);
    json_add_text(w, "jsonrpc", SLICE_LITERAL("2.0"));
    json_write_key(w, "id");
    if (id == NULL) {
        json_write_null(w);
    } else {
        json_write_value(w, id);
    }
}

void rpc_result_begin(json_writer *w, const json_value *id) {
    begin(w, id);
    json_write_key(w, "result");
}

void rpc_end(json_writer *w) {
    json_write_object_end(w);
}

void rpc_error(json_writer *w, const json_value *id, int code, const char *text) {
    begin(w, id);
    json_write_key(w, "error");
    json_write_object_begin(w);
    json_write_key(w, "code");
    json_write_i64(w, code);
    json_add_text(w, "message", slice_of_text(text));
    json_write_object_end(w);
    json_write_object_end(w);
}
