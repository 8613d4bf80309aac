#include "nearest.h"

static bool is_better(const vectors_found *a, const vectors_found *b) {
    return a->score > b->score || (a->score == b->score && a->id < b->id);
}

/* Puts `item` at `hole` or below it. */
static void sift_down(vectors_found *found, size_t count, size_t hole, vectors_found item) {
    for (size_t child; (child = 2 * hole + 1) < count; hole = child) {
        if (child + 1 < count && is_better(&found[child], &found[child + 1])) {
            child++;
        }
        if (!is_better(&item, &found[child])) {
            break;
        }
        found[hole] = found[child];
    }
    found[hole] = item;
}

void nearest_offer(nearest *n, vectors_found item) {
    if (n->count == n->most) {
        if (is_better(&item, &n->found[0])) {
            sift_down(n->found, n->count, 0, item);
        }
        return;
    }
    size_t hole = n->count++;
    for (; hole > 0 && is_better(&n->found[(hole - 1) / 2], &item); hole = (hole - 1) / 2) {
        n->found[hole] = n->found[(hole - 1) / 2];
    }
    n->found[hole] = item;
}

void nearest_sort(nearest *n) {
    for (size_t left = n->count; left > 1; left--) {
        vectors_found worst = n->found[0];
        sift_down(n->found, left - 1, 0, n->found[left - 1]);
        n->found[left - 1] = worst;
    }
}
