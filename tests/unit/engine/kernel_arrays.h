#ifndef ENGINE_KERNEL_ARRAYS_H
#define ENGINE_KERNEL_ARRAYS_H

#include "kernel/kernels.h"

/* Inputs of kernels. The forms of the kernels are compiled without sanitizers, so each array ends at a page
 * that can't be touched. */
void *guarded_new(size_t size); /* zeroed */
void guarded_free(void *array, size_t size);

extern const gguf_type kernel_types[];
enum { KERNEL_TYPES = 11 };

/* How the weights' bytes are drawn; scales are finite always. */
typedef enum weight_choice {
    WEIGHTS_RANDOM, /* scales of every size, subnormal ones among them */
    WEIGHTS_USUAL,  /* scales around 2^-6 */
    WEIGHTS_LOWEST, /* numbers of bits 0, scales 1 */
    WEIGHTS_HIGHEST /* numbers of bits 1, scales 1, sub-scales as large as they get */
} weight_choice;

typedef struct test_matrix {
    matrix m;
    uint8_t *file_rows; /* as the file has them */
    size_t file_row_size;
} test_matrix;

void test_matrix_begin(test_matrix *t, gguf_type type, uint32_t rows, uint32_t columns, weight_choice choice,
                       uint64_t *random);
void test_matrix_end(test_matrix *t);

/* `values` has operand.stride floats a vector, zeros past the columns; the caller fills and frees them. */
void operand_begin(operand *x, const float *values, uint32_t columns, size_t count);
void operand_end(operand *x, size_t count);
size_t operand_stride(uint32_t columns);

#endif
