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

typedef struct chooser {
    size_t vocabulary;
    void (*exponentials)(float *x, size_t count);
    float *distances; /* of the tokens that have a weight, in order of id: (logit - largest) / temperature */
    float *weights;
    uint32_t *ids;
    size_t count;
    candidate *heap; /* best first; what was taken stands from the end of the array towards its front */
    size_t waiting;  /* in the heap */
    size_t taken;
    unsigned level; /* so many bands of distances have been through the heap */
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
