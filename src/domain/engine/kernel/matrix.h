#ifndef ENGINE_KERNEL_MATRIX_H
#define ENGINE_KERNEL_MATRIX_H

#include "engine/gguf.h"

/* A weight matrix in the one packed form that every kernel reads (matrix.c tells the layout of each type).
 * Sixteen rows stand side by side in a tile, so that SIMD lanes are rows; the last tile is filled up with
 * rows of zeros. Packed bytes are about as many as the file's. */
enum { TILE_ROWS = 16, BLOCK_32 = 32, BLOCK_256 = 256 };

typedef struct matrix {
    gguf_type type;
    uint32_t rows;
    uint32_t columns;
    size_t tile_size;     /* bytes; a multiple of 64 */
    const uint8_t *tiles; /* aligned to 64; NULL: the model has no such matrix */
} matrix;

static inline size_t matrix_tile_count(const matrix *m) {
    return ((size_t)m->rows + TILE_ROWS - 1) / TILE_ROWS;
}

/* Describes the packed form; the caller then gives it `tiles` of matrix_size bytes. False when the columns
 * don't fill whole blocks of the type. */
MUST_CHECK bool matrix_shape(matrix *m, gguf_type type, uint32_t rows, uint32_t columns);
size_t matrix_size(const matrix *m);
/* Fills tiles [first, first + count) at `tiles`, zeroed before and with room for all, from rows as the file
 * has them. Any thread, any portions. */
void matrix_pack(const matrix *m, uint8_t *tiles, const uint8_t *file_rows, size_t first, size_t count);
/* One row as the exact values of format/dequantise.h. */
void matrix_row(const matrix *m, uint32_t row, float *values);

#endif
