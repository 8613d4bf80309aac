#include "request.h"

#include <float.h>

/* The bounds keep a file from costing more than its bytes. */
static const json_limits limits = {.size = REQUEST_FILE_LIMIT, .depth = 32, .values = 65536};

static bool copy(arena *memory, slice source, slice *target, error *err) {
    return arena_copy(memory, source, target) || error_memory(err);
}

/* The texts of the parts one behind the other, as the pool takes them. */
static bool read_parts(const json_value *parts, arena *memory, slice *content, error *err) {
    size_t length = 0;
    for (size_t i = 0; i < json_count(parts); i++) {
        const json_value *part = json_at(parts, i);
        if (!slice_equal_text(json_text_of(json_find(part, "type")), "text")) {
            return error_set(err, ERROR_INVALID, "a message's content has a part that is no text");
        }
        length += json_text_of(json_find(part, "text")).length;
    }
    uint8_t *bytes = arena_allocate(memory, length + 1);
    if (bytes == NULL) {
        return error_memory(err);
    }
    *content = slice_of(bytes, length);
    for (size_t i = 0; i < json_count(parts); i++) {
        slice text = json_text_of(json_find(json_at(parts, i), "text"));
        if (text.length > 0) {
            memcpy(bytes, text.data, text.length);
        }
        bytes += text.length;
    }
    return true;
}

static bool read_message(const json_value *value, arena *memory, receipt_message *message, error *err) {
    slice role = json_text_of(json_find(value, "role"));
    const json_value *content = json_find(value, "content");
    if (role.length == 0 ||
        (json_kind_of(content) != JSON_KIND_TEXT && json_kind_of(content) != JSON_KIND_ARRAY)) {
        return error_set(err, ERROR_INVALID,
                         "each message needs a role and content: a string, or an array of text parts");
    }
    return copy(memory, role, &message->role, err) &&
           (json_kind_of(content) == JSON_KIND_TEXT
                ? copy(memory, json_text_of(content), &message->content, err)
                : read_parts(content, memory, &message->content, err));
}

static bool read_messages(const json_value *list, arena *memory, request *r, error *err) {
    size_t count = json_count(list);
    if (json_kind_of(list) != JSON_KIND_ARRAY || count == 0) {
        return error_set(err, ERROR_INVALID, "there must be an array of messages, as sent to the API");
    }
    r->messages = arena_allocate_array(memory, count, sizeof *r->messages);
    if (r->messages == NULL) {
        return error_memory(err);
    }
    r->message_count = count;
    for (size_t i = 0; i < count; i++) {
        if (!read_message(json_at(list, i), memory, &r->messages[i], err)) {
            return error_context(err, "message %zu", i + 1);
        }
    }
    return true;
}

static bool read_stop(const json_value *value, arena *memory, request *r, error *err) {
    if (json_kind_of(value) != JSON_KIND_TEXT || r->stop_count == REQUEST_STOPS_MAX) {
        return error_set(err, ERROR_INVALID, "\"stop\" must be a string, or an array of at most %d strings",
                         REQUEST_STOPS_MAX);
    }
    return copy(memory, json_text_of(value), &r->stops[r->stop_count++], err);
}

static bool read_stops(const json_value *root, arena *memory, request *r, error *err) {
    const json_value *stop = json_find(root, "stop");
    r->knows_stops = true;
    if (json_kind_of(stop) == JSON_KIND_NULL) {
        return true;
    }
    if (json_kind_of(stop) != JSON_KIND_ARRAY) {
        return read_stop(stop, memory, r, err);
    }
    for (size_t i = 0; i < json_count(stop); i++) {
        if (!read_stop(json_at(stop, i), memory, r, err)) {
            return false;
        }
    }
    return true;
}

static bool is_there(const json_value *root, const char *name) {
    return json_kind_of(json_find(root, name)) != JSON_KIND_NULL;
}

static bool read_real(const json_value *root, const char *name, bool *has, float *value, error *err) {
    double number = 0;
    *has = is_there(root, name);
    if (!json_get_double_or(root, name, 0, FLT_MAX, 0, &number, err)) {
        return false;
    }
    *value = (float)number;
    return true;
}

static bool differ(float a, float b) {
    return a < b || b < a;
}

/* The newer name counts where both stand, as for the pool. */
static bool read_length(const json_value *root, request *r, error *err) {
    const char *name = is_there(root, "max_completion_tokens") ? "max_completion_tokens" : "max_tokens";
    r->has_max_tokens = is_there(root, name);
    return json_get_u64_or(root, name, 0, UINT32_MAX, 0, &r->max_tokens, err);
}

static bool read_body(const json_value *root, arena *memory, request *r, error *err) {
    r->has_seed = is_there(root, "seed");
    return read_messages(json_find(root, "messages"), memory, r, err) && read_stops(root, memory, r, err) &&
           read_real(root, "temperature", &r->has_temperature, &r->temperature, err) &&
           read_real(root, "top_p", &r->has_top_p, &r->top_p, err) && read_length(root, r, err) &&
           json_get_u64_or(root, "seed", 0, UINT64_MAX, 0, &r->seed, err);
}

bool request_read(slice json, arena *memory, request *r, error *err) {
    *r = (request){0};
    json_value *root = json_parse(json, limits, err);
    if (root == NULL) {
        return false;
    }
    bool good = json_kind_of(root) == JSON_KIND_ARRAY ? read_messages(root, memory, r, err)
                                                      : read_body(root, memory, r, err);
    json_free(root);
    return good;
}

static bool check_parameters(const request *r, const receipt *fields, error *err) {
    if (r->has_temperature && differ(r->temperature, fields->temperature)) {
        return error_set(err, ERROR_CORRUPT,
                         "the receipt is about another request: temperature %g in it, %g in what was asked",
                         (double)fields->temperature, (double)r->temperature);
    }
    if (r->has_top_p && differ(r->top_p, fields->top_p)) {
        return error_set(err, ERROR_CORRUPT,
                         "the receipt is about another request: top_p %g in it, %g in what was asked",
                         (double)fields->top_p, (double)r->top_p);
    }
    if (r->has_max_tokens && r->max_tokens != fields->max_tokens) {
        return error_set(err, ERROR_CORRUPT,
                         "the receipt is about another request: at most %u tokens in it, %llu in what was "
                         "asked",
                         (unsigned)fields->max_tokens, (unsigned long long)r->max_tokens);
    }
    return !r->has_seed || r->seed == fields->seed ||
           error_set(err, ERROR_CORRUPT,
                     "the receipt is about another request: seed %llu in it, %llu in what was asked",
                     (unsigned long long)fields->seed, (unsigned long long)r->seed);
}

static bool check_stops(const request *r, const receipt *fields, error *err) {
    uint8_t digest[HASH_SIZE];
    return !r->knows_stops ||
           (receipt_hash_stop(r->stops, r->stop_count, digest, err) &&
            (memcmp(digest, fields->stop_hash, sizeof digest) == 0 ||
             error_set(err, ERROR_CORRUPT, "the receipt is about another request: its stop strings differ")));
}

static bool check_messages(const request *r, const signed_receipt *entry, error *err) {
    uint8_t digest[HASH_SIZE];
    return r->message_count == 0 ||
           (receipt_hash_prompt(entry->salt, r->messages, r->message_count, digest, err) &&
            (memcmp(digest, entry->fields.prompt_hash, sizeof digest) == 0 ||
             error_set(err, ERROR_CORRUPT, "the receipt is about another question")));
}

bool request_check(const request *r, const signed_receipt *entry, error *err) {
    return check_messages(r, entry, err) && check_parameters(r, &entry->fields, err) &&
           check_stops(r, &entry->fields, err);
}
