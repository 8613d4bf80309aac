#include "ledger/merkle.h"

static bool refuted(error *err) {
    return error_set(err, ERROR_CORRUPT,
                     "the proof doesn't show it: the log was changed, or the proof is of another");
}

/* The next hash of a proof, or NULL. */
static const uint8_t *take(const merkle_proof *proof, size_t *next) {
    return *next < proof->count ? proof->hashes[(*next)++] : NULL;
}

/* RFC 9162 §2.1.3.2. */
bool merkle_verify_inclusion(const uint8_t leaf[HASH_SIZE], uint64_t index, uint64_t size,
                             const uint8_t root[HASH_SIZE], const merkle_proof *proof, error *err) {
    if (size > MERKLE_SIZE_MAX || index >= size || proof->count > MERKLE_PROOF_MAX) {
        return refuted(err);
    }
    uint8_t node[HASH_SIZE];
    uint64_t place = index;
    uint64_t last = size - 1;
    memcpy(node, leaf, HASH_SIZE);
    for (size_t i = 0; i < proof->count; i++) {
        const uint8_t *beside = proof->hashes[i];
        if (last == 0) {
            return refuted(err);
        }
        bool on_left = (place & 1) != 0 || place == last;
        if (!(on_left ? merkle_node_hash(beside, node, node, err)
                      : merkle_node_hash(node, beside, node, err))) {
            return false;
        }
        while (on_left && (place & 1) == 0 && place != 0) {
            place >>= 1;
            last >>= 1;
        }
        place >>= 1;
        last >>= 1;
    }
    return (last == 0 && hash_equal(node, root, HASH_SIZE)) || refuted(err);
}

/* RFC 9162 §2.1.4.2, for 0 < old_size < size. */
static bool verify_growth(uint64_t old_size, const uint8_t old_root[HASH_SIZE], uint64_t size,
                          const uint8_t root[HASH_SIZE], const merkle_proof *proof, error *err) {
    uint64_t place = old_size - 1;
    uint64_t last = size - 1;
    size_t next = 0;
    while ((place & 1) != 0) {
        place >>= 1;
        last >>= 1;
    }
    /* A complete old tree is its own first hash, which the proof leaves out. */
    const uint8_t *first = place == 0 ? old_root : take(proof, &next);
    if (first == NULL) {
        return refuted(err);
    }
    uint8_t old_node[HASH_SIZE];
    uint8_t node[HASH_SIZE];
    memcpy(old_node, first, HASH_SIZE);
    memcpy(node, first, HASH_SIZE);
    for (const uint8_t *beside; (beside = take(proof, &next)) != NULL;) {
        if (last == 0) {
            return refuted(err);
        }
        if ((place & 1) == 0 && place != last) {
            if (!merkle_node_hash(node, beside, node, err)) {
                return false;
            }
        } else {
            if (!merkle_node_hash(beside, old_node, old_node, err) ||
                !merkle_node_hash(beside, node, node, err)) {
                return false;
            }
            while ((place & 1) == 0 && place != 0) {
                place >>= 1;
                last >>= 1;
            }
        }
        place >>= 1;
        last >>= 1;
    }
    return (last == 0 && hash_equal(old_node, old_root, HASH_SIZE) && hash_equal(node, root, HASH_SIZE)) ||
           refuted(err);
}

bool merkle_verify_consistency(uint64_t old_size, const uint8_t old_root[HASH_SIZE], uint64_t size,
                               const uint8_t root[HASH_SIZE], const merkle_proof *proof, error *err) {
    if (size > MERKLE_SIZE_MAX || old_size > size || proof->count > MERKLE_PROOF_MAX) {
        return refuted(err);
    }
    if (old_size == size) {
        return (proof->count == 0 && hash_equal(old_root, root, HASH_SIZE)) || refuted(err);
    }
    if (old_size == 0) {
        uint8_t nothing[HASH_SIZE];
        return hash_sha256((slice){NULL, 0}, nothing, err) &&
               ((proof->count == 0 && hash_equal(old_root, nothing, HASH_SIZE)) || refuted(err));
    }
    return verify_growth(old_size, old_root, size, root, proof, err);
}
