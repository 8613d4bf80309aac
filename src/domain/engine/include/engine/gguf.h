#ifndef ENGINE_GGUF_H
#define ENGINE_GGUF_H

#include "base/error.h"
#include "base/slice.h"

/* A reader of GGUF versions 2 and 3, little-endian, whole or split into several files (ggml, docs/gguf.md).
 * Files are untrusted: every length, count and offset is checked against the file before use, and what is
 * accepted is accepted whole. Nothing is copied: slices point into the files, which the caller keeps. */
typedef struct gguf gguf;

enum {
    GGUF_PARTS_MAX = 256,
    GGUF_KEYS_MAX = 1024,
    GGUF_TENSORS_MAX = 8192, /* of all parts together */
    GGUF_DIMENSIONS_MAX = 4,
    GGUF_STRING_MAX = 1 << 24,
    GGUF_ELEMENTS_MAX = 1 << 21, /* of an array */
    GGUF_NESTING_MAX = 4         /* arrays in arrays */
};

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
    slice name; /* UTF-8 */
    gguf_type type;
    uint32_t dimension_count;
    uint64_t dimensions[GGUF_DIMENSIONS_MAX]; /* the first is the contiguous one; absent ones are 1 */
    slice data;                               /* aligned in its file as the file says; overlaps no other */
    uint32_t part;                            /* the file it stands in, from 0 */
} gguf_tensor;

/* `files`: a whole GGUF, or all parts of a split one in order. Keys come from the first. ERROR_CORRUPT names
 * the key or tensor at fault (and the part), ERROR_UNSUPPORTED the type or version. */
MUST_CHECK gguf *gguf_open(const slice *files, size_t file_count, error *err);
void gguf_free(gguf *file); /* NULL is allowed */

uint32_t gguf_version(const gguf *file);
size_t gguf_part_count(const gguf *file);
size_t gguf_tensor_count(const gguf *file);
const gguf_tensor *gguf_tensor_at(const gguf *file, size_t index);
/* NULL if there is none. */
const gguf_tensor *gguf_find_tensor(const gguf *file, const char *name);

bool gguf_has(const gguf *file, const char *key);
/* The value of a key. ERROR_NOT_FOUND, or ERROR_CORRUPT when it has another type; integers of any width are
 * accepted where they fit. */
MUST_CHECK bool gguf_u32(const gguf *file, const char *key, uint32_t *value, error *err);
MUST_CHECK bool gguf_i32(const gguf *file, const char *key, int32_t *value, error *err);
MUST_CHECK bool gguf_u64(const gguf *file, const char *key, uint64_t *value, error *err);
MUST_CHECK bool gguf_f32(const gguf *file, const char *key, float *value, error *err);
MUST_CHECK bool gguf_bool(const gguf *file, const char *key, bool *value, error *err);
MUST_CHECK bool gguf_text(const gguf *file, const char *key, slice *value, error *err);

/* Numbered as GGUF does. */
typedef enum gguf_value_type {
    GGUF_VALUE_U8,
    GGUF_VALUE_I8,
    GGUF_VALUE_U16,
    GGUF_VALUE_I16,
    GGUF_VALUE_U32,
    GGUF_VALUE_I32,
    GGUF_VALUE_F32,
    GGUF_VALUE_BOOL,
    GGUF_VALUE_TEXT,
    GGUF_VALUE_ARRAY,
    GGUF_VALUE_U64,
    GGUF_VALUE_I64,
    GGUF_VALUE_F64,
    GGUF_VALUE_TYPES
} gguf_value_type;
const char *gguf_value_type_name(gguf_value_type type); /* "u8", "string" */

typedef struct gguf_array {
    gguf_value_type type; /* of its elements */
    size_t count;
    slice bytes;
} gguf_array;

/* As above; every element is looked at, so that reading one can't fail. Where no array but one
 * number or truth stands, it counts as an array of one. Of gguf_byte_array the bytes themselves are the
 * elements. */
MUST_CHECK bool gguf_u32_array(const gguf *file, const char *key, gguf_array *array, error *err);
MUST_CHECK bool gguf_i32_array(const gguf *file, const char *key, gguf_array *array, error *err);
MUST_CHECK bool gguf_f32_array(const gguf *file, const char *key, gguf_array *array, error *err);
MUST_CHECK bool gguf_byte_array(const gguf *file, const char *key, gguf_array *array,
                                error *err); /* u8 or i8 */
MUST_CHECK bool gguf_bool_array(const gguf *file, const char *key, gguf_array *array, error *err);
MUST_CHECK bool gguf_text_array(const gguf *file, const char *key, gguf_array *array, error *err);
/* One element, of an array that the function of the same type gave; `index` is below its count. */
uint32_t gguf_array_u32(gguf_array array, size_t index);
int32_t gguf_array_i32(gguf_array array, size_t index);
float gguf_array_f32(gguf_array array, size_t index);
bool gguf_array_bool(gguf_array array, size_t index);
/* Takes the first element off; false after the last. */
bool gguf_next_text(gguf_array *rest, slice *text);

/* Any key, for telling what a file holds. */
typedef struct gguf_value {
    gguf_value_type type;
    union {
        uint64_t natural; /* of the u types */
        int64_t whole;    /* of the i types */
        double real;      /* of the f types */
        bool truth;
        slice text;
        gguf_array array;
    };
} gguf_value;
size_t gguf_key_count(const gguf *file);
slice gguf_key_name(const gguf *file, size_t index); /* UTF-8 */
gguf_value gguf_key_value(const gguf *file, size_t index);
/* As gguf_next_text, for elements of any type. */
bool gguf_next_value(gguf_array *rest, gguf_value *value);

#endif
