#ifndef PROBE_H
#define PROBE_H

#include "base/error.h"
#include "base/slice.h"

/* What is asked of two implementations of a model, one request a line on standard input, one JSON value a
 * line on standard output, so that a test can compare them:
 *
 *   tokenize WHOLE SPECIAL HEX    the tokens of a text, given in hexadecimal. WHOLE 1: with the tokens that
 * the model wants at the beginning and the end. SPECIAL 1: spellings of control tokens are these. logits ID
 * ID …                of each position, an array of arrays greedy COUNT ID ID …          the most likely
 * continuation embed ID ID …                 the embedding
 *
 * A request that fails is answered by {"error": "…"}. */
enum { PROBE_TOKENS_MAX = 4096 };

typedef struct probe_tokens {
    uint32_t ids[PROBE_TOKENS_MAX];
    size_t count;
} probe_tokens;

typedef struct probe {
    void *context;
    uint32_t vocabulary;
    uint32_t width;
    bool (*tokenize)(void *context, slice text, bool whole, bool special, probe_tokens *tokens, error *err);
    /* Room for count * vocabulary. */
    bool (*logits)(void *context, const probe_tokens *tokens, float *rows, error *err);
    bool (*greedy)(void *context, const probe_tokens *tokens, size_t count, probe_tokens *answer, error *err);
    /* Room for width. */
    bool (*embed)(void *context, const probe_tokens *tokens, float *values, error *err);
} probe;

/* Answers until the input ends. False when a request isn't one. */
bool probe_run(const probe *p);

#endif
