#ifndef ENGINE_FORWARD_PAGES_H
#define ENGINE_FORWARD_PAGES_H

#include "architecture/architecture.h"
#include "kernel/kernels.h"

/* The cache of keys and values in pages of 64 positions, over all layers. A full page never changes again and
 * may be shared by sequences with the same beginning; it is counted. */
typedef struct page {
    uint32_t references;
    uint16_t *halves; /* per layer and key head: keys[d][64], then values[64][d] */
} page;

typedef struct page_pool {
    size_t page_size; /* bytes */
    uint64_t limit;   /* bytes that all pages together may take */
    uint64_t used;
} page_pool;

void page_pool_start(page_pool *pool, const architecture *a, uint64_t limit);
/* Zeroed, one reference. ERROR_CONFLICT: the limit is reached (give others back first). */
MUST_CHECK page *page_take(page_pool *pool, error *err);
void page_share(page *p);
/* Wiped and given back with its last reference. NULL is allowed. */
void page_release(page_pool *pool, page *p);

#endif
