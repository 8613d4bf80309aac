#include "answer.h"

#include "reply.h"

#include <stdio.h>

enum { PREFIX_LIMIT = 4096 };

static void write_identity(const job *j, const char *object, json_writer *w) {
    char id[64];
    snprintf(id, sizeof id, "chatcmpl-%s", j->work.id_hex);
    json_add_text(w, "id", slice_of_text(id));
    json_add_text(w, "object", slice_of_text(object));
    json_add_u64(w, "created", j->created_ms / 1000);
    json_add_text(w, "model", j->chat.model);
}

slice answer_chunk_prefix(job *j) {
    buffer text = buffer_make(PREFIX_LIMIT);
    json_writer w = json_writer_make(&text);
    slice copy = {0};
    json_write_object_begin(&w);
    write_identity(j, "chat.completion.chunk", &w);
    if (buffer_failed(&text) || !arena_copy(http_request_arena(j->request), buffer_slice(&text), &copy)) {
        copy = (slice){0};
    }
    buffer_free(&text);
    return copy;
}

static void begin_chunk(slice prefix, buffer *out) {
    buffer_append_text(out, "data: ");
    buffer_append(out, prefix);
    buffer_append_text(out, ",\"choices\":[{\"index\":0,\"delta\":{");
}

void answer_write_role(slice prefix, buffer *out) {
    begin_chunk(prefix, out);
    buffer_append_text(out, "\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}]}\n\n");
}

void answer_write_text(slice prefix, slice text, buffer *out) {
    begin_chunk(prefix, out);
    buffer_append_text(out, "\"content\":\"");
    json_append_escaped(out, text);
    buffer_append_text(out, "\"},\"finish_reason\":null}]}\n\n");
}

static const char *finish_name(receipt_finish finish) {
    return finish == RECEIPT_FINISH_LENGTH ? "length" : "stop";
}

static void write_usage(const receipt *fields, json_writer *w) {
    json_write_key(w, "usage");
    json_write_object_begin(w);
    json_add_u64(w, "prompt_tokens", fields->prompt_tokens);
    json_add_u64(w, "completion_tokens", fields->completion_tokens);
    json_add_u64(w, "total_tokens", (uint64_t)fields->prompt_tokens + fields->completion_tokens);
    json_write_object_end(w);
}

void answer_write_end(const job *j, slice prefix, const receipt *fields, buffer *out) {
    begin_chunk(prefix, out);
    buffer_append_format(out, "},\"finish_reason\":\"%s\"}]}\n\n", finish_name(fields->finish));
    if (j->chat.include_usage) {
        buffer_append_text(out, "data: ");
        buffer_append(out, prefix);
        buffer_append_text(out, ",\"choices\":[],");
        json_writer w = json_writer_make(out);
        write_usage(fields, &w);
        buffer_append_text(out, "}\n\n");
    }
    buffer_append_text(out, "data: [DONE]\n\n");
}

void answer_write_failure(unsigned status, const char *code, const char *message, buffer *out) {
    buffer_append_text(out, "data: ");
    reply_write_error(out, status, NULL, code, slice_of_text(message));
    buffer_append_text(out, "\n\n");
}

void answer_write_whole(const job *j, const receipt *fields, buffer *out) {
    json_writer w = json_writer_make(out);
    json_write_object_begin(&w);
    write_identity(j, "chat.completion", &w);
    json_write_key(&w, "choices");
    json_write_array_begin(&w);
    json_write_object_begin(&w);
    json_add_u64(&w, "index", 0);
    json_write_key(&w, "message");
    json_write_object_begin(&w);
    json_add_text(&w, "role", SLICE_LITERAL("assistant"));
    json_add_text(&w, "content", buffer_slice(&j->text));
    json_write_object_end(&w);
    json_add_text(&w, "finish_reason", slice_of_text(finish_name(fields->finish)));
    json_write_object_end(&w);
    json_write_array_end(&w);
    write_usage(fields, &w);
    json_write_object_end(&w);
}
