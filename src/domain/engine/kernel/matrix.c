#include "kernel/matrix.h"

#include "arithmetic/arithmetic.h"
#include "kernel/tile.h"

bool matrix_shape(matrix *m, gguf_type type, uint32_t rows, uint32_t columns) {
    uint32_t block = type_has_floats(type) ? 1 : type_has_super_blocks(type) ? BLOCK_256 : BLOCK_32;
    *m = (matrix){.type = type, .rows = rows, .columns = columns};
    if (rows == 0 || columns == 0 || columns % block != 0) {
        return false;
    }
    if (type_has_floats(type)) {
        m->tile_size = TILE_ROWS * float_row_size(m);
    } else if (type_has_super_blocks(type)) {
        m->tile_size = columns / BLOCK_256 * super_block_size(type);
    } else {
        size_t last = columns / BLOCK_32 - 1;
        m->tile_size = block_numbers_at(type, last) + sub_block_size(type);
    }
    return true;
}

size_t matrix_size(const matrix *m) {
    return matrix_tile_count(m) * m->tile_size;
}

static void put_u32(uint8_t *place, uint32_t value) {
    memcpy(place, &value, sizeof value);
}

static uint32_t get_u32(const uint8_t *place) {
    uint32_t value = 0;
    memcpy(&value, place, sizeof value);
    return value;
}

/* Four numbers of four columns at a time. */
static void write_nibbles(uint8_t *place, size_t row, const uint8_t numbers[BLOCK_32]) {
    for (size_t j = 0; j < 4; j++) {
        uint32_t low = get_u32(numbers + 4 * j) & 0x0f0f0f0fU;
        uint32_t high = get_u32(numbers + 16 + 4 * j) & 0x0f0f0f0fU;
        put_u32(place + j * GROUP_SIZE + 4 * row, low | high << 4);
    }
}

static void write_fifths(uint8_t *place, size_t row, const uint8_t numbers[BLOCK_32]) {
    for (size_t g = 0; g < 8; g++) {
        uint8_t bits = 0;
        for (size_t k = 0; k < 4; k++) {
            bits = (uint8_t)(bits | (numbers[4 * g + k] >> 4 & 1U) << k);
        }
        uint8_t *byte = place + 8 * g + row / 2;
        *byte = (uint8_t)(row % 2 == 0 ? (*byte & 0xf0U) | bits : (*byte & 0x0fU) | (uint32_t)bits << 4);
    }
}

static void write_sixths(uint8_t *place, size_t row, const uint8_t numbers[BLOCK_32]) {
    for (size_t h = 0; h < 2; h++) {
        uint32_t bits = 0;
        for (size_t i = 0; i < 4; i++) {
            bits |= (get_u32(numbers + 4 * (4 * h + i)) >> 4 & 0x03030303U) << 2 * i;
        }
        put_u32(place + h * GROUP_SIZE + 4 * row, bits);
    }
}

static void write_numbers(uint8_t *sub_block, gguf_type type, size_t row, const uint8_t numbers[BLOCK_32]) {
    switch (type) {
    case GGUF_Q8_0:
        for (size_t g = 0; g < 8; g++) {
            put_u32(sub_block + g * GROUP_SIZE + 4 * row, get_u32(numbers + 4 * g));
        }
        break;
    case GGUF_Q5_0:
    case GGUF_Q5_1:
    case GGUF_Q5_K:
        write_fifths(sub_block, row, numbers);
        write_nibbles(sub_block + FIFTHS_SIZE, row, numbers);
        break;
    case GGUF_Q6_K:
        write_nibbles(sub_block, row, numbers);
        write_sixths(sub_block + NIBBLES_SIZE, row, numbers);
        break;
    default:
        write_nibbles(sub_block, row, numbers);
        break;
    }
}

void tile_read(uint8_t numbers[BLOCK_32], gguf_type type, const uint8_t *sub_block, size_t row) {
    if (type == GGUF_Q8_0) {
        for (size_t g = 0; g < 8; g++) {
            memcpy(numbers + 4 * g, sub_block + g * GROUP_SIZE + 4 * row, 4);
        }
        return;
    }
    bool five = type == GGUF_Q5_0 || type == GGUF_Q5_1 || type == GGUF_Q5_K;
    const uint8_t *nibbles = sub_block + (five ? FIFTHS_SIZE : 0);
    for (size_t j = 0; j < 4; j++) {
        uint32_t both = get_u32(nibbles + j * GROUP_SIZE + 4 * row);
        put_u32(numbers + 4 * j, both & 0x0f0f0f0fU);
        put_u32(numbers + 16 + 4 * j, both >> 4 & 0x0f0f0f0fU);
    }
    for (size_t i = 0; i < BLOCK_32; i++) {
        size_t g = i / 4;
        size_t k = i % 4;
        unsigned upper = 0;
        if (five) {
            upper = (uint32_t)sub_block[8 * g + row / 2] >> (4 * (row % 2) + k) & 1U;
        } else if (type == GGUF_Q6_K) {
            upper =
                (uint32_t)sub_block[NIBBLES_SIZE + g / 4 * GROUP_SIZE + 4 * row + k] >> (2 * (g % 4)) & 3U;
        }
        numbers[i] = (uint8_t)(numbers[i] | upper << 4);
    }
}

/* The blocks as ggml defines them (ggml-common.h), 32 columns at `part` of a super-block. */
static void read_q4(uint8_t numbers[BLOCK_32], const uint8_t *nibbles) {
    for (size_t i = 0; i < 16; i++) {
        numbers[i] = nibbles[i] & 15U;
        numbers[16 + i] = nibbles[i] >> 4;
    }
}

static void add_q5(uint8_t numbers[BLOCK_32], const uint8_t *fifths) {
    uint32_t bits = get_u32(fifths);
    for (size_t i = 0; i < BLOCK_32; i++) {
        numbers[i] = (uint8_t)(numbers[i] | (bits >> i & 1U) << 4);
    }
}

static void read_k_nibbles(uint8_t numbers[BLOCK_32], const uint8_t *nibbles, size_t part) {
    unsigned shift = part % 2 == 0 ? 0 : 4;
    for (size_t i = 0; i < BLOCK_32; i++) {
        numbers[i] = (uint8_t)((uint32_t)nibbles[part / 2 * BLOCK_32 + i] >> shift & 15U);
    }
}

static void read_q6_k(uint8_t numbers[BLOCK_32], const uint8_t *block, size_t part) {
    size_t half = part / 4;
    size_t quarter = part % 4;
    const uint8_t *low = block + 64 * half + 32 * (quarter % 2);
    const uint8_t *high = block + 128 + 32 * half;
    for (size_t i = 0; i < BLOCK_32; i++) {
        unsigned lower = low[i] >> (quarter < 2 ? 0 : 4) & 15U;
        numbers[i] = (uint8_t)(lower | (high[i] >> (2 * quarter) & 3U) << 4);
    }
}

static void k_scale(const uint8_t packed[12], size_t part, uint8_t *scale, uint8_t *minimum) {
    if (part < 4) {
        *scale = packed[part] & 63U;
        *minimum = packed[part + 4] & 63U;
    } else {
        *scale = (uint8_t)((packed[part + 4] & 15U) | (uint32_t)packed[part - 4] >> 6 << 4);
        *minimum = (uint8_t)(packed[part + 4] >> 4 | packed[part] >> 6 << 4);
    }
}

static void pack_super_block(uint8_t *out, gguf_type type, size_t row, const uint8_t *block) {
    uint8_t numbers[BLOCK_32];
    if (type == GGUF_Q6_K) {
        memcpy(out + 2 * row, block + 208, 2);
        for (size_t s = 0; s < 16; s++) {
            out[K_SCALES_AT + TILE_ROWS * s + row] = block[192 + s];
        }
        for (size_t part = 0; part < 8; part++) {
            read_q6_k(numbers, block, part);
            write_numbers(out + Q6_K_NUMBERS_AT + part * sub_block_size(type), type, row, numbers);
        }
        return;
    }
    memcpy(out + 2 * row, block, 2);
    memcpy(out + TILE_HALVES_SIZE + 2 * row, block + 2, 2);
    for (size_t part = 0; part < 8; part++) {
        uint8_t *minimum = out + K_MINIMUMS_AT + part / 2 * 2 * TILE_ROWS + 2 * row + part % 2;
        k_scale(block + 4, part, out + K_SCALES_AT + TILE_ROWS * part + row, minimum);
        read_k_nibbles(numbers, block + (type == GGUF_Q5_K ? 48 : 16), part);
        for (size_t i = 0; type == GGUF_Q5_K && i < BLOCK_32; i++) {
            numbers[i] = (uint8_t)(numbers[i] | (block[16 + i] >> part & 1U) << 4);
        }
        write_numbers(out + K_NUMBERS_AT + part * sub_block_size(type), type, row, numbers);
    }
}

static void pack_block(const matrix *m, uint8_t *tile, size_t row, size_t index, const uint8_t *block) {
    uint8_t numbers[BLOCK_32];
    uint8_t *scales = tile + block_scales_at(m->type, index) + 2 * row;
    const uint8_t *content = block + 2;
    memcpy(scales, block, 2);
    if (type_has_minimums(m->type)) {
        memcpy(scales + PAIR_MINIMUMS_AT, content, 2);
        content += 2;
    }
    if (m->type == GGUF_Q8_0) {
        for (size_t i = 0; i < BLOCK_32; i++) {
            numbers[i] = content[i] ^ 0x80U;
        }
    } else if (m->type == GGUF_Q5_0 || m->type == GGUF_Q5_1) {
        read_q4(numbers, content + 4);
        add_q5(numbers, content);
    } else {
        read_q4(numbers, content);
    }
    write_numbers(tile + block_numbers_at(m->type, index), m->type, row, numbers);
}

static size_t file_row_size(const matrix *m) {
    return (size_t)(m->columns / gguf_type_block(m->type)) * gguf_type_bytes(m->type);
}

/* A row that isn't there: numbers of zero meaning, so that what it computes is finite. */
static void pack_row(const matrix *m, uint8_t *tile, size_t row, const uint8_t *from) {
    size_t bytes = gguf_type_bytes(m->type);
    if (type_has_floats(m->type)) {
        uint8_t *place = tile + row * float_row_size(m);
        memset(place, 0, float_row_size(m));
        if (from != NULL) {
            memcpy(place, from, file_row_size(m));
        }
        return;
    }
    static const uint8_t zeros[256];
    size_t blocks = m->columns / gguf_type_block(m->type);
    for (size_t b = 0; b < blocks; b++) {
        const uint8_t *block = from == NULL ? zeros : from + b * bytes;
        if (type_has_super_blocks(m->type)) {
            pack_super_block(tile + b * super_block_size(m->type), m->type, row, block);
        } else {
            pack_block(m, tile, row, b, block);
        }
    }
}

void matrix_pack(const matrix *m, uint8_t *tiles, const uint8_t *file_rows, size_t first, size_t count) {
    for (size_t t = first; t < first + count; t++) {
        uint8_t *tile = tiles + t * m->tile_size;
        for (size_t row = 0; row < TILE_ROWS; row++) {
            size_t index = t * TILE_ROWS + row;
            pack_row(m, tile, row, index < m->rows ? file_rows + index * file_row_size(m) : NULL);
        }
    }
}

static float half_at(const uint8_t *halves, size_t index) {
    return float_of_half(load_u16(halves + 2 * index));
}

static void read_super_block(const matrix *m, const uint8_t *block, size_t row, float *values) {
    uint8_t numbers[BLOCK_32];
    bool six = m->type == GGUF_Q6_K;
    float scale = half_at(block, row);
    for (size_t part = 0; part < 8; part++) {
        const uint8_t *at = block + (six ? Q6_K_NUMBERS_AT : K_NUMBERS_AT) + part * sub_block_size(m->type);
        tile_read(numbers, m->type, at, row);
        for (size_t i = 0; i < BLOCK_32; i++) {
            if (six) {
                int8_t sub = (int8_t)block[K_SCALES_AT + TILE_ROWS * (2 * part + i / 16) + row];
                float step = scale * (float)sub;
                values[BLOCK_32 * part + i] = step * (float)(numbers[i] - 32);
            } else {
                float step = scale * (float)block[K_SCALES_AT + TILE_ROWS * part + row];
                size_t pair = part / 2;
                float minimum = half_at(block + TILE_HALVES_SIZE, row) *
                                (float)block[K_MINIMUMS_AT + pair * 2 * TILE_ROWS + 2 * row + part % 2];
                values[BLOCK_32 * part + i] = fmaf(step, (float)numbers[i], -minimum);
            }
        }
    }
}

static void read_block(const matrix *m, const uint8_t *tile, size_t row, size_t index, float *values) {
    uint8_t numbers[BLOCK_32];
    const uint8_t *scales = tile + block_scales_at(m->type, index);
    float scale = half_at(scales, row);
    tile_read(numbers, m->type, tile + block_numbers_at(m->type, index), row);
    for (size_t i = 0; i < BLOCK_32; i++) {
        if (type_has_minimums(m->type)) {
            values[i] = fmaf(scale, (float)numbers[i], half_at(scales + PAIR_MINIMUMS_AT, row));
        } else {
            values[i] = scale * (float)(numbers[i] - number_offset(m->type));
        }
    }
}

static void read_floats(const matrix *m, const uint8_t *from, float *values) {
    for (size_t i = 0; i < m->columns; i++) {
        if (m->type == GGUF_F32) {
            values[i] = load_f32(from + 4 * i);
        } else if (m->type == GGUF_F16) {
            values[i] = half_at(from, i);
        } else {
            values[i] = float_of_bits((uint32_t)load_u16(from + 2 * i) << 16);
        }
    }
}

void matrix_row(const matrix *m, uint32_t row, float *values) {
    const uint8_t *tile = matrix_tile(m, row / TILE_ROWS);
    size_t lane = row % TILE_ROWS;
    if (type_has_floats(m->type)) {
        read_floats(m, tile + lane * float_row_size(m), values);
    } else if (type_has_super_blocks(m->type)) {
        for (size_t b = 0; b < m->columns / BLOCK_256; b++) {
            read_super_block(m, tile + b * super_block_size(m->type), lane, values + b * BLOCK_256);
        }
    } else {
        for (size_t b = 0; b < m->columns / BLOCK_32; b++) {
            read_block(m, tile, lane, b, values + b * BLOCK_32);
        }
    }
}
