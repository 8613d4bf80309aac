#include "chat_request.h"

#include "codec/json.h"
#include "ledger/messages.h"

#include <math.h>

/* JSON numbers arrive as double; a seed beyond 2^53 would be rounded by the client's own writer already. */
static const uint64_t seed_limit = (uint64_t)1 << 53;

/* The member being read, so that an error can name it. */
typedef struct reading {
    const json_value *root;
    arena *memory;
    const char *param;
    error *err;
} reading;

static bool wrong(reading *r, const char *what) {
    return error_set(r->err, ERROR_INVALID, "%s: %s", r->param, what);
}

static bool copy(reading *r, slice source, slice *target) {
    return arena_copy(r->memory, source, target) || error_memory(r->err);
}

static bool read_messages(reading *r, chat_request *chat) {
    const json_value *messages = NULL;
    r->param = "messages";
    return json_get_array(r->root, "messages", &messages, r->err) &&
           (messages_read(messages, r->memory, &chat->messages, &chat->message_count, r->err) ||
            error_context(r->err, "messages"));
}

static bool read_number(reading *r, const char *name, double least, double most, double fallback,
                        float *value) {
    double number = fallback;
    r->param = name;
    if (!json_get_double_or(r->root, name, least, most, fallback, &number, r->err)) {
        return false;
    }
    *value = (float)number;
    return true;
}

static bool read_sampling(reading *r, chat_request *chat) {
    if (!read_number(r, "temperature", 0, 2, 1, &chat->temperature) ||
        !read_number(r, "top_p", 0, 1, 1, &chat->top_p)) {
        return false;
    }
    if (!(chat->top_p > 0)) {
        return wrong(r, "must be above 0");
    }
    r->param = "seed";
    const json_value *seed = json_find(r->root, "seed");
    chat->has_seed = seed != NULL && json_kind_of(seed) != JSON_KIND_NULL;
    return json_get_u64_or(r->root, "seed", 0, seed_limit, 0, &chat->seed, r->err);
}

static bool read_length(reading *r, const pool_settings *settings, chat_request *chat) {
    uint64_t old_name = 0;
    uint64_t new_name = 0;
    uint64_t most = settings->max_tokens_limit;
    r->param = "max_tokens";
    if (!json_get_u64_or(r->root, r->param, 1, most, settings->max_tokens_default, &old_name, r->err)) {
        return false;
    }
    r->param = "max_completion_tokens";
    if (!json_get_u64_or(r->root, r->param, 1, most, old_name, &new_name, r->err)) {
        return false;
    }
    chat->max_tokens = (uint32_t)new_name;
    return true;
}

static bool read_stop(reading *r, const json_value *stop, chat_request *chat) {
    slice text = json_text_of(stop);
    if (json_kind_of(stop) != JSON_KIND_TEXT || text.length == 0 || text.length > CHAT_STOP_LENGTH_LIMIT) {
        return wrong(r, "each stop sequence must be a string of 1 to 256 bytes");
    }
    return copy(r, text, &chat->stops[chat->stop_count++]);
}

static bool read_stops(reading *r, chat_request *chat) {
    r->param = "stop";
    const json_value *stop = json_find(r->root, "stop");
    if (stop == NULL || json_kind_of(stop) == JSON_KIND_NULL) {
        return true;
    }
    if (json_kind_of(stop) != JSON_KIND_ARRAY) {
        return read_stop(r, stop, chat);
    }
    if (json_count(stop) > CHAT_STOPS_LIMIT) {
        return wrong(r, "there may be at most 4 stop sequences");
    }
    for (size_t i = 0; i < json_count(stop); i++) {
        if (!read_stop(r, json_at(stop, i), chat)) {
            return false;
        }
    }
    return true;
}

static bool read_streaming(reading *r, chat_request *chat) {
    const json_value *options = NULL;
    r->param = "store";
    bool unsaid = true;
    if (!json_get_bool_or(r->root, "store", false, &chat->store, r->err) ||
        !json_get_bool_or(r->root, "store", true, &unsaid, r->err)) {
        return false;
    }
    chat->dismiss = !unsaid;
    r->param = "stream";
    if (!json_get_bool_or(r->root, "stream", false, &chat->stream, r->err)) {
        return false;
    }
    r->param = "stream_options";
    return json_get_object_or(r->root, "stream_options", &options, r->err) &&
           (options == NULL ||
            json_get_bool_or(options, "include_usage", false, &chat->include_usage, r->err));
}

/* What would change the answer but isn't built: refused, so that nobody gets less than was asked for. */
static bool refuse_unsupported(reading *r) {
    uint64_t choices = 1;
    bool flag = false;
    r->param = "n";
    if (!json_get_u64_or(r->root, "n", 1, 128, 1, &choices, r->err)) {
        return false;
    }
    if (choices != 1) {
        return wrong(r, "only one choice per request is supported; ask several times");
    }
    static const char *const flags[] = {"logprobs"};
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
        r->param = flags[i];
        if (!json_get_bool_or(r->root, flags[i], false, &flag, r->err)) {
            return false;
        }
        if (flag) {
            return wrong(r, "is not supported by this release; leave it out");
        }
    }
    r->param = "tools";
    const json_value *tools = NULL;
    if (!json_get_array_or(r->root, "tools", &tools, r->err)) {
        return false;
    }
    if (tools != NULL && json_count(tools) > 0) {
        return wrong(r, "is not supported by this release; leave it out");
    }
    r->param = "response_format";
    const json_value *format = NULL;
    if (!json_get_object_or(r->root, "response_format", &format, r->err)) {
        return false;
    }
    if (format != NULL && !slice_equal_text(json_text_of(json_find(format, "type")), "text")) {
        return wrong(r, "only {\"type\":\"text\"} is supported by this release");
    }
    float zero = 0;
    static const char *const penalties[] = {"frequency_penalty", "presence_penalty"};
    for (size_t i = 0; i < sizeof penalties / sizeof penalties[0]; i++) {
        if (!read_number(r, penalties[i], -2, 2, 0, &zero)) {
            return false;
        }
        if (fabsf(zero) > 0) {
            return wrong(r, "is not supported by this release; leave it out");
        }
    }
    return true;
}

static bool read_all(reading *r, const pool_settings *settings, chat_request *chat) {
    slice model;
    if (json_kind_of(r->root) != JSON_KIND_OBJECT) {
        return error_set(r->err, ERROR_INVALID, "the body must be a JSON object");
    }
    r->param = "model";
    return json_get_text(r->root, "model", &model, r->err) && copy(r, model, &chat->model) &&
           read_messages(r, chat) && read_sampling(r, chat) && read_length(r, settings, chat) &&
           read_stops(r, chat) && read_streaming(r, chat) && refuse_unsupported(r);
}

bool chat_request_parse(slice body, const pool_settings *settings, arena *memory, chat_request *chat,
                        const char **param, error *err) {
    *chat = (chat_request){0};
    *param = NULL;
    json_value *root = json_parse(
        body,
        (json_limits){.size = settings->body_limit, .depth = CHAT_DEPTH_LIMIT, .values = CHAT_VALUES_LIMIT},
        err);
    if (root == NULL) {
        return false;
    }
    reading r = {.root = root, .memory = memory, .err = err};
    bool done = read_all(&r, settings, chat);
    chat->sent = chat->messages;
    chat->sent_count = chat->message_count;
    if (!done && err->code == ERROR_INVALID) {
        *param = r.param;
    }
    json_free(root);
    return done;
}
