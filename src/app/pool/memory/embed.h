#ifndef POOL_MEMORY_EMBED_H
#define POOL_MEMORY_EMBED_H

#include "state.h"

/* Vectors by the model that the settings name, made by a worker (embedding.h). There may be no such model,
 * and no worker that has it: then the embedder that needs none serves (memory/embedder.h). Loop thread. */
enum { EMBED_PATIENCE_MS = 3000 /* of somebody who waits for an answer */ };

typedef struct memory_embedding memory_embedding;

/* Comes once: `values` has count × dimensions numbers, during the call. NULL: nobody could make them now; or
 * nobody ever will of these texts (`refused`). */
typedef void memory_embedded(void *context, const float *values, size_t dimensions, bool refused);

/* Whether it is worth asking. */
bool memory_embeds(const pool *p);
/* How many of these texts, from the first on, can be asked for at once. */
size_t memory_embed_fits(const slice *texts, size_t count);
/* What the texts hold is copied. `patience_ms`: it is given up after that; 0: when the pool does. NULL:
 * nobody can just now, and no call comes. */
memory_embedding *memory_embed(pool *p, uint64_t user_id, const slice *texts, size_t count,
                               uint64_t patience_ms, memory_embedded *done, void *context);
/* No call comes any more. NULL is allowed. */
void memory_embed_cancel(memory_embedding *e);

#endif
