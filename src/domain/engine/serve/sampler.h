#ifndef ENGINE_SAMPLER_H
#define ENGINE_SAMPLER_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

/* Chooses the next token. The seed and the position fix the draw, whatever was drawn before, so that another
 * worker can go on from any token. The README gives every rounding. */
typedef struct sampler sampler;

MUST_CHECK sampler *sampler_new(size_t vocabulary, error *err);
void sampler_free(sampler *s); /* NULL is allowed */

/* The largest, the lowest id among equals. */
uint32_t sampler_argmax(const float *logits, size_t count);
/* `logits` are finite; `position` counts from the start of the prompt. Within arithmetic_enter. */
MUST_CHECK bool sampler_draw(sampler *s, const float *logits, float temperature, float top_p, uint64_t seed,
                             uint64_t position, uint32_t *token, error *err);

#endif
