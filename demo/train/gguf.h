#ifndef TRAIN_GGUF_H
#define TRAIN_GGUF_H

#include "model.h"
#include "tokenizer.h"

/* The model as a GGUF v3 file (github.com/ggml-org/ggml, docs/gguf.md): matrices in Q8_0, norms in F32, GPT-2
 * tokens and merges, a ChatML template. Writing goes to a file beside and a rename. */
MUST_CHECK bool gguf_write(const char *path, const model *m, const tokenizer *t, error *err);
/* Reads what gguf_write wrote; another writer's file may be refused. */
MUST_CHECK bool gguf_read(arena *a, const char *path, model *m, tokenizer *t, error *err);

enum gguf_type {
    GGUF_U32 = 4,
    GGUF_I32 = 5,
    GGUF_F32 = 6,
    GGUF_BOOL = 7,
    GGUF_STRING = 8,
    GGUF_ARRAY = 9,
};
enum { GGUF_TENSOR_F32 = 0, GGUF_TENSOR_Q8_0 = 8, GGUF_FILE_Q8_0 = 7, GGUF_VERSION = 3, GGUF_ALIGNMENT = 32 };
enum { GGUF_TOKEN_NORMAL = 1, GGUF_TOKEN_CONTROL = 3 };
#define GGUF_MAGIC 0x46554747U /* "GGUF" */

/* GPT-2 writes bytes as characters: printable ones as themselves, the others as U+0100 and on, in order. */
uint32_t gguf_byte_character(uint8_t byte);

#endif
