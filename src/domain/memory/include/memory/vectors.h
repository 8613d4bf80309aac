#ifndef MEMORY_VECTORS_H
#define MEMORY_VECTORS_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

/* Vectors of one user in memory, searched whole: exact, no index that could leak what is in it or miss
 * anything. Vectors are kept at half precision (IEEE 754 binary16); a score is the cosine of what is kept,
 * summed at single precision in an order that is the same for every instruction set. Not thread-safe: one
 * owner at a time, and searching doesn't change anything. */
typedef struct vectors vectors;

enum { VECTORS_DIMENSIONS_MAX = 4096, VECTORS_COUNT_MAX = 1000000 };

typedef struct vectors_found {
    uint64_t id;
    float score; /* -1 to 1 */
} vectors_found;

MUST_CHECK vectors *vectors_new(size_t dimensions, error *err);
/* Wipes and frees. NULL is allowed. */
void vectors_free(vectors *v);
size_t vectors_count(const vectors *v);
/* Bytes that it holds, but for where it finds ids: up to 200 more each. */
size_t vectors_size(const vectors *v);
/* Adds, or replaces what is there under the id. Its direction alone counts. A vector of length 0, or with a
 * number that isn't finite, is ERROR_INVALID; more than VECTORS_COUNT_MAX is ERROR_LIMIT. */
MUST_CHECK bool vectors_put(vectors *v, uint64_t id, const float *vector, error *err);
/* Wipes it. False when there is none. */
bool vectors_remove(vectors *v, uint64_t id);
/* The nearest, best first, at most `most`; equal scores by the lesser id. Returns how many. A query of length
 * 0, or with a number that isn't finite, finds nothing. */
size_t vectors_search(const vectors *v, const float *query, vectors_found *found, size_t most);

#endif
