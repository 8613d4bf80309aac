#include "engine/golden.h"

#include "arithmetic/arithmetic.h"
#include "golden/inputs.h"
#include "kernel/kernels.h"

enum {
    COLUMNS = 512, /* room for a vector */
    ROWS = 40,     /* the last tile isn't full */
    PADDED_ROWS = 48,
    VECTORS = 9,
    FLOAT_COLUMNS = 301, /* no multiple of anything */
    SHORT_COLUMNS = 416, /* of blocks of 32: no multiple of 256 */
    COUNT = 333,
    HEAD_SIZE = 80,
    HALVES_ROWS = 11,
    ALIGNMENT = 64
};

/* All arrays of an operation, each aligned. */
typedef struct arrays {
    _Alignas(ALIGNMENT) float values[VECTORS * COLUMNS];
    _Alignas(ALIGNMENT) float others[VECTORS * COLUMNS];
    _Alignas(ALIGNMENT) float results[VECTORS * COLUMNS];
    _Alignas(ALIGNMENT) uint16_t halves[CHUNK * HEAD_SIZE];
    _Alignas(ALIGNMENT) uint8_t file_rows[ROWS * COLUMNS * sizeof(float)];
    _Alignas(ALIGNMENT) uint8_t tiles[PADDED_ROWS * COLUMNS * sizeof(float)];
    _Alignas(ALIGNMENT) int8_t numbers[VECTORS * COLUMNS];
    _Alignas(ALIGNMENT) float scales[VECTORS * COLUMNS / BLOCK_32];
    _Alignas(ALIGNMENT) int16_t sums[VECTORS * COLUMNS / BLOCK_32];
    _Alignas(ALIGNMENT) int32_t starts[3][VECTORS * COLUMNS / 16];
} arrays;

typedef struct golden {
    const kernels *form;
    arrays *a;
    uint64_t hash; /* of the operation at hand */
} golden;

/* FNV-1a (Fowler, Noll, Vo). */
static void keep(golden *g, const void *bytes, size_t length) {
    const uint8_t *at = bytes;
    for (size_t i = 0; i < length; i++) {
        g->hash = (g->hash ^ at[i]) * UINT64_C(0x100000001b3);
    }
}

static void keep_floats(golden *g, const float *x, size_t count) {
    keep(g, x, count * sizeof *x);
}

/* Fresh inputs, the same for every operation. One block of the vectors is zeros. */
static void fill(golden *g) {
    g->hash = UINT64_C(0xcbf29ce484222325);
    memset(g->a, 0, sizeof *g->a);
    inputs in = inputs_make();
    inputs_floats(&in, g->a->values, VECTORS * COLUMNS);
    inputs_floats(&in, g->a->others, VECTORS * COLUMNS);
    inputs_halves(&in, g->a->halves, CHUNK * HEAD_SIZE);
    memset(g->a->values + COLUMNS, 0, BLOCK_32 * sizeof *g->a->values);
}

static operand operand_of(arrays *a, size_t columns, bool by_256) {
    operand x = {.columns = columns, .stride = COLUMNS, .values = a->values};
    if (by_256) {
        x.by_256.numbers = a->numbers;
        x.by_256.scales = a->scales;
        x.by_256.sums = a->sums;
        x.by_256.starts = a->starts[0];
    } else {
        x.by_32.numbers = a->numbers;
        x.by_32.scales = a->scales;
        x.by_32.sums = a->sums;
        for (size_t i = 0; i < 3; i++) {
            x.by_32.starts[i] = a->starts[i];
        }
    }
    return x;
}

/* Values between a vector's end and its stride are zeros. */
static void cut_vectors(arrays *a, size_t columns) {
    for (size_t v = 0; v < VECTORS; v++) {
        memset(a->values + v * COLUMNS + columns, 0, (COLUMNS - columns) * sizeof *a->values);
    }
}

static bool round_vectors(golden *g, const operand *x, bool by_256) {
    bool finite = true;
    for (size_t v = 0; v < VECTORS; v++) {
        finite = (by_256 ? g->form->quantise_256 : g->form->quantise_32)(x, v) && finite;
    }
    return finite;
}

static void run_quantise(golden *g, bool by_256) {
    size_t columns = by_256 ? COLUMNS : SHORT_COLUMNS;
    cut_vectors(g->a, columns);
    operand x = operand_of(g->a, columns, by_256);
    bool finite = round_vectors(g, &x, by_256);
    keep(g, &finite, sizeof finite);
    keep(g, g->a->numbers, sizeof g->a->numbers);
    keep(g, g->a->scales, sizeof g->a->scales);
    keep(g, g->a->sums, sizeof g->a->sums);
    keep(g, g->a->starts, sizeof g->a->starts);
}

static void quantise_32(golden *g) {
    run_quantise(g, false);
}

static void quantise_256(golden *g) {
    run_quantise(g, true);
}

/* All at once, then cut into portions of vectors and tiles. */
static void multiply_in_portions(golden *g, const matrix *m, const operand *x) {
    static const size_t vectors[] = {VECTORS, 1, 3, 8};
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        size_t tiles = i == 0 ? matrix_tile_count(m) : 1;
        memset(g->a->results, 0, sizeof g->a->results);
        for (size_t v = 0; v < VECTORS; v += vectors[i]) {
            size_t count = VECTORS - v < vectors[i] ? VECTORS - v : vectors[i];
            for (size_t t = 0; t < matrix_tile_count(m); t += tiles) {
                g->form->multiply(g->a->results + v * PADDED_ROWS, PADDED_ROWS, m, t, tiles, x, v, count);
            }
        }
        keep_floats(g, g->a->results, (size_t)VECTORS * PADDED_ROWS);
    }
}

static uint32_t columns_of(gguf_type type) {
    uint32_t block = gguf_type_block(type);
    return block == 1 ? FLOAT_COLUMNS : block == BLOCK_256 ? COLUMNS : SHORT_COLUMNS;
}

static void make_matrix(golden *g, gguf_type type, matrix *m) {
    inputs in = inputs_make();
    bool good = matrix_shape(m, type, ROWS, columns_of(type)) && matrix_size(m) <= sizeof g->a->tiles;
    keep(g, &good, sizeof good);
    inputs_blocks(&in, type, g->a->file_rows, (size_t)ROWS * columns_of(type) / gguf_type_block(type));
    matrix_pack(m, g->a->tiles, g->a->file_rows, 0, matrix_tile_count(m));
    m->tiles = g->a->tiles;
}

static void multiply(golden *g, gguf_type type) {
    matrix m;
    bool by_256 = gguf_type_block(type) == BLOCK_256;
    make_matrix(g, type, &m);
    cut_vectors(g->a, m.columns);
    operand x = operand_of(g->a, m.columns, by_256);
    bool finite = gguf_type_block(type) == 1 || round_vectors(g, &x, by_256);
    keep(g, &finite, sizeof finite);
    multiply_in_portions(g, &m, &x);
}

static void row(golden *g, gguf_type type) {
    matrix m;
    make_matrix(g, type, &m);
    for (uint32_t r = 0; r < ROWS; r++) {
        matrix_row(&m, r, g->a->results);
        keep_floats(g, g->a->results, m.columns);
    }
}

static void multiply_halves(golden *g) {
    arrays *a = g->a;
    for (size_t rows = 1; rows <= HALVES_ROWS; rows += 2) {
        memset(a->results, 0, sizeof a->results);
        g->form->multiply_halves(a->results, CHUNK, a->values, HEAD_SIZE, rows, a->halves, HEAD_SIZE, CHUNK,
                                 false);
        keep_floats(g, a->results, rows * CHUNK);
        memcpy(a->results, a->others, sizeof a->results);
        g->form->multiply_halves(a->results, HEAD_SIZE, a->values, CHUNK, rows, a->halves, CHUNK, HEAD_SIZE,
                                 true);
        keep_floats(g, a->results, rows * HEAD_SIZE);
    }
}

static void to_halves(golden *g) {
    bool fits = g->form->to_halves(g->a->halves, 3, g->a->values, COUNT);
    keep(g, &fits, sizeof fits);
    keep(g, g->a->halves, (size_t)3 * COUNT * sizeof *g->a->halves);
}

/* Of every length around the lanes'. */
static void reduce(golden *g, float (*operation)(const float *x, size_t count)) {
    for (size_t count = 1; count <= COUNT; count += count < 70 ? 1 : 50) {
        float result = operation(g->a->values, count);
        keep_floats(g, &result, 1);
    }
}

static void sum_of_squares(golden *g) {
    reduce(g, g->form->sum_of_squares);
}

static void sum(golden *g) {
    reduce(g, g->form->sum);
}

static void largest(golden *g) {
    reduce(g, g->form->largest);
}

static void scale_and_weigh(golden *g) {
    g->form->scale_and_weigh(g->a->results, g->a->values, 0.37f, g->a->others, COUNT);
    keep_floats(g, g->a->results, COUNT);
}

static void add(golden *g) {
    g->form->add(g->a->values, g->a->others, COUNT);
    keep_floats(g, g->a->values, COUNT);
}

static void weigh_scores(golden *g) {
    for (size_t from = 0; from < CHUNK; from += 9) {
        for (size_t to = from + 1; to <= CHUNK; to += 7) {
            memcpy(g->a->results, g->a->values, CHUNK * sizeof *g->a->values);
            float total = g->form->weigh_scores(g->a->results, from, to, 30.0f, 0.125f);
            keep_floats(g, &total, 1);
            keep_floats(g, g->a->results, CHUNK);
        }
    }
}

static void cap(golden *g) {
    g->form->cap(g->a->values, COUNT, 0.0625f, 50.0f);
    keep_floats(g, g->a->values, COUNT);
}

static void gate_silu(golden *g) {
    g->form->gate_silu(g->a->values, g->a->others, COUNT);
    keep_floats(g, g->a->values, COUNT);
}

static void gate_gelu(golden *g) {
    g->form->gate_gelu(g->a->values, g->a->others, COUNT);
    keep_floats(g, g->a->values, COUNT);
}

static void gelu(golden *g) {
    g->form->gelu(g->a->values, COUNT);
    keep_floats(g, g->a->values, COUNT);
}

static void exponentials(golden *g) {
    g->form->exponentials(g->a->values, COUNT);
    keep_floats(g, g->a->values, COUNT);
}

static void rotate(golden *g) {
    enum { HEADS = 3, PAIRS = 36, POSITIONS = 3 };
    static const uint32_t positions[POSITIONS] = {1, 4095, 1048575};
    double frequencies[PAIRS];
    _Alignas(ALIGNMENT) float cosines[PAIRS];
    _Alignas(ALIGNMENT) float sines[PAIRS];
    rope_frequencies(frequencies, 2 * (size_t)PAIRS, 10000.0f);
    for (size_t i = 0; i < POSITIONS; i++) {
        rope_turns(cosines, sines, frequencies, PAIRS, positions[i]);
        keep_floats(g, cosines, PAIRS);
        keep_floats(g, sines, PAIRS);
        g->form->rotate(g->a->values, HEADS, HEAD_SIZE, PAIRS, false, cosines, sines);
        g->form->rotate(g->a->values, HEADS, HEAD_SIZE, PAIRS, true, cosines, sines);
        keep_floats(g, g->a->values, (size_t)HEADS * HEAD_SIZE);
    }
}

typedef struct operation_row {
    const char *name;
    void (*run)(golden *g);
} operation_row;

static const operation_row rows[] = {
    {"quantise-32", quantise_32},
    {"quantise-256", quantise_256},
    {"multiply-halves", multiply_halves},
    {"to-halves", to_halves},
    {"sum-of-squares", sum_of_squares},
    {"sum", sum},
    {"largest", largest},
    {"scale-and-weigh", scale_and_weigh},
    {"add", add},
    {"weigh-scores", weigh_scores},
    {"cap", cap},
    {"gate-silu", gate_silu},
    {"gate-gelu", gate_gelu},
    {"gelu", gelu},
    {"exponentials", exponentials},
    {"rotate", rotate},
};
static const gguf_type types[] = {GGUF_F32,  GGUF_F16,  GGUF_BF16, GGUF_Q8_0, GGUF_Q4_0, GGUF_Q4_1,
                                  GGUF_Q5_0, GGUF_Q5_1, GGUF_Q4_K, GGUF_Q5_K, GGUF_Q6_K};
enum { ROWS_COUNT = sizeof rows / sizeof rows[0], TYPES_COUNT = sizeof types / sizeof types[0] };
_Static_assert((int)ROWS_COUNT + 2 * (int)TYPES_COUNT <= (int)GOLDEN_OPERATIONS_MAX,
               "there is room for each");
_Static_assert((int)KERNELS_MAX == (int)GOLDEN_FORMS_MAX, "and for each form");

static size_t run_all(golden *g, golden_operation *operations) {
    size_t count = 0;
    for (size_t i = 0; i < TYPES_COUNT; i++) {
        fill(g);
        multiply(g, types[i]);
        operations[count++] = (golden_operation){"multiply", gguf_type_name(types[i]), g->hash};
        fill(g);
        row(g, types[i]);
        operations[count++] = (golden_operation){"row", gguf_type_name(types[i]), g->hash};
    }
    for (size_t i = 0; i < ROWS_COUNT; i++) {
        fill(g);
        rows[i].run(g);
        operations[count++] = (golden_operation){rows[i].name, NULL, g->hash};
    }
    return count;
}

size_t golden_forms(const char *names[GOLDEN_FORMS_MAX]) {
    const kernels *forms[KERNELS_MAX];
    size_t count = kernels_available(forms);
    for (size_t i = 0; i < count; i++) {
        names[i] = forms[i]->name;
    }
    return count;
}

size_t golden_memory(void) {
    return sizeof(arrays) + ALIGNMENT;
}

/* The arrays want more than an allocator gives. */
static arrays *aligned(void *memory) {
    return (arrays *)(((uintptr_t)memory + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT);
}

size_t golden_run(const char *form, void *memory, golden_operation operations[GOLDEN_OPERATIONS_MAX]) {
    arithmetic_state saved;
    golden g = {.form = kernels_find(form), .a = aligned(memory)};
    if (g.form == NULL || !arithmetic_enter(&saved)) {
        return 0;
    }
    size_t count = run_all(&g, operations);
    arithmetic_leave(&saved);
    return count;
}
