#include "mcp/mcp.h"

#include "input.h"
#include "rpc.h"
#include "tools.h"

#include <stdio.h>
#include <unistd.h>

enum { DEPTH_MAX = 32, VALUES_MAX = 16384, OUTPUT_MAX = 3 * TOOL_RESULT_MAX, VERSION_SIZE = 16 };

/* Newest first. */
static const char *const versions[] = {"2025-06-18", "2025-03-26", "2024-11-05"};
static const char without_batches[] = "2025-06-18";

static const char instructions[] = "Facts that the user of a Cellule pool wants to be remembered. They are "
                                   "sealed: nobody but the user's own "
                                   "keys opens them.";

typedef struct server {
    api *pool;
    input in;
    buffer out; /* what is answered to a line */
    json_writer w;
    char version[VERSION_SIZE]; /* that was agreed on; empty: not yet */
} server;

static const char *agree(slice wanted) {
    for (size_t i = 0; i < sizeof versions / sizeof versions[0]; i++) {
        if (slice_equal_text(wanted, versions[i])) {
            return versions[i];
        }
    }
    return versions[0];
}

static void initialize(server *s, const rpc_message *message) {
    const json_value *wanted = json_find(message->params, "protocolVersion");
    if (json_kind_of(wanted) != JSON_KIND_TEXT) {
        rpc_error(&s->w, message->id, RPC_INVALID_PARAMS, "initialize needs protocolVersion");
        return;
    }
    snprintf(s->version, sizeof s->version, "%s", agree(json_text_of(wanted)));
    rpc_result_begin(&s->w, message->id);
    json_write_object_begin(&s->w);
    json_add_text(&s->w, "protocolVersion", slice_of_text(s->version));
    json_write_key(&s->w, "capabilities");
    json_write_raw(&s->w, SLICE_LITERAL("{\"tools\":{\"listChanged\":false}}"));
    json_write_key(&s->w, "serverInfo");
    json_write_object_begin(&s->w);
    json_add_text(&s->w, "name", SLICE_LITERAL("cellule"));
    json_add_text(&s->w, "title", SLICE_LITERAL("Cellule memory"));
    json_add_text(&s->w, "version", SLICE_LITERAL(CELLULE_VERSION));
    json_write_object_end(&s->w);
    json_add_text(&s->w, "instructions", slice_of_text(instructions));
    json_write_object_end(&s->w);
    rpc_end(&s->w);
}

static void list_tools(server *s, const rpc_message *message) {
    const json_value *cursor = json_find(message->params, "cursor");
    if (cursor != NULL && json_kind_of(cursor) != JSON_KIND_NULL) {
        rpc_error(&s->w, message->id, RPC_INVALID_PARAMS, "there is one page of tools; leave cursor out");
        return;
    }
    rpc_result_begin(&s->w, message->id);
    tools_list(&s->w);
    rpc_end(&s->w);
}

static bool names(slice line, const json_value *id) {
    error ignored = {0};
    json_value *root = json_parse(
        line, (json_limits){.size = INPUT_LINE_MAX, .depth = DEPTH_MAX, .values = VALUES_MAX}, &ignored);
    bool named = slice_equal_text(json_text_of(json_find(root, "method")), "notifications/cancelled") &&
                 json_find(json_find(root, "params"), "requestId") != NULL &&
                 json_values_equal(json_find(json_find(root, "params"), "requestId"), id);
    json_free(root);
    return named;
}

/* Whether what has come meanwhile says that nobody waits for the answer any more. */
static bool is_cancelled(server *s, const json_value *id) {
    slice line;
    for (size_t i = 0; input_peek(&s->in, &i, &line);) {
        if (names(line, id)) {
            return true;
        }
    }
    return false;
}

static void write_text(json_writer *w, slice text) {
    json_write_key(w, "content");
    json_write_array_begin(w);
    json_write_object_begin(w);
    json_add_text(w, "type", SLICE_LITERAL("text"));
    json_add_text(w, "text", text);
    json_write_object_end(w);
    json_write_array_end(w);
}

static void write_result(server *s, const json_value *id, tool_outcome outcome, slice result,
                         const error *err) {
    if (outcome == TOOL_MISUSED) {
        rpc_error(&s->w, id, RPC_INVALID_PARAMS, err->text);
        return;
    }
    rpc_result_begin(&s->w, id);
    json_write_object_begin(&s->w);
    write_text(&s->w, outcome == TOOL_ANSWERED ? result : slice_of_text(err->text));
    if (outcome == TOOL_ANSWERED && strcmp(s->version, "2025-06-18") == 0) {
        json_write_key(&s->w, "structuredContent");
        json_write_raw(&s->w, result);
    }
    json_add_bool(&s->w, "isError", outcome != TOOL_ANSWERED);
    json_write_object_end(&s->w);
    rpc_end(&s->w);
}

static void call_tool(server *s, const rpc_message *message) {
    error err = {0};
    const json_value *name = json_find(message->params, "name");
    const json_value *arguments = json_find(message->params, "arguments");
    if (json_kind_of(name) != JSON_KIND_TEXT ||
        (json_kind_of(arguments) != JSON_KIND_OBJECT && json_kind_of(arguments) != JSON_KIND_NULL)) {
        rpc_error(&s->w, message->id, RPC_INVALID_PARAMS,
                  "tools/call needs name, and arguments that are an object");
        return;
    }
    if (is_cancelled(s, message->id)) {
        return;
    }
    buffer result = buffer_make(TOOL_RESULT_MAX);
    tool_outcome outcome = tools_call(s->pool, json_text_of(name), arguments, &result, &err);
    if (outcome == TOOL_FAILED) {
        fprintf(stderr, "cellule mcp: %.*s: %s\n", SLICE_FORMAT(slice_part(json_text_of(name), 0, 64)),
                err.text);
    }
    if (!is_cancelled(s, message->id)) {
        write_result(s, message->id, outcome, buffer_slice(&result), &err);
    }
    buffer_wipe(&result);
}

static void answer_request(server *s, const rpc_message *message) {
    if (slice_equal_text(message->method, "initialize")) {
        initialize(s, message);
    } else if (slice_equal_text(message->method, "ping")) {
        rpc_result_begin(&s->w, message->id);
        json_write_raw(&s->w, SLICE_LITERAL("{}"));
        rpc_end(&s->w);
    } else if (s->version[0] == '\0') {
        rpc_error(&s->w, message->id, RPC_INVALID_REQUEST, "the session begins with initialize");
    } else if (slice_equal_text(message->method, "tools/list")) {
        list_tools(s, message);
    } else if (slice_equal_text(message->method, "tools/call")) {
        call_tool(s, message);
    } else {
        rpc_error(&s->w, message->id, RPC_METHOD_NOT_FOUND, "this server has tools alone");
    }
}

/* Notifications need nothing: what is cancelled was looked for where it counts. */
static void take_message(server *s, const json_value *value) {
    rpc_message message;
    int code = 0;
    const char *why = NULL;
    switch (rpc_read(value, &message, &code, &why)) {
    case RPC_REQUEST:
        answer_request(s, &message);
        return;
    case RPC_INVALID:
        rpc_error(&s->w, message.id, code, why);
        return;
    case RPC_NOTIFICATION:
    case RPC_RESPONSE:
        return;
    }
}

static void take_batch(server *s, const json_value *batch) {
    size_t count = json_count(batch);
    if (strcmp(s->version, without_batches) == 0 || count == 0 || count > RPC_BATCH_MAX) {
        rpc_error(&s->w, NULL, RPC_INVALID_REQUEST, "no batches of this size here");
        return;
    }
    json_write_array_begin(&s->w);
    size_t before = buffer_length(&s->out);
    for (size_t i = 0; i < count; i++) {
        take_message(s, json_at(batch, i));
    }
    bool answered = buffer_length(&s->out) > before;
    json_write_array_end(&s->w);
    if (!answered) {
        buffer_clear(&s->out);
    }
}

static void take_line(server *s, slice line) {
    error err = {0};
    json_value *root = json_parse(
        line, (json_limits){.size = INPUT_LINE_MAX, .depth = DEPTH_MAX, .values = VALUES_MAX}, &err);
    if (root == NULL) {
        rpc_error(&s->w, NULL, RPC_PARSE_ERROR, err.text);
    } else if (json_kind_of(root) == JSON_KIND_ARRAY) {
        take_batch(s, root);
    } else {
        take_message(s, root);
    }
    json_free(root);
}

/* False: nobody reads any more. */
static bool send_answer(server *s, error *err) {
    if (buffer_failed(&s->out)) {
        return error_set(err, ERROR_LIMIT, "an answer was too long");
    }
    if (buffer_length(&s->out) == 0) {
        return true;
    }
    buffer_append_byte(&s->out, '\n');
    slice all = buffer_slice(&s->out);
    bool sent = !buffer_failed(&s->out) && fwrite(all.data, 1, all.length, stdout) == all.length &&
                fflush(stdout) == 0;
    return sent || error_set(err, ERROR_IO, "the client doesn't read any more");
}

/* With the end that a line has on Windows, too. */
static bool is_blank(slice line) {
    slice rest = slice_trim(line);
    return rest.length == 0 || slice_equal_text(rest, "\r");
}

static bool serve(server *s, error *err) {
    slice line;
    for (;;) {
        input_kind kind = input_next(&s->in, &line);
        buffer_wipe(&s->out);
        s->out = buffer_make(OUTPUT_MAX);
        s->w = json_writer_make(&s->out);
        if (kind == INPUT_END) {
            return true;
        }
        if (kind == INPUT_TOO_LONG) {
            rpc_error(&s->w, NULL, RPC_PARSE_ERROR, "a message has up to 1 MiB");
        } else if (!is_blank(line)) {
            take_line(s, line);
        }
        if (!send_answer(s, err)) {
            return false;
        }
    }
}

int mcp_main(int argc, char **argv) {
    api_options pool = {0};
    const option_row rows[] = {API_OPTION_ROWS(&pool)};
    const option_table table = {
        .usage = "cellule mcp [options]",
        .summary =
            "Serves one's facts to the agent that starts it: Model Context Protocol over standard input\n"
            "and output, until the input ends.",
        .rows = rows,
        .row_count = sizeof rows / sizeof rows[0],
    };
    int status = 0;
    error err = {0};
    if (!options_parse(&table, argc, argv, NULL, &status)) {
        return status;
    }
    server s = {.in = input_make(STDIN_FILENO), .out = buffer_make(OUTPUT_MAX)};
    s.pool = api_open(&pool, &err);
    bool served = s.pool != NULL && serve(&s, &err);
    buffer_wipe(&s.out);
    input_free(&s.in);
    api_close(s.pool);
    return served ? 0 : options_fail("cellule mcp", &err);
}
