#ifndef ENGINE_COMMITMENT_H
#define ENGINE_COMMITMENT_H

#include "engine/engine.h"

/* The chain over what was drawn and from which logits; the README gives its bytes. */
enum { COMMITMENT_TOKEN_SIZE = 4 + ENGINE_TOP_LOGITS * 8 };

typedef struct commitment {
    uint8_t chain[ENGINE_DIGEST_SIZE];   /* over whole blocks */
    uint8_t current[ENGINE_DIGEST_SIZE]; /* over all tokens, once closed */
    uint8_t block[ENGINE_COMMITMENT_BLOCK * COMMITMENT_TOKEN_SIZE];
    size_t block_length;
    size_t block_tokens;
} commitment;

/* The largest logits, largest first, the lowest id among equals; fewer where the vocabulary is smaller. */
typedef struct commitment_top {
    uint32_t ids[ENGINE_TOP_LOGITS];
    float values[ENGINE_TOP_LOGITS];
    size_t count;
} commitment_top;

/* From logits as the model gives them, all finite. */
void commitment_find_top(commitment_top *top, const float *logits, size_t vocabulary);

MUST_CHECK bool commitment_start(commitment *c, const uint8_t nonce[ENGINE_NONCE_SIZE], error *err);
MUST_CHECK bool commitment_add(commitment *c, uint32_t token, const commitment_top *top, error *err);
/* Brings `current` up to date with what was added. */
MUST_CHECK bool commitment_close(commitment *c, error *err);

#endif
