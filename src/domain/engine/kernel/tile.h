#ifndef ENGINE_KERNEL_TILE_H
#define ENGINE_KERNEL_TILE_H

#include "kernel/matrix.h"

/* Where things stand in a packed tile of 16 rows. A group is 4 neighbouring columns of all 16 rows, 64 bytes:
 * byte 4 * row + column. Whole numbers are stored unsigned (a constant of the type more than they are). A
 * tile is read from its first byte to its last: a processor fetches one such stream about twice as fast as
 * two.
 *
 * Types of 32-blocks, two blocks together (the last may be alone): 16 scales of each, halves; then minimums
 * likewise (_1 types); then the numbers of each:
 *   Q8_0: 8 groups
 *   Q4:   4 times 64 bytes: low four bits group j, high four bits group j + 4
 *   Q5:   8 times 64 bits, the fifth bits of a group's bytes; then as Q4
 * Types of 256-blocks, per block: 16 scales, 16 scales of minimums (or nothing, Q6_K), halves; then
 *   Q4_K, Q5_K: 8 sub-scales of 16 rows; 4 times 16 rows of two neighbouring sub-minimums; 8 sub-blocks as
 *               Q4, Q5
 *   Q6_K: 16 signed sub-scales of 16 rows; 8 sub-blocks as Q4, each followed by twice 64 bytes of which bits
 *         2i and 2i + 1 are the upper two of group 4h + i
 * Floats: rows one after the other, each filled up to 64 bytes with zeros. */
enum {
    GROUP_SIZE = 64,
    NIBBLES_SIZE = 256,
    FIFTHS_SIZE = 64,
    SIXTHS_SIZE = 128,
    TILE_HALVES_SIZE = 2 * TILE_ROWS,
    PAIR_MINIMUMS_AT = 2 * TILE_HALVES_SIZE,
    K_SCALES_AT = 64,
    K_MINIMUMS_AT = K_SCALES_AT + 8 * TILE_ROWS,
    K_NUMBERS_AT = K_MINIMUMS_AT + 8 * TILE_ROWS,
    Q6_K_NUMBERS_AT = K_SCALES_AT + 16 * TILE_ROWS,
};

static inline size_t filled_up(size_t size, size_t to) {
    return (size + to - 1) / to * to;
}

static inline bool type_has_floats(gguf_type type) {
    return type == GGUF_F32 || type == GGUF_F16 || type == GGUF_BF16;
}

static inline bool type_has_super_blocks(gguf_type type) {
    return type == GGUF_Q4_K || type == GGUF_Q5_K || type == GGUF_Q6_K;
}

static inline bool type_has_minimums(gguf_type type) {
    return type == GGUF_Q4_1 || type == GGUF_Q5_1;
}

static inline size_t float_row_size(const matrix *m) {
    return filled_up((size_t)m->columns * (m->type == GGUF_F32 ? 4 : 2), 64);
}

static inline const uint8_t *matrix_tile(const matrix *m, size_t tile) {
    return m->tiles + tile * m->tile_size;
}

/* Bytes of the numbers of 32 columns. */
static inline size_t sub_block_size(gguf_type type) {
    switch (type) {
    case GGUF_Q8_0:
        return (size_t)8 * GROUP_SIZE;
    case GGUF_Q5_0:
    case GGUF_Q5_1:
    case GGUF_Q5_K:
        return NIBBLES_SIZE + FIFTHS_SIZE;
    case GGUF_Q6_K:
        return NIBBLES_SIZE + SIXTHS_SIZE;
    default:
        return NIBBLES_SIZE;
    }
}

/* Of 32-block types: bytes of two blocks' scales (and minimums), and of all that stands together. */
static inline size_t pair_scales_size(gguf_type type) {
    return (size_t)2 * TILE_HALVES_SIZE * (type_has_minimums(type) ? 2 : 1);
}

static inline size_t pair_size(gguf_type type) {
    return pair_scales_size(type) + 2 * sub_block_size(type);
}

/* Where a block's scales and numbers begin in the tile; its minimums are PAIR_MINIMUMS_AT after its scales.
 */
static inline size_t block_scales_at(gguf_type type, size_t block) {
    return block / 2 * pair_size(type) + block % 2 * TILE_HALVES_SIZE;
}

static inline size_t block_numbers_at(gguf_type type, size_t block) {
    return block / 2 * pair_size(type) + pair_scales_size(type) + block % 2 * sub_block_size(type);
}

static inline size_t super_block_size(gguf_type type) {
    size_t numbers_at = type == GGUF_Q6_K ? Q6_K_NUMBERS_AT : K_NUMBERS_AT;
    return numbers_at + 8 * sub_block_size(type);
}

/* What the stored number is more than the meant one. */
static inline int number_offset(gguf_type type) {
    switch (type) {
    case GGUF_Q8_0:
        return 128;
    case GGUF_Q4_0:
        return 8;
    case GGUF_Q5_0:
        return 16;
    case GGUF_Q6_K:
        return 32;
    default:
        return 0;
    }
}

/* The stored numbers of one row in a sub-block of 32 columns. */
void tile_read(uint8_t numbers[BLOCK_32], gguf_type type, const uint8_t *sub_block, size_t row);

#endif
