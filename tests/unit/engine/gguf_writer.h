#ifndef GGUF_WRITER_H
#define GGUF_WRITER_H

#include "base/buffer.h"
#include "engine/gguf.h"

/* Writes GGUF files for tests, good ones and broken ones. Allocation failures end the test. */
typedef struct gguf_writer {
    uint32_t version; /* 3 unless changed */
    buffer keys;
    buffer tensors;
    buffer data;
    uint64_t key_count;
    uint64_t tensor_count;
} gguf_writer;

void writer_start(gguf_writer *w);
void writer_text(gguf_writer *w, const char *key, const char *value);
void writer_u32(gguf_writer *w, const char *key, uint32_t value);
void writer_f32(gguf_writer *w, const char *key, float value);
void writer_bool(gguf_writer *w, const char *key, bool value);
void writer_texts(gguf_writer *w, const char *key, const char *const *texts, size_t count);
void writer_i32s(gguf_writer *w, const char *key, const int32_t *values, size_t count);
/* Any other value: `bytes` as they are to stand in the file. Of an array, those of its elements. */
void writer_value(gguf_writer *w, const char *key, gguf_value_type type, const void *bytes, size_t length);
void writer_array(gguf_writer *w, const char *key, gguf_value_type type, size_t count, const void *bytes,
                  size_t length);
/* What says that this is file `number` (from 0) of `count`, of a model with so many tensors. */
void writer_split(gguf_writer *w, uint16_t number, uint16_t count, int32_t tensor_count);
/* `values` are rounded to the type, and replaced by what they were rounded to. */
void writer_tensor(gguf_writer *w, const char *name, gguf_type type, uint32_t columns, uint32_t rows,
                   float *values);
/* The whole file, in `file`; frees the writer. */
void writer_finish(gguf_writer *w, buffer *file);
/* gguf_open of one file. */
MUST_CHECK gguf *written_open(const buffer *file, error *err);

#endif
