#ifndef DISPATCH_HEAP_INTERNAL_H
#define DISPATCH_HEAP_INTERNAL_H

#include "base/error.h"

#include <stdint.h>

/* A binary heap of nodes inside the objects it orders; each node knows its place, so that removing or moving
 * one is O(log n). Room is reserved beforehand: inserting can't fail. */
typedef struct heap_node {
    size_t place; /* 1 for the first; 0: in no heap */
} heap_node;

typedef struct heap {
    heap_node **nodes;
    size_t count;
    size_t capacity;
    bool (*before)(const heap_node *a, const heap_node *b);
    uint64_t *comparisons;
} heap;

heap heap_make(bool (*before)(const heap_node *a, const heap_node *b), uint64_t *comparisons);
void heap_free(heap *h);
/* Room for `count` nodes altogether. False: memory is out, nothing has changed. */
MUST_CHECK bool heap_reserve(heap *h, size_t count);
void heap_insert(heap *h, heap_node *node);
/* Harmless for a node that is in no heap. */
void heap_remove(heap *h, heap_node *node);
/* After the node's key changed. Only one node's key may have changed since the heap was last in order. */
void heap_update(heap *h, heap_node *node);
/* NULL if empty. */
heap_node *heap_first(const heap *h);
/* Every node in order and at its place. Counts no comparisons. */
bool heap_is_sound(const heap *h);

#endif
