#ifndef STORE_WORKER_NOTES_H
#define STORE_WORKER_NOTES_H

#include "store/workers.h"

/* When workers were last seen, gathered between two writes. Loop thread. */
typedef struct worker_notes worker_notes;

MUST_CHECK worker_notes *worker_notes_new(error *err);
void worker_notes_free(worker_notes *notes); /* NULL is allowed */
worker_notes *store_worker_notes(store *s);
/* Queues the write of what was gathered, if anything, and begins anew. On failure it stays gathered. */
MUST_CHECK bool worker_notes_write(store *s, error *err);

#endif
