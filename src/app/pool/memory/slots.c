#include "memory/slots.h"

#include "base/memory.h"
#include "crypto/secret.h"

#include <string.h>

enum { CHUNK_SLOTS = 256, CHUNKS_MAX = SLOTS_MAX / CHUNK_SLOTS };

/* What a free slot holds. */
typedef union slot {
    uint8_t bytes[SLOT_SIZE];
    union slot *next;
} slot;

struct slots {
    slot *chunks[CHUNKS_MAX];
    size_t chunk_count;
    slot *free;
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

static void put_back(slots *all, slot *s) {
    s->next = all->free;
    all->free = s;
}

static bool add_chunk(slots *all, error *err) {
    if (all->chunk_count == CHUNKS_MAX) {
        return error_set(err, ERROR_LIMIT, "too many users have their memory open at once; try again later");
    }
    slot *chunk = secret_allocate(CHUNK_SLOTS * sizeof *chunk, err);
    if (chunk == NULL) {
        return false;
    }
    all->chunks[all->chunk_count++] = chunk;
    for (size_t i = CHUNK_SLOTS; i > 0; i--) {
        put_back(all, &chunk[i - 1]);
    }
    return true;
}

uint8_t *slots_take(slots *all, error *err) {
    if (all->free == NULL && !add_chunk(all, err)) {
        return NULL;
    }
    slot *s = all->free;
    if (s == NULL) {
        error_set(err, ERROR_INTERNAL, "no place for a key where there should be many");
        return NULL;
    }
    all->free = s->next;
    s->next = NULL;
    return s->bytes;
}

void slots_give(slots *all, uint8_t *bytes) {
    if (bytes != NULL) {
        secret_wipe(bytes, SLOT_SIZE);
        put_back(all, (slot *)(void *)bytes);
    }
}
