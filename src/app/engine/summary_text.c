#include "summary.h"

#include "codec/json_writer.h"

#include <inttypes.h>

enum { SHOWN_LENGTH = 64 };
static const char *const sizes[SUMMARY_SIZES] = {"context", "width", "hidden",
                                                 "layers",  "heads", "key heads"};

/* In quotes, cut. */
static void append_quoted(buffer *out, slice text) {
    slice shown = text;
    for (size_t length = 0; text.length > SHOWN_LENGTH && length <= SHOWN_LENGTH;) {
        size_t step = slice_utf8_length(slice_after(text, length));
        shown = slice_part(text, 0, length);
        length += step == 0 ? 1 : step;
    }
    buffer_append_byte(out, '"');
    json_append_escaped(out, shown);
    buffer_append_byte(out, '"');
    if (shown.length < text.length) {
        buffer_append_format(out, "... (%zu bytes)", text.length);
    }
}

static void append_bytes(buffer *out, uint64_t bytes) {
    static const char *const units[] = {"bytes", "kB", "MB", "GB", "TB"};
    size_t unit = 0;
    double value = (double)bytes;
    for (; value >= 1000 && unit < 4; unit++) {
        value /= 1000;
    }
    buffer_append_format(out, "%.*f %s", unit == 0 ? 0 : 1, value, units[unit]);
}

static void append_scalar(buffer *out, const gguf_value *v) {
    switch (v->type) {
    case GGUF_VALUE_U8:
    case GGUF_VALUE_U16:
    case GGUF_VALUE_U32:
    case GGUF_VALUE_U64:
        buffer_append_format(out, "%" PRIu64, v->natural);
        break;
    case GGUF_VALUE_F32:
    case GGUF_VALUE_F64:
        buffer_append_format(out, "%.*g", v->type == GGUF_VALUE_F32 ? 7 : 15, v->real);
        break;
    case GGUF_VALUE_BOOL:
        buffer_append_text(out, v->truth ? "true" : "false");
        break;
    case GGUF_VALUE_TEXT:
        append_quoted(out, v->text);
        break;
    case GGUF_VALUE_ARRAY:
        buffer_append_format(out, "[%zu %s]", v->array.count, gguf_value_type_name(v->array.type));
        break;
    default:
        buffer_append_format(out, "%" PRId64, v->whole);
    }
}

static void append_array(buffer *out, gguf_array rest) {
    gguf_value v;
    buffer_append_format(out, "%zu %s: ", rest.count, gguf_value_type_name(rest.type));
    for (size_t i = 0; i < SUMMARY_ELEMENTS && gguf_next_value(&rest, &v); i++) {
        buffer_append_text(out, i == 0 ? "" : ", ");
        append_scalar(out, &v);
    }
    buffer_append_text(out, rest.count > 0 ? ", ..." : "");
}

static void append_keys(const summary *s, buffer *out) {
    for (size_t i = 0; i < gguf_key_count(s->file); i++) {
        gguf_value v = gguf_key_value(s->file, i);
        buffer_append_text(out, "  ");
        json_append_escaped(out, gguf_key_name(s->file, i));
        buffer_append_text(out, " = ");
        if (v.type == GGUF_VALUE_ARRAY) {
            append_array(out, v.array);
        } else {
            append_scalar(out, &v);
        }
        buffer_append_byte(out, '\n');
    }
}

static void append_label(buffer *out, const char *label) {
    buffer_append_format(out, "%-14s", label);
}

static void append_name(buffer *out, const char *label, slice text) {
    append_label(out, label);
    if (text.length == 0) {
        buffer_append_text(out, "none");
    } else {
        append_quoted(out, text);
    }
    buffer_append_byte(out, '\n');
}

static void append_types(const summary *s, buffer *out) {
    append_label(out, "tensors");
    buffer_append_format(out, "%zu, ", gguf_tensor_count(s->file));
    append_bytes(out, s->tensor_bytes);
    buffer_append_byte(out, '\n');
    for (uint32_t type = 0; type < SUMMARY_TYPES; type++) {
        if (s->types[type].tensors > 0) {
            buffer_append_format(out, "  %-12s%zu, ", gguf_type_name(type), s->types[type].tensors);
            append_bytes(out, s->types[type].bytes);
            buffer_append_byte(out, '\n');
        }
    }
}

void summary_append_text(const summary *s, buffer *out) {
    append_label(out, "file");
    append_bytes(out, s->file_bytes);
    buffer_append_format(out, " in %zu %s, GGUF version %u\n", s->part_count,
                         s->part_count == 1 ? "file" : "files", gguf_version(s->file));
    append_name(out, "name", s->name);
    append_name(out, "architecture", s->architecture);
    for (size_t i = 0; i < SUMMARY_SIZES; i++) {
        if (s->has_size[i]) {
            append_label(out, sizes[i]);
            buffer_append_format(out, "%u\n", s->sizes[i]);
        }
    }
    append_label(out, "parameters");
    buffer_append_format(out, "%" PRIu64 "\n", s->parameters);
    append_types(s, out);
    append_name(out, "tokenizer", s->tokenizer);
    append_name(out, "pre-tokenizer", s->pre_tokenizer);
    append_label(out, "vocabulary");
    buffer_append_format(out, "%zu\n", s->vocabulary);
    append_label(out, "chat template");
    buffer_append_text(out, s->has_template ? "yes\n" : "none\n");
    append_label(out, "runs here");
    if (s->known) {
        buffer_append_text(
            out, "family and tokenizer are known; `cellule engine --check` looks at every weight\n");
    } else {
        buffer_append_text(out, "no: ");
        json_append_escaped(out, slice_of_text(s->refusal.text));
        buffer_append_byte(out, '\n');
    }
    buffer_append_text(out, "keys\n");
    append_keys(s, out);
}
