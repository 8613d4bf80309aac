#include "serve/commitment.h"

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

static void insert(commitment_top *top, uint32_t id, float value) {
    size_t place = top->count < ENGINE_TOP_LOGITS ? top->count++ : top->count - 1;
    for (; place > 0 && value > top->values[place - 1]; place--) {
        top->ids[place] = top->ids[place - 1];
        top->values[place] = top->values[place - 1];
    }
    top->ids[place] = id;
    top->values[place] = value;
}

void commitment_find_top(commitment_top *top, const float *logits, size_t vocabulary) {
    enum { STRIDE = 64 }; /* looked over at once: hardly any holds one of the largest */
    size_t id = 0;
    top->count = 0;
    for (; id < vocabulary && id < ENGINE_TOP_LOGITS; id++) {
        insert(top, (uint32_t)id, logits[id]);
    }
    while (id < vocabulary) {
        size_t end = vocabulary - id > STRIDE ? id + STRIDE : vocabulary;
        const float least = top->values[ENGINE_TOP_LOGITS - 1];
        uint32_t larger = 0;
        for (size_t i = id; i < end; i++) {
            larger |= logits[i] > least;
        }
        for (; larger != 0 && id < end; id++) {
            if (logits[id] > top->values[ENGINE_TOP_LOGITS - 1]) {
                insert(top, (uint32_t)id, logits[id]);
            }
        }
        id = end;
    }
}

bool commitment_add(commitment *c, uint32_t token, const commitment_top *top, error *err) {
    append_u32(c, token);
    for (size_t i = 0; i < top->count; i++) {
        append_u32(c, top->ids[i]);
        append_u32(c, bits_of_float(top->values[i]));
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
