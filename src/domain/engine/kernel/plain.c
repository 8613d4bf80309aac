#include "kernel/elementwise.h"
#include "kernel/forms.h"
#include "kernel/tile.h"

/* The reference: each function as the README states it, nothing arranged for speed. */

static float half_at(const uint8_t *halves, size_t index) {
    return float_of_half(load_u16(halves + 2 * index));
}

static int32_t dot(const uint8_t *stored, int offset, const int8_t *numbers, size_t count) {
    int32_t sum = 0;
    for (size_t i = 0; i < count; i++) {
        sum += (stored[i] - offset) * numbers[i];
    }
    return sum;
}

/* One row of a tile times vectors [first, first + count) by blocks of 32. */
static void multiply_row_32(float *y, size_t y_stride, const matrix *m, const uint8_t *tile, size_t row,
                            const operand *x, size_t first, size_t count) {
    for (size_t v = 0; v < count; v++) {
        y[v * y_stride] = 0;
    }
    for (size_t b = 0; b < m->columns / BLOCK_32; b++) {
        uint8_t stored[BLOCK_32];
        const uint8_t *scales = tile + block_scales_at(m->type, b);
        tile_read(stored, m->type, tile + block_numbers_at(m->type, b), row);
        for (size_t v = 0; v < count; v++) {
            size_t at = (first + v) * x->stride;
            float step = x->by_32.scales[at / BLOCK_32 + b];
            float sum =
                (float)dot(stored, number_offset(m->type), x->by_32.numbers + at + b * BLOCK_32, BLOCK_32);
            float *acc = &y[v * y_stride];
            *acc = fmaf(half_at(scales, row) * step, sum, *acc);
            if (type_has_minimums(m->type)) {
                size_t block = at / BLOCK_32 + b;
                float total = (float)x->by_32.sums[block];
                *acc = fmaf(half_at(scales + PAIR_MINIMUMS_AT, row) * step, total, *acc);
            }
        }
    }
}

typedef struct super_row { /* one row of a 256-block */
    uint8_t stored[BLOCK_256];
    int32_t scales[16]; /* of 16 columns each */
    int32_t minimums[8];
    float scale;
    float minimum_scale;
} super_row;

static int32_t signed_scale(uint8_t byte) {
    return byte < 128 ? byte : byte - 256;
}

static void read_super_row(super_row *s, gguf_type type, const uint8_t *block, size_t row) {
    bool six = type == GGUF_Q6_K;
    s->scale = half_at(block, row);
    s->minimum_scale = six ? 0 : half_at(block + TILE_HALVES_SIZE, row);
    for (size_t part = 0; part < 8; part++) {
        const uint8_t *at = block + (six ? Q6_K_NUMBERS_AT : K_NUMBERS_AT) + part * sub_block_size(type);
        tile_read(s->stored + part * BLOCK_32, type, at, row);
        const uint8_t *scales = block + K_SCALES_AT + row;
        if (six) {
            s->scales[2 * part] = signed_scale(scales[TILE_ROWS * 2 * part]);
            s->scales[2 * part + 1] = signed_scale(scales[TILE_ROWS * (2 * part + 1)]);
            s->minimums[part] = 0;
        } else {
            s->scales[2 * part] = s->scales[2 * part + 1] = scales[TILE_ROWS * part];
            s->minimums[part] = block[K_MINIMUMS_AT + part / 2 * 2 * TILE_ROWS + 2 * row + part % 2];
        }
    }
}

static void multiply_row_256(float *y, size_t y_stride, const matrix *m, const uint8_t *tile, size_t row,
                             const operand *x, size_t first, size_t count) {
    for (size_t v = 0; v < count; v++) {
        y[v * y_stride] = 0;
    }
    for (size_t b = 0; b < m->columns / BLOCK_256; b++) {
        super_row s;
        read_super_row(&s, m->type, tile + b * super_block_size(m->type), row);
        for (size_t v = 0; v < count; v++) {
            size_t at = (first + v) * x->stride / BLOCK_256 + b;
            const int8_t *numbers = x->by_256.numbers + at * BLOCK_256;
            int32_t sum = 0;
            int32_t minimum = 0;
            for (size_t i = 0; i < 16; i++) {
                sum += s.scales[i] * dot(s.stored + 16 * i, number_offset(m->type), numbers + 16 * i, 16);
            }
            for (size_t i = 0; i < 8; i++) {
                minimum += s.minimums[i] * x->by_256.sums[at * 8 + i];
            }
            float *acc = &y[v * y_stride];
            float step = x->by_256.scales[at];
            *acc = fmaf(s.scale * step, (float)sum, *acc);
            if (m->type != GGUF_Q6_K) {
                *acc = fmaf(-(s.minimum_scale * step), (float)minimum, *acc);
            }
        }
    }
}

static float weight_at(const uint8_t *row, gguf_type type, size_t k) {
    if (type == GGUF_F32) {
        return load_f32(row + 4 * k);
    }
    return type == GGUF_F16 ? half_at(row, k) : float_of_bits((uint32_t)load_u16(row + 2 * k) << 16);
}

static void multiply_row_floats(float *y, size_t y_stride, const matrix *m, const uint8_t *tile, size_t row,
                                const operand *x, size_t first, size_t count) {
    const uint8_t *weights = tile + row * float_row_size(m);
    for (size_t v = 0; v < count; v++) {
        const float *values = x->values + (first + v) * x->stride;
        float lanes[LANES] = {0};
        for (size_t k = 0; k < filled_up(m->columns, LANES); k++) { /* beyond the last are zeros */
            lanes[k % LANES] = fmaf(weight_at(weights, m->type, k), values[k], lanes[k % LANES]);
        }
        y[v * y_stride] = tree16(lanes);
    }
}

static void multiply(float *y, size_t y_stride, const matrix *m, size_t first_tile, size_t tile_count,
                     const operand *x, size_t first_vector, size_t vector_count) {
    for (size_t t = first_tile; t < first_tile + tile_count; t++) {
        for (size_t row = 0; row < TILE_ROWS; row++) {
            float *place = y + t * TILE_ROWS + row;
            const uint8_t *tile = matrix_tile(m, t);
            if (type_has_floats(m->type)) {
                multiply_row_floats(place, y_stride, m, tile, row, x, first_vector, vector_count);
            } else if (type_has_super_blocks(m->type)) {
                multiply_row_256(place, y_stride, m, tile, row, x, first_vector, vector_count);
            } else {
                multiply_row_32(place, y_stride, m, tile, row, x, first_vector, vector_count);
            }
        }
    }
}

static void multiply_halves(float *out, size_t out_stride, const float *a, size_t a_stride, size_t rows,
                            const uint16_t *b, size_t depth, size_t columns, bool add) {
    for (size_t r = 0; r < rows; r++) {
        for (size_t c = 0; c < columns; c++) {
            float sum = 0;
            for (size_t k = 0; k < depth; k++) {
                sum = fmaf(a[r * a_stride + k], float_of_half(b[k * columns + c]), sum);
            }
            float *place = &out[r * out_stride + c];
            *place = add ? *place + sum : sum;
        }
    }
}

static bool to_halves(uint16_t *out, size_t stride, const float *x, size_t count) {
    bool fits = true;
    for (size_t i = 0; i < count; i++) {
        uint16_t half = half_of_float(x[i]);
        out[i * stride] = half;
        fits = fits && (half & 0x7c00U) != 0x7c00U;
    }
    return fits;
}

const kernels *kernels_plain(void) {
    static const kernels plain = {.name = "plain",
                                  .multiply = multiply,
                                  .multiply_halves = multiply_halves,
                                  .to_halves = to_halves,
                                  ELEMENTWISE_KERNELS};
    return &plain;
}
