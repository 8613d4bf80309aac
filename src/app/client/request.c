#include "request.h"

#include "ledger/messages.h"

#include <float.h>

/* The bounds keep a file from costing more than its bytes. */
static const json_limits limits = {.size = REQUEST_FILE_LIMIT, .depth = 32, .values = 65536};

static bool copy(arena *memory, slice source, slice *target, error *err) {
    return arena_copy(memory, source, target) || error_memory(err);
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
    return messages_read(json_find(root, "messages"), memory, &r->messages, &r->message_count, err) &&
           read_stops(root, memory, r, err) &&
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
    bool good = json_kind_of(root) == JSON_KIND_ARRAY
                    ? messages_read(root, memory, &r->messages, &r->message_count, err)
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
