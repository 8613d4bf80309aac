#ifndef CODEC_JSON_H
#define CODEC_JSON_H

#include "base/error.h"
#include "base/slice.h"

/* JSON in (RFC 8259), over jansson. Refused: duplicate keys, NUL in strings, invalid UTF-8, numbers that
 * don't fit, trailing bytes, more than `limits`. A value belongs to the root it came from and lives as long.
 */
typedef struct json_t json_value;

typedef struct json_limits {
    size_t size;    /* bytes */
    unsigned depth; /* nested arrays and objects; at most JSON_DEPTH_LIMIT */
    size_t values;  /* elements and members in all, which cost far more than their bytes; 0: no bound */
} json_limits;

enum { JSON_DEPTH_LIMIT = 256 };

typedef enum json_kind {
    JSON_KIND_NULL,
    JSON_KIND_BOOL,
    JSON_KIND_NUMBER,
    JSON_KIND_TEXT,
    JSON_KIND_ARRAY,
    JSON_KIND_OBJECT
} json_kind;

/* Once per process, before threads: gives jansson our allocator and the seed of its hash tables (random). */
void json_start(uint64_t seed);

/* The root; the caller frees it. Errors are ERROR_INVALID with line and column, ERROR_LIMIT, ERROR_MEMORY. */
MUST_CHECK json_value *json_parse(slice text, json_limits limits, error *err);
void json_free(json_value *root); /* NULL is allowed */

json_kind json_kind_of(const json_value *value); /* of NULL: JSON_KIND_NULL */
/* The member, or NULL if `object` is not an object or has none of that name. An explicit null is a value. */
const json_value *json_find(const json_value *object, const char *name);
/* Elements of an array, members of an object; 0 for others. */
size_t json_count(const json_value *value);
/* NULL beyond the end. */
const json_value *json_at(const json_value *array, size_t index);
/* for (const char *name = NULL; json_next_member(object, &name, &value);) in the order of the text. */
bool json_next_member(const json_value *object, const char **name, const json_value **value);
/* The text of a string value; the empty slice for others. */
slice json_text_of(const json_value *value);
/* For elements of arrays: whether `value` is a whole number, least ≤ number ≤ most. */
MUST_CHECK bool json_to_u64(const json_value *value, uint64_t least, uint64_t most, uint64_t *number);
/* Whether `value` is a number written as an integer, which fits 64 bits; 3.0 is not. */
MUST_CHECK bool json_to_i64(const json_value *value, int64_t *number);
double json_to_double(const json_value *value); /* of any number; 0 for others */
bool json_to_bool(const json_value *value);     /* of true; false for others */

/* The same kind and value all the way down; the order of members doesn't count, 1 and 1.0 differ. */
bool json_values_equal(const json_value *a, const json_value *b);

/* A member that must be there. ERROR_INVALID names the field and what it must be. */
MUST_CHECK bool json_get_text(const json_value *object, const char *name, slice *value, error *err);
/* least ≤ value ≤ most; a whole number such as 3.0 counts as an integer. */
MUST_CHECK bool json_get_u64(const json_value *object, const char *name, uint64_t least, uint64_t most,
                             uint64_t *value, error *err);
MUST_CHECK bool json_get_double(const json_value *object, const char *name, double least, double most,
                                double *value, error *err);
MUST_CHECK bool json_get_bool(const json_value *object, const char *name, bool *value, error *err);
MUST_CHECK bool json_get_array(const json_value *object, const char *name, const json_value **value,
                               error *err);
MUST_CHECK bool json_get_object(const json_value *object, const char *name, const json_value **value,
                                error *err);
/* base64url of exactly `length` bytes. */
MUST_CHECK bool json_get_bytes(const json_value *object, const char *name, uint8_t *bytes, size_t length,
                               error *err);
/* A u64 as a decimal string: for numbers beyond 2^53, which many readers of JSON would round. */
MUST_CHECK bool json_get_u64_text(const json_value *object, const char *name, uint64_t *value, error *err);

/* A member that may be absent or null: then `fallback` (NULL for arrays and objects). A wrong type is still
 * an error. */
MUST_CHECK bool json_get_text_or(const json_value *object, const char *name, slice fallback, slice *value,
                                 error *err);
MUST_CHECK bool json_get_u64_or(const json_value *object, const char *name, uint64_t least, uint64_t most,
                                uint64_t fallback, uint64_t *value, error *err);
MUST_CHECK bool json_get_double_or(const json_value *object, const char *name, double least, double most,
                                   double fallback, double *value, error *err);
MUST_CHECK bool json_get_bool_or(const json_value *object, const char *name, bool fallback, bool *value,
                                 error *err);
MUST_CHECK bool json_get_array_or(const json_value *object, const char *name, const json_value **value,
                                  error *err);
MUST_CHECK bool json_get_object_or(const json_value *object, const char *name, const json_value **value,
                                   error *err);

#endif
