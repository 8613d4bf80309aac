#include "audit_internal.h"

#include "base/memory.h"

/* The tiles that a proof needs: those that still grow are at hand, the others are fetched together. */
typedef struct proving {
    bool inclusion;
    uint64_t first; /* the entry's index, or the older size */
    uint64_t size;
    audit_proved *done;
    void *context;
    merkle_edge edge;
    const store_audit_tile *tiles; /* fetched */
    size_t tile_count;
} proving;

static bool is_growing(const merkle_edge *edge, unsigned level, uint64_t index) {
    return index == edge->size >> (8 * (level + 1));
}

static bool read_tile(void *context, unsigned level, uint64_t index, size_t count, uint8_t *hashes,
                      error *err) {
    const proving *p = context;
    if (is_growing(&p->edge, level, index)) {
        memcpy(hashes, p->edge.tiles[level], count * HASH_SIZE);
        return true;
    }
    for (size_t i = 0; i < p->tile_count; i++) {
        const store_audit_tile *tile = &p->tiles[i];
        if (tile->level == level && tile->index == index && tile->hashes != NULL) {
            memcpy(hashes, tile->hashes, count * HASH_SIZE);
            return true;
        }
    }
    return error_set(err, ERROR_CORRUPT, "a part of the audit log is missing from the database");
}

static void tiles_found(void *context, const store_audit_tile *tiles, size_t tile_count, const slice *entries,
                        size_t entry_count, const error *failure) {
    proving *p = context;
    merkle_proof proof;
    error err = {0};
    (void)entries;
    (void)entry_count;
    p->tiles = tiles;
    p->tile_count = tile_count;
    bool proved = failure == NULL &&
                  (p->inclusion ? merkle_prove_inclusion(p->first, p->size, read_tile, p, &proof, &err)
                                : merkle_prove_consistency(p->first, p->size, read_tile, p, &proof, &err));
    audit_proved *done = p->done;
    void *done_context = p->context;
    memory_free(p);
    done(done_context, proved ? &proof : NULL, proved ? NULL : failure != NULL ? failure : &err);
}

static bool prove(pool *p, const proving *wanted, error *err) {
    const audit *a = p->audit;
    merkle_tile_id ids[MERKLE_PROOF_TILES_MAX];
    store_audit_tile tiles[MERKLE_PROOF_TILES_MAX];
    size_t id_count = 0;
    size_t count = 0;
    if (wanted->size > a->durable.size) {
        return error_set(err, ERROR_INVALID, "the log has %llu entries", (unsigned long long)a->durable.size);
    }
    if (wanted->inclusion ? !merkle_inclusion_tiles(wanted->first, wanted->size, ids, &id_count, err)
                          : !merkle_consistency_tiles(wanted->first, wanted->size, ids, &id_count, err)) {
        return false;
    }
    for (size_t i = 0; i < id_count; i++) {
        if (!is_growing(&a->durable, ids[i].level, ids[i].index)) {
            tiles[count++] = (store_audit_tile){ids[i].level, ids[i].index, NULL};
        }
    }
    proving *proof = memory_allocate(sizeof *proof);
    if (proof == NULL) {
        return error_memory(err);
    }
    *proof = *wanted;
    proof->edge = a->durable;
    store_audit_read read = {.tiles = tiles, .tile_count = count};
    if (!store_audit_get(p->store, &read, tiles_found, proof, err)) {
        memory_free(proof);
        return false;
    }
    return true;
}

bool audit_prove_inclusion(pool *p, uint64_t index, uint64_t size, audit_proved *done, void *context,
                           error *err) {
    return prove(
        p, &(proving){.inclusion = true, .first = index, .size = size, .done = done, .context = context},
        err);
}

bool audit_prove_consistency(pool *p, uint64_t from, uint64_t size, audit_proved *done, void *context,
                             error *err) {
    return prove(p, &(proving){.first = from, .size = size, .done = done, .context = context}, err);
}
