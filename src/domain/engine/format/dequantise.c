#include "dequantise.h"

#include "arithmetic/arithmetic.h"

/* Blocks are little-endian, without padding: d (a half, as m and dmin are), m or dmin, packed scales, the
 * fifth bits, the low nibbles. Only Q6_K has its scales and d at the end. */

/* Low nibbles are the first half of 32 weights, high ones the second; bit i of `fifths` is the fifth bit of
 * weight i. */
static inline int nibble(const uint8_t *nibbles, uint32_t fifths, size_t i) {
    int low = i < 16 ? nibbles[i] & 15 : nibbles[i - 16] >> 4;
    return low | (int)(fifths >> i & 1U) << 4;
}

static uint32_t load_bits(const uint8_t *bytes) {
    return (uint32_t)load_u16(bytes) | (uint32_t)load_u16(bytes + 2) << 16;
}

/* Q4_0 and Q5_0. */
static void symmetric(const uint8_t *block, const uint8_t *nibbles, uint32_t fifths, int zero, float *out) {
    float d = float_of_half(load_u16(block));
    for (size_t i = 0; i < 32; i++) {
        out[i] = d * (float)(nibble(nibbles, fifths, i) - zero);
    }
}

/* Q4_1 and Q5_1. */
static void with_minimum(const uint8_t *block, const uint8_t *nibbles, uint32_t fifths, float *out) {
    float d = float_of_half(load_u16(block));
    float m = float_of_half(load_u16(block + 2));
    for (size_t i = 0; i < 32; i++) {
        out[i] = fmaf(d, (float)nibble(nibbles, fifths, i), m);
    }
}

static void q8_0(const uint8_t *block, float *out) {
    float d = float_of_half(load_u16(block));
    for (size_t i = 0; i < 32; i++) {
        out[i] = d * (float)(int8_t)block[2 + i];
    }
}

/* Q4_K and Q5_K: sub-blocks of 32, of which two share their bytes, the even one in the low nibbles. Bit s of
 * fifths[i] is the fifth bit of weight i of sub-block s; NULL: there are none. */
static void sub_blocks(const uint8_t *block, const uint8_t *fifths, const uint8_t *nibbles, float *out) {
    float d = float_of_half(load_u16(block));
    float dmin = float_of_half(load_u16(block + 2));
    for (size_t s = 0; s < 8; s++) {
        uint8_t scale = 0;
        uint8_t minimum = 0;
        dequantise_scale(block + 4, s, &scale, &minimum);
        float a = d * (float)scale;
        float b = dmin * (float)minimum;
        const uint8_t *bytes = nibbles + s / 2 * 32;
        for (size_t i = 0; i < 32; i++) {
            int n = s % 2 == 0 ? bytes[i] & 15 : bytes[i] >> 4;
            n |= fifths == NULL ? 0 : (fifths[i] >> s & 1) << 4;
            out[32 * s + i] = fmaf(a, (float)n, -b);
        }
    }
}

/* Two halves of 128 weights, each four quarters of 32: the first two in low nibbles, the others in the high
 * ones of the same bytes; two more bits a weight stand apart, of the four quarters in one byte. A scale to 16
 * weights. */
static void q6_k(const uint8_t *block, float *out) {
    const uint8_t *scales = block + 192;
    float d = float_of_half(load_u16(block + 208));
    for (size_t i = 0; i < 256; i++) {
        size_t half = i / 128;
        size_t quarter = i / 32 % 4;
        uint8_t low = block[64 * half + quarter % 2 * 32 + i % 32];
        uint8_t high = block[128 + 32 * half + i % 32];
        int n = (quarter < 2 ? low & 15 : low >> 4) | (high >> 2 * quarter & 3) << 4;
        float a = d * (float)(int8_t)scales[i / 16];
        out[i] = a * (float)(n - 32);
    }
}

static void dequantise_block(gguf_type type, const uint8_t *block, float *out) {
    switch (type) {
    case GGUF_F32:
        *out = load_f32(block);
        break;
    case GGUF_F16:
        *out = float_of_half(load_u16(block));
        break;
    case GGUF_BF16:
        *out = float_of_bits((uint32_t)load_u16(block) << 16);
        break;
    case GGUF_Q4_0:
        symmetric(block, block + 2, 0, 8, out);
        break;
    case GGUF_Q4_1:
        with_minimum(block, block + 4, 0, out);
        break;
    case GGUF_Q5_0:
        symmetric(block, block + 6, load_bits(block + 2), 16, out);
        break;
    case GGUF_Q5_1:
        with_minimum(block, block + 8, load_bits(block + 4), out);
        break;
    case GGUF_Q8_0:
        q8_0(block, out);
        break;
    case GGUF_Q4_K:
        sub_blocks(block, NULL, block + 16, out);
        break;
    case GGUF_Q5_K:
        sub_blocks(block, block + 16, block + 48, out);
        break;
    case GGUF_Q6_K:
        q6_k(block, out);
        break;
    }
}

void dequantise_row(gguf_type type, const uint8_t *row, size_t count, float *out) {
    size_t block = gguf_type_block(type);
    for (size_t i = 0; block > 0 && i + block <= count; i += block) {
        dequantise_block(type, row, out + i);
        row += gguf_type_bytes(type);
    }
}
