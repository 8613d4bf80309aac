#include "summary.h"

#include "codec/json_writer.h"
#include "engine/check.h"

#include <inttypes.h>
#include <stdio.h>

enum { SHOWN_LENGTH = 64, SHOWN_ELEMENTS = 4, KEY_SIZE = 128 };

/* A size of the architecture: its key is "qwen2.block_count". */
typedef struct size_row {
    const char *label;
    const char *json;
    const char *key;
} size_row;

static const size_row sizes[] = {
    {"context", "context", "context_length"},    {"width", "width", "embedding_length"},
    {"hidden", "hidden", "feed_forward_length"}, {"layers", "layers", "block_count"},
    {"heads", "heads", "attention.head_count"},  {"key heads", "key_heads", "attention.head_count_kv"},
};
enum { SIZES = sizeof sizes / sizeof sizes[0] };

void summary_make(summary *s, const gguf *file, const model_files *files) {
    *s = (summary){.file = file, .part_count = files->count, .file_bytes = files->size};
    for (size_t i = 0; i < gguf_tensor_count(file); i++) {
        const gguf_tensor *t = gguf_tensor_at(file, i);
        uint64_t weights = 1;
        for (size_t k = 0; k < GGUF_DIMENSIONS_MAX; k++) {
            weights *= t->dimensions[k];
        }
        s->parameters += weights;
        s->tensor_bytes += t->data.length;
        s->types[t->type].tensors++;
        s->types[t->type].bytes += t->data.length;
    }
    s->runs = engine_check(file, &s->refusal);
}

/* The empty slice if the key is absent or no string. */
static slice find_text(const summary *s, const char *key) {
    error ignored;
    slice text = {0};
    return gguf_has(s->file, key) && gguf_text(s->file, key, &text, &ignored) ? text : (slice){0};
}

static size_t count_tokens(const summary *s) {
    error ignored;
    gguf_array tokens;
    bool there = gguf_has(s->file, "tokenizer.ggml.tokens") &&
                 gguf_text_array(s->file, "tokenizer.ggml.tokens", &tokens, &ignored);
    return there ? tokens.count : 0;
}

/* Sizes that differ between layers are left to the list of keys. */
static bool find_size(const summary *s, const size_row *row, uint32_t *value) {
    char key[KEY_SIZE];
    error ignored;
    slice architecture = find_text(s, "general.architecture");
    int length = snprintf(key, sizeof key, "%.*s.%s", SLICE_FORMAT(architecture), row->key);
    return length > 0 && (size_t)length < sizeof key && gguf_has(s->file, key) &&
           gguf_u32(s->file, key, value, &ignored);
}

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
    for (size_t i = 0; i < SHOWN_ELEMENTS && gguf_next_value(&rest, &v); i++) {
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
    append_name(out, "name", find_text(s, "general.name"));
    append_name(out, "architecture", find_text(s, "general.architecture"));
    for (size_t i = 0; i < SIZES; i++) {
        uint32_t value = 0;
        if (find_size(s, &sizes[i], &value)) {
            append_label(out, sizes[i].label);
            buffer_append_format(out, "%u\n", value);
        }
    }
    append_label(out, "parameters");
    buffer_append_format(out, "%" PRIu64 "\n", s->parameters);
    append_types(s, out);
    append_name(out, "tokenizer", find_text(s, "tokenizer.ggml.model"));
    append_name(out, "pre-tokenizer", find_text(s, "tokenizer.ggml.pre"));
    append_label(out, "vocabulary");
    buffer_append_format(out, "%zu\n", count_tokens(s));
    append_label(out, "chat template");
    buffer_append_text(out, find_text(s, "tokenizer.chat_template").length > 0 ? "yes\n" : "none\n");
    append_label(out, "runs here");
    if (s->runs) {
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

static void write_value(json_writer *w, const gguf_value *v) {
    gguf_value element;
    switch (v->type) {
    case GGUF_VALUE_U8:
    case GGUF_VALUE_U16:
    case GGUF_VALUE_U32:
    case GGUF_VALUE_U64:
        json_write_u64(w, v->natural);
        break;
    case GGUF_VALUE_F32:
    case GGUF_VALUE_F64:
        json_write_double(w, v->real);
        break;
    case GGUF_VALUE_BOOL:
        json_write_bool(w, v->truth);
        break;
    case GGUF_VALUE_TEXT:
        json_write_text(w, v->text);
        break;
    case GGUF_VALUE_ARRAY:
        json_write_object_begin(w);
        json_add_text(w, "array_of", slice_of_text(gguf_value_type_name(v->array.type)));
        json_add_u64(w, "count", v->array.count);
        json_write_key(w, "first");
        json_write_array_begin(w);
        for (gguf_array rest = v->array;
             v->array.count - rest.count < SHOWN_ELEMENTS && gguf_next_value(&rest, &element);) {
            write_value(w, &element);
        }
        json_write_array_end(w);
        json_write_object_end(w);
        break;
    default:
        json_write_i64(w, v->whole);
    }
}

static void write_types(const summary *s, json_writer *w) {
    json_write_key(w, "types");
    json_write_object_begin(w);
    for (uint32_t type = 0; type < SUMMARY_TYPES; type++) {
        if (s->types[type].tensors > 0) {
            json_write_key(w, gguf_type_name(type));
            json_write_object_begin(w);
            json_add_u64(w, "tensors", s->types[type].tensors);
            json_add_u64(w, "bytes", s->types[type].bytes);
            json_write_object_end(w);
        }
    }
    json_write_object_end(w);
}

/* A list, since a name may hold what no JSON key should. */
static void write_keys(const summary *s, json_writer *w) {
    json_write_key(w, "keys");
    json_write_array_begin(w);
    for (size_t i = 0; i < gguf_key_count(s->file); i++) {
        gguf_value v = gguf_key_value(s->file, i);
        json_write_object_begin(w);
        json_add_text(w, "key", gguf_key_name(s->file, i));
        json_add_text(w, "type", slice_of_text(gguf_value_type_name(v.type)));
        json_write_key(w, "value");
        write_value(w, &v);
        json_write_object_end(w);
    }
    json_write_array_end(w);
}

static void add_text_or_null(json_writer *w, const char *name, slice text) {
    if (text.length == 0) {
        json_add_null(w, name);
    } else {
        json_add_text(w, name, text);
    }
}

void summary_append_json(const summary *s, buffer *out) {
    json_writer w = json_writer_make(out);
    json_write_object_begin(&w);
    json_add_u64(&w, "files", s->part_count);
    json_add_u64(&w, "size", s->file_bytes);
    json_add_u64(&w, "version", gguf_version(s->file));
    add_text_or_null(&w, "name", find_text(s, "general.name"));
    add_text_or_null(&w, "architecture", find_text(s, "general.architecture"));
    for (size_t i = 0; i < SIZES; i++) {
        uint32_t value = 0;
        if (find_size(s, &sizes[i], &value)) {
            json_add_u64(&w, sizes[i].json, value);
        } else {
            json_add_null(&w, sizes[i].json);
        }
    }
    json_add_u64(&w, "parameters", s->parameters);
    json_add_u64(&w, "tensors", gguf_tensor_count(s->file));
    json_add_u64(&w, "tensor_bytes", s->tensor_bytes);
    write_types(s, &w);
    add_text_or_null(&w, "tokenizer", find_text(s, "tokenizer.ggml.model"));
    add_text_or_null(&w, "pre_tokenizer", find_text(s, "tokenizer.ggml.pre"));
    json_add_u64(&w, "vocabulary", count_tokens(s));
    json_add_bool(&w, "chat_template", find_text(s, "tokenizer.chat_template").length > 0);
    json_add_bool(&w, "known", s->runs);
    add_text_or_null(&w, "refusal", s->runs ? (slice){0} : slice_of_text(s->refusal.text));
    write_keys(s, &w);
    json_write_object_end(&w);
    buffer_append_byte(out, '\n');
}
