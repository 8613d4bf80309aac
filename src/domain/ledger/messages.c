#include "ledger/messages.h"

static bool copy(arena *memory, slice source, slice *target, error *err) {
    return arena_copy(memory, source, target) || error_memory(err);
}

static bool read_parts(const json_value *parts, arena *memory, slice *content, error *err) {
    size_t length = 0;
    size_t count = json_count(parts);
    for (size_t i = 0; i < count; i++) {
        const json_value *part = json_at(parts, i);
        if (!slice_equal_text(json_text_of(json_find(part, "type")), "text") ||
            json_kind_of(json_find(part, "text")) != JSON_KIND_TEXT) {
            return error_set(
                err, ERROR_INVALID,
                "content parts must be {\"type\":\"text\",\"text\":…}; images and audio are not supported");
        }
        length += json_text_of(json_find(part, "text")).length;
    }
    uint8_t *bytes = arena_allocate(memory, length + 1);
    if (bytes == NULL) {
        return error_memory(err);
    }
    *content = slice_of(bytes, length);
    for (size_t i = 0; i < count; i++) {
        slice text = json_text_of(json_find(json_at(parts, i), "text"));
        if (text.length > 0) {
            memcpy(bytes, text.data, text.length);
        }
        bytes += text.length;
    }
    return true;
}

static bool read_message(const json_value *value, arena *memory, receipt_message *message, error *err) {
    static const char *const roles[] = {"system", "developer", "user", "assistant", "tool"};
    if (json_kind_of(value) != JSON_KIND_OBJECT) {
        return error_set(err, ERROR_INVALID, "each message must be an object with role and content");
    }
    const json_value *content = json_find(value, "content");
    slice role = json_text_of(json_find(value, "role"));
    for (size_t i = 0; i < sizeof roles / sizeof roles[0]; i++) {
        if (slice_equal_text(role, roles[i])) {
            message->role = slice_of_text(roles[i]);
        }
    }
    if (message->role.length == 0) {
        return error_set(err, ERROR_INVALID,
                         "each message needs a role: system, developer, user, assistant or tool");
    }
    if (json_kind_of(content) == JSON_KIND_TEXT) {
        return copy(memory, json_text_of(content), &message->content, err);
    }
    return json_kind_of(content) == JSON_KIND_ARRAY
               ? read_parts(content, memory, &message->content, err)
               : error_set(err, ERROR_INVALID,
                           "each message needs content: a string, or an array of text parts");
}

bool messages_read(const json_value *list, arena *memory, receipt_message **messages, size_t *count,
                   error *err) {
    *count = json_kind_of(list) == JSON_KIND_ARRAY ? json_count(list) : 0;
    if (*count == 0 || *count > MESSAGES_LIMIT) {
        return error_set(err, ERROR_INVALID, "there must be an array of 1 to %d messages", MESSAGES_LIMIT);
    }
    receipt_message *read = arena_allocate_array(memory, *count, sizeof *read);
    if (read == NULL) {
        return error_memory(err);
    }
    memset(read, 0, *count * sizeof *read);
    *messages = read;
    for (size_t i = 0; i < *count; i++) {
        if (!read_message(json_at(list, i), memory, &read[i], err)) {
            return false;
        }
    }
    return true;
}
