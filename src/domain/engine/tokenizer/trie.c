#include "trie.h"

#include "base/memory.h"

#include <stdlib.h>

static int compare_entries(const void *a, const void *b) {
    const trie_entry *first = a;
    const trie_entry *second = b;
    size_t shared = first->length < second->length ? first->length : second->length;
    int order = memcmp(first->data, second->data, shared);
    if (order == 0 && first->length != second->length) {
        order = first->length < second->length ? -1 : 1;
    }
    return order != 0 ? order : first->token < second->token ? -1 : first->token > second->token;
}

static size_t shared_length(const trie_entry *a, const trie_entry *b) {
    size_t i = 0;
    while (i < a->length && i < b->length && a->data[i] == b->data[i]) {
        i++;
    }
    return i;
}

/* The entries that pass through a node, in the order of the nodes. */
typedef struct pending {
    uint32_t first;
    uint32_t count;
} pending;

/* Adds the children of `node` at `depth`: one for each byte that its entries go on with. */
static void add_children(trie *t, pending *queue, const trie_entry *entries, uint32_t node, size_t depth) {
    uint32_t next = queue[node].first;
    uint32_t end = next + queue[node].count;
    for (; next < end && entries[next].length == depth; next++) {
        if (t->nodes[node].token == NO_TOKEN) {
            t->nodes[node].token = entries[next].token;
        }
    }
    t->nodes[node].children = (uint32_t)t->count;
    while (next < end) {
        uint8_t byte = entries[next].data[depth];
        uint32_t first = next;
        while (next < end && entries[next].data[depth] == byte) {
            next++;
        }
        queue[t->count] = (pending){first, next - first};
        t->nodes[t->count++] = (trie_node){.token = NO_TOKEN, .byte = byte};
        t->nodes[node].child_count++;
    }
}

bool trie_build(trie *t, trie_entry *entries, size_t count, error *err) {
    *t = (trie){NULL, 0};
    if (count == 0) {
        return true;
    }
    qsort(entries, count, sizeof *entries, compare_entries);
    uint64_t total = 1 + (uint64_t)entries[0].length;
    for (size_t i = 1; i < count; i++) {
        total += entries[i].length - shared_length(&entries[i - 1], &entries[i]);
    }
    if (total >= UINT32_MAX) {
        return error_set(err, ERROR_LIMIT, "the vocabulary is longer than this engine reads");
    }
    t->nodes = memory_allocate_zeroed((size_t)total, sizeof *t->nodes);
    pending *queue = memory_allocate_zeroed((size_t)total, sizeof *queue);
    if (t->nodes == NULL || queue == NULL) {
        memory_free(queue);
        trie_free(t);
        return error_memory(err);
    }
    t->nodes[0].token = NO_TOKEN;
    t->count = 1;
    queue[0] = (pending){0, (uint32_t)count};
    /* Level by level: `level` is the first node of the next depth. */
    size_t depth = 0;
    size_t level = 1;
    for (uint32_t node = 0; node < t->count; node++) {
        if (node == level) {
            depth++;
            level = t->count;
        }
        add_children(t, queue, entries, node, depth);
    }
    memory_free(queue);
    return true;
}

void trie_free(trie *t) {
    memory_free(t->nodes);
    *t = (trie){NULL, 0};
}

uint32_t trie_step(const trie *t, uint32_t node, uint8_t byte) {
    if (t->nodes == NULL) {
        return TRIE_NOWHERE;
    }
    uint32_t low = t->nodes[node].children;
    uint32_t end = low + t->nodes[node].child_count;
    uint32_t high = end;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (t->nodes[middle].byte < byte) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < end && t->nodes[low].byte == byte ? low : TRIE_NOWHERE;
}

uint32_t trie_find(const trie *t, slice text) {
    uint32_t node = 0;
    for (size_t i = 0; i < text.length && node != TRIE_NOWHERE; i++) {
        node = trie_step(t, node, text.data[i]);
    }
    return text.length == 0 || node == TRIE_NOWHERE || t->nodes == NULL ? NO_TOKEN : t->nodes[node].token;
}
