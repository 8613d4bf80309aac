#include "arithmetic/arithmetic.h"
#include "kernels.h"

/* The reference: each function as the README states it, nothing arranged for speed. */

static bool quantise_block(int8_t *numbers, float *scale, const float *x) {
    float largest = 0;
    for (size_t i = 0; i < Q8_BLOCK; i++) {
        if (!is_finite(x[i])) {
            return false;
        }
        float size = fabsf(x[i]);
        largest = size > largest ? size : largest;
    }
    if (largest < 0x1p-100f) {
        *scale = 0;
        memset(numbers, 0, Q8_BLOCK);
        return true;
    }
    *scale = largest / 127.0f;
    float inverse = 127.0f / largest;
    for (size_t i = 0; i < Q8_BLOCK; i++) {
        numbers[i] = (int8_t)round_even(x[i] * inverse);
    }
    return true;
}

static bool quantise(quantised *q, const float *x, size_t count) {
    for (size_t block = 0; block < count / Q8_BLOCK; block++) {
        if (!quantise_block(q->numbers + block * Q8_BLOCK, &q->scales[block], x + block * Q8_BLOCK)) {
            return false;
        }
    }
    return true;
}

static void multiply_q8(float *y, const uint8_t *rows, size_t row_count, size_t columns, const quantised *x) {
    size_t blocks = columns / Q8_BLOCK;
    for (size_t row = 0; row < row_count; row++) {
        float sum = 0;
        for (size_t block = 0; block < blocks; block++) {
            const uint8_t *scale = rows + (row * blocks + block) * Q8_BLOCK_SIZE;
            const int8_t *weights = (const int8_t *)scale + 2;
            const int8_t *numbers = x->numbers + block * Q8_BLOCK;
            int32_t dot = 0;
            for (size_t i = 0; i < Q8_BLOCK; i++) {
                dot += weights[i] * numbers[i];
            }
            sum = fmaf(float_of_half(load_u16(scale)) * x->scales[block], (float)dot, sum);
        }
        y[row] = sum;
    }
}

static void multiply_f16(float *y, const uint8_t *rows, size_t row_count, size_t columns, const float *x) {
    for (size_t row = 0; row < row_count; row++) {
        float lanes[16] = {0};
        const uint8_t *weights = rows + row * columns * 2;
        for (size_t i = 0; i < columns; i++) {
            lanes[i % 16] = fmaf(float_of_half(load_u16(weights + 2 * i)), x[i], lanes[i % 16]);
        }
        y[row] = tree16(lanes);
    }
}

static void multiply_f32(float *y, const uint8_t *rows, size_t row_count, size_t columns, const float *x) {
    for (size_t row = 0; row < row_count; row++) {
        float lanes[16] = {0};
        const uint8_t *weights = rows + row * columns * 4;
        for (size_t i = 0; i < columns; i++) {
            lanes[i % 16] = fmaf(load_f32(weights + 4 * i), x[i], lanes[i % 16]);
        }
        y[row] = tree16(lanes);
    }
}

static float sum_of_squares(const float *x, size_t count) {
    float lanes[16] = {0};
    for (size_t i = 0; i < count; i++) {
        lanes[i % 16] = fmaf(x[i], x[i], lanes[i % 16]);
    }
    return tree16(lanes);
}

static void exponentials(float *x, size_t count) {
    for (size_t i = 0; i < count; i++) {
        x[i] = exponential(x[i]);
    }
}

static void score(float s[CHUNK], const float *query, const uint16_t *keys, size_t head_size) {
    for (size_t t = 0; t < CHUNK; t++) {
        s[t] = 0;
        for (size_t d = 0; d < head_size; d++) {
            s[t] = fmaf(query[d], float_of_half(keys[d * CHUNK + t]), s[t]);
        }
    }
}

static void weigh(float *total, const float *weights, const uint16_t *values, size_t count,
                  size_t head_size) {
    for (size_t d = 0; d < head_size; d++) {
        float sum = 0;
        for (size_t t = 0; t < count; t++) {
            sum = fmaf(weights[t], float_of_half(values[t * head_size + d]), sum);
        }
        total[d] += sum;
    }
}

const kernels *kernels_plain(void) {
    static const kernels plain = {.name = "plain",
                                  .quantise = quantise,
                                  .multiply_q8 = multiply_q8,
                                  .multiply_f16 = multiply_f16,
                                  .multiply_f32 = multiply_f32,
                                  .sum_of_squares = sum_of_squares,
                                  .exponentials = exponentials,
                                  .score = score,
                                  .weigh = weigh};
    return &plain;
}
