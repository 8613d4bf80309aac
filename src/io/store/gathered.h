#ifndef STORE_GATHERED_H
#define STORE_GATHERED_H

#include "request.h"
#include "store/workers.h"

/* What is noted of workers at every beat or answer, gathered between two writes: the last row of each worker
 * counts. A row begins with the worker's id. Loop thread. */
typedef struct gathered gathered;

typedef struct gathered_kind {
    size_t row_size;
    bool (*write_row)(database *d, const void *row, error *err); /* on the store's thread */
} gathered_kind;

extern const gathered_kind gathered_sightings;   /* worker_notes.c */
extern const gathered_kind gathered_reputations; /* reputation.c */

MUST_CHECK gathered *gathered_new(const gathered_kind *kind, error *err);
void gathered_free(gathered *g); /* NULL is allowed */
gathered *store_sightings(store *s);
gathered *store_reputations(store *s);

/* Takes a row over, in the place of the worker's last one; first queues the write of what was gathered if
 * that is due. */
MUST_CHECK bool gathered_put(store *s, gathered *g, const void *row, uint64_t now_ms, error *err);
/* Forgets the worker's row, if there is one. */
void gathered_drop(gathered *g, const uint8_t worker_id[STORE_WORKER_ID_SIZE]);
/* Queues the write of what was gathered, if anything, and begins anew. On failure it stays gathered. */
MUST_CHECK bool gathered_write(store *s, gathered *g, error *err);

#endif
