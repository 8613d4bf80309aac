#ifndef ENGINE_GGUF_H
#define ENGINE_GGUF_H

#include "base/error.h"
#include "base/slice.h"

/* A reader of GGUF version 3, little-endian (ggml, docs/gguf.md). The file is untrusted: every length, count
 * and offset is checked against it before use, and what is accepted is accepted whole. Nothing is copied:
 * slices point into the file, which the caller keeps. */
typedef struct gguf gguf;

enum { GGUF_KEYS_MAX = 1024, GGUF_TENSORS_MAX = 8192, GGUF_DIMENSIONS_MAX = 4, GGUF_STRING_MAX = 1 << 20 };

/* The tensor types this build reads, numbered as ggml numbers them; others are refused by name. */
typedef enum gguf_type {
    GGUF_F32 = 0,
    GGUF_F16 = 1,
    GGUF_Q4_0 = 2,
    GGUF_Q4_1 = 3,
    GGUF_Q5_0 = 6,
    GGUF_Q5_1 = 7,
    GGUF_Q8_0 = 8,
    GGUF_Q4_K = 12,
    GGUF_Q5_K = 13,
    GGUF_Q6_K = 14,
    GGUF_BF16 = 30
} gguf_type;
enum { GGUF_BLOCK_MAX = 256, GGUF_BLOCK_BYTES_MAX = 210 }; /* of any type */

/* A row is whole blocks: weights in one, and bytes it takes. 0 for a type that isn't read. */
uint32_t gguf_type_block(gguf_type type);
uint32_t gguf_type_bytes(gguf_type type);
/* "F16"; static text, "unknown" for a number that names nothing. */
const char *gguf_type_name(uint32_t type);

typedef struct gguf_tensor {
    slice name;
    gguf_type type;
    uint32_t dimension_count;
    uint64_t dimensions[GGUF_DIMENSIONS_MAX]; /* the first is the contiguous one; absent ones are 1 */
    slice data;                               /* aligned in the file as the file says */
} gguf_tensor;

/* ERROR_CORRUPT names the key or tensor at fault, ERROR_UNSUPPORTED the type or version. */
MUST_CHECK gguf *gguf_open(slice file, error *err);
void gguf_free(gguf *file); /* NULL is allowed */

size_t gguf_key_count(const gguf *file);
slice gguf_key_name(const gguf *file, size_t index);
bool gguf_has(const gguf *file, const char *key);

/* The value of a key. ERROR_NOT_FOUND, or ERROR_CORRUPT when it has another type; integers of any width are
 * accepted where they fit. */
MUST_CHECK bool gguf_u32(const gguf *file, const char *key, uint32_t *value, error *err);
MUST_CHECK bool gguf_f32(const gguf *file, const char *key, float *value, error *err);
MUST_CHECK bool gguf_bool(const gguf *file, const char *key, bool *value, error *err);
MUST_CHECK bool gguf_text(const gguf *file, const char *key, slice *value, error *err);

/* An array of strings, read in order: gguf_next_text gives false after the last. */
typedef struct gguf_texts {
    slice rest;
    uint64_t count; /* those not read yet */
} gguf_texts;
MUST_CHECK bool gguf_text_array(const gguf *file, const char *key, gguf_texts *texts, error *err);
bool gguf_next_text(gguf_texts *texts, slice *text);
/* An array of i32 or u32, of f32, or of i8 or u8, as it stands in the file; the last two read one of them. */
MUST_CHECK bool gguf_i32_array(const gguf *file, const char *key, slice *values, error *err);
MUST_CHECK bool gguf_f32_array(const gguf *file, const char *key, slice *values, error *err);
MUST_CHECK bool gguf_byte_array(const gguf *file, const char *key, slice *values, error *err);
int32_t gguf_array_i32(slice values, size_t index);
float gguf_array_f32(slice values, size_t index);

size_t gguf_tensor_count(const gguf *file);
const gguf_tensor *gguf_tensor_at(const gguf *file, size_t index);
/* NULL if there is none. */
const gguf_tensor *gguf_find_tensor(const gguf *file, const char *name);
#endif
