#ifndef STORE_KEPT_RINGS_H
#define STORE_KEPT_RINGS_H

#include "database.h"
#include "store/workers.h"

/* Which rows of kept_answers are whose, oldest first, so that the table needs no index. Belongs to whoever
 * uses the database. What it says holds from kept_rings_load to the end of the operation; an operation
 * changes it when nothing of its own can fail any more. */
typedef struct kept_rings kept_rings;

typedef struct kept_ring {
    uint64_t *numbers;
    size_t first, count, capacity;
} kept_ring;

MUST_CHECK kept_rings *kept_rings_new(error *err);
void kept_rings_free(kept_rings *all); /* NULL is allowed */
kept_rings *store_kept_rings(store *s);

/* Reads the table if it isn't known, or if a transaction was lost since. */
MUST_CHECK bool kept_rings_load(kept_rings *all, database *d, error *err);
/* What the next row is called. */
uint64_t kept_rings_next(const kept_rings *all);
/* NULL: nothing is kept of it. */
kept_ring *kept_rings_find(const kept_rings *all, const uint8_t worker_id[STORE_WORKER_ID_SIZE]);
/* With room for one more. NULL: memory is out. Valid until the next call. */
kept_ring *kept_rings_reserve(kept_rings *all, const uint8_t worker_id[STORE_WORKER_ID_SIZE], error *err);
/* Appends the next row, for which there is room. */
void kept_rings_append(kept_rings *all, kept_ring *ring);
/* for (size_t i = 0; (ring = kept_rings_each(all, &i)) != NULL;) */
kept_ring *kept_rings_each(const kept_rings *all, size_t *position);

/* By age: 0 is the oldest. */
uint64_t kept_ring_at(const kept_ring *ring, size_t index);
void kept_ring_drop_oldest(kept_ring *ring, size_t count);
void kept_ring_drop_newest(kept_ring *ring, size_t count);
/* Harmless if it isn't there. */
void kept_ring_drop(kept_ring *ring, uint64_t number);

#endif
