#include "forward/forward.h"

#include "unit.h"

#include "arithmetic/arithmetic.h"
#include "model_file.h"

#include <stdlib.h>

/* The engine's logits against the textbook: the same model in double precision, the whole sequence at once,
 * written from the papers and sharing nothing with the engine. */
enum { TOKENS = 70, WIDEST = 128 }; /* past one chunk of 64 */

typedef struct textbook {
    const model_file *file;
    double stream[TOKENS][WIDEST];
    double query[TOKENS][WIDEST];
    double key[TOKENS][WIDEST];
    double value[TOKENS][WIDEST];
} textbook;

static const model_weights *part(const textbook *t, uint32_t layer_index, const char *name) {
    char whole[64];
    snprintf(whole, sizeof whole, "blk.%u.%s.weight", layer_index, name);
    return model_file_find(t->file, whole);
}

static void apply(const model_weights *m, const double *x, double *y) {
    for (uint32_t r = 0; r < m->rows; r++) {
        y[r] = 0;
        for (uint32_t c = 0; c < m->columns; c++) {
            y[r] += (double)m->values[(size_t)r * m->columns + c] * x[c];
        }
    }
}

static void norm(const model_weights *m, const double *x, double *y) {
    double squares = 0;
    for (uint32_t i = 0; i < m->columns; i++) {
        squares += x[i] * x[i];
    }
    double scale = 1 / sqrt(squares / m->columns + 1e-5);
    for (uint32_t i = 0; i < m->columns; i++) {
        y[i] = x[i] * scale * (double)m->values[i];
    }
}

static void turn(double *vector, uint32_t heads, uint32_t size, uint32_t position) {
    for (uint32_t h = 0; h < heads; h++) {
        for (uint32_t i = 0; i < size / 2; i++) {
            double angle = position * pow(10000.0, -2.0 * i / size);
            double *pair = vector + h * size + 2 * i;
            double x = pair[0] * cos(angle) - pair[1] * sin(angle);
            pair[1] = pair[0] * sin(angle) + pair[1] * cos(angle);
            pair[0] = x;
        }
    }
}

static void attend(const textbook *t, uint32_t position, double *out) {
    const model_shape *s = &t->file->shape;
    uint32_t size = s->width / s->heads;
    for (uint32_t h = 0; h < s->heads; h++) {
        uint32_t from = h / (s->heads / s->key_heads) * size;
        double weights[TOKENS];
        double total = 0;
        for (uint32_t p = 0; p <= position; p++) {
            double score = 0;
            for (uint32_t d = 0; d < size; d++) {
                score += t->query[position][h * size + d] * t->key[p][from + d];
            }
            weights[p] = exp(score / sqrt(size));
            total += weights[p];
        }
        for (uint32_t d = 0; d < size; d++) {
            out[h * size + d] = 0;
            for (uint32_t p = 0; p <= position; p++) {
                out[h * size + d] += weights[p] / total * t->value[p][from + d];
            }
        }
    }
}

static void compute_layer(textbook *t, uint32_t index) {
    const model_shape *s = &t->file->shape;
    uint32_t size = s->width / s->heads;
    for (uint32_t p = 0; p < TOKENS; p++) {
        double normed[WIDEST];
        norm(part(t, index, "attn_norm"), t->stream[p], normed);
        apply(part(t, index, "attn_q"), normed, t->query[p]);
        apply(part(t, index, "attn_k"), normed, t->key[p]);
        apply(part(t, index, "attn_v"), normed, t->value[p]);
        turn(t->query[p], s->heads, size, p);
        turn(t->key[p], s->key_heads, size, p);
    }
    for (uint32_t p = 0; p < TOKENS; p++) {
        double attended[WIDEST];
        double change[WIDEST];
        double normed[WIDEST];
        double gate[WIDEST];
        double up[WIDEST];
        attend(t, p, attended);
        apply(part(t, index, "attn_output"), attended, change);
        for (uint32_t i = 0; i < s->width; i++) {
            t->stream[p][i] += change[i];
        }
        norm(part(t, index, "ffn_norm"), t->stream[p], normed);
        apply(part(t, index, "ffn_gate"), normed, gate);
        apply(part(t, index, "ffn_up"), normed, up);
        for (uint32_t i = 0; i < s->hidden; i++) {
            gate[i] = gate[i] / (1 + exp(-gate[i])) * up[i];
        }
        apply(part(t, index, "ffn_down"), gate, change);
        for (uint32_t i = 0; i < s->width; i++) {
            t->stream[p][i] += change[i];
        }
    }
}

static void compute_textbook(const model_file *file, const uint32_t *tokens,
                             double logits[][MODEL_VOCABULARY]) {
    static textbook t;
    t.file = file;
    const model_weights *embedding = model_file_find(file, "token_embd.weight");
    const model_weights *head = file->shape.tied ? embedding : model_file_find(file, "output.weight");
    for (uint32_t p = 0; p < TOKENS; p++) {
        for (uint32_t i = 0; i < file->shape.width; i++) {
            t.stream[p][i] = (double)embedding->values[tokens[p] * file->shape.width + i];
        }
    }
    for (uint32_t l = 0; l < file->shape.layers; l++) {
        compute_layer(&t, l);
    }
    for (uint32_t p = 0; p < TOKENS; p++) {
        double normed[WIDEST];
        norm(model_file_find(file, "output_norm.weight"), t.stream[p], normed);
        apply(head, normed, logits[p]);
    }
}

typedef struct engine_logits {
    float values[TOKENS][MODEL_VOCABULARY];
} engine_logits;

/* `each`: ask for the logits of every token; otherwise only of the last. */
static void compute_engine(const model_file *file, const kernels *form, const uint32_t *tokens, bool each,
                           engine_logits *out) {
    error err;
    architecture a;
    cache c;
    arithmetic_state saved;
    gguf *g = written_open(&file->bytes, &err);
    assert_non_null(g);
    assert_true(architecture_read(&a, g, &err));
    forward *f = forward_new(&a, form, &err);
    assert_non_null(f);
    assert_true(cache_new(&c, &a, TOKENS, &err));
    assert_true(arithmetic_enter(&saved));
    for (uint32_t p = 0; p < TOKENS; p++) {
        const float *logits = NULL;
        bool wanted = each || p == TOKENS - 1;
        assert_true(forward_token(f, &c, tokens[p], p, wanted ? &logits : NULL, &err));
        if (wanted) {
            memcpy(out->values[p], logits, sizeof out->values[p]);
        }
    }
    arithmetic_leave(&saved);
    cache_free(&c);
    forward_free(f);
    architecture_free(&a);
    gguf_free(g);
}

static void choose_tokens(uint32_t tokens[TOKENS]) {
    uint64_t state = 7;
    for (size_t i = 0; i < TOKENS; i++) {
        tokens[i] = (uint32_t)(test_random(&state) % MODEL_VOCABULARY);
    }
}

/* Largest and root-mean-square difference must stay below what the format's rounding explains. */
static void compare_with_textbook(const model_shape *shape, double most, double usual) {
    static double exact[TOKENS][MODEL_VOCABULARY];
    static engine_logits got;
    uint32_t tokens[TOKENS];
    model_file file;
    choose_tokens(tokens);
    model_file_make(&file, shape, 11);
    compute_textbook(&file, tokens, exact);
    const kernels *forms[] = {kernels_plain(), kernels_avx2()};
    for (size_t form = 0; form < 2 && forms[form] != NULL; form++) {
        compute_engine(&file, forms[form], tokens, true, &got);
        double squares = 0;
        double signal = 0;
        for (size_t p = 0; p < TOKENS; p++) {
            for (size_t i = 0; i < MODEL_VOCABULARY; i++) {
                double difference = fabs((double)got.values[p][i] - exact[p][i]);
                assert_true(difference < most);
                squares += difference * difference;
                signal += exact[p][i] * exact[p][i];
            }
        }
        assert_true(sqrt(squares / (TOKENS * MODEL_VOCABULARY)) < usual);
        assert_true(sqrt(signal / (TOKENS * MODEL_VOCABULARY)) > 0.5); /* there is something to compare */
    }
    model_file_free(&file);
}

static void test_f32_logits_match_the_textbook(void **state) {
    (void)state;
    model_shape shape = model_shape_small;
    shape.type = GGUF_F32;
    compare_with_textbook(&shape, 4e-3, 6e-4); /* keys and values are halves */
}

static void test_f16_logits_match_the_textbook_at_sizes_that_fill_no_vector(void **state) {
    (void)state;
    model_shape shape = {.width = 54,
                         .hidden = 101,
                         .layers = 3,
                         .heads = 9,
                         .key_heads = 3,
                         .context = 128,
                         .type = GGUF_F16,
                         .tied = false,
                         .pretokenizer = "gpt-2"};
    compare_with_textbook(&shape, 4e-3, 6e-4);
}

static void test_q8_logits_match_the_textbook_within_the_rounding_of_activations(void **state) {
    (void)state;
    compare_with_textbook(&model_shape_small, 0.2, 0.03);
    model_shape shape = model_shape_small;
    shape.tied = false;
    shape.key_heads = 4;
    compare_with_textbook(&shape, 0.2, 0.03);
}

static void test_both_forms_give_the_same_logits_to_the_bit(void **state) {
    (void)state;
    static const gguf_type types[] = {GGUF_Q8_0, GGUF_F16, GGUF_F32};
    static engine_logits plain;
    static engine_logits fast;
    uint32_t tokens[TOKENS];
    choose_tokens(tokens);
    for (size_t i = 0; i < 3 && kernels_avx2() != NULL; i++) {
        model_shape shape = model_shape_small;
        shape.type = types[i];
        model_file file;
        model_file_make(&file, &shape, 5 + i);
        compute_engine(&file, kernels_plain(), tokens, true, &plain);
        compute_engine(&file, kernels_avx2(), tokens, true, &fast);
        assert_memory_equal(&plain, &fast, sizeof plain);
        model_file_free(&file);
    }
}

static void test_prefill_gives_the_logits_of_decoding(void **state) {
    (void)state;
    static engine_logits each;
    static engine_logits last;
    uint32_t tokens[TOKENS];
    model_file file;
    choose_tokens(tokens);
    model_file_make(&file, &model_shape_small, 3);
    compute_engine(&file, kernels_plain(), tokens, true, &each);
    compute_engine(&file, kernels_plain(), tokens, false, &last);
    assert_memory_equal(each.values[TOKENS - 1], last.values[TOKENS - 1], sizeof each.values[0]);
    model_file_free(&file);
}

/* Pins the arithmetic: any change of a rounding anywhere changes this number. */
static void test_the_logits_of_a_known_model_never_change(void **state) {
    (void)state;
    static engine_logits got;
    uint32_t tokens[TOKENS];
    model_file file;
    choose_tokens(tokens);
    model_file_make(&file, &model_shape_small, 2026);
    compute_engine(&file, kernels_plain(), tokens, true, &got);
    uint64_t hash = 0xcbf29ce484222325U; /* FNV-1a */
    for (size_t p = 0; p < TOKENS; p++) {
        for (size_t i = 0; i < MODEL_VOCABULARY; i++) {
            hash = (hash ^ bits_of_float(got.values[p][i])) * 0x100000001b3U;
        }
    }
    assert_int_equal(hash, 0x40f805492dcd68a7U);
    model_file_free(&file);
}

static void test_a_weight_that_is_not_finite_fails_the_pass(void **state) {
    (void)state;
    static const char *const names[] = {"token_embd.weight", "blk.1.attn_k.weight", "blk.0.ffn_down.weight",
                                        "output_norm.weight"};
    for (size_t n = 0; n < sizeof names / sizeof names[0]; n++) {
        error err;
        model_shape shape = model_shape_small;
        shape.type = GGUF_F32;
        model_file file;
        architecture a;
        cache c;
        model_file_make(&file, &shape, 3);
        gguf *g = written_open(&file.bytes, &err);
        uint32_t infinity = 0x7f800000;
        memcpy((uint8_t *)(uintptr_t)gguf_find_tensor(g, names[n])->data.data, &infinity, 4);
        assert_true(architecture_read(&a, g, &err));
        forward *f = forward_new(&a, kernels_plain(), &err);
        assert_true(cache_new(&c, &a, 4, &err));
        const float *logits = NULL;
        assert_false(forward_token(f, &c, 0, 0, &logits, &err));
        assert_int_equal(err.code, ERROR_UNSUPPORTED);
        cache_free(&c);
        forward_free(f);
        architecture_free(&a);
        gguf_free(g);
        model_file_free(&file);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_f32_logits_match_the_textbook),
        cmocka_unit_test(test_f16_logits_match_the_textbook_at_sizes_that_fill_no_vector),
        cmocka_unit_test(test_q8_logits_match_the_textbook_within_the_rounding_of_activations),
        cmocka_unit_test(test_both_forms_give_the_same_logits_to_the_bit),
        cmocka_unit_test(test_prefill_gives_the_logits_of_decoding),
        cmocka_unit_test(test_the_logits_of_a_known_model_never_change),
        cmocka_unit_test(test_a_weight_that_is_not_finite_fails_the_pass),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
