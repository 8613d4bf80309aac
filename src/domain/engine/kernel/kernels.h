#ifndef ENGINE_KERNEL_KERNELS_H
#define ENGINE_KERNEL_KERNELS_H

#include "kernel/matrix.h"

/* The loops that take the time, one table per instruction set. All give the same bits for every input; tiles,
 * vectors and rows may be given in any portions. Arrays are aligned to 64 bytes and padded as said here. */
enum { CHUNK = 64 /* positions of a page of the cache */, KERNELS_MAX = 8 };

/* Vectors made ready for matrices: as they are, and rounded to blocks of 32 and of 256 as the types want it.
 * Vector v of an array stands at v * stride (numbers, values) or v * stride / block. */
typedef struct operand {
    size_t columns;
    size_t stride;       /* columns rounded up to a multiple of 256; values between are 0 */
    const float *values; /* for F32, F16, BF16 */
    struct {
        int8_t *numbers;    /* [-127, 127] */
        float *scales;      /* one per 32 */
        int16_t *sums;      /* of 32 numbers */
        int32_t *starts[3]; /* -8, -16 and -128 times the sum of 32: what the weights' unsigned form adds too
                               much */
    } by_32;
    struct {
        int8_t *numbers;
        float *scales;   /* one per 256 */
        int16_t *sums;   /* of 32 numbers */
        int32_t *starts; /* -32 times the sum of 16 */
    } by_256;
} operand;

enum { START_8, START_16, START_128 };

typedef struct kernels {
    const char *name;
    /* Round vector `index` of the operand, from operand->values. False when a value is not finite (then all
     * its numbers, scales and sums are 0). */
    bool (*quantise_32)(const operand *x, size_t index);
    bool (*quantise_256)(const operand *x, size_t index);
    /* y[(v - first_vector) * y_stride + r] = row r of the matrix times vector v, for the rows of tiles
     * [first_tile, first_tile + tile_count), padding rows too, and vectors [first_vector, + vector_count).
     * y is the place of row 0 of the matrix. */
    void (*multiply)(float *y, size_t y_stride, const matrix *m, size_t first_tile, size_t tile_count,
                     const operand *x, size_t first_vector, size_t vector_count);
    /* out[r][c] = the fma chain over k ascending from +0 of a[r][k] * half b[k][c], or that added to
     * out[r][c] by one addition. b is dense: `columns` halves a row. */
    void (*multiply_halves)(float *out, size_t out_stride, const float *a, size_t a_stride, size_t rows,
                            const uint16_t *b, size_t depth, size_t columns, bool add);
    /* The elementwise and reducing operations of elementwise.h, compiled for this instruction set. */
    float (*sum_of_squares)(const float *x, size_t count); /* 16 lanes, tree16 */
    float (*sum)(const float *x, size_t count);            /* likewise, plain additions */
    float (*largest)(const float *x, size_t count);        /* count > 0; NaN if any is not finite */
    void (*scale_and_weigh)(float *y, const float *x, float scale, const float *weights,
                            size_t count);               /* fl(fl(x*scale)*w) */
    void (*add)(float *y, const float *x, size_t count); /* y = fl(y + x) */
    /* Softmax numerators of a chunk, in place: exp(fl(fl(s - largest) * scale)) for t in [from, to), +0 for
     * the others; gives their sum (rule 7). */
    float (*weigh_scores)(float s[CHUNK], size_t from, size_t to, float largest, float scale);
    void (*cap)(float *x, size_t count, float scale, float limit); /* soft cap of scaled scores */
    void (*gate_silu)(float *gate, const float *up, size_t count); /* gate = fl(silu(gate) * up) */
    void (*gate_gelu)(float *gate, const float *up, size_t count); /* the tanh form */
    void (*gelu)(float *x, size_t count);                          /* the erf form, no gate */
    void (*exponentials)(float *x, size_t count);                  /* in place */
    /* Rotary embedding of `heads` heads; pairs are neighbours or halves apart; only the first 2 * pairs of a
     * head. */
    void (*rotate)(float *x, size_t heads, size_t head_size, size_t pairs, bool neighbours,
                   const float *cosines, const float *sines);
    /* False when a value doesn't fit a half. out[i * stride]. */
    bool (*to_halves)(uint16_t *out, size_t stride, const float *x, size_t count);
} kernels;

/* The fastest that the processor has; all forms of this build that it can run, fastest first, plain last. */
const kernels *kernels_best(void);
size_t kernels_available(const kernels *forms[KERNELS_MAX]);
/* By name: "plain", "avx2", "avx512", "avx512-vnni", "neon". NULL: not in this build or not on this
 * processor. */
const kernels *kernels_find(const char *name);

#endif
