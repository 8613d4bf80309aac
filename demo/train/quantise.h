#ifndef TRAIN_QUANTISE_H
#define TRAIN_QUANTISE_H

#include <stddef.h>
#include <stdint.h>

/* Q8_0 as GGUF files hold it: blocks of 32 values, a binary16 scale (little endian) and 32 signed bytes. */
enum { QUANTISE_BLOCK = 32, QUANTISE_BLOCK_SIZE = 34 };

uint16_t quantise_half(float value); /* nearest, ties to even */
float quantise_from_half(uint16_t half);

/* `count` is a multiple of QUANTISE_BLOCK; `blocks` has count / QUANTISE_BLOCK * QUANTISE_BLOCK_SIZE bytes.
 */
void quantise_q8(uint8_t *blocks, const float *values, size_t count);
void quantise_from_q8(float *values, const uint8_t *blocks, size_t count);

#endif
