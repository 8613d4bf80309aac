#include "sample/word_tree.h"

#include "base/memory.h"

#include <stdlib.h>

typedef struct entry {
    slice text;
    uint32_t token;
} entry;

static int compare_entries(const void *a, const void *b) {
    const entry *first = a;
    const entry *second = b;
    size_t shorter = first->text.length < second->text.length ? first->text.length : second->text.length;
    int order = memcmp(first->text.data, second->text.data, shorter);
    if (order != 0) {
        return order;
    }
    if (first->text.length != second->text.length) {
        return first->text.length < second->text.length ? -1 : 1;
    }
    return first->token < second->token ? -1 : 1;
}

static size_t common_length(slice a, slice b) {
    size_t i = 0;
    while (i < a.length && i < b.length && a.data[i] == b.data[i]) {
        i++;
    }
    return i;
}

static bool make_nodes(word_tree *v, const entry *entries, error *err) {
    size_t count = 0;
    for (uint32_t i = 0; i < v->token_count; i++) {
        count += entries[i].text.length - (i == 0 ? 0 : common_length(entries[i - 1].text, entries[i].text));
    }
    if (count >= UINT32_MAX) {
        return error_set(err, ERROR_LIMIT, "the tokens of the vocabulary are too long for a grammar");
    }
    v->bytes = memory_allocate_zeroed(count + 1, sizeof *v->bytes);
    v->after = memory_allocate_zeroed(count + 1, sizeof *v->after);
    v->first = memory_allocate_zeroed(count + 1, sizeof *v->first);
    v->tokens = memory_allocate_zeroed((size_t)v->token_count + 1, sizeof *v->tokens);
    return (v->bytes != NULL && v->after != NULL && v->first != NULL && v->tokens != NULL) ||
           error_memory(err);
}

/* `path`: the nodes of the token before, by depth. */
static void fill_nodes(word_tree *v, const entry *entries) {
    uint32_t path[WORD_LENGTH_MAX];
    size_t depth = 0;
    for (uint32_t i = 0; i < v->token_count; i++) {
        slice text = entries[i].text;
        size_t common = i == 0 ? 0 : common_length(entries[i - 1].text, text);
        while (depth > common) {
            v->after[path[--depth]] = v->node_count;
        }
        for (; depth < text.length; depth++) {
            path[depth] = v->node_count;
            v->bytes[v->node_count] = text.data[depth];
            v->first[v->node_count++] = i;
        }
        v->tokens[i] = entries[i].token;
    }
    while (depth > 0) {
        v->after[path[--depth]] = v->node_count;
    }
    v->first[v->node_count] = v->token_count;
}

bool word_tree_start(word_tree *v, uint32_t size, slice (*text)(const void *text_context, uint32_t token),
                     const void *text_context, error *err) {
    *v = (word_tree){.size = size};
    entry *entries = memory_allocate_zeroed(size, sizeof *entries);
    if (entries == NULL) {
        return error_memory(err);
    }
    for (uint32_t i = 0; i < size; i++) {
        slice bytes = text(text_context, i);
        if (bytes.length > 0 && bytes.length <= WORD_LENGTH_MAX) {
            entries[v->token_count++] = (entry){bytes, i};
        }
    }
    qsort(entries, v->token_count, sizeof *entries, compare_entries);
    bool good = make_nodes(v, entries, err);
    if (good) {
        fill_nodes(v, entries);
    }
    memory_free(entries);
    if (!good) {
        word_tree_free(v);
    }
    return good;
}

void word_tree_free(word_tree *v) {
    memory_free(v->bytes);
    memory_free(v->after);
    memory_free(v->first);
    memory_free(v->tokens);
    *v = (word_tree){0};
}
