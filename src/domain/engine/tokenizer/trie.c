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

/* A node whose children are still to be made, and the entries that pass through it. */
typedef struct pending {
    uint32_t node;
    uint32_t first;
    uint32_t count;
    uint32_t depth;
} pending;

/* Adds the children of the topmost node: one for each byte that its entries go on with. They are made at
 * once and gone into one after the other, so that the end of a token stands together in memory. */
static void add_children(trie *t, pending *stack, size_t *height, const trie_entry *entries) {
    pending top = stack[--*height];
    uint32_t next = top.first;
    uint32_t end = next + top.count;
    for (; next < end && entries[next].length == top.depth; next++) {
        if (t->nodes[top.node].token == NO_TOKEN) {
            t->nodes[top.node].token = entries[next].token;
        }
    }
    t->nodes[top.node].children = (uint32_t)t->count;
    while (next < end) {
        uint8_t byte = entries[next].data[top.depth];
        uint32_t first = next;
        while (next < end && entries[next].data[top.depth] == byte) {
            next++;
        }
        stack[(*height)++] = (pending){(uint32_t)t->count, first, next - first, top.depth + 1};
        t->nodes[t->count++] = (trie_node){.token = NO_TOKEN, .byte = byte};
        t->nodes[top.node].child_count++;
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
    pending *stack = memory_allocate_zeroed((size_t)total, sizeof *stack);
    if (t->nodes == NULL || stack == NULL) {
        memory_free(stack);
        trie_free(t);
        return error_memory(err);
    }
    size_t height = 1;
    t->nodes[0].token = NO_TOKEN;
    t->count = 1;
    stack[0] = (pending){.count = (uint32_t)count};
    while (height > 0) {
        add_children(t, stack, &height, entries);
    }
    memory_free(stack);
    return true;
}

void trie_free(trie *t) {
    memory_free(t->nodes);
    *t = (trie){NULL, 0};
}

uint32_t trie_step(const trie *t, uint32_t node, uint8_t byte) {
    if (t->nodes == NULL || t->nodes[node].child_count == 0) {
        return TRIE_NOWHERE;
    }
    uint32_t low = t->nodes[node].children;
    uint32_t end = low + t->nodes[node].child_count;
    if (byte < t->nodes[low].byte) {
        return TRIE_NOWHERE;
    }
    /* Where it stands if no byte is left out, as near the root; else before that. */
    uint32_t high = low + (byte - t->nodes[low].byte);
    if (high < end && t->nodes[high].byte == byte) {
        return high;
    }
    high = high < end ? high : end;
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
