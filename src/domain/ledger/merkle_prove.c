#include "merkle_internal.h"

/* Where a proof's hashes come from; the last tile read of each level is kept, since a proof asks for many
 * hashes of the same one. */
typedef struct tile_reader {
    merkle_read_tile *read;
    void *context;
    uint64_t size; /* entries of the tree that the proof is about */
    struct {
        bool held;
        uint64_t index;
    } level[MERKLE_LEVELS];
    uint8_t tiles[MERKLE_LEVELS][MERKLE_TILE_SIZE];
} tile_reader;

/* Where the root of 2^height entries, from a multiple of that on, is made from: `width` hashes of a tile. */
typedef struct subtree {
    merkle_tile_id tile;
    size_t first;
    size_t width;
} subtree;

static subtree find_subtree(uint64_t size, unsigned height, uint64_t begin) {
    unsigned level =
        height / 8 < MERKLE_LEVELS ? height / 8 : MERKLE_LEVELS - 1; /* the whole of a full log */
    uint64_t first = begin >> (8 * level);
    uint64_t index = first / MERKLE_TILE_WIDTH;
    uint64_t complete = (size >> (8 * level)) - index * MERKLE_TILE_WIDTH;
    return (subtree){
        .tile = {level, index, complete < MERKLE_TILE_WIDTH ? (size_t)complete : MERKLE_TILE_WIDTH},
        .first = (size_t)(first % MERKLE_TILE_WIDTH),
        .width = (size_t)1 << (height - 8 * level),
    };
}

static bool hold_tile(tile_reader *r, const merkle_tile_id *tile, error *err) {
    if (r->level[tile->level].held && r->level[tile->level].index == tile->index) {
        return true;
    }
    r->level[tile->level].held = false;
    if (!r->read(r->context, tile->level, tile->index, tile->count, r->tiles[tile->level], err)) {
        return false;
    }
    r->level[tile->level].held = true;
    r->level[tile->level].index = tile->index;
    return true;
}

static bool complete_root(tile_reader *r, const subtree *part, uint8_t root[HASH_SIZE], error *err) {
    return hold_tile(r, &part->tile, err) &&
           merkle_fold_complete(r->tiles[part->tile.level] + part->first * HASH_SIZE, part->width, root, err);
}

typedef struct range {
    uint64_t begin;
    uint64_t end;
} range;

/* Found from the root down; a proof tells them from the leaf up. */
typedef struct ranges {
    size_t count;
    range list[MERKLE_PROOF_MAX];
} ranges;

/* Takes the smallest complete subtree off the end of a range; `begin` is a multiple of the least power of two
 * ≥ end - begin. False: nothing is left. */
static bool take_subtree(uint64_t size, range *rest, subtree *part) {
    uint64_t length = rest->end - rest->begin;
    if (length == 0) {
        return false;
    }
    unsigned height = 0;
    while ((length >> height & 1) == 0) {
        height++;
    }
    rest->end -= (uint64_t)1 << height;
    *part = find_subtree(size, height, rest->end);
    return true;
}

/* MTH(D[begin:end]) of RFC 9162 §2.1.1. */
static bool range_root(tile_reader *r, range rest, uint8_t root[HASH_SIZE], error *err) {
    subtree part;
    for (bool begun = false; take_subtree(r->size, &rest, &part); begun = true) {
        uint8_t node[HASH_SIZE];
        if (!complete_root(r, &part, node, err) || (begun && !merkle_node_hash(node, root, node, err))) {
            return false;
        }
        memcpy(root, node, HASH_SIZE);
    }
    return true;
}

static void ranges_add(ranges *all, uint64_t begin, uint64_t end) {
    all->list[all->count++] = (range){begin, end};
}

/* The largest power of two below `count`, which is 2 at least. */
static uint64_t split_of(uint64_t count) {
    uint64_t split = 1;
    while (split < count - split) {
        split *= 2;
    }
    return split;
}

static bool inclusion_ranges(uint64_t index, uint64_t size, ranges *all, error *err) {
    all->count = 0;
    if (size > MERKLE_SIZE_MAX || index >= size) {
        return error_set(err, ERROR_INVALID, "the log has no such entry");
    }
    for (uint64_t begin = 0, end = size; end - begin > 1;) {
        uint64_t middle = begin + split_of(end - begin);
        if (index < middle) {
            ranges_add(all, middle, end);
            end = middle;
        } else {
            ranges_add(all, begin, middle);
            begin = middle;
        }
    }
    return true;
}

static bool consistency_ranges(uint64_t old_size, uint64_t size, ranges *all, error *err) {
    all->count = 0;
    if (size > MERKLE_SIZE_MAX || old_size > size) {
        return error_set(err, ERROR_INVALID, "the log isn't that long");
    }
    if (old_size == 0 || old_size == size) {
        return true;
    }
    uint64_t begin = 0;
    uint64_t end = size;
    while (end != old_size) {
        uint64_t middle = begin + split_of(end - begin);
        if (old_size <= middle) {
            ranges_add(all, middle, end);
            end = middle;
        } else {
            ranges_add(all, begin, middle);
            begin = middle;
        }
    }
    if (begin > 0) {
        ranges_add(all, begin, end);
    }
    return true;
}

static bool prove(uint64_t size, const ranges *all, merkle_read_tile *read, void *context,
                  merkle_proof *proof, error *err) {
    tile_reader reader = {.read = read, .context = context, .size = size};
    for (size_t i = all->count; i > 0; i--) {
        if (!range_root(&reader, all->list[i - 1], proof->hashes[proof->count], err)) {
            proof->count = 0;
            return false;
        }
        proof->count++;
    }
    return true;
}

bool merkle_prove_inclusion(uint64_t index, uint64_t size, merkle_read_tile *read, void *context,
                            merkle_proof *proof, error *err) {
    ranges all;
    proof->count = 0;
    return inclusion_ranges(index, size, &all, err) && prove(size, &all, read, context, proof, err);
}

bool merkle_prove_consistency(uint64_t old_size, uint64_t size, merkle_read_tile *read, void *context,
                              merkle_proof *proof, error *err) {
    ranges all;
    proof->count = 0;
    return consistency_ranges(old_size, size, &all, err) && prove(size, &all, read, context, proof, err);
}

static bool add_tile(merkle_tile_id tiles[MERKLE_PROOF_TILES_MAX], size_t *count, const merkle_tile_id *tile,
                     error *err) {
    for (size_t i = 0; i < *count; i++) {
        if (tiles[i].level == tile->level && tiles[i].index == tile->index) {
            return true;
        }
    }
    if (*count == MERKLE_PROOF_TILES_MAX) {
        return error_set(err, ERROR_INTERNAL, "a proof from too many tiles");
    }
    tiles[(*count)++] = *tile;
    return true;
}

static bool list_tiles(uint64_t size, const ranges *all, merkle_tile_id tiles[MERKLE_PROOF_TILES_MAX],
                       size_t *count, error *err) {
    for (size_t i = 0; i < all->count; i++) {
        range rest = all->list[i];
        subtree part;
        while (take_subtree(size, &rest, &part)) {
            if (!add_tile(tiles, count, &part.tile, err)) {
                return false;
            }
        }
    }
    return true;
}

bool merkle_inclusion_tiles(uint64_t index, uint64_t size, merkle_tile_id tiles[MERKLE_PROOF_TILES_MAX],
                            size_t *count, error *err) {
    ranges all;
    *count = 0;
    return inclusion_ranges(index, size, &all, err) && list_tiles(size, &all, tiles, count, err);
}

bool merkle_consistency_tiles(uint64_t old_size, uint64_t size, merkle_tile_id tiles[MERKLE_PROOF_TILES_MAX],
                              size_t *count, error *err) {
    ranges all;
    *count = 0;
    return consistency_ranges(old_size, size, &all, err) && list_tiles(size, &all, tiles, count, err);
}
