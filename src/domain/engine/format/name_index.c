#include "name_index.h"

#include "base/memory.h"

bool name_index_new(name_index *index, size_t capacity) {
    *index = (name_index){.names = memory_allocate_zeroed(capacity, sizeof *index->names),
                          .sorted = memory_allocate_zeroed(capacity, sizeof *index->sorted)};
    return index->names != NULL && index->sorted != NULL;
}

void name_index_free(name_index *index) {
    memory_free(index->names);
    memory_free(index->sorted);
    *index = (name_index){0};
}

/* By length, then by bytes: which order it is matters to nobody. */
static int compare(slice a, slice b) {
    if (a.length != b.length) {
        return a.length < b.length ? -1 : 1;
    }
    return a.length == 0 ? 0 : memcmp(a.data, b.data, a.length);
}

/* The first place in `sorted` whose name is not below this one. */
static size_t find_place(const name_index *index, slice name) {
    size_t low = 0;
    size_t high = index->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare(index->names[index->sorted[middle]], name) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static bool is_at(const name_index *index, size_t place, slice name) {
    return place < index->count && slice_equal(index->names[index->sorted[place]], name);
}

bool name_index_add(name_index *index, slice name) {
    size_t place = find_place(index, name);
    if (is_at(index, place, name)) {
        return false;
    }
    memmove(index->sorted + place + 1, index->sorted + place, (index->count - place) * sizeof *index->sorted);
    index->sorted[place] = (uint32_t)index->count;
    index->names[index->count++] = name;
    return true;
}

size_t name_index_find(const name_index *index, slice name) {
    size_t place = find_place(index, name);
    return is_at(index, place, name) ? index->sorted[place] : SIZE_MAX;
}
