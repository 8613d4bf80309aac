/* The AVX-512 kernels, with the dot product of four bytes left to the including file:
 *   dot_small(acc, w, x): acc + Σ of each lane's 4 products, w unsigned below 64, x signed
 *   dot_full(acc, w, x):  the same for any unsigned w
 * Lanes are output rows (or positions, or the 16 of the README's lane sums), so each result takes the
 * roundings of the plain form in the same order. Loops over R tiles and T vectors have constant bounds after
 * inlining and stay in registers. */
#include "kernel/elementwise.h"
#include "kernel/forms.h"
#include "kernel/tile.h"

#include <immintrin.h>

#define INLINE static inline __attribute__((always_inline))
#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 8")
#endif

/* One tile at a time for one or two vectors, so that the weights are one stream from memory; two tiles for
 * more, up to eight vectors reading the weights just once, and beyond that six at a time, which is what
 * registers hold. */
enum { TILES = 2, PAIR_VECTORS = 6, VECTORS = 8 };

INLINE __m512i load_bytes(const void *from) {
    return _mm512_loadu_si512(from);
}

INLINE __m512 load_halves(const uint8_t *from) {
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)from));
}

INLINE int32_t four_numbers(const int8_t *from) {
    int32_t four = 0;
    memcpy(&four, from, sizeof four);
    return four;
}

INLINE bool has_fifths(gguf_type type) {
    return type == GGUF_Q5_0 || type == GGUF_Q5_1 || type == GGUF_Q5_K;
}

/* The stored numbers of group j (upper false) or j + 4 (upper true) of a sub-block. */
INLINE __m512i load_group(gguf_type type, const uint8_t *sub_block, size_t j, bool upper) {
    const __m512i low = _mm512_set1_epi8(15);
    if (type == GGUF_Q8_0) {
        return load_bytes(sub_block + (upper ? j + 4 : j) * GROUP_SIZE);
    }
    __m512i both = load_bytes(sub_block + (has_fifths(type) ? FIFTHS_SIZE : 0) + j * GROUP_SIZE);
    __m512i numbers = _mm512_and_si512(upper ? _mm512_srli_epi32(both, 4) : both, low);
    if (has_fifths(type)) {
        uint64_t mask = 0;
        memcpy(&mask, sub_block + 8 * (upper ? j + 4 : j), sizeof mask);
        return _mm512_mask_add_epi8(numbers, (__mmask64)mask, numbers, _mm512_set1_epi8(16));
    }
    if (type == GGUF_Q6_K) {
        __m512i sixths = load_bytes(sub_block + NIBBLES_SIZE + (upper ? GROUP_SIZE : 0));
        __m512i moved = j == 0   ? _mm512_slli_epi32(sixths, 4)
                        : j == 1 ? _mm512_slli_epi32(sixths, 2)
                        : j == 2 ? sixths
                                 : _mm512_srli_epi32(sixths, 2);
        const __m512i bits = _mm512_set1_epi8(0x30);
        return _mm512_ternarylogic_epi32(numbers, moved, bits, 0xf8); /* a | (b & c) */
    }
    return numbers;
}

INLINE __m512i dot(gguf_type type, __m512i acc, __m512i w, __m512i x) {
    return type == GGUF_Q8_0 ? dot_full(acc, w, x) : dot_small(acc, w, x);
}

/* So far ahead that memory is busy while this core multiplies: of the one stream that a lone tile is, a page;
 * of two tiles, what the next two hold at the same place, which the second cache keeps until then. */
INLINE void prefetch(const uint8_t *at, size_t size, const matrix *m, size_t R) {
    for (size_t i = 0; i < size; i += 64) {
        if (R == 1) {
            _mm_prefetch((const char *)at + 4096 + i, _MM_HINT_T0);
        } else {
            _mm_prefetch((const char *)at + R * m->tile_size + i, _MM_HINT_T1);
        }
    }
}

INLINE int start_of(gguf_type type) {
    return type == GGUF_Q8_0 ? START_128 : type == GGUF_Q5_0 ? START_16 : START_8;
}

/* R tiles from `first_tile` on, T vectors from `first` on. */
INLINE void multiply_32(gguf_type type, size_t R, size_t T, float *y, size_t y_stride, const matrix *m,
                        size_t first_tile, const operand *x, size_t first) {
    const uint8_t *tiles[TILES];
    const uint8_t *sub_blocks[TILES];
    const int8_t *numbers[VECTORS];
    const float *steps[VECTORS];
    const int32_t *starts[VECTORS];
    const int16_t *sums[VECTORS];
    __m512 acc[TILES][VECTORS];
    const bool minimums = type == GGUF_Q4_1 || type == GGUF_Q5_1;
    const size_t sub_size = sub_block_size(type);
    UNROLL for (size_t r = 0; r < R; r++) {
        tiles[r] = matrix_tile(m, first_tile + r);
    }
    UNROLL for (size_t t = 0; t < T; t++) {
        size_t at = (first + t) * x->stride;
        numbers[t] = x->by_32.numbers + at;
        steps[t] = x->by_32.scales + at / BLOCK_32;
        starts[t] = x->by_32.starts[start_of(type)] + at / BLOCK_32;
        sums[t] = x->by_32.sums + at / BLOCK_32;
        UNROLL for (size_t r = 0; r < R; r++) {
            acc[r][t] = _mm512_setzero_ps();
        }
    }
    for (size_t b = 0; b < m->columns / BLOCK_32; b++) {
        __m512i whole[TILES][VECTORS];
        UNROLL for (size_t r = 0; r < R; r++) {
            sub_blocks[r] = tiles[r] + block_numbers_at(type, b);
            UNROLL for (size_t t = 0; t < T; t++) {
                whole[r][t] = minimums ? _mm512_setzero_si512() : _mm512_set1_epi32(starts[t][b]);
            }
            if (first == 0) {
                prefetch(sub_blocks[r], sub_size + (b % 2 == 1 ? pair_scales_size(type) : 0), m, R);
            }
        }
        UNROLL for (size_t j = 0; j < 4; j++) {
            UNROLL for (size_t upper = 0; upper < 2; upper++) {
                __m512i w[TILES];
                UNROLL for (size_t r = 0; r < R; r++) {
                    w[r] = load_group(type, sub_blocks[r], j, upper == 1);
                }
                UNROLL for (size_t t = 0; t < T; t++) {
                    __m512i four = _mm512_set1_epi32(four_numbers(numbers[t] + 16 * upper + 4 * j));
                    UNROLL for (size_t r = 0; r < R; r++) {
                        whole[r][t] = dot(type, whole[r][t], w[r], four);
                    }
                }
            }
        }
        UNROLL for (size_t r = 0; r < R; r++) {
            const uint8_t *scales = tiles[r] + block_scales_at(type, b);
            __m512 scale = load_halves(scales);
            __m512 minimum = minimums ? load_halves(scales + PAIR_MINIMUMS_AT) : scale;
            UNROLL for (size_t t = 0; t < T; t++) {
                __m512 step = _mm512_set1_ps(steps[t][b]);
                __m512 sum = _mm512_cvtepi32_ps(whole[r][t]);
                acc[r][t] = _mm512_fmadd_ps(_mm512_mul_ps(scale, step), sum, acc[r][t]);
                if (minimums) {
                    __m512 total = _mm512_set1_ps((float)sums[t][b]);
                    acc[r][t] = _mm512_fmadd_ps(_mm512_mul_ps(minimum, step), total, acc[r][t]);
                }
            }
        }
        UNROLL for (size_t t = 0; t < T; t++) {
            numbers[t] += BLOCK_32;
        }
    }
    UNROLL for (size_t t = 0; t < T; t++) {
        UNROLL for (size_t r = 0; r < R; r++) {
            _mm512_storeu_ps(y + t * y_stride + (first_tile + r) * TILE_ROWS, acc[r][t]);
        }
    }
}

INLINE __m512i load_sub_scales(gguf_type type, const uint8_t *at) {
    __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)at);
    return type == GGUF_Q6_K ? _mm512_cvtepi8_epi32(bytes) : _mm512_cvtepu8_epi32(bytes);
}

/* A sub-block's products times its sub-scales, added to `whole`. */
INLINE void add_sub_block(gguf_type type, size_t R, size_t T, __m512i whole[TILES][VECTORS],
                          const uint8_t *const blocks[TILES], size_t part,
                          const int8_t *const numbers[VECTORS], const int32_t *const starts[VECTORS]) {
    const bool six = type == GGUF_Q6_K;
    const size_t at = (six ? Q6_K_NUMBERS_AT : K_NUMBERS_AT) + part * sub_block_size(type);
    __m512i sum[TILES][VECTORS];
    UNROLL for (size_t upper = 0; upper < 2; upper++) {
        UNROLL for (size_t t = 0; t < T; t++) {
            if (!six && upper == 1) {
                continue;
            }
            UNROLL for (size_t r = 0; r < R; r++) {
                sum[r][t] = six ? _mm512_set1_epi32(starts[t][2 * part + upper]) : _mm512_setzero_si512();
            }
        }
        UNROLL for (size_t j = 0; j < 4; j++) {
            __m512i w[TILES];
            UNROLL for (size_t r = 0; r < R; r++) {
                w[r] = load_group(type, blocks[r] + at, j, upper == 1);
            }
            UNROLL for (size_t t = 0; t < T; t++) {
                __m512i four =
                    _mm512_set1_epi32(four_numbers(numbers[t] + BLOCK_32 * part + 16 * upper + 4 * j));
                UNROLL for (size_t r = 0; r < R; r++) {
                    sum[r][t] = dot(type, sum[r][t], w[r], four);
                }
            }
        }
        if (!six && upper == 0) {
            continue;
        }
        UNROLL for (size_t r = 0; r < R; r++) {
            size_t index = six ? 2 * part + upper : part;
            __m512i scale = load_sub_scales(type, blocks[r] + K_SCALES_AT + TILE_ROWS * index);
            UNROLL for (size_t t = 0; t < T; t++) {
                whole[r][t] = _mm512_add_epi32(whole[r][t], _mm512_mullo_epi32(sum[r][t], scale));
            }
        }
    }
}

/* The sub-minimums of a block, times the sums of the vector's sub-blocks. */
INLINE void load_minimums(__m512i minimums[4], const uint8_t *block) {
    UNROLL for (size_t pair = 0; pair < 4; pair++) {
        const void *at = block + K_MINIMUMS_AT + pair * 2 * TILE_ROWS;
        minimums[pair] = _mm512_cvtepu8_epi16(_mm256_loadu_si256((const __m256i *)at));
    }
}

INLINE __m512i minimum_sum(const __m512i minimums[4], const int16_t *sums) {
    __m512i total = _mm512_setzero_si512();
    UNROLL for (size_t pair = 0; pair < 4; pair++) {
        int32_t two = 0;
        memcpy(&two, sums + 2 * pair, sizeof two);
        total = _mm512_add_epi32(total, _mm512_madd_epi16(minimums[pair], _mm512_set1_epi32(two)));
    }
    return total;
}

INLINE void multiply_256(gguf_type type, size_t R, size_t T, float *y, size_t y_stride, const matrix *m,
                         size_t first_tile, const operand *x, size_t first) {
    const uint8_t *blocks[TILES];
    const int8_t *numbers[VECTORS];
    const int32_t *starts[VECTORS];
    __m512 acc[TILES][VECTORS];
    const size_t size = super_block_size(type);
    UNROLL for (size_t r = 0; r < R; r++) {
        blocks[r] = matrix_tile(m, first_tile + r);
    }
    UNROLL for (size_t t = 0; t < T; t++) {
        numbers[t] = x->by_256.numbers + (first + t) * x->stride;
        starts[t] = x->by_256.starts + (first + t) * x->stride / 16;
        UNROLL for (size_t r = 0; r < R; r++) {
            acc[r][t] = _mm512_setzero_ps();
        }
    }
    for (size_t b = 0; b < m->columns / BLOCK_256; b++) {
        __m512i whole[TILES][VECTORS];
        UNROLL for (size_t t = 0; t < T; t++) {
            UNROLL for (size_t r = 0; r < R; r++) {
                whole[r][t] = _mm512_setzero_si512();
            }
        }
        for (size_t part = 0; part < 8; part++) {
            UNROLL for (size_t r = 0; first == 0 && r < R; r++) {
                prefetch(blocks[r] + part * (size / 8), size / 8, m, R);
            }
            add_sub_block(type, R, T, whole, blocks, part, numbers, starts);
        }
        UNROLL for (size_t r = 0; r < R; r++) {
            __m512 scale = load_halves(blocks[r]);
            __m512 minimum = load_halves(blocks[r] + TILE_HALVES_SIZE);
            __m512i minimums[4];
            load_minimums(minimums, blocks[r]);
            UNROLL for (size_t t = 0; t < T; t++) {
                size_t at = (first + t) * x->stride / BLOCK_256 + b;
                __m512 step = _mm512_set1_ps(x->by_256.scales[at]);
                __m512 sum = _mm512_cvtepi32_ps(whole[r][t]);
                acc[r][t] = _mm512_fmadd_ps(_mm512_mul_ps(scale, step), sum, acc[r][t]);
                if (type != GGUF_Q6_K) {
                    __m512 total = _mm512_cvtepi32_ps(minimum_sum(minimums, x->by_256.sums + at * 8));
                    acc[r][t] = _mm512_fnmadd_ps(_mm512_mul_ps(minimum, step), total, acc[r][t]);
                }
            }
        }
        UNROLL for (size_t t = 0; t < T; t++) {
            numbers[t] += BLOCK_256;
            starts[t] += BLOCK_256 / 16;
        }
        UNROLL for (size_t r = 0; r < R; r++) {
            blocks[r] += size;
        }
    }
    UNROLL for (size_t t = 0; t < T; t++) {
        UNROLL for (size_t r = 0; r < R; r++) {
            _mm512_storeu_ps(y + t * y_stride + (first_tile + r) * TILE_ROWS, acc[r][t]);
        }
    }
}

INLINE __m512 load_weights(gguf_type type, const uint8_t *row, size_t k) {
    if (type == GGUF_F32) {
        return _mm512_loadu_ps(row + 4 * k);
    }
    if (type == GGUF_F16) {
        return load_halves(row + 2 * k);
    }
    __m256i upper = _mm256_loadu_si256((const __m256i *)(const void *)(row + 2 * k));
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(upper), 16));
}

INLINE float tree(__m512 lanes) {
    __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(lanes), _mm512_extractf32x8_ps(lanes, 1));
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

enum { FLOAT_ROWS = 4, FLOAT_VECTORS = 4 };

/* Columns beyond the last are zeros, in the matrix and in the vectors. */
INLINE void multiply_floats(gguf_type type, size_t T, float *y, size_t y_stride, const matrix *m, size_t tile,
                            const operand *x, size_t first) {
    const size_t row_size = float_row_size(m);
    for (size_t row = 0; row < TILE_ROWS; row += FLOAT_ROWS) {
        __m512 acc[FLOAT_ROWS][FLOAT_VECTORS];
        const uint8_t *rows = matrix_tile(m, tile) + row * row_size;
        UNROLL for (size_t r = 0; r < FLOAT_ROWS; r++) {
            UNROLL for (size_t t = 0; t < T; t++) {
                acc[r][t] = _mm512_setzero_ps();
            }
        }
        for (size_t k = 0; k < m->columns; k += LANES) {
            UNROLL for (size_t r = 0; r < FLOAT_ROWS; r++) {
                __m512 w = load_weights(type, rows + r * row_size, k);
                UNROLL for (size_t t = 0; t < T; t++) {
                    __m512 values = _mm512_loadu_ps(x->values + (first + t) * x->stride + k);
                    acc[r][t] = _mm512_fmadd_ps(w, values, acc[r][t]);
                }
            }
        }
        UNROLL for (size_t r = 0; r < FLOAT_ROWS; r++) {
            UNROLL for (size_t t = 0; t < T; t++) {
                y[t * y_stride + tile * TILE_ROWS + row + r] = tree(acc[r][t]);
            }
        }
    }
}

INLINE void multiply_tiles(gguf_type type, size_t R, size_t T, float *y, size_t y_stride, const matrix *m,
                           size_t first_tile, const operand *x, size_t first) {
    if (type_has_super_blocks(type)) {
        multiply_256(type, R, T, y, y_stride, m, first_tile, x, first);
    } else {
        multiply_32(type, R, T, y, y_stride, m, first_tile, x, first);
    }
}

/* All vectors with R tiles, so that these stay in the caches. */
INLINE void multiply_vectors(gguf_type type, size_t R, float *y, size_t y_stride, const matrix *m,
                             size_t first_tile, const operand *x, size_t first, size_t count) {
    while (count > 0) {
        size_t most = VECTORS;
        size_t taken = count <= most ? count : PAIR_VECTORS;
#define CASE(N)                                                                                              \
    case N:                                                                                                  \
        multiply_tiles(type, R, N, y, y_stride, m, first_tile, x, first);                                    \
        break;
        switch (taken) {
            CASE(1)
            CASE(2)
            CASE(3)
            CASE(4)
            CASE(5)
            CASE(6)
            CASE(7)
            CASE(8)
        }
#undef CASE
        y += taken * y_stride;
        first += taken;
        count -= taken;
    }
}

INLINE void multiply_numbers(gguf_type type, float *y, size_t y_stride, const matrix *m, size_t first_tile,
                             size_t tile_count, const operand *x, size_t first, size_t count) {
    size_t t = 0;
    for (; count > 2 && t + TILES <= tile_count; t += TILES) {
        multiply_vectors(type, TILES, y, y_stride, m, first_tile + t, x, first, count);
    }
    for (; t < tile_count; t++) {
        multiply_vectors(type, 1, y, y_stride, m, first_tile + t, x, first, count);
    }
}

#include "kernel/by_type.h"

/* `rows` rows of a, `wide` times 16 columns from `column` on, of which the last 16 may be cut by `mask`. */
INLINE void halves_block(size_t rows, size_t wide, float *out, size_t out_stride, const float *a,
                         size_t a_stride, const uint16_t *b, size_t depth, size_t columns, __mmask16 mask,
                         bool add) {
    __m512 acc[PAIR_VECTORS][4];
    UNROLL for (size_t r = 0; r < rows; r++) {
        UNROLL for (size_t c = 0; c < wide; c++) {
            acc[r][c] = _mm512_setzero_ps();
        }
    }
    for (size_t k = 0; k < depth; k++) {
        __m512 right[4];
        UNROLL for (size_t c = 0; c < wide; c++) {
            right[c] = _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(mask, b + k * columns + 16 * c));
        }
        UNROLL for (size_t r = 0; r < rows; r++) {
            __m512 left = _mm512_set1_ps(a[r * a_stride + k]);
            UNROLL for (size_t c = 0; c < wide; c++) {
                acc[r][c] = _mm512_fmadd_ps(left, right[c], acc[r][c]);
            }
        }
    }
    UNROLL for (size_t r = 0; r < rows; r++) {
        UNROLL for (size_t c = 0; c < wide; c++) {
            float *place = out + r * out_stride + 16 * c;
            __m512 before = add ? _mm512_maskz_loadu_ps(mask, place) : acc[r][c];
            _mm512_mask_storeu_ps(place, mask, add ? _mm512_add_ps(before, acc[r][c]) : acc[r][c]);
        }
    }
}

INLINE void halves_rows(size_t wide, float *out, size_t out_stride, const float *a, size_t a_stride,
                        size_t rows, const uint16_t *b, size_t depth, size_t columns, __mmask16 mask,
                        bool add) {
    while (rows > 0) {
        size_t taken = rows >= 12 || rows == 6 ? 6 : rows >= 4 ? 4 : rows;
#define CASE(N)                                                                                              \
    case N:                                                                                                  \
        halves_block(N, wide, out, out_stride, a, a_stride, b, depth, columns, mask, add);                   \
        break;
        switch (taken) {
            CASE(6)
            CASE(4)
            CASE(3)
            CASE(2)
            CASE(1)
        default:
            break;
        }
#undef CASE
        out += taken * out_stride;
        a += taken * a_stride;
        rows -= taken;
    }
}

static void multiply_halves(float *out, size_t out_stride, const float *a, size_t a_stride, size_t rows,
                            const uint16_t *b, size_t depth, size_t columns, bool add) {
    size_t c = 0;
    for (; c + 64 <= columns; c += 64) {
        halves_rows(4, out + c, out_stride, a, a_stride, rows, b + c, depth, columns, 0xffff, add);
    }
    for (; c < columns; c += 16) {
        __mmask16 mask = (__mmask16)(columns - c >= 16 ? 0xffffU : (1U << (columns - c)) - 1U);
        halves_rows(1, out + c, out_stride, a, a_stride, rows, b + c, depth, columns, mask, add);
    }
}

static bool to_halves(uint16_t *out, size_t stride, const float *x, size_t count) {
    bool fits = true;
    for (size_t i = 0; i < count; i += LANES) {
        size_t length = count - i < LANES ? count - i : LANES;
        uint16_t halves[LANES];
        __m512 values = _mm512_maskz_loadu_ps((__mmask16)((1U << length) - 1U), x + i);
        __m256i rounded = _mm512_cvtps_ph(values, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
        const __m256i exponent = _mm256_set1_epi16(0x7c00);
        fits = fits && _mm256_cmpeq_epi16_mask(_mm256_and_si256(rounded, exponent), exponent) == 0;
        _mm256_storeu_si256((__m256i *)(void *)halves, rounded);
        for (size_t j = 0; j < length; j++) {
            out[(i + j) * stride] = halves[j];
        }
    }
    return fits;
}

#define AVX512_KERNELS                                                                                       \
    .multiply = multiply, .multiply_halves = multiply_halves, .to_halves = to_halves, ELEMENTWISE_KERNELS
