#include "commitment.h"

#include "arithmetic/arithmetic.h"
#include "crypto/hash.h"

static bool link_block(const commitment *c, uint8_t chain[ENGINE_DIGEST_SIZE], error *err) {
    uint8_t input[ENGINE_DIGEST_SIZE + sizeof c->block];
    memcpy(input, c->chain, ENGINE_DIGEST_SIZE);
    memcpy(input + ENGINE_DIGEST_SIZE, c->block, c->block_length);
    return hash_sha256(slice_of(input, ENGINE_DIGEST_SIZE + c->block_length), chain, err);
}

bool commitment_start(commitment *c, const uint8_t nonce[ENGINE_NONCE_SIZE], error *err) {
    static const char label[] = "cellule commitment v1";
    uint8_t input[sizeof label - 1 + ENGINE_NONCE_SIZE];
    memcpy(input, label, sizeof label - 1);
    memcpy(input + sizeof label - 1, nonce, ENGINE_NONCE_SIZE);
    *c = (commitment){0};
    if (!hash_sha256(slice_of(input, sizeof input), c->chain, err)) {
        return false;
    }
    memcpy(c->current, c->chain, sizeof c->current);
    return true;
}

static void append_u32(commitment *c, uint32_t value) {
    for (int shift = 24; shift >= 0; shift -= 8) {
        c->block[c->block_length++] = (uint8_t)(value >> shift);
    }
}

/* The ids of the largest logits, largest first, the lowest id among equals. Returns how many. */
static size_t find_top(const float *logits, size_t vocabulary, uint32_t top[ENGINE_TOP_LOGITS]) {
    size_t count = 0;
    for (size_t id = 0; id < vocabulary; id++) {
        if (count == ENGINE_TOP_LOGITS && !(logits[id] > logits[top[count - 1]])) {
            continue;
        }
        size_t place = count < ENGINE_TOP_LOGITS ? count++ : count - 1;
        while (place > 0 && logits[id] > logits[top[place - 1]]) {
            top[place] = top[place - 1];
            place--;
        }
        top[place] = (uint32_t)id;
    }
    return count;
}

bool commitment_add(commitment *c, uint32_t token, const float *logits, size_t vocabulary, error *err) {
    uint32_t top[ENGINE_TOP_LOGITS];
    size_t count = find_top(logits, vocabulary, top);
    append_u32(c, token);
    for (size_t i = 0; i < count; i++) {
        append_u32(c, top[i]);
        append_u32(c, bits_of_float(logits[top[i]]));
    }
    if (++c->block_tokens < ENGINE_COMMITMENT_BLOCK) {
        return true;
    }
    if (!link_block(c, c->current, err)) {
        return false;
    }
    memcpy(c->chain, c->current, sizeof c->chain);
    c->block_length = 0;
    c->block_tokens = 0;
    return true;
}

bool commitment_close(commitment *c, error *err) {
    return c->block_tokens == 0 || link_block(c, c->current, err);
}
