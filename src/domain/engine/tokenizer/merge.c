#include "merge.h"

#include "base/memory.h"

/* The symbols are a linked row in an array; the pairs that can be merged stand in a heap. A merge leaves
 * candidates of its neighbours behind that no longer exist: they are recognised when taken, since symbols
 * only ever grow and the length of the pair then differs. */

void merge_clear(merge_row *row) {
    row->count = 0;
    row->heap_count = 0;
}

void merge_free(merge_row *row) {
    memory_free(row->symbols);
    memory_free(row->heap);
    *row = (merge_row){0};
}

static bool make_room(void **block, size_t *capacity, size_t size, error *err) {
    size_t wanted = *capacity == 0 ? 64 : *capacity * 2;
    void *grown = memory_resize(*block, wanted * size);
    if (grown == NULL) {
        return error_memory(err);
    }
    *block = grown;
    *capacity = wanted;
    return true;
}

bool merge_append(merge_row *row, uint32_t token, uint32_t start, uint32_t length, error *err) {
    void *block = row->symbols;
    if (row->count == row->capacity && !make_room(&block, &row->capacity, sizeof *row->symbols, err)) {
        return false;
    }
    row->symbols = block;
    uint32_t place = (uint32_t)row->count++;
    row->symbols[place] =
        (merge_symbol){token, start, length, place == 0 ? MERGE_NOWHERE : place - 1, MERGE_NOWHERE};
    if (place > 0) {
        row->symbols[place - 1].next = place;
    }
    return true;
}

static bool before(const merge_candidate *a, const merge_candidate *b) {
    return a->order != b->order ? a->order < b->order : a->place < b->place;
}

static bool push(merge_row *row, const merge_candidate *added, error *err) {
    void *block = row->heap;
    if (row->heap_count == row->heap_capacity &&
        !make_room(&block, &row->heap_capacity, sizeof *row->heap, err)) {
        return false;
    }
    row->heap = block;
    size_t i = row->heap_count++;
    while (i > 0 && before(added, &row->heap[(i - 1) / 2])) {
        row->heap[i] = row->heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    row->heap[i] = *added;
    return true;
}

static merge_candidate pop(merge_row *row) {
    merge_candidate top = row->heap[0];
    merge_candidate moved = row->heap[--row->heap_count];
    size_t i = 0;
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= row->heap_count) {
            break;
        }
        if (child + 1 < row->heap_count && before(&row->heap[child + 1], &row->heap[child])) {
            child++;
        }
        if (!before(&row->heap[child], &moved)) {
            break;
        }
        row->heap[i] = row->heap[child];
        i = child;
    }
    row->heap[i] = moved;
    return top;
}

/* The pair that begins at `place`, if it can be merged. */
static bool consider(merge_row *row, uint32_t place, merge_find *find, const void *context, error *err) {
    if (place == MERGE_NOWHERE || row->symbols[place].next == MERGE_NOWHERE) {
        return true;
    }
    const merge_symbol *left = &row->symbols[place];
    const merge_symbol *right = &row->symbols[left->next];
    merge_candidate added = {.place = place, .length = left->length + right->length};
    return !find(context, left, right, &added.order, &added.merged) || push(row, &added, err);
}

static bool apply(merge_row *row, const merge_candidate *c, merge_find *find, const void *context,
                  error *err) {
    merge_symbol *left = &row->symbols[c->place];
    if (left->length == 0 || left->next == MERGE_NOWHERE ||
        left->length + row->symbols[left->next].length != c->length) {
        return true;
    }
    merge_symbol *right = &row->symbols[left->next];
    left->token = c->merged;
    left->length = c->length;
    left->next = right->next;
    right->length = 0;
    if (left->next != MERGE_NOWHERE) {
        row->symbols[left->next].previous = c->place;
    }
    return consider(row, left->previous, find, context, err) && consider(row, c->place, find, context, err);
}

bool merge_run(merge_row *row, merge_find *find, const void *context, error *err) {
    for (size_t i = 0; i + 1 < row->count; i++) {
        if (!consider(row, (uint32_t)i, find, context, err)) {
            return false;
        }
    }
    while (row->heap_count > 0) {
        merge_candidate best = pop(row);
        if (!apply(row, &best, find, context, err)) {
            return false;
        }
    }
    return true;
}
