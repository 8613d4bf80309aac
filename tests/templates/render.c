#include "codec/json.h"
#include "codec/json_writer.h"
#include "template/template.h"

#include <stdio.h>
#include <stdlib.h>

/* Renders chat templates. Each line of the input is JSON: a template, messages, and what else chat_input has.
 * Each line of the output is JSON: the spans, or the error. */

enum { PART_SIZE_MAX = 1 << 20, LINE_SIZE_MAX = 16 << 20, MESSAGES_MAX = 64, PARTS_MAX = MESSAGES_MAX + 2 };

typedef struct question {
    buffer parts[PARTS_MAX]; /* JSON written out again, which `messages` and `input` point at */
    size_t part_count;
    chat_message messages[MESSAGES_MAX];
    chat_input input;
} question;

static slice text_of(const json_value *object, const char *name) {
    return json_text_of(json_find(object, name));
}

static slice json_of(question *q, const json_value *object, const char *name) {
    const json_value *value = json_find(object, name);
    if (value == NULL || json_kind_of(value) == JSON_KIND_NULL || q->part_count == PARTS_MAX) {
        return (slice){NULL, 0};
    }
    buffer *b = &q->parts[q->part_count++];
    *b = buffer_make(PART_SIZE_MAX);
    json_writer w = json_writer_make(b);
    json_write_value(&w, value);
    return buffer_slice(b);
}

static void read_question(question *q, const json_value *root) {
    const json_value *messages = json_find(root, "messages");
    size_t count = json_count(messages) < MESSAGES_MAX ? json_count(messages) : MESSAGES_MAX;
    for (size_t i = 0; i < count; i++) {
        const json_value *m = json_at(messages, i);
        q->messages[i] = (chat_message){
            .role = text_of(m, "role"),
            .content = text_of(m, "content"),
            .content_is_none = json_kind_of(json_find(m, "content")) == JSON_KIND_NULL,
            .name = text_of(m, "name"),
            .reasoning = text_of(m, "reasoning_content"),
            .tool_call_id = text_of(m, "tool_call_id"),
            .tool_calls = json_of(q, m, "tool_calls"),
        };
    }
    q->input = (chat_input){
        .messages = q->messages,
        .message_count = count,
        .tools = json_of(q, root, "tools"),
        .variables = json_of(q, root, "variables"),
        .first_token = text_of(root, "bos_token"),
        .end_token = text_of(root, "eos_token"),
        .add_generation_prompt = json_to_bool(json_find(root, "add_generation_prompt")),
    };
    q->input.has_now = json_to_i64(json_find(root, "now"), &q->input.now);
}

static void write_spans(json_writer *w, const token_span *spans, size_t count) {
    json_write_key(w, "spans");
    json_write_array_begin(w);
    for (size_t i = 0; i < count; i++) {
        json_write_object_begin(w);
        json_add_text(w, "text", spans[i].text);
        json_add_bool(w, "trusted", spans[i].trusted);
        json_write_object_end(w);
    }
    json_write_array_end(w);
}

static void answer(slice source, const chat_input *input) {
    error err;
    token_span *spans = NULL;
    size_t count = 0;
    buffer out = buffer_make(64 * PART_SIZE_MAX);
    json_writer w = json_writer_make(&out);
    arena *memory = arena_new((size_t)TEMPLATE_MEMORY_MAX * 2);
    chat_template *t = memory == NULL ? NULL : chat_template_new(source, &err);
    json_write_object_begin(&w);
    if (t != NULL && chat_template_render(t, input, memory, &spans, &count, &err)) {
        write_spans(&w, spans, count);
    } else {
        json_add_text(&w, "error", slice_of_text(memory == NULL ? "no memory" : err.text));
    }
    json_write_object_end(&w);
    buffer_append_text(&out, "\n");
    fwrite(buffer_slice(&out).data, 1, buffer_length(&out), stdout);
    chat_template_free(t);
    arena_free(memory);
    buffer_free(&out);
}

static bool answer_line(slice line) {
    static question q;
    error err;
    json_value *root = json_parse(line, (json_limits){LINE_SIZE_MAX, 64, 0}, &err);
    if (root == NULL) {
        fprintf(stderr, "%s\n", err.text);
        return false;
    }
    memset(&q, 0, sizeof q);
    read_question(&q, root);
    answer(text_of(root, "template"), &q.input);
    for (size_t i = 0; i < q.part_count; i++) {
        buffer_free(&q.parts[i]);
    }
    json_free(root);
    return true;
}

int main(void) {
    char *line = NULL;
    size_t capacity = 0;
    bool good = true;
    json_start(1);
    for (ssize_t length = 0; good && (length = getline(&line, &capacity, stdin)) > 0;) {
        good = answer_line(slice_of(line, (size_t)length));
    }
    free(line);
    return good ? 0 : 2;
}
