#ifndef ENGINE_KERNELS_H
#define ENGINE_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The loops that take the time, in one table per form. All forms give the same bits for every input that
 * passes the checks named here; rows can be given in any portions. */
enum { CHUNK = 64, Q8_BLOCK = 32, Q8_BLOCK_SIZE = 34 };

/* A vector rounded to blocks of 32 whole numbers in [-127, 127] times a scale. */
typedef struct quantised {
    int8_t *numbers;
    float *scales;
} quantised;

typedef struct kernels {
    const char *name;
    /* `count` is a multiple of 32. False when a value is not finite. */
    bool (*quantise)(quantised *q, const float *x, size_t count);
    /* y[r] = row r times x; the rows stand one after the other as they do in the file, unaligned. */
    void (*multiply_q8)(float *y, const uint8_t *rows, size_t row_count, size_t columns, const quantised *x);
    void (*multiply_f16)(float *y, const uint8_t *rows, size_t row_count, size_t columns, const float *x);
    void (*multiply_f32)(float *y, const uint8_t *rows, size_t row_count, size_t columns, const float *x);
    float (*sum_of_squares)(const float *x, size_t count);
    void (*exponentials)(float *x, size_t count); /* in place */
    /* s[t] = query times key t of a chunk; keys[d * CHUNK + t] are halves. */
    void (*score)(float s[CHUNK], const float *query, const uint16_t *keys, size_t head_size);
    /* total[d] += the sum over t of weights[t] * values[t * head_size + d]; `count` is at most CHUNK. */
    void (*weigh)(float *total, const float *weights, const uint16_t *values, size_t count, size_t head_size);
} kernels;

const kernels *kernels_plain(void);
/* NULL where the processor lacks AVX2, FMA or F16C, or isn't x86-64. */
const kernels *kernels_avx2(void);

#endif
