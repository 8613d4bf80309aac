#ifndef ENGINE_KERNEL_ELEMENTWISE_H
#define ENGINE_KERNEL_ELEMENTWISE_H

#include "arithmetic/arithmetic.h"
#include "kernel/kernels.h"

/* What is done element by element or in 16 lanes, in plain C. Each form of the kernels includes it and so
 * compiles it for its own instruction set: what a compiler may do with it keeps every bit. */

enum { LANES = 16 };

/* The largest size as bits: they order sizes as whole numbers, infinities and NaN on top. */
static inline uint32_t largest_bits(const float *x, size_t count) {
    uint32_t largest = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t bits = bits_of_float(x[i]) & 0x7fffffffU;
        largest = bits > largest ? bits : largest;
    }
    return largest;
}

/* Rounds a block to whole numbers in [-127, 127] and a scale (rule 2). False: not finite. */
static inline bool round_block(int8_t *numbers, float *scale, const float *x, size_t count) {
    uint32_t bits = largest_bits(x, count);
    float largest = float_of_bits(bits);
    if (bits >= 0x7f800000U || largest < 0x1p-100f) {
        *scale = 0;
        memset(numbers, 0, count);
        return bits < 0x7f800000U;
    }
    float inverse = 127.0f / largest;
    *scale = largest / 127.0f;
    for (size_t i = 0; i < count; i++) {
        numbers[i] = (int8_t)(int32_t)round_even(x[i] * inverse);
    }
    return true;
}

static inline int32_t sum_numbers(const int8_t *numbers, size_t count) {
    int32_t sum = 0;
    for (size_t i = 0; i < count; i++) {
        sum += numbers[i];
    }
    return sum;
}

static inline bool quantise_32(const operand *x, size_t index) {
    bool finite = true;
    const float *values = x->values + index * x->stride;
    int8_t *numbers = x->by_32.numbers + index * x->stride;
    size_t at = index * x->stride / BLOCK_32;
    for (size_t b = 0; b < x->columns / BLOCK_32; b++) {
        int8_t *block = numbers + b * BLOCK_32;
        finite = round_block(block, &x->by_32.scales[at + b], values + b * BLOCK_32, BLOCK_32) && finite;
        int32_t sum = sum_numbers(block, BLOCK_32);
        x->by_32.sums[at + b] = (int16_t)sum;
        x->by_32.starts[START_8][at + b] = -8 * sum;
        x->by_32.starts[START_16][at + b] = -16 * sum;
        x->by_32.starts[START_128][at + b] = -128 * sum;
    }
    return finite;
}

static inline bool quantise_256(const operand *x, size_t index) {
    bool finite = true;
    const float *values = x->values + index * x->stride;
    int8_t *numbers = x->by_256.numbers + index * x->stride;
    size_t at = index * x->stride / BLOCK_256;
    for (size_t b = 0; b < x->columns / BLOCK_256; b++) {
        int8_t *block = numbers + b * BLOCK_256;
        finite = round_block(block, &x->by_256.scales[at + b], values + b * BLOCK_256, BLOCK_256) && finite;
        for (size_t part = 0; part < 8; part++) {
            int32_t first = sum_numbers(block + part * BLOCK_32, 16);
            int32_t second = sum_numbers(block + part * BLOCK_32 + 16, 16);
            x->by_256.sums[(at + b) * 8 + part] = (int16_t)(first + second);
            x->by_256.starts[(at + b) * 16 + 2 * part] = -32 * first;
            x->by_256.starts[(at + b) * 16 + 2 * part + 1] = -32 * second;
        }
    }
    return finite;
}

static inline float sum_of_squares(const float *x, size_t count) {
    float lanes[LANES] = {0};
    size_t whole = count / LANES * LANES;
    for (size_t i = 0; i < whole; i += LANES) {
        for (size_t l = 0; l < LANES; l++) {
            lanes[l] = fmaf(x[i + l], x[i + l], lanes[l]);
        }
    }
    for (size_t i = whole; i < count; i++) {
        lanes[i % LANES] = fmaf(x[i], x[i], lanes[i % LANES]);
    }
    return tree16(lanes);
}

static inline float sum_of(const float *x, size_t count) {
    float lanes[LANES] = {0};
    size_t whole = count / LANES * LANES;
    for (size_t i = 0; i < whole; i += LANES) {
        for (size_t l = 0; l < LANES; l++) {
            lanes[l] += x[i + l];
        }
    }
    for (size_t i = whole; i < count; i++) {
        lanes[i % LANES] += x[i];
    }
    return tree16(lanes);
}

/* By the order of their bits as signed whole numbers, which is theirs but for the two zeros. */
static inline float largest_of(const float *x, size_t count) {
    int32_t largest = INT32_MIN;
    uint32_t biggest = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t bits = bits_of_float(x[i]);
        uint32_t size = bits & 0x7fffffffU;
        int32_t order = (int32_t)(bits ^ ((uint32_t)((int32_t)bits >> 31) >> 1));
        largest = order > largest ? order : largest;
        biggest = size > biggest ? size : biggest;
    }
    uint32_t bits = (uint32_t)largest ^ ((uint32_t)(largest >> 31) >> 1);
    return float_of_bits(biggest >= 0x7f800000U ? 0x7fc00000U : bits);
}

static inline void scale_and_weigh(float *y, const float *x, float scale, const float *weights,
                                   size_t count) {
    for (size_t i = 0; i < count; i++) {
        float scaled = x[i] * scale;
        y[i] = scaled * weights[i];
    }
}

static inline void add_to(float *y, const float *x, size_t count) {
    for (size_t i = 0; i < count; i++) {
        y[i] += x[i];
    }
}

static inline void exponentials(float *x, size_t count) {
    for (size_t i = 0; i < count; i++) {
        x[i] = exponential(x[i]);
    }
}

static inline float weigh_scores(float s[CHUNK], size_t from, size_t to, float largest, float scale) {
    float lanes[LANES];
    for (size_t t = 0; t < CHUNK; t++) {
        float weight = exponential((s[t] - largest) * scale);
        s[t] = t >= from && t < to ? weight : 0.0f;
    }
    for (size_t l = 0; l < LANES; l++) {
        lanes[l] = ((s[l] + s[16 + l]) + s[32 + l]) + s[48 + l];
    }
    return tree16(lanes);
}

static inline float hyperbolic_tangent(float x) {
    uint32_t sign = bits_of_float(x) & 0x80000000U;
    float size = float_of_bits(bits_of_float(x) & 0x7fffffffU);
    float t = exponential(-2.0f * size);
    float result = (1.0f - t) / (1.0f + t);
    return float_of_bits(bits_of_float(result) | sign);
}

static inline void cap(float *x, size_t count, float scale, float limit) {
    for (size_t i = 0; i < count; i++) {
        float scaled = x[i] * scale;
        x[i] = limit * hyperbolic_tangent(scaled / limit);
    }
}

static inline void gate_silu(float *gate, const float *up, size_t count) {
    for (size_t i = 0; i < count; i++) {
        float weighted = gate[i] / (1.0f + exponential(-gate[i]));
        gate[i] = weighted * up[i];
    }
}

/* Hendrycks and Gimpel 2016, the form with tanh. */
static inline void gate_gelu(float *gate, const float *up, size_t count) {
    for (size_t i = 0; i < count; i++) {
        float x = gate[i];
        float inner = x * fmaf(0x1.6e4e26p-5f * x, x, 1.0f);
        float both = 1.0f + hyperbolic_tangent(0x1.988454p-1f * inner);
        float weighted = 0.5f * x * both;
        gate[i] = weighted * up[i];
    }
}

/* The error function by Abramowitz and Stegun 7.1.26. */
static inline void gelu(float *x, size_t count) {
    for (size_t i = 0; i < count; i++) {
        uint32_t sign = bits_of_float(x[i]) & 0x80000000U;
        float z = float_of_bits(bits_of_float(x[i]) & 0x7fffffffU) * 0x1.6a09e6p-1f;
        float t = 1.0f / fmaf(0x1.4f740ap-2f, z, 1.0f);
        float p = 0x1.0fb844p0f;
        p = fmaf(p, t, -0x1.7401c6p0f);
        p = fmaf(p, t, 0x1.6be1c6p0f);
        p = fmaf(p, t, -0x1.23531cp-2f);
        p = fmaf(p, t, 0x1.04f20cp-2f);
        p = p * t;
        float square = z * z;
        float error_function = fmaf(-p, exponential(-square), 1.0f);
        float both = 1.0f + float_of_bits(bits_of_float(error_function) ^ sign);
        x[i] = 0.5f * x[i] * both;
    }
}

static inline void rotate(float *x, size_t heads, size_t head_size, size_t pairs, bool neighbours,
                          const float *cosines, const float *sines) {
    for (size_t head = 0; head < heads; head++) {
        float *vector = x + head * head_size;
        for (size_t i = 0; i < pairs && neighbours; i++) {
            float a = vector[2 * i];
            float b = vector[2 * i + 1];
            vector[2 * i] = fmaf(a, cosines[i], -(b * sines[i]));
            vector[2 * i + 1] = fmaf(b, cosines[i], a * sines[i]);
        }
        for (size_t i = 0; i < pairs && !neighbours; i++) {
            float a = vector[i];
            float b = vector[pairs + i];
            vector[i] = fmaf(a, cosines[i], -(b * sines[i]));
            vector[pairs + i] = fmaf(b, cosines[i], a * sines[i]);
        }
    }
}

#define ELEMENTWISE_KERNELS                                                                                  \
    .quantise_32 = quantise_32, .quantise_256 = quantise_256, .sum_of_squares = sum_of_squares,              \
    .sum = sum_of, .largest = largest_of, .scale_and_weigh = scale_and_weigh, .add = add_to,                 \
    .weigh_scores = weigh_scores, .cap = cap, .gate_silu = gate_silu, .gate_gelu = gate_gelu, .gelu = gelu,  \
    .exponentials = exponentials, .rotate = rotate

#endif
