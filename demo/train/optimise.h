#ifndef TRAIN_OPTIMISE_H
#define TRAIN_OPTIMISE_H

#include "model.h"

/* AdamW (Loshchilov 2019) with the gradient's norm cut at 1. Norms don't decay. */
typedef struct optimiser {
    float *first;      /* running mean of the gradient */
    float *second;     /* and of its square */
    double first_left; /* what is left of the zeros they began with */
    double second_left;
    float decay;
} optimiser;

MUST_CHECK bool optimiser_make(arena *a, const model *m, float decay, optimiser *o, error *err);
/* Moves the parameters against the gradient, which is set to zero. */
void optimiser_step(optimiser *o, model *m, float *gradient, float rate);

#endif
