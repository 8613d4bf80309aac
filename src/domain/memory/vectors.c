#include "memory/vectors.h"

#include "base/memory.h"
#include "crypto/secret.h"
#include "half.h"
#include "nearest.h"
#include "vectors_internal.h"

#include <math.h>

enum { AT_ONCE = 64, ALIGNMENT = 64 };

vectors *vectors_new(size_t dimensions, error *err) {
    if (dimensions == 0 || dimensions > VECTORS_DIMENSIONS_MAX) {
        error_set(err, ERROR_INVALID, "vectors have 1 to %d numbers, not %zu: choose another embedder",
                  VECTORS_DIMENSIONS_MAX, dimensions);
        return NULL;
    }
    static const uint8_t seed[MAP_SEED_SIZE] = {0};
    vectors *v = memory_allocate_zeroed(1, sizeof *v);
    map *places = v == NULL ? NULL : map_new(seed);
    if (places == NULL) {
        memory_free(v);
        error_memory(err);
        return NULL;
    }
    const dots_form *forms[DOTS_FORMS_MAX];
    (void)dots_forms(forms);
    v->form = forms[0];
    v->places = places;
    v->dimensions = dimensions;
    v->width = (dimensions + DOTS_LANES - 1) / DOTS_LANES * DOTS_LANES;
    v->most_places = VECTORS_FIRST_PLACES;
    while (v->most_places * 2 * v->width * sizeof(uint16_t) <= VECTORS_BLOCK_SIZE) {
        v->most_places *= 2;
    }
    return v;
}

static void free_block(vectors_block *b) {
    secret_wipe(b->memory, b->size);
    memory_free(b->memory);
}

void vectors_free(vectors *v) {
    if (v == NULL) {
        return;
    }
    for (size_t i = 0; i < v->block_count; i++) {
        free_block(&v->blocks[i]);
    }
    memory_free(v->blocks);
    map_free(v->places);
    memory_free(v);
}

size_t vectors_count(const vectors *v) {
    return v->count;
}

size_t vectors_size(const vectors *v) {
    size_t size = sizeof *v + v->block_capacity * sizeof *v->blocks;
    for (size_t i = 0; i < v->block_count; i++) {
        size += v->blocks[i].size;
    }
    return size;
}

static slice key_of(const uint64_t *id) {
    return slice_of(id, sizeof *id);
}

/* The place + 1, or 0. */
static size_t find(const vectors *v, uint64_t id) {
    return (size_t)(uintptr_t)map_get(v->places, key_of(&id));
}

static bool set_place(vectors *v, uint64_t id, size_t place) {
    return map_put(v->places, key_of(&id), (void *)(uintptr_t)(place + 1));
}

static vectors_block *block_of(const vectors *v, size_t place) {
    size_t low = 0;
    size_t high = v->block_count;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (v->blocks[middle].first <= place) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return &v->blocks[low];
}

static uint16_t *row_of(const vectors *v, const vectors_block *b, size_t place) {
    return b->rows + (place - b->first) * v->width;
}

static bool add_block(vectors *v) {
    const vectors_block *last = v->block_count == 0 ? NULL : &v->blocks[v->block_count - 1];
    if (v->blocks == NULL || v->block_count == v->block_capacity) {
        size_t capacity = v->block_capacity == 0 ? 8 : v->block_capacity * 2;
        vectors_block *blocks = memory_resize(v->blocks, capacity * sizeof *blocks);
        if (blocks == NULL) {
            return false;
        }
        v->blocks = blocks;
        v->block_capacity = capacity;
        last = v->block_count == 0 ? NULL : &v->blocks[v->block_count - 1];
    }
    vectors_block b = {.first = last == NULL ? 0 : last->first + last->places,
                       .places = last == NULL ? VECTORS_FIRST_PLACES : last->places * 2};
    b.places = b.places > v->most_places ? v->most_places : b.places;
    size_t rows_size = b.places * v->width * sizeof(uint16_t);
    b.size = ALIGNMENT + rows_size + b.places * (sizeof *b.ids + sizeof *b.inverses);
    b.memory = memory_allocate(b.size);
    if (b.memory == NULL) {
        return false;
    }
    if (b.size >= VECTORS_BLOCK_SIZE / 2) {
        memory_prefer_large_pages(b.memory, b.size);
    }
    memset(b.memory, 0, b.size);
    uint8_t *start = b.memory;
    start += (ALIGNMENT - (uintptr_t)start % ALIGNMENT) % ALIGNMENT;
    b.rows = (uint16_t *)(void *)start;
    b.ids = (uint64_t *)(void *)(start + rows_size);
    b.inverses = (float *)(void *)(start + rows_size + b.places * sizeof *b.ids);
    v->blocks[v->block_count++] = b;
    return true;
}

/* Makes the place behind the last, if there is none. */
static bool make_room(vectors *v) {
    const vectors_block *last = v->block_count == 0 ? NULL : &v->blocks[v->block_count - 1];
    return (last != NULL && v->count < last->first + last->places) || add_block(v);
}

/* 1 / length of a row that isn't all zeros. */
static float inverse_of(const uint16_t *row, size_t width) {
    double sum = 0;
    for (size_t i = 0; i < width; i++) {
        double number = float_of_half(row[i]);
        sum += number * number;
    }
    return (float)(1 / sqrt(sum));
}

bool vectors_put(vectors *v, uint64_t id, const float *vector, error *err) {
    uint16_t row[VECTORS_DIMENSIONS_MAX + DOTS_LANES] = {0};
    size_t place = find(v, id);
    if (!halves_of_floats(row, vector, v->dimensions)) {
        return error_set(err, ERROR_INVALID,
                         "a vector must have a length and finite numbers: embed another text");
    }
    bool fits = place != 0 || v->count < VECTORS_COUNT_MAX;
    bool room = fits && (place != 0 || (make_room(v) && set_place(v, id, v->count)));
    if (room) {
        place = place != 0 ? place - 1 : v->count++;
        vectors_block *b = block_of(v, place);
        memcpy(row_of(v, b, place), row, v->width * sizeof *row);
        b->ids[place - b->first] = id;
        b->inverses[place - b->first] = inverse_of(row, v->width);
    }
    secret_wipe(row, v->width * sizeof *row);
    if (!fits) {
        return error_set(err, ERROR_LIMIT, "no more than %d vectors are kept: remove some first",
                         VECTORS_COUNT_MAX);
    }
    return room || error_memory(err);
}

/* The last block goes when the one before it is half empty too, so that whoever adds and removes at the
 * border doesn't make and wipe a block each time. */
static void drop_empty_block(vectors *v) {
    if (v->block_count < 2) {
        return;
    }
    const vectors_block *before = &v->blocks[v->block_count - 2];
    if (v->count <= before->first + before->places / 2) {
        free_block(&v->blocks[--v->block_count]);
    }
}

bool vectors_remove(vectors *v, uint64_t id) {
    size_t found = find(v, id);
    if (found == 0) {
        return false;
    }
    size_t hole = found - 1;
    size_t last = v->count - 1;
    vectors_block *to = block_of(v, hole);
    vectors_block *from = block_of(v, last);
    if (hole != last) {
        uint64_t moved = from->ids[last - from->first];
        /* The id is in the map, so this replaces a value, which takes no memory. */
        if (!set_place(v, moved, hole)) {
            return false;
        }
        memcpy(row_of(v, to, hole), row_of(v, from, last), v->width * sizeof(uint16_t));
        to->ids[hole - to->first] = moved;
        to->inverses[hole - to->first] = from->inverses[last - from->first];
    }
    (void)map_remove(v->places, key_of(&id));
    secret_wipe(row_of(v, from, last), v->width * sizeof(uint16_t));
    from->ids[last - from->first] = 0;
    from->inverses[last - from->first] = 0;
    v->count--;
    drop_empty_block(v);
    return true;
}

/* The query at length 1. False: its length is 0, or a number isn't finite. */
static bool normalise(float *unit, const float *query, size_t dimensions) {
    double sum = 0;
    for (size_t i = 0; i < dimensions; i++) {
        double number = query[i];
        sum += number * number;
    }
    double length = sqrt(sum); /* squares of any finite floats are finite doubles */
    if (!(length > 0 && length <= 0x1p134)) {
        return false;
    }
    for (size_t i = 0; i < dimensions; i++) {
        unit[i] = (float)(query[i] / length);
    }
    return true;
}

static void search_block(const vectors *v, const vectors_block *b, const float *unit, nearest *found) {
    size_t left = v->count <= b->first ? 0 : v->count - b->first;
    left = left < b->places ? left : b->places;
    float products[AT_ONCE];
    for (size_t at = 0; at < left; at += AT_ONCE) {
        size_t count = left - at < AT_ONCE ? left - at : AT_ONCE;
        v->form->dots(products, b->rows + at * v->width, count, v->width, unit);
        for (size_t i = 0; i < count; i++) {
            float score = products[i] * b->inverses[at + i];
            score = score > 1 ? 1 : score;
            score = score < -1 ? -1 : score;
            nearest_offer(found, (vectors_found){b->ids[at + i], score});
        }
    }
}

size_t vectors_search(const vectors *v, const float *query, vectors_found *found, size_t most) {
    float unit[VECTORS_DIMENSIONS_MAX + DOTS_LANES] = {0};
    nearest n = {.found = found, .most = most};
    if (most > 0 && normalise(unit, query, v->dimensions)) {
        for (size_t i = 0; i < v->block_count; i++) {
            search_block(v, &v->blocks[i], unit, &n);
        }
        nearest_sort(&n);
    }
    secret_wipe(unit, v->width * sizeof *unit);
    return n.count;
}
