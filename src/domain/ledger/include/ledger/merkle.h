#ifndef LEDGER_MERKLE_H
#define LEDGER_MERKLE_H

#include "base/error.h"
#include "base/slice.h"
#include "crypto/hash.h"

/* The append-only tree of an audit log: hashes as RFC 6962 §2.1, proofs as RFC 9162 §2.1.3 and §2.1.4, kept
 * in tiles of 256 hashes as C2SP tlog-tiles cuts them. Tile (level, index) holds the roots of the complete
 * subtrees of 256^level entries from entry index·256^(level+1) on; only full tiles are ever written, so none
 * changes. Pure; one owner at a time. */
enum {
    MERKLE_TILE_WIDTH = 256,
    MERKLE_TILE_SIZE = MERKLE_TILE_WIDTH * HASH_SIZE, /* bytes */
    MERKLE_LEVELS = 6,                                /* of tiles: 2^48 entries at most */
    MERKLE_PROOF_MAX = 50                             /* hashes in a proof */
};
#define MERKLE_SIZE_MAX ((uint64_t)1 << 48)

/* SHA-256(0x00 ‖ entry) and SHA-256(0x01 ‖ left ‖ right). */
MUST_CHECK bool merkle_leaf_hash(slice entry, uint8_t hash[HASH_SIZE], error *err);
MUST_CHECK bool merkle_node_hash(const uint8_t left[HASH_SIZE], const uint8_t right[HASH_SIZE],
                                 uint8_t hash[HASH_SIZE], error *err);

/* The tree's right edge, the part that still grows: 48 KiB whatever the size. All zeros is the empty tree. */
typedef struct merkle_edge {
    uint64_t size; /* entries */
    uint8_t tiles[MERKLE_LEVELS][MERKLE_TILE_WIDTH][HASH_SIZE];
} merkle_edge;

/* Takes a full tile to where it is kept; false with `err` set stops the append. */
typedef bool merkle_write_tile(void *context, unsigned level, uint64_t index,
                               const uint8_t hashes[MERKLE_TILE_SIZE], error *err);
/* Fills `hashes` with the first `count` hashes of a tile. */
typedef bool merkle_read_tile(void *context, unsigned level, uint64_t index, size_t count, uint8_t *hashes,
                              error *err);

/* Appends an entry's leaf hash. After a failure the edge is as it was, tiles may have been written that the
 * next attempt writes again alike. ERROR_LIMIT at MERKLE_SIZE_MAX. */
MUST_CHECK bool merkle_append(merkle_edge *edge, const uint8_t leaf[HASH_SIZE], merkle_write_tile *write,
                              void *context, error *err);
/* The root of the whole; of no entries SHA-256 of nothing. */
MUST_CHECK bool merkle_root(const merkle_edge *edge, uint8_t root[HASH_SIZE], error *err);

/* The edge of a log of `size` entries, below MERKLE_SIZE_MAX, from what is kept of it: full tiles, and of
 * level 0 the one that isn't full. Whether they fit together its root tells. ERROR_LIMIT, and what `read`
 * says. */
MUST_CHECK bool merkle_read_edge(merkle_edge *edge, uint64_t size, merkle_read_tile *read, void *context,
                                 error *err);

/* A proof, as the hashes that a verifier lacks, in the RFC's order. */
typedef struct merkle_proof {
    size_t count;
    uint8_t hashes[MERKLE_PROOF_MAX][HASH_SIZE];
} merkle_proof;

/* That entry `index` is in the tree of the first `size` entries (index < size). Reads the tiles that it
 * needs, at most a few of each level. ERROR_INVALID beyond the bounds, and what `read` says. */
MUST_CHECK bool merkle_prove_inclusion(uint64_t index, uint64_t size, merkle_read_tile *read, void *context,
                                       merkle_proof *proof, error *err);
/* That the tree of `old_size` entries is the beginning of that of `size` (old_size ≤ size). Empty if either
 * is trivial: equal sizes, or nothing before. */
MUST_CHECK bool merkle_prove_consistency(uint64_t old_size, uint64_t size, merkle_read_tile *read,
                                         void *context, merkle_proof *proof, error *err);

/* The tiles that such a proof reads, for whoever has to fetch them first. ERROR_INVALID as above. */
enum { MERKLE_PROOF_TILES_MAX = 4 * MERKLE_LEVELS };
typedef struct merkle_tile_id {
    unsigned level;
    uint64_t index;
    size_t count; /* hashes of it that the tree of that size has: MERKLE_TILE_WIDTH if it is full */
} merkle_tile_id;
MUST_CHECK bool merkle_inclusion_tiles(uint64_t index, uint64_t size,
                                       merkle_tile_id tiles[MERKLE_PROOF_TILES_MAX], size_t *count,
                                       error *err);
MUST_CHECK bool merkle_consistency_tiles(uint64_t old_size, uint64_t size,
                                         merkle_tile_id tiles[MERKLE_PROOF_TILES_MAX], size_t *count,
                                         error *err);

/* ERROR_CORRUPT when the proof doesn't show it, whatever is wrong with it. */
MUST_CHECK bool merkle_verify_inclusion(const uint8_t leaf[HASH_SIZE], uint64_t index, uint64_t size,
                                        const uint8_t root[HASH_SIZE], const merkle_proof *proof, error *err);
MUST_CHECK bool merkle_verify_consistency(uint64_t old_size, const uint8_t old_root[HASH_SIZE], uint64_t size,
                                          const uint8_t root[HASH_SIZE], const merkle_proof *proof,
                                          error *err);

#endif
