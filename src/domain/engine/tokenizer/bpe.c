#include "bpe.h"

#include "base/memory.h"

#include <stdlib.h>

/* The symbols are a linked row in an array; the pairs that can be merged stand in a heap. A merge leaves
 * pairs of its neighbours behind that no longer exist: they are recognised when taken, as their ids have
 * changed. */
enum { NOWHERE = UINT32_MAX };

typedef struct symbol {
    uint32_t id;
    uint32_t previous;
    uint32_t next; /* a merged-away symbol has id NOWHERE */
} symbol;

typedef struct candidate {
    bpe_merge merge;
    uint32_t place; /* of the left symbol */
} candidate;

typedef struct work {
    const bpe_merge *merges;
    size_t merge_count;
    symbol *row;
    candidate *heap;
    size_t heap_count;
} work;

static int compare_pairs(const bpe_merge *a, uint32_t left, uint32_t right) {
    if (a->left != left) {
        return a->left < left ? -1 : 1;
    }
    return a->right == right ? 0 : a->right < right ? -1 : 1;
}

static int compare_merges(const void *a, const void *b) {
    const bpe_merge *first = a;
    const bpe_merge *second = b;
    int order = compare_pairs(first, second->left, second->right);
    return order != 0 ? order : first->rank < second->rank ? -1 : first->rank > second->rank;
}

void bpe_sort(bpe_merge *merges, size_t count) {
    qsort(merges, count, sizeof *merges, compare_merges);
}

/* The first in order among equal pairs, so the lowest rank. */
static const bpe_merge *find(const work *w, uint32_t left, uint32_t right) {
    size_t low = 0;
    size_t high = w->merge_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare_pairs(&w->merges[middle], left, right) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    bool found = low < w->merge_count && compare_pairs(&w->merges[low], left, right) == 0;
    return found ? &w->merges[low] : NULL;
}

static bool before(const candidate *a, const candidate *b) {
    return a->merge.rank != b->merge.rank ? a->merge.rank < b->merge.rank : a->place < b->place;
}

static void push(work *w, uint32_t place) {
    if (place == NOWHERE || w->row[place].next == NOWHERE) {
        return;
    }
    const bpe_merge *merge = find(w, w->row[place].id, w->row[w->row[place].next].id);
    if (merge == NULL) {
        return;
    }
    candidate added = {*merge, place};
    size_t i = w->heap_count++;
    while (i > 0 && before(&added, &w->heap[(i - 1) / 2])) {
        w->heap[i] = w->heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    w->heap[i] = added;
}

static candidate pop(work *w) {
    candidate top = w->heap[0];
    candidate moved = w->heap[--w->heap_count];
    size_t i = 0;
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= w->heap_count) {
            break;
        }
        if (child + 1 < w->heap_count && before(&w->heap[child + 1], &w->heap[child])) {
            child++;
        }
        if (!before(&w->heap[child], &moved)) {
            break;
        }
        w->heap[i] = w->heap[child];
        i = child;
    }
    w->heap[i] = moved;
    return top;
}

static void apply(work *w, const candidate *c) {
    symbol *left = &w->row[c->place];
    if (left->id != c->merge.left || left->next == NOWHERE || w->row[left->next].id != c->merge.right) {
        return;
    }
    symbol *right = &w->row[left->next];
    left->id = c->merge.merged;
    left->next = right->next;
    right->id = NOWHERE;
    if (left->next != NOWHERE) {
        w->row[left->next].previous = c->place;
    }
    push(w, left->previous);
    push(w, c->place);
}

static bool run(work *w, const uint32_t *symbols, size_t count, token_list *list, error *err) {
    for (size_t i = 0; i < count; i++) {
        w->row[i] = (symbol){symbols[i], i == 0 ? NOWHERE : (uint32_t)i - 1,
                             i + 1 == count ? NOWHERE : (uint32_t)i + 1};
    }
    for (size_t i = 0; i + 1 < count; i++) {
        push(w, (uint32_t)i);
    }
    while (w->heap_count > 0) {
        candidate best = pop(w);
        apply(w, &best);
    }
    for (uint32_t i = 0; i != NOWHERE; i = w->row[i].next) {
        if (!token_list_append(list, w->row[i].id, err)) {
            return false;
        }
    }
    return true;
}

bool bpe_encode(const bpe_merge *merges, size_t merge_count, const uint32_t *symbols, size_t count,
                token_list *list, error *err) {
    if (count == 0) {
        return true;
    }
    /* At most count-1 pairs at first, and two more for each of at most count-1 merges. */
    work w = {.merges = merges, .merge_count = merge_count};
    w.row = memory_allocate_zeroed(count, sizeof *w.row);
    w.heap = memory_allocate_zeroed(3 * count, sizeof *w.heap);
    bool good = w.row != NULL && w.heap != NULL ? run(&w, symbols, count, list, err) : error_memory(err);
    memory_free(w.row);
    memory_free(w.heap);
    return good;
}
