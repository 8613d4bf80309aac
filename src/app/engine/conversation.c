#include "conversation.h"

#include "base/memory.h"

void conversation_start(conversation *c, const char *system) {
    c->count = 0;
    c->first = 0;
    if (system != NULL) {
        c->messages[0] = (engine_message){.role = SLICE_LITERAL("system"), .content = slice_of_text(system)};
        c->count = c->first = 1;
    }
}

bool conversation_add(conversation *c, const char *role, slice content, error *err) {
    if (c->count == ENGINE_MESSAGES_MAX) {
        return error_set(err, ERROR_LIMIT, "a conversation has at most %d messages: begin a new one",
                         ENGINE_MESSAGES_MAX);
    }
    uint8_t *copy = memory_allocate(content.length + 1);
    if (copy == NULL) {
        return error_memory(err);
    }
    if (content.length > 0) {
        memcpy(copy, content.data, content.length);
    }
    c->messages[c->count++] =
        (engine_message){.role = slice_of_text(role), .content = slice_of(copy, content.length)};
    return true;
}

void conversation_drop(conversation *c) {
    if (c->count > c->first) {
        c->count--;
        memory_free((void *)(uintptr_t)c->messages[c->count].content.data);
    }
}

void conversation_clear(conversation *c) {
    while (c->count > c->first) {
        conversation_drop(c);
    }
}
