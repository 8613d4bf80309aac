#include "kept_rings.h"

#include "base/map.h"
#include "base/memory.h"
#include "os/random.h"

struct kept_rings {
    uint8_t seed[MAP_SEED_SIZE];
    map *by_worker; /* id → kept_ring; NULL: not loaded */
    uint64_t next;
    uint64_t rollbacks; /* the database's, when it was loaded */
};

enum { FIRST_CAPACITY = 16 };

kept_rings *kept_rings_new(error *err) {
    kept_rings *all = memory_allocate_zeroed(1, sizeof *all);
    if (all == NULL) {
        error_memory(err);
        return NULL;
    }
    if (!random_bytes(all->seed, sizeof all->seed, err)) {
        memory_free(all);
        return NULL;
    }
    return all;
}

static void forget(kept_rings *all) {
    kept_ring *ring = NULL;
    for (size_t i = 0; (ring = kept_rings_each(all, &i)) != NULL;) {
        memory_free(ring->numbers);
        memory_free(ring);
    }
    map_free(all->by_worker);
    all->by_worker = NULL;
}

void kept_rings_free(kept_rings *all) {
    if (all != NULL) {
        forget(all);
        memory_free(all);
    }
}

static bool read_row(kept_rings *all, query *q, error *err) {
    uint8_t worker_id[STORE_WORKER_ID_SIZE];
    all->next = query_read_u64(q);
    query_read_bytes(q, worker_id, sizeof worker_id);
    if (!query_columns_fit(q, err)) {
        return false;
    }
    kept_ring *ring = kept_rings_reserve(all, worker_id, err);
    if (ring != NULL) {
        kept_rings_append(all, ring);
    }
    return ring != NULL;
}

static bool read_all(kept_rings *all, database *d, error *err) {
    query q;
    all->next = 1;
    query_start(&q, d, "SELECT number, worker_id FROM kept_answers ORDER BY number");
    for (bool row = true; query_row(&q, &row, err);) {
        if (!row) {
            return true;
        }
        if (!read_row(all, &q, err)) {
            break;
        }
    }
    return false;
}

bool kept_rings_load(kept_rings *all, database *d, error *err) {
    if (all->by_worker != NULL && all->rollbacks == database_rollbacks(d)) {
        return true;
    }
    forget(all);
    all->rollbacks = database_rollbacks(d);
    all->by_worker = map_new(all->seed);
    if (all->by_worker == NULL) {
        return error_memory(err);
    }
    bool read = read_all(all, d, err);
    database_end_queries(d);
    if (!read) {
        forget(all);
    }
    return read;
}

uint64_t kept_rings_next(const kept_rings *all) {
    return all->next;
}

kept_ring *kept_rings_find(const kept_rings *all, const uint8_t worker_id[STORE_WORKER_ID_SIZE]) {
    return map_get(all->by_worker, slice_of(worker_id, STORE_WORKER_ID_SIZE));
}

kept_ring *kept_rings_each(const kept_rings *all, size_t *position) {
    void *ring = NULL;
    return all->by_worker != NULL && map_next(all->by_worker, position, NULL, &ring) ? ring : NULL;
}

/* Moves what is there to the beginning, where half of the room is, or doubles it. */
static bool make_room(kept_ring *ring) {
    if (ring->first + ring->count < ring->capacity) {
        return true;
    }
    if (ring->first > ring->count) {
        memcpy(ring->numbers, ring->numbers + ring->first, ring->count * sizeof *ring->numbers);
        ring->first = 0;
        return true;
    }
    size_t capacity = ring->capacity == 0 ? FIRST_CAPACITY : ring->capacity * 2;
    uint64_t *larger = memory_resize(ring->numbers, capacity * sizeof *larger);
    if (larger == NULL) {
        return false;
    }
    ring->numbers = larger;
    ring->capacity = capacity;
    return true;
}

kept_ring *kept_rings_reserve(kept_rings *all, const uint8_t worker_id[STORE_WORKER_ID_SIZE], error *err) {
    kept_ring *ring = kept_rings_find(all, worker_id);
    if (ring == NULL) {
        ring = memory_allocate_zeroed(1, sizeof *ring);
        if (ring == NULL || !map_put(all->by_worker, slice_of(worker_id, STORE_WORKER_ID_SIZE), ring)) {
            memory_free(ring);
            error_memory(err);
            return NULL;
        }
    }
    if (!make_room(ring)) {
        error_memory(err);
        return NULL;
    }
    return ring;
}

void kept_rings_append(kept_rings *all, kept_ring *ring) {
    ring->numbers[ring->first + ring->count++] = all->next++;
}

uint64_t kept_ring_at(const kept_ring *ring, size_t index) {
    return ring->numbers[ring->first + index];
}

void kept_ring_drop_oldest(kept_ring *ring, size_t count) {
    ring->first += count;
    ring->count -= count;
}

void kept_ring_drop_newest(kept_ring *ring, size_t count) {
    ring->count -= count;
}

void kept_ring_drop(kept_ring *ring, uint64_t number) {
    for (size_t i = 0; i < ring->count; i++) {
        if (kept_ring_at(ring, i) == number) {
            uint64_t *place = ring->numbers + ring->first + i;
            memmove(place, place + 1, (ring->count - i - 1) * sizeof *place);
            ring->count--;
            return;
        }
    }
}
