#include "summary.h"

#include "codec/json_writer.h"

static const char *const sizes[SUMMARY_SIZES] = {"context", "width", "hidden",
                                                 "layers",  "heads", "key_heads"};

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
             v->array.count - rest.count < SUMMARY_ELEMENTS && gguf_next_value(&rest, &element);) {
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
    add_text_or_null(&w, "name", s->name);
    add_text_or_null(&w, "architecture", s->architecture);
    for (size_t i = 0; i < SUMMARY_SIZES; i++) {
        json_write_key(&w, sizes[i]);
        if (s->has_size[i]) {
            json_write_u64(&w, s->sizes[i]);
        } else {
            json_write_null(&w);
        }
    }
    json_add_u64(&w, "parameters", s->parameters);
    json_add_u64(&w, "tensors", gguf_tensor_count(s->file));
    json_add_u64(&w, "tensor_bytes", s->tensor_bytes);
    write_types(s, &w);
    add_text_or_null(&w, "tokenizer", s->tokenizer);
    add_text_or_null(&w, "pre_tokenizer", s->pre_tokenizer);
    json_add_u64(&w, "vocabulary", s->vocabulary);
    json_add_bool(&w, "chat_template", s->has_template);
    json_add_bool(&w, "known", s->known);
    add_text_or_null(&w, "refusal", s->known ? (slice){0} : slice_of_text(s->refusal.text));
    write_keys(s, &w);
    json_write_object_end(&w);
    buffer_append_byte(out, '\n');
}
