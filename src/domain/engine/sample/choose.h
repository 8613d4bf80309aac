#ifndef ENGINE_SAMPLE_CHOOSE_H
#define ENGINE_SAMPLE_CHOOSE_H

#include "engine/engine.h"

/* The arithmetic of a draw over one vocabulary (the room's README), and the memory it works in. Private to
 * the room. */
typedef struct candidate {
    float logit;
    float weight;
    uint32_t id;
} candidate;

/* Tokens whose logits are neighbours: all of a nearer band rank before all of a farther one. */
typedef struct band {
    double sum; /* of the weights, added in order of id */
    float least;
    uint32_t count;
} band;

typedef struct chooser {
    size_t vocabulary;
    void (*exponentials)(float *x, size_t count);
    float *weights;   /* by id */
    uint16_t *places; /* by id: the band */
    band *bands;      /* nearest first */
    size_t count;     /* of tokens that have a weight */
    candidate *heap;  /* of one band, best first */
    size_t waiting;   /* in the heap */
} chooser;

MUST_CHECK bool chooser_start(chooser *c, size_t vocabulary, void (*exponentials)(float *, size_t),
                              error *err);
void chooser_free(chooser *c); /* wiped; all zero is allowed */

/* The largest, the lowest id among equals. */
uint32_t choose_largest(const float *logits, size_t count);
/* By temperature (above 0), top_k, top_p and min_p. `fraction`: from 0 up to but not 1. A logit may be
 * -infinity, not all of them. */
uint32_t choose(chooser *c, const float *logits, const engine_parameters *p, double fraction);

/* What log probabilities are told against. */
typedef struct logprob_base {
    float largest;
    double log_sum;
} logprob_base;
logprob_base choose_logprob_base(chooser *c, const float *logits);
float choose_logprob(const logprob_base *base, float logit);
/* The `count` largest logits, best first; returns how many there are. */
size_t choose_top(const float *logits, size_t vocabulary, engine_logprob *top, size_t count);

#endif
