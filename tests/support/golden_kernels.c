/* golden_kernels FORM [odd]: a hash of what each operation of the kernels gives for fixed inputs, one a line.
 * `golden_kernels forms` names the forms that this build has and this processor runs. With `odd`, the
 * caller's environment rounds upwards and flushes subnormal numbers to zero before the arithmetic is entered.
 * Needs no library, so that it is built for any machine from a few files. */
#include "arithmetic/arithmetic.h"
#include "kernel/kernels.h"
#include "kernel/tile.h"

#include <fenv.h>
#include <stdio.h>
#include <stdlib.h>

enum { ROWS = 50, COLUMNS = 768, FLOAT_COLUMNS = 250, STRIDE = 768, COUNT = 11, HEAD = 84, VALUES = 1003 };

static uint64_t state;

static uint64_t draw(void) { /* xorshift64 (Marsaglia 2003) */
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

/* In [-1, 1), a multiple of 2^-23. */
static float draw_float(void) {
    return (float)((int32_t)(draw() >> 40) - (1 << 23)) * 0x1p-23f;
}

/* FNV-1a. */
static uint64_t hash(uint64_t seed, const void *bytes, size_t size) {
    const uint8_t *at = bytes;
    for (size_t i = 0; i < size; i++) {
        seed = (seed ^ at[i]) * UINT64_C(0x100000001b3);
    }
    return seed;
}

static void print_hash(const char *operation, const char *type, const void *bytes, size_t size) {
    uint64_t h = hash(UINT64_C(0xcbf29ce484222325), bytes, size);
    printf("%s%s%s %016llx\n", operation, *type != 0 ? " " : "", type, (unsigned long long)h);
}

static void *reserve(size_t size) {
    size_t whole = filled_up(size, 64);
    void *memory = aligned_alloc(64, whole);
    if (memory == NULL) {
        abort();
    }
    memset(memory, 0, whole);
    return memory;
}

static float *draw_values(size_t count) {
    static const float sizes[] = {1, 1, 1, 0x1p-20f, 5, 100, 0x1p-130f, 0};
    float *values = reserve(count * sizeof *values);
    for (size_t i = 0; i < count; i++) {
        values[i] = draw_float() * sizes[draw() % 8];
    }
    return values;
}

static void draw_operand(operand *x, uint32_t columns) {
    const size_t total = (size_t)STRIDE * COUNT;
    float *values = reserve(total * sizeof *values);
    for (size_t v = 0; v < COUNT; v++) {
        for (size_t k = 0; k < columns; k++) {
            values[v * STRIDE + k] = draw_float() * (draw() % 7 == 0 ? 5.0f : 1.0f);
        }
    }
    memset(values + STRIDE, 0, 32 * sizeof *values);
    *x = (operand){.columns = columns, .stride = STRIDE, .values = values};
    x->by_32.numbers = reserve(total);
    x->by_32.scales = reserve(total / 32 * sizeof(float));
    x->by_32.sums = reserve(total / 32 * sizeof(int16_t));
    for (size_t i = 0; i < 3; i++) {
        x->by_32.starts[i] = reserve(total / 32 * sizeof(int32_t));
    }
    x->by_256.numbers = reserve(total);
    x->by_256.scales = reserve(total / 256 * sizeof(float));
    x->by_256.sums = reserve(total / 32 * sizeof(int16_t));
    x->by_256.starts = reserve(total / 16 * sizeof(int32_t));
}

static void free_operand(operand *x) {
    free((void *)x->values);
    free(x->by_32.numbers);
    free(x->by_32.scales);
    free(x->by_32.sums);
    for (size_t i = 0; i < 3; i++) {
        free(x->by_32.starts[i]);
    }
    free(x->by_256.numbers);
    free(x->by_256.scales);
    free(x->by_256.sums);
    free(x->by_256.starts);
}

/* A half of size 2^-7 to 2^-6, any sign. */
static void put_half(uint8_t *place) {
    uint16_t half = (uint16_t)((draw() & 0x83ffU) | 0x2000U);
    memcpy(place, &half, sizeof half);
}

static uint8_t *draw_rows(gguf_type type, size_t blocks) {
    const size_t bytes = gguf_type_bytes(type);
    uint8_t *rows = reserve(blocks * bytes);
    for (size_t b = 0; b < blocks; b++) {
        uint8_t *block = rows + b * bytes;
        for (size_t i = 0; i < bytes; i++) {
            block[i] = (uint8_t)draw();
        }
        if (type == GGUF_F32) {
            float value = draw_float();
            memcpy(block, &value, sizeof value);
        } else {
            put_half(block + (type == GGUF_Q6_K ? 208 : 0));
        }
        if (type_has_minimums(type) || type == GGUF_Q4_K || type == GGUF_Q5_K) {
            put_half(block + 2);
        }
    }
    return rows;
}

static void print_multiply(const kernels *form, gguf_type type) {
    matrix m;
    operand x;
    const uint32_t columns = type_has_floats(type) ? FLOAT_COLUMNS : COLUMNS;
    if (!matrix_shape(&m, type, ROWS, columns)) {
        abort();
    }
    const size_t tiles = matrix_tile_count(&m);
    const size_t y_stride = tiles * TILE_ROWS;
    uint8_t *rows = draw_rows(type, (size_t)ROWS * columns / gguf_type_block(type));
    uint8_t *packed = reserve(matrix_size(&m));
    float *y = reserve((COUNT * y_stride + ROWS + COLUMNS) * sizeof *y);
    matrix_pack(&m, packed, rows, 0, tiles);
    m.tiles = packed;
    draw_operand(&x, columns);
    for (size_t v = 0; v < COUNT; v++) {
        if (!form->quantise_32(&x, v) || !form->quantise_256(&x, v)) {
            abort();
        }
    }
    form->multiply(y, y_stride, &m, 0, 3, &x, 0, COUNT);
    for (size_t v = 0; v < COUNT; v++) {
        form->multiply(y + v * y_stride, y_stride, &m, 3, tiles - 3, &x, v, 1);
    }
    print_hash("multiply", gguf_type_name(type), y, COUNT * y_stride * sizeof *y);
    for (uint32_t r = 0; r < ROWS; r++) {
        matrix_row(&m, r, y + r);
    }
    print_hash("row", gguf_type_name(type), y, ((size_t)ROWS - 1 + columns) * sizeof *y);
    if (type == GGUF_Q8_0) {
        print_hash("quantise 32", "numbers", x.by_32.numbers, (size_t)STRIDE * COUNT);
        print_hash("quantise 32", "scales", x.by_32.scales, (size_t)STRIDE * COUNT / 32 * sizeof(float));
        print_hash("quantise 256", "numbers", x.by_256.numbers, (size_t)STRIDE * COUNT);
        print_hash("quantise 256", "scales", x.by_256.scales, (size_t)STRIDE * COUNT / 256 * sizeof(float));
    }
    free_operand(&x);
    free(rows);
    free(packed);
    free(y);
}

static void print_halves(const kernels *form) {
    float *a = draw_values((size_t)COUNT * CHUNK);
    float *values = draw_values((size_t)CHUNK * HEAD);
    float *out = reserve((size_t)COUNT * HEAD * sizeof *out);
    uint16_t *halves = reserve((size_t)CHUNK * HEAD * sizeof *halves);
    for (size_t d = 0; d < HEAD; d++) {
        if (!form->to_halves(halves + d, HEAD, values + d * CHUNK, CHUNK)) {
            abort();
        }
    }
    print_hash("to_halves", "", halves, (size_t)CHUNK * HEAD * sizeof *halves);
    form->multiply_halves(out, HEAD, a, CHUNK, COUNT, halves, CHUNK, HEAD, false);
    print_hash("multiply_halves", "", out, (size_t)COUNT * HEAD * sizeof *out);
    form->multiply_halves(out, HEAD, a, CHUNK, COUNT, halves, CHUNK / 2, HEAD, true);
    print_hash("multiply_halves", "added", out, (size_t)COUNT * HEAD * sizeof *out);
    free(a);
    free(values);
    free(out);
    free(halves);
}

static void print_sums(const kernels *form) {
    float *x = draw_values(VALUES);
    float results[3] = {form->sum_of_squares(x, VALUES), form->sum(x, VALUES), form->largest(x, VALUES)};
    print_hash("sum_of_squares", "", &results[0], sizeof(float));
    print_hash("sum", "", &results[1], sizeof(float));
    print_hash("largest", "", &results[2], sizeof(float));
    float weights[CHUNK + 1];
    memcpy(weights, x, CHUNK * sizeof *x);
    weights[CHUNK] = form->weigh_scores(weights, 5, 61, results[2], 0.125f);
    print_hash("weigh_scores", "", weights, sizeof weights);
    free(x);
}

static void print_elementwise(const kernels *form) {
    static const char *const names[] = {"scale_and_weigh", "add",  "cap",          "gate_silu",
                                        "gate_gelu",       "gelu", "exponentials", "rotate"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        float *x = draw_values(VALUES);
        float *other = draw_values(VALUES);
        double frequencies[32];
        float cosines[32];
        float sines[32];
        switch (i) {
        case 0:
            form->scale_and_weigh(x, x, 0x1.23456p-1f, other, VALUES);
            break;
        case 1:
            form->add(x, other, VALUES);
            break;
        case 2:
            form->cap(x, VALUES, 0.125f, 30.0f);
            break;
        case 3:
            form->gate_silu(x, other, VALUES);
            break;
        case 4:
            form->gate_gelu(x, other, VALUES);
            break;
        case 5:
            form->gelu(x, VALUES);
            break;
        case 6:
            form->exponentials(x, VALUES);
            break;
        default:
            rope_frequencies(frequencies, 64, 10000.0f);
            rope_turns(cosines, sines, frequencies, 32, 12345);
            form->rotate(x, 6, 80, 32, true, cosines, sines);
            form->rotate(x + 480, 6, 80, 29, false, cosines, sines);
            break;
        }
        print_hash(names[i], "", x, VALUES * sizeof *x);
        free(x);
        free(other);
    }
}

static bool set_odd_environment(void) {
#if defined(__x86_64__)
    __builtin_ia32_ldmxcsr(__builtin_ia32_stmxcsr() | 0x8040U);
#elif defined(__aarch64__)
    /* Flush to zero, of halves too; alternative halves; default NaN. */
    const uint64_t flags = UINT64_C(1) << 19 | UINT64_C(1) << 24 | UINT64_C(1) << 25 | UINT64_C(1) << 26;
    __asm__ volatile("msr fpcr, %0" : : "r"(flags));
#endif
    return fesetround(FE_UPWARD) == 0;
}

int main(int argc, char **argv) {
    if (argc >= 2 && strcmp(argv[1], "forms") == 0) {
        const kernels *forms[KERNELS_MAX];
        size_t count = kernels_available(forms);
        for (size_t i = 0; i < count; i++) {
            puts(forms[i]->name);
        }
        return 0;
    }
    const kernels *form = argc >= 2 ? kernels_find(argv[1]) : NULL;
    arithmetic_state saved;
    if (form == NULL || (argc > 2 && !set_odd_environment()) || !arithmetic_enter(&saved)) {
        fputs("usage: golden_kernels forms | FORM [odd]\n", stderr);
        return 2;
    }
    static const gguf_type types[] = {GGUF_F32,  GGUF_F16,  GGUF_BF16, GGUF_Q8_0, GGUF_Q4_0, GGUF_Q4_1,
                                      GGUF_Q5_0, GGUF_Q5_1, GGUF_Q4_K, GGUF_Q5_K, GGUF_Q6_K};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        state = 88172645463325252U + i;
        print_multiply(form, types[i]);
    }
    print_halves(form);
    print_sums(form);
    print_elementwise(form);
    arithmetic_leave(&saved);
    return 0;
}
