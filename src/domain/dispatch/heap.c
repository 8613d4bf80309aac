#include "heap_internal.h"

#include "base/memory.h"

#include <assert.h>

enum { SMALLEST_CAPACITY = 8 };

heap heap_make(bool (*before)(const heap_node *a, const heap_node *b), uint64_t *comparisons) {
    return (heap){.before = before, .comparisons = comparisons};
}

void heap_free(heap *h) {
    memory_free(h->nodes);
    *h = heap_make(h->before, h->comparisons);
}

bool heap_reserve(heap *h, size_t count) {
    if (count <= h->capacity) {
        return true;
    }
    size_t capacity = h->capacity < SMALLEST_CAPACITY ? SMALLEST_CAPACITY : h->capacity;
    while (capacity < count) {
        if (capacity > SIZE_MAX / 2 / sizeof *h->nodes) {
            return false;
        }
        capacity *= 2;
    }
    heap_node **nodes = memory_resize(h->nodes, capacity * sizeof *nodes);
    if (nodes == NULL) {
        return false;
    }
    h->nodes = nodes;
    h->capacity = capacity;
    return true;
}

static bool is_before(heap *h, const heap_node *a, const heap_node *b) {
    ++*h->comparisons;
    return h->before(a, b);
}

static void put(heap *h, size_t place, heap_node *node) {
    h->nodes[place - 1] = node;
    node->place = place;
}

static void rise(heap *h, heap_node *node) {
    size_t place = node->place;
    while (place > 1 && is_before(h, node, h->nodes[place / 2 - 1])) {
        put(h, place, h->nodes[place / 2 - 1]);
        place /= 2;
    }
    put(h, place, node);
}

static void sink(heap *h, heap_node *node) {
    size_t place = node->place;
    while (place * 2 <= h->count) {
        size_t child = place * 2;
        if (child < h->count && is_before(h, h->nodes[child], h->nodes[child - 1])) {
            child++;
        }
        if (!is_before(h, h->nodes[child - 1], node)) {
            break;
        }
        put(h, place, h->nodes[child - 1]);
        place = child;
    }
    put(h, place, node);
}

void heap_insert(heap *h, heap_node *node) {
    assert(node->place == 0 && h->count < h->capacity);
    put(h, ++h->count, node);
    rise(h, node);
}

void heap_update(heap *h, heap_node *node) {
    assert(node->place != 0);
    rise(h, node);
    sink(h, node);
}

void heap_remove(heap *h, heap_node *node) {
    size_t place = node->place;
    if (place == 0) {
        return;
    }
    node->place = 0;
    heap_node *last = h->nodes[--h->count];
    if (last != node) {
        put(h, place, last);
        heap_update(h, last);
    }
}

heap_node *heap_first(const heap *h) {
    return h->count == 0 ? NULL : h->nodes[0];
}

bool heap_is_sound(const heap *h) {
    for (size_t place = 1; place <= h->count; place++) {
        const heap_node *node = h->nodes[place - 1];
        if (node->place != place || (place > 1 && h->before(node, h->nodes[place / 2 - 1]))) {
            return false;
        }
    }
    return true;
}
