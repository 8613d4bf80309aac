#include "memory/slots.h"

#include "base/memory.h"
#include "crypto/secret.h"

#include <string.h>

enum { CHUNK_SLOTS = 256, CHUNKS_MAX = SLOTS_MAX / CHUNK_SLOTS };

/* A slot that is free begins with the address of the next one. */
struct slots {
    uint8_t *chunks[CHUNKS_MAX];
    size_t chunk_count;
    uint8_t *free;
};

slots *slots_new(error *err) {
    slots *all = memory_allocate_zeroed(1, sizeof *all);
    if (all == NULL) {
        error_memory(err);
    }
    return all;
}

void slots_free(slots *all) {
    if (all == NULL) {
        return;
    }
    for (size_t i = 0; i < all->chunk_count; i++) {
        secret_free(all->chunks[i]);
    }
    memory_free(all);
}

static void put_back(slots *all, uint8_t *slot) {
    memcpy(slot, &all->free, sizeof all->free);
    all->free = slot;
}

static bool add_chunk(slots *all, error *err) {
    if (all->chunk_count == CHUNKS_MAX) {
        return error_set(err, ERROR_LIMIT, "too many users have their memory open at once; try again later");
    }
    uint8_t *chunk = secret_allocate((size_t)CHUNK_SLOTS * SLOT_SIZE, err);
    if (chunk == NULL) {
        return false;
    }
    all->chunks[all->chunk_count++] = chunk;
    for (size_t i = CHUNK_SLOTS; i > 0; i--) {
        put_back(all, chunk + (i - 1) * SLOT_SIZE);
    }
    return true;
}

uint8_t *slots_take(slots *all, error *err) {
    if (all->free == NULL && !add_chunk(all, err)) {
        return NULL;
    }
    uint8_t *slot = all->free;
    memcpy(&all->free, slot, sizeof all->free);
    memset(slot, 0, sizeof all->free);
    return slot;
}

void slots_give(slots *all, uint8_t *slot) {
    if (slot != NULL) {
        secret_wipe(slot, SLOT_SIZE);
        put_back(all, slot);
    }
}
