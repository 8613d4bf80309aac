#include "gguf_writer.h"

#include "arithmetic/arithmetic.h"
#include "quantise_file.h"

#include <stdlib.h>

enum { FILE_MAX = 64 * 1024 * 1024 };

static void put(buffer *b, uint64_t value, size_t size) {
    for (size_t i = 0; i < size; i++) {
        buffer_append_byte(b, (uint8_t)(value >> (8 * i)));
    }
}

static void put_text(buffer *b, const char *text) {
    put(b, strlen(text), 8);
    buffer_append_text(b, text);
}

static void put_key(gguf_writer *w, const char *key, uint32_t type) {
    put_text(&w->keys, key);
    put(&w->keys, type, 4);
    w->key_count++;
}

void writer_start(gguf_writer *w) {
    *w = (gguf_writer){.version = 3,
                       .keys = buffer_make(FILE_MAX),
                       .tensors = buffer_make(FILE_MAX),
                       .data = buffer_make(FILE_MAX)};
}

void writer_text(gguf_writer *w, const char *key, const char *value) {
    put_key(w, key, 8);
    put_text(&w->keys, value);
}

void writer_u32(gguf_writer *w, const char *key, uint32_t value) {
    put_key(w, key, 4);
    put(&w->keys, value, 4);
}

void writer_f32(gguf_writer *w, const char *key, float value) {
    put_key(w, key, 6);
    put(&w->keys, bits_of_float(value), 4);
}

void writer_bool(gguf_writer *w, const char *key, bool value) {
    put_key(w, key, 7);
    put(&w->keys, value ? 1 : 0, 1);
}

void writer_texts(gguf_writer *w, const char *key, const char *const *texts, size_t count) {
    put_key(w, key, 9);
    put(&w->keys, 8, 4);
    put(&w->keys, count, 8);
    for (size_t i = 0; i < count; i++) {
        put_text(&w->keys, texts[i]);
    }
}

void writer_i32s(gguf_writer *w, const char *key, const int32_t *values, size_t count) {
    put_key(w, key, 9);
    put(&w->keys, 5, 4);
    put(&w->keys, count, 8);
    for (size_t i = 0; i < count; i++) {
        put(&w->keys, (uint32_t)values[i], 4);
    }
}

void writer_value(gguf_writer *w, const char *key, gguf_value_type type, const void *bytes, size_t length) {
    put_key(w, key, type);
    buffer_append(&w->keys, slice_of(bytes, length));
}

void writer_array(gguf_writer *w, const char *key, gguf_value_type type, size_t count, const void *bytes,
                  size_t length) {
    put_key(w, key, GGUF_VALUE_ARRAY);
    put(&w->keys, type, 4);
    put(&w->keys, count, 8);
    buffer_append(&w->keys, slice_of(bytes, length));
}

void writer_split(gguf_writer *w, uint16_t number, uint16_t count, int32_t tensor_count) {
    writer_value(w, "split.no", GGUF_VALUE_U16, &number, sizeof number);
    writer_value(w, "split.count", GGUF_VALUE_U16, &count, sizeof count);
    writer_value(w, "split.tensors.count", GGUF_VALUE_I32, &tensor_count, sizeof tensor_count);
}

void writer_tensor(gguf_writer *w, const char *name, gguf_type type, uint32_t columns, uint32_t rows,
                   float *values) {
    while (buffer_length(&w->data) % 32 != 0) {
        buffer_append_byte(&w->data, 0);
    }
    put_text(&w->tensors, name);
    put(&w->tensors, rows == 1 ? 1 : 2, 4);
    put(&w->tensors, columns, 8);
    if (rows > 1) {
        put(&w->tensors, rows, 8);
    }
    put(&w->tensors, type, 4);
    put(&w->tensors, buffer_length(&w->data), 8);
    w->tensor_count++;
    uint32_t block = gguf_type_block(type);
    if (block == 0 || columns % block != 0) {
        abort();
    }
    for (size_t i = 0; i < (size_t)columns * rows; i += block) {
        uint8_t bytes[GGUF_BLOCK_BYTES_MAX];
        quantise_block(type, values + i, bytes);
        buffer_append(&w->data, slice_of(bytes, gguf_type_bytes(type)));
        for (uint32_t k = 0; k < block; k++) {
            values[i + k] = (float)quantised_value(type, bytes, k);
        }
    }
}

void writer_finish(gguf_writer *w, buffer *file) {
    *file = buffer_make(FILE_MAX);
    buffer_append_text(file, "GGUF");
    put(file, w->version, 4);
    put(file, w->tensor_count, 8);
    put(file, w->key_count, 8);
    buffer_append(file, buffer_slice(&w->keys));
    buffer_append(file, buffer_slice(&w->tensors));
    while (buffer_length(file) % 32 != 0) {
        buffer_append_byte(file, 0);
    }
    buffer_append(file, buffer_slice(&w->data));
    if (buffer_failed(file) || buffer_failed(&w->keys) || buffer_failed(&w->tensors) ||
        buffer_failed(&w->data)) {
        abort();
    }
    buffer_free(&w->keys);
    buffer_free(&w->tensors);
    buffer_free(&w->data);
}

gguf *written_open(const buffer *file, error *err) {
    slice whole = buffer_slice(file);
    return gguf_open(&whole, 1, err);
}
