#ifndef MEMORY_NEAREST_H
#define MEMORY_NEAREST_H

#include "memory/vectors.h"

/* The best so far, at most `most`: a heap in `found` with the worst in front. */
typedef struct nearest {
    vectors_found *found;
    size_t count;
    size_t most; /* not 0 */
} nearest;

void nearest_offer(nearest *n, vectors_found item);
/* Best first; nothing can be offered from now on. */
void nearest_sort(nearest *n);

#endif
