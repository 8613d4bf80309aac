#include "../src/domain/engine/template/template.h"

#include "codec/json.h"

#include <stdlib.h>

/* A template, a 0 byte, then the text of a user, which also is the tools and the variables. What is rendered
 * must be whole, and trusted nowhere where it holds a byte that the template lacks. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MEMORY_MAX = 64 * 1024 * 1024 };

static void check(slice source, const token_span *spans, size_t count) {
    for (size_t i = 0; i < count; i++) {
        slice text = spans[i].text;
        if (text.length == 0 || (i > 0 && spans[i].trusted == spans[i - 1].trusted)) {
            abort();
        }
        for (size_t k = 0; spans[i].trusted && k < text.length; k++) {
            /* escapes and changes of case make new bytes, but none of these */
            bool written = text.data[k] != '@' || slice_find(source, '@') != SIZE_MAX ||
                           slice_find(source, '\\') != SIZE_MAX;
            if (!written) {
                abort();
            }
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    error err;
    slice all = slice_of(data, size);
    size_t end = slice_find(all, 0);
    slice source = slice_part(all, 0, end);
    slice text = end == SIZE_MAX ? (slice){NULL, 0} : slice_after(all, end + 1);
    static bool started;
    if (!started) {
        json_start(1);
        started = true;
    }
    chat_template *t = chat_template_new(source, &err);
    arena *memory = t == NULL ? NULL : arena_new(MEMORY_MAX);
    if (memory == NULL) {
        chat_template_free(t);
        return 0;
    }
    bool array = slice_starts_with(text, SLICE_LITERAL("["));
    bool object = slice_starts_with(text, SLICE_LITERAL("{"));
    chat_message messages[] = {
        {.role = SLICE_LITERAL("system"), .content = SLICE_LITERAL("@ @")},
        {.role = SLICE_LITERAL("user"), .content = text},
        {.role = SLICE_LITERAL("assistant"), .content_is_none = true, .reasoning = text},
        {.role = SLICE_LITERAL("tool"), .content = text, .tool_call_id = text, .name = text}};
    messages[2].tool_calls = array ? text : (slice){NULL, 0};
    chat_input input = {.messages = messages,
                        .message_count = sizeof messages / sizeof messages[0],
                        .tools = array ? text : (slice){NULL, 0},
                        .variables = object ? text : (slice){NULL, 0},
                        .first_token = SLICE_LITERAL("<s>"),
                        .end_token = SLICE_LITERAL("</s>"),
                        .add_generation_prompt = size % 2 == 0,
                        .has_now = size % 3 == 0,
                        .now = (int64_t)size * 1000003};
    token_span *spans = NULL;
    size_t count = 0;
    if (chat_template_render(t, &input, memory, &spans, &count, &err)) {
        check(source, spans, count);
    }
    arena_free(memory);
    chat_template_free(t);
    return 0;
}
