/* The kernels for AVX2 with FMA and F16C. Lanes are output rows (or positions, or the 16 of the README's lane
 * sums), so each result takes the roundings of the plain form in the same order. A tile is two vectors of
 * eight rows, its parts; loops over T vectors of the operand have constant bounds after inlining. */
#include "kernel/elementwise.h"
#include "kernel/forms.h"
#include "kernel/tile.h"

#include <cpuid.h>
#include <immintrin.h>

#define INLINE static inline __attribute__((always_inline))
#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 8")
#endif

enum { HALF_ROWS = 8, HALF_GROUP = 32, PARTS = 2, VECTORS = 4, PREFETCH = 2048 };

INLINE __m256i load_bytes(const void *from) {
    return _mm256_loadu_si256((const __m256i *)from);
}

INLINE __m128i load_16_bytes(const void *from) {
    return _mm_loadu_si128((const __m128i *)from);
}

INLINE __m256 load_halves(const void *from) {
    return _mm256_cvtph_ps(load_16_bytes(from));
}

INLINE __m256i broadcast_four(const void *from) {
    int32_t four = 0;
    memcpy(&four, from, sizeof four);
    return _mm256_set1_epi32(four);
}

INLINE void prefetch(const uint8_t *at, size_t size) {
    for (size_t i = 0; i < size; i += 64) {
        _mm_prefetch((const char *)at + PREFETCH + i, _MM_HINT_T0);
    }
}

INLINE bool has_fifths(gguf_type type) {
    return type == GGUF_Q5_0 || type == GGUF_Q5_1 || type == GGUF_Q5_K;
}

/* 16 where the bit of a byte is set. */
INLINE __m256i spread_fifths(const uint8_t *bits) {
    const __m256i places = _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303);
    const __m256i each = _mm256_set1_epi64x((long long)0x8040201008040201);
    __m256i chosen = _mm256_and_si256(_mm256_shuffle_epi8(broadcast_four(bits), places), each);
    return _mm256_and_si256(_mm256_cmpeq_epi8(chosen, each), _mm256_set1_epi8(16));
}

/* Bits 2j and 2j + 1 of each byte, as bits 4 and 5. */
INLINE __m256i choose_sixths(__m256i bits, size_t j) {
    __m256i moved = j == 0   ? _mm256_slli_epi16(bits, 4)
                    : j == 1 ? _mm256_slli_epi16(bits, 2)
                    : j == 2 ? bits
                             : _mm256_srli_epi16(bits, 2);
    return _mm256_and_si256(moved, _mm256_set1_epi8(0x30));
}

/* The stored numbers of group g of a sub-block, of the tile's first or second eight rows. */
INLINE __m256i load_group(gguf_type type, const uint8_t *sub_block, size_t g, size_t part) {
    const uint8_t *at = sub_block + part * HALF_GROUP;
    const size_t j = g % 4;
    if (type == GGUF_Q8_0) {
        return load_bytes(at + g * GROUP_SIZE);
    }
    __m256i both = load_bytes(at + (has_fifths(type) ? FIFTHS_SIZE : 0) + j * GROUP_SIZE);
    __m256i numbers = _mm256_and_si256(g < 4 ? both : _mm256_srli_epi16(both, 4), _mm256_set1_epi8(15));
    if (has_fifths(type)) {
        return _mm256_or_si256(numbers, spread_fifths(sub_block + 8 * g + 4 * part));
    }
    if (type == GGUF_Q6_K) {
        __m256i bits = load_bytes(at + NIBBLES_SIZE + g / 4 * GROUP_SIZE);
        return _mm256_or_si256(numbers, choose_sixths(bits, j));
    }
    return numbers;
}

/* Groups whose sums of two products stay below 2^15 together: 8 * 2 * 15 * 127, 4 * 2 * 31 * 127,
 * 2 * 2 * 63 * 127, 2 * 128 * 127. */
INLINE size_t groups_together(gguf_type type) {
    return type == GGUF_Q8_0 ? 1 : type == GGUF_Q6_K ? 2 : has_fifths(type) ? 4 : 8;
}

/* Of each row, two sums of two products. Q8_0 by size and sign of the meant number w - 128. */
INLINE __m256i multiply_group(gguf_type type, __m256i w, __m256i x) {
    if (type == GGUF_Q8_0) {
        __m256i meant = _mm256_xor_si256(w, _mm256_set1_epi8(-128));
        return _mm256_maddubs_epi16(_mm256_abs_epi8(meant), _mm256_sign_epi8(x, meant));
    }
    return _mm256_maddubs_epi16(w, x);
}

/* Groups [g, g + groups_together) of a sub-block times the numbers there: two 16-bit sums a row. */
INLINE void multiply_groups(gguf_type type, size_t T, __m256i pairs[PARTS][VECTORS], size_t g,
                            const uint8_t *sub_block, const int8_t *const numbers[]) {
    UNROLL for (size_t i = 0; i < groups_together(type); i++) {
        __m256i w[PARTS];
        UNROLL for (size_t r = 0; r < PARTS; r++) {
            w[r] = load_group(type, sub_block, g + i, r);
        }
        UNROLL for (size_t t = 0; t < T; t++) {
            __m256i four = broadcast_four(numbers[t] + 4 * (g + i));
            UNROLL for (size_t r = 0; r < PARTS; r++) {
                __m256i product = multiply_group(type, w[r], four);
                pairs[r][t] = i == 0 ? product : _mm256_add_epi16(pairs[r][t], product);
            }
        }
    }
}

/* The meant numbers are these less than the stored ones; Q8_0 takes them itself. */
INLINE int start_of(gguf_type type) {
    return type == GGUF_Q5_0 ? START_16 : START_8;
}

/* T vectors from `first` on. */
INLINE void multiply_32(gguf_type type, size_t T, float *y, size_t y_stride, const matrix *m, size_t index,
                        const operand *x, size_t first) {
    const uint8_t *tile = matrix_tile(m, index);
    const int8_t *numbers[VECTORS];
    const float *steps[VECTORS];
    const int32_t *starts[VECTORS];
    const int16_t *sums[VECTORS];
    __m256 acc[PARTS][VECTORS];
    const bool minimums = type == GGUF_Q4_1 || type == GGUF_Q5_1;
    UNROLL for (size_t t = 0; t < T; t++) {
        size_t at = (first + t) * x->stride;
        numbers[t] = x->by_32.numbers + at;
        steps[t] = x->by_32.scales + at / BLOCK_32;
        starts[t] = x->by_32.starts[start_of(type)] + at / BLOCK_32;
        sums[t] = x->by_32.sums + at / BLOCK_32;
        UNROLL for (size_t r = 0; r < PARTS; r++) {
            acc[r][t] = _mm256_setzero_ps();
        }
    }
    for (size_t b = 0; b < m->columns / BLOCK_32; b++) {
        __m256i whole[PARTS][VECTORS];
        const uint8_t *sub_block = tile + block_numbers_at(type, b);
        if (T == 1) {
            prefetch(sub_block, sub_block_size(type) + (b % 2 == 1 ? pair_scales_size(type) : 0));
        }
        UNROLL for (size_t g = 0; g < 8; g += groups_together(type)) {
            __m256i pairs[PARTS][VECTORS];
            multiply_groups(type, T, pairs, g, sub_block, numbers);
            UNROLL for (size_t r = 0; r < PARTS; r++) {
                UNROLL for (size_t t = 0; t < T; t++) {
                    __m256i sum = _mm256_madd_epi16(pairs[r][t], _mm256_set1_epi16(1));
                    whole[r][t] = g == 0 ? sum : _mm256_add_epi32(whole[r][t], sum);
                }
            }
        }
        UNROLL for (size_t r = 0; r < PARTS; r++) {
            const uint8_t *scales = tile + block_scales_at(type, b) + r * 2 * HALF_ROWS;
            __m256 scale = load_halves(scales);
            __m256 minimum = minimums ? load_halves(scales + PAIR_MINIMUMS_AT) : scale;
            UNROLL for (size_t t = 0; t < T; t++) {
                __m256 step = _mm256_set1_ps(steps[t][b]);
                if (!minimums && type != GGUF_Q8_0) {
                    whole[r][t] = _mm256_add_epi32(whole[r][t], _mm256_set1_epi32(starts[t][b]));
                }
                __m256 sum = _mm256_cvtepi32_ps(whole[r][t]);
                acc[r][t] = _mm256_fmadd_ps(_mm256_mul_ps(scale, step), sum, acc[r][t]);
                if (minimums) {
                    __m256 total = _mm256_set1_ps((float)sums[t][b]);
                    acc[r][t] = _mm256_fmadd_ps(_mm256_mul_ps(minimum, step), total, acc[r][t]);
                }
            }
        }
        UNROLL for (size_t t = 0; t < T; t++) {
            numbers[t] += BLOCK_32;
        }
    }
    UNROLL for (size_t t = 0; t < T; t++) {
        UNROLL for (size_t r = 0; r < PARTS; r++) {
            _mm256_storeu_ps(y + t * y_stride + index * TILE_ROWS + r * HALF_ROWS, acc[r][t]);
        }
    }
}

/* A sub-scale of eight rows, twice in each row's lane, so that madd multiplies both 16-bit sums by it. */
INLINE __m256i load_sub_scales(gguf_type type, const uint8_t *scales) {
    __m128i bytes = _mm_loadl_epi64((const __m128i *)(const void *)scales);
    __m128i twice = _mm_unpacklo_epi8(bytes, bytes);
    return type == GGUF_Q6_K ? _mm256_cvtepi8_epi16(twice) : _mm256_cvtepu8_epi16(twice);
}

/* A sub-block's products times its sub-scales, added to `whole`. */
INLINE void add_sub_block(gguf_type type, size_t T, __m256i whole[PARTS][VECTORS], const uint8_t *block,
                          size_t part, const int8_t *const numbers[]) {
    const bool six = type == GGUF_Q6_K;
    const size_t at = (six ? Q6_K_NUMBERS_AT : K_NUMBERS_AT) + part * sub_block_size(type);
    const int8_t *here[VECTORS];
    __m256i scales[PARTS];
    UNROLL for (size_t t = 0; t < T; t++) {
        here[t] = numbers[t] + BLOCK_32 * part;
    }
    UNROLL for (size_t g = 0; g < 8; g += groups_together(type)) {
        __m256i pairs[PARTS][VECTORS];
        multiply_groups(type, T, pairs, g, block + at, here);
        UNROLL for (size_t r = 0; r < PARTS; r++) {
            if (g == 0 || (six && g == 4)) {
                size_t index = six ? 2 * part + g / 4 : part;
                scales[r] = load_sub_scales(type, block + K_SCALES_AT + index * TILE_ROWS + r * HALF_ROWS);
            }
            UNROLL for (size_t t = 0; t < T; t++) {
                whole[r][t] = _mm256_add_epi32(whole[r][t], _mm256_madd_epi16(pairs[r][t], scales[r]));
            }
        }
    }
}

/* The sum of sub-minimums times the sums of 32 numbers, of eight rows. */
INLINE __m256i minimum_sum(const uint8_t *minimums, const int16_t *sums) {
    __m256i total = _mm256_setzero_si256();
    UNROLL for (size_t pair = 0; pair < 4; pair++) {
        __m256i two = _mm256_cvtepu8_epi16(load_16_bytes(minimums + pair * 2 * TILE_ROWS));
        total = _mm256_add_epi32(total, _mm256_madd_epi16(two, broadcast_four(sums + 2 * pair)));
    }
    return total;
}

/* Of Q6_K, what the 32 that stored numbers are too much comes to: sub-scales times starts, which are -32
 * times sums that fit 16 bits. */
INLINE __m256i start_sum(const uint8_t *scales, const int32_t *starts) {
    __m256i total = _mm256_setzero_si256();
    for (size_t pair = 0; pair < 8; pair++) {
        __m128i first = _mm_loadl_epi64((const __m128i *)(const void *)(scales + pair * 2 * TILE_ROWS));
        __m128i second =
            _mm_loadl_epi64((const __m128i *)(const void *)(scales + (pair * 2 + 1) * TILE_ROWS));
        __m256i two = _mm256_cvtepi8_epi16(_mm_unpacklo_epi8(first, second));
        uint32_t low = (uint32_t)(starts[2 * pair] / 32) & 0xffffU;
        uint32_t high = (uint32_t)(starts[2 * pair + 1] / 32) << 16;
        total = _mm256_add_epi32(total, _mm256_madd_epi16(two, _mm256_set1_epi32((int32_t)(low | high))));
    }
    return _mm256_slli_epi32(total, 5);
}

INLINE void multiply_256(gguf_type type, size_t T, float *y, size_t y_stride, const matrix *m, size_t index,
                         const operand *x, size_t first) {
    const uint8_t *block = matrix_tile(m, index);
    const int8_t *numbers[VECTORS];
    __m256 acc[PARTS][VECTORS];
    const size_t size = super_block_size(type);
    UNROLL for (size_t t = 0; t < T; t++) {
        numbers[t] = x->by_256.numbers + (first + t) * x->stride;
        UNROLL for (size_t r = 0; r < PARTS; r++) {
            acc[r][t] = _mm256_setzero_ps();
        }
    }
    for (size_t b = 0; b < m->columns / BLOCK_256; b++) {
        __m256i whole[PARTS][VECTORS];
        UNROLL for (size_t t = 0; t < T; t++) {
            UNROLL for (size_t r = 0; r < PARTS; r++) {
                whole[r][t] = _mm256_setzero_si256();
            }
        }
        for (size_t part = 0; part < 8; part++) {
            if (T == 1) {
                prefetch(block + part * (size / 8), size / 8);
            }
            add_sub_block(type, T, whole, block, part, numbers);
        }
        UNROLL for (size_t t = 0; t < T; t++) {
            size_t at = (first + t) * x->stride / BLOCK_256 + b;
            __m256 step = _mm256_set1_ps(x->by_256.scales[at]);
            UNROLL for (size_t r = 0; r < PARTS; r++) {
                const size_t row = r * HALF_ROWS;
                __m256 scale = _mm256_mul_ps(load_halves(block + 2 * row), step);
                if (type == GGUF_Q6_K) {
                    __m256i start = start_sum(block + K_SCALES_AT + row, x->by_256.starts + at * 16);
                    whole[r][t] = _mm256_add_epi32(whole[r][t], start);
                }
                acc[r][t] = _mm256_fmadd_ps(scale, _mm256_cvtepi32_ps(whole[r][t]), acc[r][t]);
                if (type != GGUF_Q6_K) {
                    __m256 minimum = _mm256_mul_ps(load_halves(block + TILE_HALVES_SIZE + 2 * row), step);
                    __m256i total = minimum_sum(block + K_MINIMUMS_AT + 2 * row, x->by_256.sums + at * 8);
                    acc[r][t] = _mm256_fnmadd_ps(minimum, _mm256_cvtepi32_ps(total), acc[r][t]);
                }
            }
            numbers[t] += BLOCK_256;
        }
        block += size;
    }
    UNROLL for (size_t t = 0; t < T; t++) {
        UNROLL for (size_t r = 0; r < PARTS; r++) {
            _mm256_storeu_ps(y + t * y_stride + index * TILE_ROWS + r * HALF_ROWS, acc[r][t]);
        }
    }
}

INLINE __m256 load_weights(gguf_type type, const uint8_t *row, size_t k) {
    if (type == GGUF_F32) {
        return _mm256_castsi256_ps(load_bytes(row + 4 * k));
    }
    if (type == GGUF_F16) {
        return load_halves(row + 2 * k);
    }
    __m256i upper = _mm256_cvtepu16_epi32(load_16_bytes(row + 2 * k));
    return _mm256_castsi256_ps(_mm256_slli_epi32(upper, 16));
}

INLINE float tree(__m256 low, __m256 high) {
    __m256 eight = _mm256_add_ps(low, high);
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

enum { FLOAT_ROWS = 2, FLOAT_VECTORS = 3 };

/* Columns beyond the last are zeros, in the matrix and in the vectors. */
INLINE void multiply_floats(gguf_type type, size_t T, float *y, size_t y_stride, const matrix *m, size_t tile,
                            const operand *x, size_t first) {
    const size_t row_size = float_row_size(m);
    for (size_t row = 0; row < TILE_ROWS; row += FLOAT_ROWS) {
        __m256 acc[FLOAT_ROWS][FLOAT_VECTORS][2];
        const uint8_t *rows = matrix_tile(m, tile) + row * row_size;
        UNROLL for (size_t r = 0; r < FLOAT_ROWS; r++) {
            UNROLL for (size_t t = 0; t < T; t++) {
                acc[r][t][0] = acc[r][t][1] = _mm256_setzero_ps();
            }
        }
        for (size_t k = 0; k < m->columns; k += LANES) {
            UNROLL for (size_t half = 0; half < 2; half++) {
                __m256 w[FLOAT_ROWS];
                UNROLL for (size_t r = 0; r < FLOAT_ROWS; r++) {
                    w[r] = load_weights(type, rows + r * row_size, k + 8 * half);
                }
                UNROLL for (size_t t = 0; t < T; t++) {
                    __m256 values = _mm256_loadu_ps(x->values + (first + t) * x->stride + k + 8 * half);
                    UNROLL for (size_t r = 0; r < FLOAT_ROWS; r++) {
                        acc[r][t][half] = _mm256_fmadd_ps(w[r], values, acc[r][t][half]);
                    }
                }
            }
        }
        UNROLL for (size_t r = 0; r < FLOAT_ROWS; r++) {
            UNROLL for (size_t t = 0; t < T; t++) {
                y[t * y_stride + tile * TILE_ROWS + row + r] = tree(acc[r][t][0], acc[r][t][1]);
            }
        }
    }
}

INLINE void multiply_tile(gguf_type type, size_t T, float *y, size_t y_stride, const matrix *m, size_t index,
                          const operand *x, size_t first) {
    if (type_has_super_blocks(type)) {
        multiply_256(type, T, y, y_stride, m, index, x, first);
    } else {
        multiply_32(type, T, y, y_stride, m, index, x, first);
    }
}

/* One tile after the other with all vectors, so that it stays in the caches. */
INLINE void multiply_numbers(gguf_type type, float *y, size_t y_stride, const matrix *m, size_t first_tile,
                             size_t tile_count, const operand *x, size_t first, size_t count) {
    for (size_t t = first_tile; t < first_tile + tile_count; t++) {
        size_t v = 0;
        for (; v + VECTORS <= count; v += VECTORS) {
            multiply_tile(type, VECTORS, y + v * y_stride, y_stride, m, t, x, first + v);
        }
        if (v + 2 <= count) {
            multiply_tile(type, 2, y + v * y_stride, y_stride, m, t, x, first + v);
            v += 2;
        }
        if (v < count) {
            multiply_tile(type, 1, y + v * y_stride, y_stride, m, t, x, first + v);
        }
    }
}

#include "kernel/by_type.h"

enum { BLOCK_ROWS = 6 };

/* `rows` rows of a, `wide` times 8 columns of b. */
INLINE void halves_block(size_t rows, size_t wide, float *out, size_t out_stride, const float *a,
                         size_t a_stride, const uint16_t *b, size_t depth, size_t columns, bool add) {
    __m256 acc[BLOCK_ROWS][2];
    UNROLL for (size_t r = 0; r < rows; r++) {
        UNROLL for (size_t c = 0; c < wide; c++) {
            acc[r][c] = _mm256_setzero_ps();
        }
    }
    for (size_t k = 0; k < depth; k++) {
        __m256 right[2];
        UNROLL for (size_t c = 0; c < wide; c++) {
            right[c] = load_halves(b + k * columns + 8 * c);
        }
        UNROLL for (size_t r = 0; r < rows; r++) {
            __m256 left = _mm256_set1_ps(a[r * a_stride + k]);
            UNROLL for (size_t c = 0; c < wide; c++) {
                acc[r][c] = _mm256_fmadd_ps(left, right[c], acc[r][c]);
            }
        }
    }
    UNROLL for (size_t r = 0; r < rows; r++) {
        UNROLL for (size_t c = 0; c < wide; c++) {
            float *place = out + r * out_stride + 8 * c;
            _mm256_storeu_ps(place, add ? _mm256_add_ps(_mm256_loadu_ps(place), acc[r][c]) : acc[r][c]);
        }
    }
}

INLINE void halves_rows(size_t wide, float *out, size_t out_stride, const float *a, size_t a_stride,
                        size_t rows, const uint16_t *b, size_t depth, size_t columns, bool add) {
    while (rows > 0) {
        size_t taken = rows >= 12 || rows == 6 ? 6 : rows >= 4 ? 4 : rows;
#define CASE(N)                                                                                              \
    case N:                                                                                                  \
        halves_block(N, wide, out, out_stride, a, a_stride, b, depth, columns, add);                         \
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

/* One column: head sizes are multiples of 8, nearly always. */
static void halves_column(float *out, size_t out_stride, const float *a, size_t a_stride, size_t rows,
                          const uint16_t *b, size_t depth, size_t columns, bool add) {
    for (size_t r = 0; r < rows; r++) {
        float sum = 0;
        for (size_t k = 0; k < depth; k++) {
            sum = fmaf(a[r * a_stride + k], _cvtsh_ss(b[k * columns]), sum);
        }
        out[r * out_stride] = add ? out[r * out_stride] + sum : sum;
    }
}

static void multiply_halves(float *out, size_t out_stride, const float *a, size_t a_stride, size_t rows,
                            const uint16_t *b, size_t depth, size_t columns, bool add) {
    size_t c = 0;
    for (; c + 16 <= columns; c += 16) {
        halves_rows(2, out + c, out_stride, a, a_stride, rows, b + c, depth, columns, add);
    }
    for (; c + 8 <= columns; c += 8) {
        halves_rows(1, out + c, out_stride, a, a_stride, rows, b + c, depth, columns, add);
    }
    for (; c < columns; c++) {
        halves_column(out + c, out_stride, a, a_stride, rows, b + c, depth, columns, add);
    }
}

static bool to_halves(uint16_t *out, size_t stride, const float *x, size_t count) {
    bool fits = true;
    for (size_t i = 0; i < count; i += 8) {
        size_t length = count - i < 8 ? count - i : 8;
        float values[8] = {0};
        uint16_t halves[8];
        memcpy(values, x + i, length * sizeof *x);
        __m128i rounded = _mm256_cvtps_ph(_mm256_loadu_ps(values), _MM_FROUND_TO_NEAREST_INT);
        const __m128i exponent = _mm_set1_epi16(0x7c00);
        __m128i wild = _mm_cmpeq_epi16(_mm_and_si128(rounded, exponent), exponent);
        fits = fits && _mm_movemask_epi8(wild) == 0;
        _mm_storeu_si128((__m128i *)(void *)halves, rounded);
        for (size_t j = 0; j < length; j++) {
            out[(i + j) * stride] = halves[j];
        }
    }
    return fits;
}

const kernels *kernels_avx2(void) {
    static const kernels form = {.name = "avx2",
                                 .multiply = multiply,
                                 .multiply_halves = multiply_halves,
                                 .to_halves = to_halves,
                                 ELEMENTWISE_KERNELS};
    unsigned a = 0;
    unsigned b = 0;
    unsigned c = 0;
    unsigned d = 0;
    bool has_halves = __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_F16C) != 0;
    return has_halves && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? &form : NULL;
}
