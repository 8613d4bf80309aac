#ifndef ENGINE_GOLDEN_INPUTS_H
#define ENGINE_GOLDEN_INPUTS_H

#include "engine/gguf.h"

/* Pseudo-random inputs that are the same on every machine: whole numbers and powers of two only. */
typedef struct inputs {
    uint64_t state;
} inputs;

inputs inputs_make(void);
/* Of mixed magnitudes, zeros of both signs and subnormal numbers among them; the largest is below 64. */
void inputs_floats(inputs *in, float *x, size_t count);
/* Finite, subnormal ones among them. */
void inputs_halves(inputs *in, uint16_t *halves, size_t count);
/* Blocks as a file has them, whose scales are normal and small. */
void inputs_blocks(inputs *in, gguf_type type, uint8_t *blocks, size_t count);

#endif
