#ifndef TRAIN_RANDOM_H
#define TRAIN_RANDOM_H

#include <stdint.h>

/* PCG-XSH-RR 64/32 (O'Neill 2014): the same numbers on every machine from one seed. */
typedef struct random_source {
    uint64_t state;
    uint64_t increment;
} random_source;

/* Sources with one seed and different streams are independent. */
random_source random_make(uint64_t seed, uint64_t stream);
uint32_t random_next(random_source *source);
/* Below `limit`, which is not 0; no bias. */
uint32_t random_below(random_source *source, uint32_t limit);
/* True with the given probability, in percent. */
int random_percent(random_source *source, uint32_t percent);
/* Normal with mean 0 and deviation 1, as the sum of twelve uniform numbers: no libm, so the same bits
 * anywhere. */
float random_normal(random_source *source);

#endif
