#ifndef REFERENCE_ROPE_H
#define REFERENCE_ROPE_H

#include "reference.h"

/* Radians per position of a pair, and what cosines and sines are multiplied by. `local`: gemma3's layers with
 * a window. */
double reference_frequency(const model_file *file, bool local, uint32_t pair, uint32_t turned,
                           unsigned without);
double reference_magnitude(const model_file *file, bool local, unsigned without);

#endif
