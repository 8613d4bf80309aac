#include "kernel_arrays.h"

#include "unit.h"

#include "kernel/tile.h"
#include "model_file.h"

#include <sys/mman.h>
#include <unistd.h>

const gguf_type kernel_types[KERNEL_TYPES] = {GGUF_F32,  GGUF_F16,  GGUF_BF16, GGUF_Q8_0,
                                              GGUF_Q4_0, GGUF_Q4_1, GGUF_Q5_0, GGUF_Q5_1,
                                              GGUF_Q4_K, GGUF_Q5_K, GGUF_Q6_K};

static size_t page_size(void) {
    return (size_t)sysconf(_SC_PAGESIZE);
}

void *guarded_new(size_t size) {
    size_t usable = filled_up(size, page_size());
    uint8_t *pages =
        mmap(NULL, usable + page_size(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(pages != MAP_FAILED);
    assert_int_equal(mprotect(pages + usable, page_size(), PROT_NONE), 0);
    return pages + usable - size;
}

void guarded_free(void *array, size_t size) {
    size_t usable = filled_up(size, page_size());
    assert_int_equal(munmap((uint8_t *)array + size - usable, usable + page_size()), 0);
}

static void put_half(uint8_t *place, weight_choice choice, uint64_t *random) {
    uint16_t half = 0x3c00;
    if (choice == WEIGHTS_RANDOM) {
        half = (uint16_t)test_random(random);
        half = test_random(random) % 8 == 0 ? half & 0x83ff : half;
        half = (half & 0x7c00) == 0x7c00 ? half & 0xbfff : half;
    } else if (choice == WEIGHTS_USUAL) {
        half = (uint16_t)((test_random(random) & 0x83ff) | 0x2000);
    }
    memcpy(place, &half, sizeof half);
}

static void put_float(uint8_t *place, gguf_type type, uint64_t *random) {
    static const float sizes[] = {1.0f, 1e-3f, 30.0f, 0.0f, -0.0f, 1e-20f};
    float value = test_random_float(random) * sizes[test_random(random) % 6];
    uint32_t bits = 0;
    memcpy(&bits, &value, sizeof bits);
    uint16_t upper = (uint16_t)(bits >> 16);
    memcpy(place, type == GGUF_F32 ? (const void *)&value : &upper, type == GGUF_F32 ? 4 : 2);
}

static void put_block(uint8_t *block, gguf_type type, weight_choice choice, uint64_t *random) {
    const size_t bytes = gguf_type_bytes(type);
    if (type == GGUF_F16) {
        put_half(block, choice, random);
        return;
    }
    if (type_has_floats(type)) {
        put_float(block, type, random);
        return;
    }
    for (size_t i = 0; i < bytes; i++) {
        block[i] = choice == WEIGHTS_LOWEST    ? 0
                   : choice == WEIGHTS_HIGHEST ? 0xff
                                               : (uint8_t)test_random(random);
    }
    if (type == GGUF_Q6_K && (choice == WEIGHTS_LOWEST || choice == WEIGHTS_HIGHEST)) {
        memset(block + 192, 0x80, 16); /* sub-scales of -128 */
    } else if (type_has_super_blocks(type) && choice == WEIGHTS_LOWEST) {
        memset(block + 4, 0xff, 12);
    } else if (type == GGUF_Q8_0 && (choice == WEIGHTS_LOWEST || choice == WEIGHTS_HIGHEST)) {
        memset(block + 2, choice == WEIGHTS_LOWEST ? 0x80 : 0x7f, BLOCK_32); /* -128, 127 */
    }
    put_half(block + (type == GGUF_Q6_K ? 208 : 0), choice, random);
    if (type_has_minimums(type) || type == GGUF_Q4_K || type == GGUF_Q5_K) {
        put_half(block + 2, choice, random);
    }
}

void test_matrix_begin(test_matrix *t, gguf_type type, uint32_t rows, uint32_t columns, weight_choice choice,
                       uint64_t *random) {
    const size_t bytes = gguf_type_bytes(type);
    assert_true(matrix_shape(&t->m, type, rows, columns));
    t->file_row_size = columns / gguf_type_block(type) * bytes;
    t->file_rows = guarded_new(rows * t->file_row_size);
    for (size_t at = 0; at < rows * t->file_row_size; at += bytes) {
        put_block(t->file_rows + at, type, choice, random);
    }
    uint8_t *tiles = guarded_new(matrix_size(&t->m));
    size_t count = matrix_tile_count(&t->m);
    matrix_pack(&t->m, tiles, t->file_rows, 0, count / 2);
    matrix_pack(&t->m, tiles, t->file_rows, count / 2, count - count / 2);
    t->m.tiles = tiles;
}

void test_matrix_end(test_matrix *t) {
    guarded_free(t->file_rows, t->m.rows * t->file_row_size);
    guarded_free((void *)t->m.tiles, matrix_size(&t->m));
}

size_t operand_stride(uint32_t columns) {
    return filled_up(columns, BLOCK_256);
}

void operand_begin(operand *x, const float *values, uint32_t columns, size_t count) {
    const size_t stride = operand_stride(columns);
    const size_t total = stride * count;
    *x = (operand){.columns = columns, .stride = stride, .values = values};
    x->by_32.numbers = guarded_new(total);
    x->by_32.scales = guarded_new(total / 32 * sizeof(float));
    x->by_32.sums = guarded_new(total / 32 * sizeof(int16_t));
    for (size_t i = 0; i < 3; i++) {
        x->by_32.starts[i] = guarded_new(total / 32 * sizeof(int32_t));
    }
    x->by_256.numbers = guarded_new(total);
    x->by_256.scales = guarded_new(total / 256 * sizeof(float));
    x->by_256.sums = guarded_new(total / 32 * sizeof(int16_t));
    x->by_256.starts = guarded_new(total / 16 * sizeof(int32_t));
}

void operand_end(operand *x, size_t count) {
    const size_t total = x->stride * count;
    guarded_free(x->by_32.numbers, total);
    guarded_free(x->by_32.scales, total / 32 * sizeof(float));
    guarded_free(x->by_32.sums, total / 32 * sizeof(int16_t));
    for (size_t i = 0; i < 3; i++) {
        guarded_free(x->by_32.starts[i], total / 32 * sizeof(int32_t));
    }
    guarded_free(x->by_256.numbers, total);
    guarded_free(x->by_256.scales, total / 256 * sizeof(float));
    guarded_free(x->by_256.sums, total / 32 * sizeof(int16_t));
    guarded_free(x->by_256.starts, total / 16 * sizeof(int32_t));
}
