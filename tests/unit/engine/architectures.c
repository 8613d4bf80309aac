#include "unit.h"

#include "engine_pass.h"
#include "quantise_file.h"
#include "reference.h"

#include <math.h>
#include <stdlib.h>

/* The engine's states and logits against the textbook's: every family with all it has, and every family in
 * every tensor type. */
enum { TOKENS_MAX = 90, WIDTH_MAX = 256, FEW = 12 };

static model_file file;
static uint32_t tokens[TOKENS_MAX];
static double wanted_states[TOKENS_MAX * WIDTH_MAX];
static double wanted[TOKENS_MAX * MODEL_VOCABULARY];
static float states[TOKENS_MAX * WIDTH_MAX];
static float got[TOKENS_MAX * MODEL_VOCABULARY];

static void choose_tokens(void) {
    uint64_t state = 7;
    for (size_t i = 0; i < TOKENS_MAX; i++) {
        tokens[i] = (uint32_t)(test_random(&state) % MODEL_VOCABULARY);
    }
}

/* Root mean square of the difference, as a part of what was to come. */
static double difference(const float *have, const double *want, size_t count) {
    double squares = 0;
    double signal = 0;
    for (size_t i = 0; i < count; i++) {
        squares += ((double)have[i] - want[i]) * ((double)have[i] - want[i]);
        signal += want[i] * want[i];
    }
    return sqrt(squares / signal);
}

static bool is_encoder(void) {
    return model_is(&file.shape, "bert");
}

/* Of an encoder the states, of the others the logits. */
static void compute(uint32_t count, const kernels *form) {
    choose_tokens();
    engine_pass(&file, form, tokens, count, 33, states, is_encoder() ? NULL : got);
}

static double compare(uint32_t count, unsigned without) {
    reference_states(&file, tokens, count, without, wanted_states);
    if (is_encoder()) {
        return difference(states, wanted_states, (size_t)count * file.shape.width);
    }
    reference_logits(&file, wanted_states, count, without, wanted);
    return difference(got, wanted, (size_t)count * MODEL_VOCABULARY);
}

/* Without any of what `matters` the result is another one. */
typedef struct variant {
    model_shape shape;
    unsigned matters;
} variant;

#define COMMON .width = 64, .hidden = 96, .heads = 4, .context = 128
#define DECODER COMMON, .key_heads = 2, .layers = 2
#define ALWAYS                                                                                               \
    (WITHOUT_CAUSALITY | WITHOUT_GROUPS | WITHOUT_ROPE | WITHOUT_PAIRING | WITHOUT_ACTIVATION |              \
     WITHOUT_ATTENTION_SCALE)

static const variant variants[] = {
    {{DECODER, .type = GGUF_F32, .tied = true}, ALWAYS},
    {{DECODER, .type = GGUF_F16, .biases = true}, ALWAYS | WITHOUT_BIASES | WITHOUT_HEAD},
    {{.width = 54, .hidden = 101, .layers = 3, .heads = 9, .key_heads = 3, .context = 128, .type = GGUF_F16},
     ALWAYS | WITHOUT_HEAD},
    {{DECODER, .type = GGUF_F32, .window = 20}, ALWAYS | WITHOUT_WINDOW},
    {{DECODER, .type = GGUF_BF16, .rope_base = 500000, .rope_factors = true},
     ALWAYS | WITHOUT_ROPE_BASE | WITHOUT_ROPE_FACTORS},
    {{DECODER, .type = GGUF_F32, .scaling = SCALED_LINEAR, .rope_factor = 4}, ALWAYS | WITHOUT_ROPE_SCALING},
    {{DECODER, .type = GGUF_F32, .scaling = SCALED_YARN, .rope_factor = 4, .original_context = 32},
     ALWAYS | WITHOUT_ROPE_SCALING | WITHOUT_MAGNITUDE},
    {{DECODER, .family = "qwen2", .type = GGUF_F32, .tied = true, .rope_base = 1e6f},
     ALWAYS | WITHOUT_BIASES | WITHOUT_ROPE_BASE},
    {{DECODER, .family = "qwen2", .type = GGUF_F16, .scaling = SCALED_YARN, .rope_factor = 2,
      .original_context = 64, .rope_base = 1e6f, .rope_magnitude = 0.9f},
     ALWAYS | WITHOUT_ROPE_SCALING | WITHOUT_MAGNITUDE},
    {{DECODER, .family = "qwen3", .type = GGUF_F32, .head_size = 32, .tied = true},
     ALWAYS | WITHOUT_HEAD_NORMS},
    {{DECODER, .family = "gemma", .type = GGUF_F32, .head_size = 32, .tied = true},
     ALWAYS | WITHOUT_EMBEDDING_SCALE},
    {{DECODER, .family = "gemma2", .type = GGUF_F32, .tied = true, .window = 20, .attention_cap = 1.5f,
      .logit_cap = 2},
     ALWAYS | WITHOUT_EMBEDDING_SCALE | WITHOUT_POST_NORMS | WITHOUT_WINDOW | WITHOUT_ATTENTION_CAP |
         WITHOUT_LOGIT_CAP},
    {{COMMON, .family = "gemma3", .type = GGUF_F32, .layers = 7, .key_heads = 2, .head_size = 32,
      .tied = true, .window = 20, .rope_base = 1e6f, .scaling = SCALED_LINEAR, .rope_factor = 8},
     ALWAYS | WITHOUT_EMBEDDING_SCALE | WITHOUT_POST_NORMS | WITHOUT_HEAD_NORMS | WITHOUT_WINDOW |
         WITHOUT_LOCAL_ROPE | WITHOUT_ROPE_BASE | WITHOUT_ROPE_SCALING},
    {{DECODER, .family = "gemma3", .type = GGUF_F16, .window = 66, .window_pattern = 2,
      .local_rope_base = 3000},
     ALWAYS | WITHOUT_WINDOW | WITHOUT_LOCAL_ROPE | WITHOUT_HEAD},
    {{DECODER, .family = "phi3", .type = GGUF_F32, .turned = 12, .window = 70},
     ALWAYS | WITHOUT_PART_TURN | WITHOUT_WINDOW},
    {{DECODER, .family = "phi3", .type = GGUF_F32, .scaling = SCALED_LONG, .rope_factors = true,
      .rope_magnitude = 1.2f, .original_context = 64},
     ALWAYS | WITHOUT_ROPE_FACTORS | WITHOUT_MAGNITUDE},
    {{DECODER, .family = "phi3", .type = GGUF_BF16, .rope_factors = true, .original_context = 128},
     ALWAYS | WITHOUT_ROPE_FACTORS},
    {{COMMON, .family = "bert", .type = GGUF_F32, .layers = 2, .key_heads = 4, .pooling = 1},
     WITHOUT_CAUSALITY | WITHOUT_POSITIONS | WITHOUT_SEGMENT | WITHOUT_EMBEDDING_NORM | WITHOUT_BIASES |
         WITHOUT_ACTIVATION | WITHOUT_POST_NORMS | WITHOUT_ATTENTION_SCALE},
};

/* Keys and values are halves in the engine: each is off by a part in 2^12 at most, and little else is rounded
 * as much. When the textbook rounds them too, what is left is the rounding of single precision, and a half
 * now and then that it makes round the other way. */
static const double halves_tolerance = 1e-3;
static const double single_tolerance = 1e-4;
/* Activations are whole numbers up to 127 of the largest in 32: each is off by about a part in 200 of its
 * size, over the seven products of two layers; in 256 the largest is further from the others. */
static const double tolerance_by_32 = 0.025;
static const double tolerance_by_256 = 0.035;

static void test_every_family_computes_what_the_textbook_says(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof variants / sizeof variants[0]; i++) {
        model_file_make(&file, &variants[i].shape, 11 + i);
        compute(TOKENS_MAX, kernels_best());
        double pure = compare(TOKENS_MAX, WITHOUT_NOTHING);
        double rounded = compare(TOKENS_MAX, WITH_HALVES);
        if (!(pure < halves_tolerance && rounded < single_tolerance)) {
            fail_msg("variant %zu, %s, is off by %g, and by %g with halves", i, file.shape.family, pure,
                     rounded);
        }
        model_file_free(&file);
    }
}

static void test_everything_that_a_family_has_makes_a_difference(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof variants / sizeof variants[0]; i++) {
        model_file_make(&file, &variants[i].shape, 11 + i);
        compute(TOKENS_MAX, kernels_best());
        for (unsigned feature = 1; feature < WITHOUT_END; feature *= 2) {
            if ((variants[i].matters & feature) != 0 &&
                !(compare(TOKENS_MAX, feature) > 10 * halves_tolerance)) {
                fail_msg("variant %zu, %s, doesn't need %#x", i, file.shape.family, feature);
            }
        }
        model_file_free(&file);
    }
}

static const char *const families[] = {"bert",  "gemma", "gemma2", "gemma3",
                                       "llama", "phi3",  "qwen2",  "qwen3"};
enum { FAMILIES = sizeof families / sizeof families[0] };

/* Wide enough for blocks of 256, and no wider. */
static model_shape shape_of(const char *family) {
    bool local = strcmp(family, "gemma2") == 0 || strcmp(family, "gemma3") == 0;
    bool bert = strcmp(family, "bert") == 0;
    return (model_shape){.family = family,
                         .width = 256,
                         .hidden = 256,
                         .layers = 2,
                         .heads = 4,
                         .key_heads = bert ? 4 : 2,
                         .context = 64,
                         .tied = strncmp(family, "gemma", 5) == 0,
                         .window = local ? 5 : 0,
                         .window_pattern = strcmp(family, "gemma3") == 0 ? 2 : 0,
                         .pooling = bert ? 1 : 0};
}

static double tolerance_of(gguf_type type) {
    switch (type) {
    case GGUF_F32:
    case GGUF_F16:
    case GGUF_BF16:
        return halves_tolerance;
    case GGUF_Q4_K:
    case GGUF_Q5_K:
    case GGUF_Q6_K:
        return tolerance_by_256;
    default:
        return tolerance_by_32;
    }
}

static void compare_type(model_shape shape, gguf_type type, bool mixed) {
    shape.type = type;
    shape.mixed = mixed;
    model_file_make(&file, &shape, 3);
    compute(FEW, kernels_best());
    double off = compare(FEW, WITHOUT_NOTHING);
    if (!(off < tolerance_of(type))) {
        fail_msg("%s in %s is off by %g", shape.family, gguf_type_name((uint32_t)type), off);
    }
    model_file_free(&file);
}

static void test_every_family_computes_with_every_type_of_weights(void **state) {
    (void)state;
    for (size_t i = 0; i < FAMILIES; i++) {
        for (size_t t = 0; t < QUANTISED_TYPES; t++) {
            compare_type(shape_of(families[i]), quantised_types[t], false);
        }
        compare_type(shape_of(families[i]), GGUF_Q4_K, true);
    }
}

static void test_all_kernels_give_every_family_the_same_bits(void **state) {
    (void)state;
    static float plain_states[FEW * WIDTH_MAX];
    static float plain[FEW * MODEL_VOCABULARY];
    const kernels *forms[KERNELS_MAX];
    size_t count = kernels_available(forms);
    for (size_t i = 0; i < FAMILIES; i++) {
        model_shape shape = shape_of(families[i]);
        shape.type = i % 2 == 0 ? GGUF_Q4_K : GGUF_Q5_1;
        shape.mixed = i % 2 == 0;
        model_file_make(&file, &shape, 3);
        compute(FEW, kernels_find("plain"));
        memcpy(plain_states, states, sizeof plain_states);
        memcpy(plain, got, sizeof plain);
        for (size_t f = 0; f < count; f++) {
            compute(FEW, forms[f]);
            assert_memory_equal(states, plain_states, sizeof plain_states);
            assert_true(is_encoder() ||
                        memcmp((const uint8_t *)got, (const uint8_t *)plain, sizeof plain) == 0);
        }
        model_file_free(&file);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_family_computes_what_the_textbook_says),
        cmocka_unit_test(test_everything_that_a_family_has_makes_a_difference),
        cmocka_unit_test(test_every_family_computes_with_every_type_of_weights),
        cmocka_unit_test(test_all_kernels_give_every_family_the_same_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
