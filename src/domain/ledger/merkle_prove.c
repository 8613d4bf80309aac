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

static bool hold_tile(tile_reader *r, unsigned level, uint64_t index, error *err) {
    if (r->level[level].held && r->level[level].index == index) {
        return true;
    }
    uint64_t complete = (r->size >> (8 * level)) - index * MERKLE_TILE_WIDTH;
    size_t count = complete < MERKLE_TILE_WIDTH ? (size_t)complete : MERKLE_TILE_WIDTH;
    r->level[level].held = false;
    if (!r->read(r->context, level, index, count, r->tiles[level], err)) {
        return false;
    }
    r->level[level].held = true;
    r->level[level].index = index;
    return true;
}

/* The root of the 2^height entries from `begin` on, a multiple of that. */
static bool complete_root(tile_reader *r, unsigned height, uint64_t begin, uint8_t root[HASH_SIZE],
                          error *err) {
    unsigned level = height / 8;
    if (level == MERKLE_LEVELS) {
        level--; /* the whole of a full log */
    }
    uint64_t first = begin >> (8 * level);
    size_t width = (size_t)1 << (height - 8 * level);
    return hold_tile(r, level, first / MERKLE_TILE_WIDTH, err) &&
           merkle_fold_complete(r->tiles[level] + first % MERKLE_TILE_WIDTH * HASH_SIZE, width, root, err);
}

/* MTH(D[begin:end]) of RFC 9162 §2.1.1, where `begin` is a multiple of the least power of two ≥ end - begin.
 */
static bool range_root(tile_reader *r, uint64_t begin, uint64_t end, uint8_t root[HASH_SIZE], error *err) {
    bool begun = false;
    for (unsigned height = 0; end > begin; height++) {
        uint64_t width = (uint64_t)1 << height;
        if (((end - begin) & width) == 0) {
            continue;
        }
        uint8_t node[HASH_SIZE];
        end -= width;
        if (!complete_root(r, height, end, node, err) ||
            (begun && !merkle_node_hash(node, root, node, err))) {
            return false;
        }
        memcpy(root, node, HASH_SIZE);
        begun = true;
    }
    return true;
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

static bool prove(uint64_t size, const ranges *all, merkle_read_tile *read, void *context,
                  merkle_proof *proof, error *err) {
    tile_reader reader = {.read = read, .context = context, .size = size};
    proof->count = 0;
    for (size_t i = all->count; i > 0; i--) {
        const range *part = &all->list[i - 1];
        if (!range_root(&reader, part->begin, part->end, proof->hashes[proof->count], err)) {
            proof->count = 0;
            return false;
        }
        proof->count++;
    }
    return true;
}

bool merkle_prove_inclusion(uint64_t index, uint64_t size, merkle_read_tile *read, void *context,
                            merkle_proof *proof, error *err) {
    ranges all = {0};
    proof->count = 0;
    if (size > MERKLE_SIZE_MAX || index >= size) {
        return error_set(err, ERROR_INVALID, "the log has no such entry");
    }
    for (uint64_t begin = 0, end = size; end - begin > 1;) {
        uint64_t middle = begin + split_of(end - begin);
        if (index < middle) {
            ranges_add(&all, middle, end);
            end = middle;
        } else {
            ranges_add(&all, begin, middle);
            begin = middle;
        }
    }
    return prove(size, &all, read, context, proof, err);
}

bool merkle_prove_consistency(uint64_t old_size, uint64_t size, merkle_read_tile *read, void *context,
                              merkle_proof *proof, error *err) {
    ranges all = {0};
    proof->count = 0;
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
            ranges_add(&all, middle, end);
            end = middle;
        } else {
            ranges_add(&all, begin, middle);
            begin = middle;
        }
    }
    if (begin > 0) {
        ranges_add(&all, begin, end);
    }
    return prove(size, &all, read, context, proof, err);
}
