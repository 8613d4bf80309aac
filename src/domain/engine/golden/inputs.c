#include "golden/inputs.h"

#include <string.h>

/* SplitMix64 (Steele, Lea, Flood 2014). */
static uint64_t next(inputs *in) {
    uint64_t z = in->state += 0x9e3779b97f4a7c15U;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9U;
    z = (z ^ z >> 27) * 0x94d049bb133111ebU;
    return z ^ z >> 31;
}

inputs inputs_make(void) {
    return (inputs){.state = 2026};
}

/* From -1 to below 1. */
static float next_float(inputs *in) {
    return (float)((int32_t)(next(in) >> 40) - (1 << 23)) * 0x1p-23f;
}

void inputs_floats(inputs *in, float *x, size_t count) {
    static const float sizes[] = {1.0f, 0x1p-10f, 64.0f, 0.0f, -0.0f, 0x1p-130f, 4.0f, 16.0f};
    for (size_t i = 0; i < count; i++) {
        x[i] = next_float(in) * sizes[next(in) % 8];
    }
}

void inputs_halves(inputs *in, uint16_t *halves, size_t count) {
    for (size_t i = 0; i < count; i++) {
        uint16_t half = (uint16_t)(next(in) & 0xbfffU);
        halves[i] = next(in) % 8 == 0 ? half & 0x83ffU : half;
    }
}

static void put_bytes(inputs *in, uint8_t *bytes, size_t count) {
    for (size_t i = 0; i < count; i++) {
        bytes[i] = (uint8_t)(next(in) >> 32);
    }
}

/* 2^-7 to below 2^-6, of either sign. */
static void put_scale(inputs *in, uint8_t *place) {
    uint16_t half = (uint16_t)((next(in) & 0x83ffU) | 0x2000U);
    memcpy(place, &half, sizeof half);
}

static void put_floats(inputs *in, gguf_type type, uint8_t *place, size_t count) {
    for (size_t i = 0; i < count; i++) {
        float value = next_float(in);
        uint32_t bits = 0;
        memcpy(&bits, &value, sizeof bits);
        if (type == GGUF_F32) {
            memcpy(place + 4 * i, &bits, 4);
        } else {
            uint16_t upper = (uint16_t)(bits >> 16);
            inputs_halves(in, &upper, type == GGUF_F16 ? 1 : 0);
            memcpy(place + 2 * i, &upper, 2);
        }
    }
}

/* Where a block's scale stands, and behind it perhaps a second one for the minimums. */
static size_t scale_at(gguf_type type) {
    enum { Q6_K_SCALE_AT = 208 };
    return type == GGUF_Q6_K ? Q6_K_SCALE_AT : 0;
}

static bool has_second_scale(gguf_type type) {
    return type == GGUF_Q4_1 || type == GGUF_Q5_1 || type == GGUF_Q4_K || type == GGUF_Q5_K;
}

void inputs_blocks(inputs *in, gguf_type type, uint8_t *blocks, size_t count) {
    size_t size = gguf_type_bytes(type);
    if (gguf_type_block(type) == 1) {
        put_floats(in, type, blocks, count);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        uint8_t *block = blocks + i * size;
        put_bytes(in, block, size);
        put_scale(in, block + scale_at(type));
        if (has_second_scale(type)) {
            put_scale(in, block + 2);
        }
    }
}
