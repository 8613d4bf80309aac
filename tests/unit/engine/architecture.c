#include "architecture/architecture.h"

#include "unit.h"

#include "family_file.h"

#include <math.h>
#include <stdlib.h>

static model_file file;

/* A model of this shape reads well; the caller frees both. */
static void read_shape(architecture *a, const model_shape *shape) {
    error err;
    model_file_make(&file, shape, 5);
    if (family_file_read(&file, a, &err) != ERROR_NONE) {
        fail_msg("refused: %s", err.text);
    }
}

static void release(architecture *a) {
    architecture_free(a);
    model_file_free(&file);
}

/* Element for element what the file holds; `first` is the row of the tensor that the matrix begins with. */
static void expect_matrix(const matrix *m, const char *name, uint32_t first, uint32_t rows) {
    const model_weights *w = model_file_find(&file, name);
    float *row = malloc(w->columns * sizeof *row);
    assert_non_null(m->tiles);
    assert_int_equal((uintptr_t)m->tiles % 64, 0);
    assert_int_equal(m->rows, rows);
    assert_int_equal(m->columns, w->columns);
    for (uint32_t r = 0; r < rows; r++) {
        matrix_row(m, r, row);
        assert_memory_equal(row, w->values + (size_t)(first + r) * w->columns, w->columns * sizeof *row);
    }
    free(row);
}

static void expect_numbers(const float *numbers, const char *name) {
    const model_weights *w = model_file_find(&file, name);
    assert_non_null(numbers);
    assert_int_equal((uintptr_t)numbers % 64, 0);
    assert_memory_equal(numbers, w->values, w->columns * sizeof *numbers);
}

static void test_every_family_is_known_and_reads_its_own_model(void **state) {
    (void)state;
    for (size_t i = 0; i < FAMILIES; i++) {
        architecture a;
        model_shape shape = family_shape(families[i]);
        assert_true(architecture_known(slice_of_text(families[i])));
        read_shape(&a, &shape);
        uint64_t parameters = 0;
        for (size_t t = 0; t < file.tensor_count; t++) {
            parameters += (uint64_t)file.tensors[t].columns * file.tensors[t].rows;
        }
        assert_string_equal(a.name, families[i]);
        assert_int_equal(a.parameters, parameters);
        assert_int_equal(a.vocabulary, MODEL_VOCABULARY);
        assert_int_equal(a.weights_size, architecture_packed(&a).length);
        expect_matrix(&a.embedding, "token_embd.weight", 0, MODEL_VOCABULARY);
        expect_matrix(&a.layers[2].output.matrix, "blk.2.attn_output.weight", 0, 64);
        expect_matrix(&a.layers[2].down.matrix, "blk.2.ffn_down.weight", 0, 64);
        release(&a);
    }
    assert_false(architecture_known(SLICE_LITERAL("llam")));
    assert_false(architecture_known(SLICE_LITERAL("gemma4")));
}

static void test_joined_tensors_are_taken_apart(void **state) {
    (void)state;
    architecture a;
    model_shape shape = family_shape("phi3");
    read_shape(&a, &shape);
    expect_matrix(&a.layers[1].query.matrix, "blk.1.attn_qkv.weight", 0, 64);
    expect_matrix(&a.layers[1].key.matrix, "blk.1.attn_qkv.weight", 64, 32);
    expect_matrix(&a.layers[1].value.matrix, "blk.1.attn_qkv.weight", 96, 32);
    expect_matrix(&a.layers[1].gate.matrix, "blk.1.ffn_up.weight", 0, 96);
    expect_matrix(&a.layers[1].up.matrix, "blk.1.ffn_up.weight", 96, 96);
    expect_matrix(&a.head.matrix, "output.weight", 0, MODEL_VOCABULARY);
    release(&a);
}

static void test_norms_and_biases_go_where_they_belong(void **state) {
    (void)state;
    architecture a;
    model_shape shape = family_shape("gemma3");
    read_shape(&a, &shape);
    for (uint32_t i = 0; i < 3; i++) { /* one of F32, one of F16, one of BF16 */
        const layer *l = &a.layers[i];
        char name[64];
        snprintf(name, sizeof name, "blk.%u.attn_norm.weight", i);
        expect_numbers(l->attention_norm.weights, name);
        assert_null(l->attention_norm.bias);
        snprintf(name, sizeof name, "blk.%u.post_ffw_norm.weight", i);
        expect_numbers(l->feed_forward_post_norm.weights, name);
        snprintf(name, sizeof name, "blk.%u.attn_k_norm.weight", i);
        expect_numbers(l->key_norm, name);
        assert_null(l->query.bias);
        assert_null(l->attention_sum_norm.weights);
    }
    assert_ptr_equal(a.head.matrix.tiles, a.embedding.tiles);
    release(&a);
    shape = family_shape("bert");
    read_shape(&a, &shape);
    expect_numbers(a.layers[1].key.bias, "blk.1.attn_k.bias");
    expect_numbers(a.layers[1].feed_forward_sum_norm.bias, "blk.1.layer_output_norm.bias");
    expect_numbers(a.segment, "token_types.weight");
    expect_matrix(&a.positions, "position_embd.weight", 0, 64);
    assert_null(a.head.matrix.tiles);
    assert_null(a.layers[1].gate.matrix.tiles);
    assert_false(a.causal);
    assert_int_equal(a.pooling, POOLING_MEAN);
    assert_int_equal(a.rope_pairs, 0);
    release(&a);
}

static void test_windows_and_ropes_follow_the_family_s_pattern(void **state) {
    (void)state;
    architecture a;
    model_shape shape = family_shape("gemma3");
    shape.layers = 7;
    shape.window = 8;
    read_shape(&a, &shape);
    for (uint32_t i = 0; i < 7; i++) {
        assert_int_equal(a.layers[i].window, i == 5 ? 0 : 8);
        assert_int_equal(a.layers[i].rope, i == 5 ? 0 : 1);
    }
    release(&a);
    shape.window_pattern = 2;
    shape.window = 64; /* all there is, but the rope stays the local one */
    read_shape(&a, &shape);
    assert_int_equal(a.layers[0].window, 0);
    assert_int_equal(a.layers[0].rope, 1);
    assert_int_equal(a.layers[1].rope, 0);
    release(&a);
    shape = family_shape("gemma2");
    shape.window = 8;
    read_shape(&a, &shape);
    assert_int_equal(a.layers[0].window, 8);
    assert_int_equal(a.layers[1].window, 0);
    release(&a);
    shape.window = 0; /* the family's 4,096 */
    shape.context = 5000;
    read_shape(&a, &shape);
    assert_int_equal(a.layers[2].window, 4096);
    release(&a);
    shape = family_shape("llama");
    shape.window = 8;
    read_shape(&a, &shape);
    assert_int_equal(a.layers[0].window, 8);
    assert_int_equal(a.layers[1].window, 8);
    release(&a);
}

static bool close_to(double value, double wanted) {
    return fabs(value - wanted) <= 1e-6 * fabs(wanted);
}

static void test_scores_and_embeddings_are_scaled_as_the_size_wants_it(void **state) {
    (void)state;
    architecture a;
    model_shape shape = family_shape("gemma2");
    shape.head_size = 32;
    read_shape(&a, &shape);
    assert_true(close_to((double)a.attention_scale, 1 / sqrt(32)));
    assert_true(close_to((double)a.embedding_scale, 8));
    release(&a);
    shape.layers = 46; /* the model of 27 B */
    read_shape(&a, &shape);
    assert_true(close_to((double)a.attention_scale, 1 / sqrt(16)));
    release(&a);
    shape = family_shape("gemma3");
    shape.head_size = 32;
    shape.layers = 62;
    read_shape(&a, &shape);
    assert_true(close_to((double)a.attention_scale, 1 / sqrt(16)));
    release(&a);
    shape = family_shape("qwen3");
    shape.head_size = 32;
    read_shape(&a, &shape);
    assert_true(close_to((double)a.attention_scale, 1 / sqrt(32)));
    assert_true(a.embedding_scale == 1.0f);
    release(&a);
}

typedef struct calls {
    uint64_t done;
    uint64_t total;
    uint64_t used;
} calls;

static void note_progress(void *context, uint64_t done, uint64_t total) {
    calls *c = context;
    assert_true(done >= c->done && done <= total);
    c->done = done;
    c->total = total;
}

static void note_used(void *context, slice part) {
    calls *c = context;
    c->used += part.length;
}

static void test_packed_weights_serve_again_and_are_the_same_from_any_crew(void **state) {
    (void)state;
    error err;
    architecture alone;
    architecture again;
    calls c = {0};
    model_shape shape = family_shape("phi3");
    shape.type = GGUF_Q8_0;
    model_file_make(&file, &shape, 5);
    gguf *g = written_open(&file.bytes, &err);
    architecture_source source = {.file = g, .progress = note_progress, .used = note_used, .context = &c};
    assert_true(architecture_read(&alone, &source, &err));
    uint64_t matrices = 0;
    for (size_t t = 0; t < file.tensor_count; t++) {
        matrices += file.tensors[t].rows > 1 ? gguf_tensor_at(g, t)->data.length : 0;
    }
    assert_int_equal(c.used, matrices);
    assert_true(c.done == c.total && c.total == alone.weights_size);
    slice packed = architecture_packed(&alone);

    source.crew = crew_new(3, &err);
    c = (calls){0};
    assert_non_null(source.crew);
    assert_true(architecture_read(&again, &source, &err));
    assert_true(slice_equal(architecture_packed(&again), packed));
    architecture_free(&again);
    crew_free(source.crew);

    source.crew = NULL;
    c = (calls){0};
    source.packed = packed;
    assert_true(architecture_read(&again, &source, &err));
    assert_true(slice_equal(architecture_packed(&again), packed));
    const matrix *last = &alone.layers[2].down.matrix;
    assert_memory_equal(again.layers[2].down.matrix.tiles, last->tiles, matrix_size(last));
    architecture_free(&again);
    assert_true(c.done == c.total && c.total == alone.weights_size && c.used == packed.length);
    source.packed.length -= 64;
    assert_false(architecture_read(&again, &source, &err));
    assert_int_equal(err.code, ERROR_CORRUPT);
    gguf_free(g);
    release(&alone);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_family_is_known_and_reads_its_own_model),
        cmocka_unit_test(test_joined_tensors_are_taken_apart),
        cmocka_unit_test(test_norms_and_biases_go_where_they_belong),
        cmocka_unit_test(test_windows_and_ropes_follow_the_family_s_pattern),
        cmocka_unit_test(test_scores_and_embeddings_are_scaled_as_the_size_wants_it),
        cmocka_unit_test(test_packed_weights_serve_again_and_are_the_same_from_any_crew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
