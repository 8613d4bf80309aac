/* The kernels for 64-bit ARM with NEON and its dot product of four bytes. Lanes are output rows (or
 * positions, or the 16 of the README's lane sums), so each result takes the roundings of the plain form in
 * the same order. A tile is four vectors of four rows, its parts; loops over T vectors of the operand have
 * constant bounds after inlining. */
#include "kernel/elementwise.h"
#include "kernel/forms.h"
#include "kernel/tile.h"

#include <arm_neon.h>
#include <asm/hwcap.h>
#include <sys/auxv.h>

#define INLINE static inline __attribute__((always_inline))
#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 8")
#endif

enum { PART_ROWS = 4, PARTS = 4, VECTORS = 4 };

INLINE float32x4_t load_halves(const uint8_t *from) {
    return vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(from)));
}

INLINE bool has_fifths(gguf_type type) {
    return type == GGUF_Q5_0 || type == GGUF_Q5_1 || type == GGUF_Q5_K;
}

/* 16 where the bit of a byte is set. */
INLINE uint8x16_t spread_fifths(const uint8_t *bits) {
    const uint8x8_t each = vcreate_u8(0x8040201008040201);
    uint8x16_t both = vcombine_u8(vld1_dup_u8(bits), vld1_dup_u8(bits + 1));
    return vandq_u8(vtstq_u8(both, vcombine_u8(each, each)), vdupq_n_u8(16));
}

/* Bits 2j and 2j + 1 of each byte, as bits 4 and 5. */
INLINE uint8x16_t choose_sixths(uint8x16_t bits, size_t j) {
    uint8x16_t moved = j == 0   ? vshlq_n_u8(bits, 4)
                       : j == 1 ? vshlq_n_u8(bits, 2)
                       : j == 2 ? bits
                                : vshrq_n_u8(bits, 2);
    return vandq_u8(moved, vdupq_n_u8(0x30));
}

/* The numbers of group g of a sub-block, of the four rows of a part: as stored, but Q8_0 as meant. */
INLINE int8x16_t load_group(gguf_type type, const uint8_t *sub_block, size_t g, size_t part) {
    const uint8_t *at = sub_block + part * 4 * PART_ROWS;
    const size_t j = g % 4;
    if (type == GGUF_Q8_0) {
        return vreinterpretq_s8_u8(veorq_u8(vld1q_u8(at + g * GROUP_SIZE), vdupq_n_u8(0x80)));
    }
    uint8x16_t both = vld1q_u8(at + (has_fifths(type) ? FIFTHS_SIZE : 0) + j * GROUP_SIZE);
    uint8x16_t numbers = g < 4 ? vandq_u8(both, vdupq_n_u8(15)) : vshrq_n_u8(both, 4);
    if (has_fifths(type)) {
        numbers = vorrq_u8(numbers, spread_fifths(sub_block + 8 * g + 2 * part));
    }
    if (type == GGUF_Q6_K) {
        uint8x16_t bits = vld1q_u8(at + NIBBLES_SIZE + g / 4 * GROUP_SIZE);
        numbers = vorrq_u8(numbers, choose_sixths(bits, j));
    }
    return vreinterpretq_s8_u8(numbers);
}

/* Adds each row's products of four with lane j of the operand's 16 numbers. */
INLINE int32x4_t add_dot(int32x4_t acc, int8x16_t w, int8x16_t x, size_t j) {
    switch (j) {
    case 0:
        return vdotq_laneq_s32(acc, w, x, 0);
    case 1:
        return vdotq_laneq_s32(acc, w, x, 1);
    case 2:
        return vdotq_laneq_s32(acc, w, x, 2);
    default:
        return vdotq_laneq_s32(acc, w, x, 3);
    }
}

/* Groups 0 to 3 (half 0) or 4 to 7 of a sub-block times their 16 numbers, added to `sums`. */
INLINE void add_groups(gguf_type type, size_t T, int32x4_t sums[PARTS][VECTORS], size_t half,
                       const uint8_t *sub_block, const int8_t *const numbers[]) {
    int8x16_t values[VECTORS];
    UNROLL for (size_t t = 0; t < T; t++) {
        values[t] = vld1q_s8(numbers[t] + 16 * half);
    }
    UNROLL for (size_t j = 0; j < 4; j++) {
        UNROLL for (size_t r = 0; r < PARTS; r++) {
            int8x16_t w = load_group(type, sub_block, 4 * half + j, r);
            UNROLL for (size_t t = 0; t < T; t++) {
                sums[r][t] = add_dot(sums[r][t], w, values[t], j);
            }
        }
    }
}

/* Q8_0 has no start here, as its numbers are taken as meant. */
INLINE int32_t start_of(gguf_type type, const operand *x, size_t block) {
    return type == GGUF_Q4_0   ? x->by_32.starts[START_8][block]
           : type == GGUF_Q5_0 ? x->by_32.starts[START_16][block]
                               : 0;
}

INLINE void store_tile(size_t T, float *y, size_t y_stride, size_t index, float32x4_t acc[PARTS][VECTORS]) {
    UNROLL for (size_t t = 0; t < T; t++) {
        UNROLL for (size_t r = 0; r < PARTS; r++) {
            vst1q_f32(y + t * y_stride + index * TILE_ROWS + r * PART_ROWS, acc[r][t]);
        }
    }
}

/* T vectors from `first` on. */
INLINE void multiply_32(gguf_type type, size_t T, float *y, size_t y_stride, const matrix *m, size_t index,
                        const operand *x, size_t first) {
    const uint8_t *tile = matrix_tile(m, index);
    const int8_t *numbers[VECTORS];
    float32x4_t acc[PARTS][VECTORS];
    const bool minimums = type == GGUF_Q4_1 || type == GGUF_Q5_1;
    UNROLL for (size_t t = 0; t < T; t++) {
        numbers[t] = x->by_32.numbers + (first + t) * x->stride;
        UNROLL for (size_t r = 0; r < PARTS; r++) {
            acc[r][t] = vdupq_n_f32(0);
        }
    }
    for (size_t b = 0; b < m->columns / BLOCK_32; b++) {
        int32x4_t whole[PARTS][VECTORS];
        const uint8_t *sub_block = tile + block_numbers_at(type, b);
        UNROLL for (size_t t = 0; t < T; t++) {
            int32x4_t start = vdupq_n_s32(start_of(type, x, (first + t) * x->stride / BLOCK_32 + b));
            UNROLL for (size_t r = 0; r < PARTS; r++) {
                whole[r][t] = start;
            }
        }
        add_groups(type, T, whole, 0, sub_block, numbers);
        add_groups(type, T, whole, 1, sub_block, numbers);
        UNROLL for (size_t r = 0; r < PARTS; r++) {
            const uint8_t *scales = tile + block_scales_at(type, b) + r * 2 * PART_ROWS;
            float32x4_t scale = load_halves(scales);
            float32x4_t minimum = minimums ? load_halves(scales + PAIR_MINIMUMS_AT) : scale;
            UNROLL for (size_t t = 0; t < T; t++) {
                size_t at = (first + t) * x->stride / BLOCK_32 + b;
                float step = x->by_32.scales[at];
                acc[r][t] = vfmaq_f32(acc[r][t], vmulq_n_f32(scale, step), vcvtq_f32_s32(whole[r][t]));
                if (minimums) {
                    float32x4_t total = vdupq_n_f32((float)x->by_32.sums[at]);
                    acc[r][t] = vfmaq_f32(acc[r][t], vmulq_n_f32(minimum, step), total);
                }
            }
        }
        UNROLL for (size_t t = 0; t < T; t++) {
            numbers[t] += BLOCK_32;
        }
    }
    store_tile(T, y, y_stride, index, acc);
}

INLINE int32x4_t load_sub_scales(gguf_type type, const uint8_t *scales) {
    uint32_t four = 0;
    memcpy(&four, scales, sizeof four);
    uint8x8_t bytes = vcreate_u8(four);
    return type == GGUF_Q6_K ? vmovl_s16(vget_low_s16(vmovl_s8(vreinterpret_s8_u8(bytes))))
                             : vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(vmovl_u8(bytes))));
}

/* A sub-block's products times its sub-scales, added to `whole`: of 32 columns, or twice 16 (Q6_K). */
INLINE void add_sub_block(gguf_type type, size_t T, int32x4_t whole[PARTS][VECTORS], const uint8_t *block,
                          size_t part, const int8_t *const numbers[], const int32_t *const starts[]) {
    const bool six = type == GGUF_Q6_K;
    const size_t at = (six ? Q6_K_NUMBERS_AT : K_NUMBERS_AT) + part * sub_block_size(type);
    int32x4_t sums[PARTS][VECTORS];
    const int8_t *here[VECTORS];
    UNROLL for (size_t half = 0; half < 2; half++) {
        UNROLL for (size_t t = 0; t < T; t++) {
            here[t] = numbers[t] + BLOCK_32 * part;
            if (six || half == 0) {
                int32x4_t start = vdupq_n_s32(six ? starts[t][2 * part + half] : 0);
                UNROLL for (size_t r = 0; r < PARTS; r++) {
                    sums[r][t] = start;
                }
            }
        }
        add_groups(type, T, sums, half, block + at, here);
        if (!six && half == 0) {
            continue;
        }
        UNROLL for (size_t r = 0; r < PARTS; r++) {
            size_t scale_at = K_SCALES_AT + (six ? 2 * part + half : part) * TILE_ROWS + r * PART_ROWS;
            int32x4_t scale = load_sub_scales(type, block + scale_at);
            UNROLL for (size_t t = 0; t < T; t++) {
                whole[r][t] = vmlaq_s32(whole[r][t], sums[r][t], scale);
            }
        }
    }
}

/* The sum of sub-minimums times the sums of 32 numbers, of four rows. */
INLINE int32x4_t minimum_sum(const uint8_t *minimums, const int16_t *sums) {
    int32x4_t low = vdupq_n_s32(0);
    int32x4_t high = vdupq_n_s32(0);
    UNROLL for (size_t pair = 0; pair < 4; pair++) {
        int16x8_t two = vreinterpretq_s16_u16(vmovl_u8(vld1_u8(minimums + pair * 2 * TILE_ROWS)));
        int16x4_t both = vset_lane_s16(sums[2 * pair + 1], vdup_n_s16(sums[2 * pair]), 1);
        both = vset_lane_s16(sums[2 * pair + 1], both, 3);
        low = vmlal_s16(low, vget_low_s16(two), both);
        high = vmlal_s16(high, vget_high_s16(two), both);
    }
    return vpaddq_s32(low, high);
}

INLINE void multiply_256(gguf_type type, size_t T, float *y, size_t y_stride, const matrix *m, size_t index,
                         const operand *x, size_t first) {
    const uint8_t *block = matrix_tile(m, index);
    const int8_t *numbers[VECTORS];
    const int32_t *starts[VECTORS];
    float32x4_t acc[PARTS][VECTORS];
    UNROLL for (size_t t = 0; t < T; t++) {
        numbers[t] = x->by_256.numbers + (first + t) * x->stride;
        starts[t] = x->by_256.starts + (first + t) * x->stride / 16;
        UNROLL for (size_t r = 0; r < PARTS; r++) {
            acc[r][t] = vdupq_n_f32(0);
        }
    }
    for (size_t b = 0; b < m->columns / BLOCK_256; b++) {
        int32x4_t whole[PARTS][VECTORS];
        UNROLL for (size_t t = 0; t < T; t++) {
            UNROLL for (size_t r = 0; r < PARTS; r++) {
                whole[r][t] = vdupq_n_s32(0);
            }
        }
        for (size_t part = 0; part < 8; part++) {
            add_sub_block(type, T, whole, block, part, numbers, starts);
        }
        UNROLL for (size_t t = 0; t < T; t++) {
            size_t at = (first + t) * x->stride / BLOCK_256 + b;
            float step = x->by_256.scales[at];
            UNROLL for (size_t r = 0; r < PARTS; r++) {
                const size_t row = r * PART_ROWS;
                float32x4_t scale = vmulq_n_f32(load_halves(block + 2 * row), step);
                acc[r][t] = vfmaq_f32(acc[r][t], scale, vcvtq_f32_s32(whole[r][t]));
                if (type != GGUF_Q6_K) {
                    float32x4_t minimum = vmulq_n_f32(load_halves(block + TILE_HALVES_SIZE + 2 * row), step);
                    int32x4_t total = minimum_sum(block + K_MINIMUMS_AT + 2 * row, x->by_256.sums + at * 8);
                    acc[r][t] = vfmsq_f32(acc[r][t], minimum, vcvtq_f32_s32(total));
                }
            }
            numbers[t] += BLOCK_256;
            starts[t] += BLOCK_256 / 16;
        }
        block += super_block_size(type);
    }
    store_tile(T, y, y_stride, index, acc);
}

INLINE float32x4_t load_weights(gguf_type type, const uint8_t *row, size_t k) {
    if (type == GGUF_F32) {
        return vreinterpretq_f32_u8(vld1q_u8(row + 4 * k));
    }
    if (type == GGUF_F16) {
        return load_halves(row + 2 * k);
    }
    return vreinterpretq_f32_u32(vshll_n_u16(vreinterpret_u16_u8(vld1_u8(row + 2 * k)), 16));
}

enum { QUARTERS = LANES / 4, FLOAT_ROWS = 2, FLOAT_VECTORS = 3 };

INLINE float tree(const float32x4_t lanes[QUARTERS]) {
    float32x4_t four = vaddq_f32(vaddq_f32(lanes[0], lanes[2]), vaddq_f32(lanes[1], lanes[3]));
    float32x2_t two = vadd_f32(vget_low_f32(four), vget_high_f32(four));
    return vget_lane_f32(two, 0) + vget_lane_f32(two, 1);
}

/* Columns beyond the last are zeros, in the matrix and in the vectors. */
INLINE void multiply_floats(gguf_type type, size_t T, float *y, size_t y_stride, const matrix *m,
                            size_t index, const operand *x, size_t first) {
    const size_t row_size = float_row_size(m);
    for (size_t row = 0; row < TILE_ROWS; row += FLOAT_ROWS) {
        float32x4_t acc[FLOAT_ROWS][FLOAT_VECTORS][QUARTERS];
        const uint8_t *rows = matrix_tile(m, index) + row * row_size;
        UNROLL for (size_t r = 0; r < FLOAT_ROWS; r++) {
            UNROLL for (size_t t = 0; t < T; t++) {
                UNROLL for (size_t q = 0; q < QUARTERS; q++) {
                    acc[r][t][q] = vdupq_n_f32(0);
                }
            }
        }
        for (size_t k = 0; k < m->columns; k += LANES) {
            UNROLL for (size_t q = 0; q < QUARTERS; q++) {
                UNROLL for (size_t r = 0; r < FLOAT_ROWS; r++) {
                    float32x4_t w = load_weights(type, rows + r * row_size, k + 4 * q);
                    UNROLL for (size_t t = 0; t < T; t++) {
                        float32x4_t values = vld1q_f32(x->values + (first + t) * x->stride + k + 4 * q);
                        acc[r][t][q] = vfmaq_f32(acc[r][t][q], w, values);
                    }
                }
            }
        }
        UNROLL for (size_t r = 0; r < FLOAT_ROWS; r++) {
            UNROLL for (size_t t = 0; t < T; t++) {
                y[t * y_stride + index * TILE_ROWS + row + r] = tree(acc[r][t]);
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

enum { BLOCK_ROWS = 4 };

/* `rows` rows of a, `wide` times 4 columns of b. */
INLINE void halves_block(size_t rows, size_t wide, float *out, size_t out_stride, const float *a,
                         size_t a_stride, const uint16_t *b, size_t depth, size_t columns, bool add) {
    float32x4_t acc[BLOCK_ROWS][4];
    UNROLL for (size_t r = 0; r < rows; r++) {
        UNROLL for (size_t c = 0; c < wide; c++) {
            acc[r][c] = vdupq_n_f32(0);
        }
    }
    for (size_t k = 0; k < depth; k++) {
        UNROLL for (size_t c = 0; c < wide; c++) {
            float32x4_t right = vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(b + k * columns + 4 * c)));
            UNROLL for (size_t r = 0; r < rows; r++) {
                acc[r][c] = vfmaq_n_f32(acc[r][c], right, a[r * a_stride + k]);
            }
        }
    }
    UNROLL for (size_t r = 0; r < rows; r++) {
        UNROLL for (size_t c = 0; c < wide; c++) {
            float *place = out + r * out_stride + 4 * c;
            vst1q_f32(place, add ? vaddq_f32(vld1q_f32(place), acc[r][c]) : acc[r][c]);
        }
    }
}

INLINE void halves_rows(size_t wide, float *out, size_t out_stride, const float *a, size_t a_stride,
                        size_t rows, const uint16_t *b, size_t depth, size_t columns, bool add) {
    size_t r = 0;
    for (; r + BLOCK_ROWS <= rows; r += BLOCK_ROWS) {
        halves_block(BLOCK_ROWS, wide, out + r * out_stride, out_stride, a + r * a_stride, a_stride, b, depth,
                     columns, add);
    }
    for (; r < rows; r++) {
        halves_block(1, wide, out + r * out_stride, out_stride, a + r * a_stride, a_stride, b, depth, columns,
                     add);
    }
}

/* One column: head sizes are multiples of 4, nearly always. */
static void halves_column(float *out, size_t out_stride, const float *a, size_t a_stride, size_t rows,
                          const uint16_t *b, size_t depth, size_t columns, bool add) {
    for (size_t r = 0; r < rows; r++) {
        float sum = 0;
        for (size_t k = 0; k < depth; k++) {
            sum = fmaf(a[r * a_stride + k], float_of_half(b[k * columns]), sum);
        }
        out[r * out_stride] = add ? out[r * out_stride] + sum : sum;
    }
}

static void multiply_halves(float *out, size_t out_stride, const float *a, size_t a_stride, size_t rows,
                            const uint16_t *b, size_t depth, size_t columns, bool add) {
    size_t c = 0;
    for (; c + 16 <= columns; c += 16) {
        halves_rows(4, out + c, out_stride, a, a_stride, rows, b + c, depth, columns, add);
    }
    for (; c + 4 <= columns; c += 4) {
        halves_rows(1, out + c, out_stride, a, a_stride, rows, b + c, depth, columns, add);
    }
    for (; c < columns; c++) {
        halves_column(out + c, out_stride, a, a_stride, rows, b + c, depth, columns, add);
    }
}

static bool to_halves(uint16_t *out, size_t stride, const float *x, size_t count) {
    uint16x4_t wild = vdup_n_u16(0);
    const uint16x4_t exponent = vdup_n_u16(0x7c00);
    for (size_t i = 0; i < count; i += 4) {
        size_t length = count - i < 4 ? count - i : 4;
        float values[4] = {0};
        uint16_t halves[4];
        memcpy(values, x + i, length * sizeof *x);
        uint16x4_t rounded = vreinterpret_u16_f16(vcvt_f16_f32(vld1q_f32(values)));
        wild = vorr_u16(wild, vceq_u16(vand_u16(rounded, exponent), exponent));
        vst1_u16(halves, rounded);
        for (size_t j = 0; j < length; j++) {
            out[(i + j) * stride] = halves[j];
        }
    }
    return vmaxv_u16(wild) == 0;
}

const kernels *kernels_neon(void) {
    static const kernels form = {.name = "neon",
                                 .multiply = multiply,
                                 .multiply_halves = multiply_halves,
                                 .to_halves = to_halves,
                                 ELEMENTWISE_KERNELS};
    return (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0 ? &form : NULL;
}
