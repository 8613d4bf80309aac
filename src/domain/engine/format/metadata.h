#ifndef ENGINE_METADATA_H
#define ENGINE_METADATA_H

#include "engine/gguf.h"
#include "name_index.h"

/* The keys of one file. A value keeps only where it stands, so nothing grows with what the file claims to
 * hold. */
typedef struct metadata_value {
    gguf_value_type type;
    slice bytes;      /* as they stand in the file; of a string its letters */
    gguf_array array; /* of an array, instead */
} metadata_value;

typedef struct metadata {
    name_index names;
    metadata_value *values;
} metadata;

/* Takes `count` keys off `rest`. metadata_free is due whatever happens. */
MUST_CHECK bool metadata_read(metadata *m, slice *rest, uint64_t count, error *err);
void metadata_free(metadata *m);
/* NULL if it is not there. */
const metadata_value *metadata_find(const metadata *m, slice key);
/* Same type and same bytes. */
bool metadata_same(const metadata_value *a, const metadata_value *b);
/* As gguf_u32. */
MUST_CHECK bool metadata_u32(const metadata *m, const char *key, uint32_t *value, error *err);

/* Bytes that a value takes; 0 for a string and an array, which say so themselves. */
size_t metadata_size(gguf_value_type type);
/* A number of any u or i type from `least` (0 or below) to `most`, extended to 64 bits. False: it is another,
 * or it has another type. */
MUST_CHECK bool metadata_load(gguf_value_type type, const uint8_t *bytes, int64_t least, uint64_t most,
                              uint64_t *bits);
/* Takes an array that was read already. */
MUST_CHECK bool metadata_take_array(slice *rest, gguf_array *array);
float metadata_float(const uint8_t *bytes);
/* The value of a key, or ERROR_NOT_FOUND. */
MUST_CHECK const metadata_value *metadata_need(const metadata *m, const char *key, error *err);
/* ERROR_CORRUPT: the key is of another type than the one wanted. Always false. */
bool metadata_wrong_type(const metadata_value *v, const char *key, const char *wanted, error *err);

/* The keys behind the accessors of engine/gguf.h. */
const metadata *metadata_of(const gguf *file);

#endif
