#ifndef MEMORY_VECTORS_INTERNAL_H
#define MEMORY_VECTORS_INTERNAL_H

#include "memory/vectors.h"

#include "base/map.h"
#include "dots.h"

/* Vectors stand in blocks, which never move: growing leaves no copy behind. Each block has twice the places
 * of the one before, from VECTORS_FIRST_PLACES to those of VECTORS_BLOCK_SIZE bytes. Place p is taken for p <
 * count, and what isn't taken is zeros. The map has under each id its place + 1; ids are numbers of ours, so
 * it needs no seed that is secret. */
enum { VECTORS_FIRST_PLACES = 32, VECTORS_BLOCK_SIZE = 8 * 1024 * 1024 };

typedef struct vectors_block {
    size_t first; /* place */
    size_t places;
    size_t size;    /* bytes behind `memory` */
    void *memory;   /* of the three */
    uint16_t *rows; /* filled up with zeros to the lanes of a form */
    uint64_t *ids;
    float *inverses; /* 1 / length */
} vectors_block;

struct vectors {
    size_t dimensions;
    size_t width; /* of a row */
    size_t count;
    size_t most_places; /* of a block */
    const dots_form *form;
    map *places;
    vectors_block *blocks;
    size_t block_count;
    size_t block_capacity;
};

#endif
