#include "ledger/merkle.h"

#include "merkle_internal.h"

enum { LEAF_PREFIX = 0, NODE_PREFIX = 1, LEAF_STACK = 4096 };

bool merkle_leaf_hash(slice entry, uint8_t digest[HASH_SIZE], error *err) {
    if (entry.length < LEAF_STACK) {
        uint8_t bytes[LEAF_STACK];
        bytes[0] = LEAF_PREFIX;
        if (entry.length > 0) {
            memcpy(bytes + 1, entry.data, entry.length);
        }
        return hash_sha256(slice_of(bytes, entry.length + 1), digest, err);
    }
    static const uint8_t prefix = LEAF_PREFIX;
    memset(digest, 0, HASH_SIZE);
    hash *h = hash_new(err);
    if (h == NULL) {
        return false;
    }
    hash_update(h, slice_of(&prefix, 1));
    hash_update(h, entry);
    bool good = hash_finish(h, digest, err);
    hash_free(h);
    return good;
}

bool merkle_node_hash(const uint8_t left[HASH_SIZE], const uint8_t right[HASH_SIZE],
                      uint8_t digest[HASH_SIZE], error *err) {
    uint8_t bytes[1 + 2 * HASH_SIZE];
    bytes[0] = NODE_PREFIX;
    memcpy(bytes + 1, left, HASH_SIZE);
    memcpy(bytes + 1 + HASH_SIZE, right, HASH_SIZE);
    return hash_sha256(slice_of(bytes, sizeof bytes), digest, err);
}

bool merkle_fold_complete(const uint8_t *hashes, size_t count, uint8_t root[HASH_SIZE], error *err) {
    uint8_t row[MERKLE_TILE_WIDTH / 2][HASH_SIZE];
    const uint8_t *from = hashes;
    if (count == 1) {
        memcpy(root, hashes, HASH_SIZE);
        return true;
    }
    for (size_t left = count; left > 1; left /= 2) {
        for (size_t i = 0; i < left / 2; i++) {
            uint8_t made[HASH_SIZE];
            if (!merkle_node_hash(from + 2 * i * HASH_SIZE, from + (2 * i + 1) * HASH_SIZE, made, err)) {
                return false;
            }
            memcpy(row[i], made, HASH_SIZE);
        }
        from = row[0];
    }
    memcpy(root, row[0], HASH_SIZE);
    return true;
}

/* How many hashes the growing tile of a level has. */
static size_t tile_count(uint64_t size, unsigned level) {
    return (size_t)(size >> (8 * level)) % MERKLE_TILE_WIDTH;
}

bool merkle_append(merkle_edge *edge, const uint8_t leaf[HASH_SIZE], merkle_write_tile *write, void *context,
                   error *err) {
    if (edge->size >= MERKLE_SIZE_MAX) {
        return error_set(err, ERROR_LIMIT, "the log is full");
    }
    uint8_t node[HASH_SIZE];
    memcpy(node, leaf, HASH_SIZE);
    for (unsigned level = 0; level < MERKLE_LEVELS; level++) {
        size_t count = tile_count(edge->size, level);
        /* A place beyond the count: the edge means the same until its size says otherwise. */
        memcpy(edge->tiles[level][count], node, HASH_SIZE);
        if (count + 1 < MERKLE_TILE_WIDTH) {
            break;
        }
        if (!write(context, level, edge->size >> (8 * (level + 1)), edge->tiles[level][0], err) ||
            !merkle_fold_complete(edge->tiles[level][0], MERKLE_TILE_WIDTH, node, err)) {
            return false;
        }
    }
    edge->size++;
    return true;
}

bool merkle_read_edge(merkle_edge *edge, uint64_t size, merkle_read_tile *read, void *context, error *err) {
    uint8_t tile[MERKLE_TILE_SIZE];
    size_t leaves = tile_count(size, 0);
    memset(edge, 0, sizeof *edge);
    if (size >= MERKLE_SIZE_MAX) {
        return error_set(err, ERROR_LIMIT, "the log is full");
    }
    if (leaves > 0 && !read(context, 0, size / MERKLE_TILE_WIDTH, leaves, edge->tiles[0][0], err)) {
        return false;
    }
    for (unsigned level = 1; level < MERKLE_LEVELS; level++) {
        size_t count = tile_count(size, level);
        uint64_t first = (size >> (8 * level)) - count;
        for (size_t i = 0; i < count; i++) {
            if (!read(context, level - 1, first + i, MERKLE_TILE_WIDTH, tile, err) ||
                !merkle_fold_complete(tile, MERKLE_TILE_WIDTH, edge->tiles[level][i], err)) {
                return false;
            }
        }
    }
    edge->size = size;
    return true;
}

bool merkle_root(const merkle_edge *edge, uint8_t root[HASH_SIZE], error *err) {
    bool begun = false;
    if (edge->size == 0) {
        return hash_sha256((slice){NULL, 0}, root, err);
    }
    if (edge->size == MERKLE_SIZE_MAX) {
        return merkle_fold_complete(edge->tiles[MERKLE_LEVELS - 1][0], MERKLE_TILE_WIDTH, root, err);
    }
    for (unsigned level = 0; level < MERKLE_LEVELS; level++) {
        size_t end = tile_count(edge->size, level);
        for (size_t width = 1; width < MERKLE_TILE_WIDTH; width *= 2) {
            if ((end & width) == 0) {
                continue;
            }
            uint8_t node[HASH_SIZE];
            end -= width;
            if (!merkle_fold_complete(edge->tiles[level][end], width, node, err) ||
                (begun && !merkle_node_hash(node, root, node, err))) {
                return false;
            }
            memcpy(root, node, HASH_SIZE);
            begun = true;
        }
    }
    return true;
}
