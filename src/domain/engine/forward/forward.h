#ifndef ENGINE_FORWARD_H
#define ENGINE_FORWARD_H

#include "architecture/architecture.h"
#include "kernel/kernels.h"

/* Keys and values of one sequence as halves. A key chunk of 64 positions stands dimension by dimension
 * (keys[d][position]), so that the lanes of the score kernel are positions; values stand by position. */
typedef struct cache {
    uint16_t *keys;
    uint16_t *values;
    uint32_t capacity; /* positions, a multiple of 64 */
} cache;

/* Bytes of a cache for so many positions. */
uint64_t cache_size(const architecture *a, uint32_t positions);
MUST_CHECK bool cache_new(cache *c, const architecture *a, uint32_t positions, error *err);
void cache_free(cache *c);

/* The working memory of one pass, with what is computed once per model. */
typedef struct forward forward;
/* The architecture must outlive it. */
MUST_CHECK forward *forward_new(const architecture *a, const kernels *form, error *err);
void forward_free(forward *f);

/* Computes the token at `position`; positions are given in order from 0 and below the cache's capacity.
 * `*logits`, unless NULL is given, gets the scores of the next token, valid until the next call. Fails with
 * ERROR_UNSUPPORTED when a value is not finite. Within arithmetic_enter. */
MUST_CHECK bool forward_token(forward *f, cache *c, uint32_t token, uint32_t position, const float **logits,
                              error *err);

#endif
