#ifndef QUANTISE_FILE_H
#define QUANTISE_FILE_H

#include "engine/gguf.h"

/* Simple rounding to every tensor type, and the exact values of a block, written from the layouts alone and
 * sharing nothing with the engine. A block has gguf_type_block(type) weights and gguf_type_bytes(type) bytes.
 */
void quantise_block(gguf_type type, const float *values, uint8_t *block);
/* The value of weight `index` of a block: exact, as no format needs more than 53 bits. */
double quantised_value(gguf_type type, const uint8_t *block, uint32_t index);

/* The types there are, for tests that try each. */
enum { QUANTISED_TYPES = 11 };
extern const gguf_type quantised_types[QUANTISED_TYPES];

#endif
