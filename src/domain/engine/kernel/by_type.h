/* The end of a form's multiplication, the same for all: a loop of its own for each type. No guard: a form
 * includes it once, in its middle, having defined INLINE, FLOAT_VECTORS, multiply_floats and
 * multiply_numbers. */

INLINE void multiply_all_floats(gguf_type type, float *y, size_t y_stride, const matrix *m, size_t first_tile,
                                size_t tile_count, const operand *x, size_t first, size_t count) {
    for (size_t t = first_tile; t < first_tile + tile_count; t++) {
        size_t v = 0;
        for (; v + FLOAT_VECTORS <= count; v += FLOAT_VECTORS) {
            multiply_floats(type, FLOAT_VECTORS, y + v * y_stride, y_stride, m, t, x, first + v);
        }
        for (; v < count; v++) {
            multiply_floats(type, 1, y + v * y_stride, y_stride, m, t, x, first + v);
        }
    }
}

#define MULTIPLY_BY_TYPE(TYPE, FAMILY)                                                                       \
    static void multiply_##TYPE(float *y, size_t y_stride, const matrix *m, size_t first_tile,               \
                                size_t tile_count, const operand *x, size_t first, size_t count) {           \
        FAMILY(GGUF_##TYPE, y, y_stride, m, first_tile, tile_count, x, first, count);                        \
    }
MULTIPLY_BY_TYPE(Q8_0, multiply_numbers)
MULTIPLY_BY_TYPE(Q4_0, multiply_numbers)
MULTIPLY_BY_TYPE(Q4_1, multiply_numbers)
MULTIPLY_BY_TYPE(Q5_0, multiply_numbers)
MULTIPLY_BY_TYPE(Q5_1, multiply_numbers)
MULTIPLY_BY_TYPE(Q4_K, multiply_numbers)
MULTIPLY_BY_TYPE(Q5_K, multiply_numbers)
MULTIPLY_BY_TYPE(Q6_K, multiply_numbers)
MULTIPLY_BY_TYPE(F32, multiply_all_floats)
MULTIPLY_BY_TYPE(F16, multiply_all_floats)
MULTIPLY_BY_TYPE(BF16, multiply_all_floats)

static void multiply(float *y, size_t y_stride, const matrix *m, size_t first_tile, size_t tile_count,
                     const operand *x, size_t first, size_t count) {
    switch (m->type) {
#define CASE(TYPE)                                                                                           \
    case GGUF_##TYPE:                                                                                        \
        multiply_##TYPE(y, y_stride, m, first_tile, tile_count, x, first, count);                            \
        break;
        CASE(Q8_0)
        CASE(Q4_0)
        CASE(Q4_1)
        CASE(Q5_0)
        CASE(Q5_1)
        CASE(Q4_K)
        CASE(Q5_K)
        CASE(Q6_K)
        CASE(F32)
        CASE(F16)
        CASE(BF16)
#undef CASE
    }
}
