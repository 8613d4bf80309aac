#ifndef ENGINE_MERGE_H
#define ENGINE_MERGE_H

#include "base/error.h"

#include <stdint.h>

/* The core of both kinds of byte-pair encoding: a row of symbols is joined pair by pair, always the pair of
 * lowest order and of these the leftmost. O(n log n) for n symbols, times what a look-up costs. */
enum { MERGE_NOWHERE = UINT32_MAX };

typedef struct merge_symbol {
    uint32_t token;
    uint32_t start;  /* in the text, in bytes */
    uint32_t length; /* in bytes; 0: merged into the one before */
    uint32_t previous;
    uint32_t next; /* or MERGE_NOWHERE */
} merge_symbol;

typedef struct merge_candidate {
    uint32_t order;
    uint32_t place; /* of the left symbol */
    uint32_t merged;
    uint32_t length; /* of both */
} merge_candidate;

/* Memory to be used again and again; start with all zero. */
typedef struct merge_row {
    merge_symbol *symbols;
    size_t count;
    size_t capacity;
    merge_candidate *heap;
    size_t heap_count;
    size_t heap_capacity;
} merge_row;

/* Whether the two become one token. */
typedef bool merge_find(const void *context, const merge_symbol *left, const merge_symbol *right,
                        uint32_t *order, uint32_t *merged);

void merge_clear(merge_row *row);
/* Behind the last; `length` is not 0. */
MUST_CHECK bool merge_append(merge_row *row, uint32_t token, uint32_t start, uint32_t length, error *err);
/* What is left stands in `symbols`, from the first along `next`. */
MUST_CHECK bool merge_run(merge_row *row, merge_find *find, const void *context, error *err);
void merge_free(merge_row *row);

#endif
