#ifndef ENGINE_BPE_H
#define ENGINE_BPE_H

#include "tokenizer.h"

/* That `left` followed by `right` becomes `merged`; the lowest rank is merged first. */
typedef struct bpe_merge {
    uint32_t left;
    uint32_t right;
    uint32_t rank;
    uint32_t merged;
} bpe_merge;

/* Sorts by pair, so that bpe_encode finds them. */
void bpe_sort(bpe_merge *merges, size_t count);

/* Joins the symbols of a piece pair by pair, always the pair of lowest rank and of these the leftmost, and
 * appends what is left. O(n log n). */
MUST_CHECK bool bpe_encode(const bpe_merge *merges, size_t merge_count, const uint32_t *symbols, size_t count,
                           token_list *list, error *err);

#endif
