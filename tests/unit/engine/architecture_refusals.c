#include "architecture/architecture.h"

#include "unit.h"

#include "family_file.h"

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

static void refuse(const model_shape *shape, error_code code, const char *says) {
    error err;
    architecture a;
    model_file_make(&file, shape, 5);
    error_code got = family_file_read(&file, &a, &err);
    if (got != code || strstr(err.text, says) == NULL) {
        fail_msg("%s where '%s' was expected: %s", error_code_name(got), says, err.text);
    }
    model_file_free(&file);
}

static void test_every_allocation_that_fails_is_an_error(void **state) {
    (void)state;
    for (size_t i = 0; i < FAMILIES; i++) {
        model_shape shape = family_shape(families[i]);
        bool done = false;
        shape.layers = 1;
        model_file_make(&file, &shape, 5);
        for (int nth = 0; !done; nth++) {
            error err;
            architecture a;
            fault_fail_nth(nth);
            error_code code = family_file_read(&file, &a, &err);
            done = !fault_stop();
            assert_int_equal(code, done ? ERROR_NONE : ERROR_MEMORY);
            if (done) {
                assert_true(nth > 5 || nth == 0); /* 0: a build without faults */
                architecture_free(&a);
            }
        }
        model_file_free(&file);
    }
}

/* What `more` writes. */
static void write_unknown_key(gguf_writer *w) {
    writer_u32(w, "llama.attention.clamp_kqv", 1);
}
static void write_other_s_key(gguf_writer *w) {
    writer_u32(w, "other.attention.clamp_kqv", 1);
}
static void write_window(gguf_writer *w) {
    writer_u32(w, "qwen2.attention.sliding_window", 8);
}
static void write_experts(gguf_writer *w) {
    writer_u32(w, "llama.expert_count", 8);
}
static void write_no_experts(gguf_writer *w) {
    writer_u32(w, "llama.expert_count", 0);
    writer_bool(w, "llama.rope.scaling.finetuned", true);
}
static void write_vocabulary(gguf_writer *w) {
    writer_u32(w, "llama.vocab_size", MODEL_VOCABULARY + 1);
}
static void write_scaling(gguf_writer *w) {
    writer_text(w, "llama.rope.scaling.type", "dynamic");
}
static void write_causal(gguf_writer *w) {
    writer_bool(w, "llama.attention.causal", false);
}
static void write_rank(gguf_writer *w) {
    writer_u32(w, "llama.pooling_type", 4);
}
static void write_tensor(gguf_writer *w) {
    float values[64] = {0};
    writer_tensor(w, "blk.0.attn_q_norm.weight", GGUF_F32, 16, 1, values);
}
static void write_layer_too_many(gguf_writer *w) {
    float values[64] = {0};
    writer_tensor(w, "blk.3.attn_norm.weight", GGUF_F32, 64, 1, values);
}
static void write_long_factors(gguf_writer *w) {
    float values[8] = {0};
    writer_tensor(w, "rope_factors_long.weight", GGUF_F32, 8, 1, values);
}
static void write_wrong_factors(gguf_writer *w) {
    float values[7] = {1, 1, 1, 1, 1, 1, 1};
    writer_tensor(w, "rope_freqs.weight", GGUF_F32, 7, 1, values);
}
static void write_zero_factors(gguf_writer *w) {
    float values[8] = {1, 1, 1, 0, 1, 1, 1, 1};
    writer_tensor(w, "rope_freqs.weight", GGUF_F32, 8, 1, values);
}
static void write_tiny_factors(gguf_writer *w) {
    float values[8] = {0.25f, 1, 1, 1, 1, 1, 1, 1};
    writer_tensor(w, "rope_freqs.weight", GGUF_F32, 8, 1, values);
}

static void test_what_is_not_understood_is_refused_by_name(void **state) {
    (void)state;
    static const struct {
        const char *family;
        void (*more)(gguf_writer *w);
        error_code code;
        const char *says;
    } cases[] = {
        {"llama", write_unknown_key, ERROR_UNSUPPORTED, "'llama.attention.clamp_kqv'"},
        {"qwen2", write_window, ERROR_UNSUPPORTED, "'qwen2.attention.sliding_window'"},
        {"llama", write_experts, ERROR_UNSUPPORTED, "'llama.expert_count'"},
        {"llama", write_vocabulary, ERROR_UNSUPPORTED, "'llama.vocab_size'"},
        {"llama", write_scaling, ERROR_UNSUPPORTED, "'dynamic'"},
        {"llama", write_causal, ERROR_UNSUPPORTED, "'llama.attention.causal'"},
        {"llama", write_rank, ERROR_UNSUPPORTED, "'llama.pooling_type'"},
        {"llama", write_tensor, ERROR_UNSUPPORTED, "'blk.0.attn_q_norm.weight'"},
        {"llama", write_layer_too_many, ERROR_UNSUPPORTED, "'blk.3.attn_norm.weight'"},
        {"phi3", write_long_factors, ERROR_CORRUPT, "'rope_factors_short.weight'"},
        {"llama", write_wrong_factors, ERROR_CORRUPT, "'rope_freqs.weight'"},
        {"llama", write_zero_factors, ERROR_CORRUPT, "'rope_freqs.weight'"},
        {"llama", write_tiny_factors, ERROR_UNSUPPORTED, "rope"},
        {"bert", write_wrong_factors, ERROR_UNSUPPORTED, "'rope_freqs.weight'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        model_shape shape = family_shape(cases[i].family);
        shape.more = cases[i].more;
        refuse(&shape, cases[i].code, cases[i].says);
    }
    architecture a;
    model_shape shape = family_shape("llama");
    shape.more = write_other_s_key;
    read_shape(&a, &shape);
    release(&a);
    shape.more = write_no_experts;
    read_shape(&a, &shape);
    release(&a);
}

static void test_sizes_that_make_no_model_are_refused(void **state) {
    (void)state;
    model_shape shape = family_shape("llama");
    shape.key_heads = 3;
    refuse(&shape, ERROR_CORRUPT, "key heads");
    shape = family_shape("bert");
    shape.pooling = 0;
    refuse(&shape, ERROR_NOT_FOUND, "'bert.pooling_type'");
    shape = family_shape("llama");
    shape.head_size = 1024;
    refuse(&shape, ERROR_UNSUPPORTED, "'llama.attention.key_length'");
    shape = family_shape("llama");
    shape.turned = 5;
    refuse(&shape, ERROR_UNSUPPORTED, "5 numbers");
    shape = family_shape("gemma3");
    shape.scaling = SCALED_YARN;
    shape.rope_factor = 2;
    refuse(&shape, ERROR_UNSUPPORTED, "'yarn'");
    shape = family_shape("phi3");
    shape.scaling = SCALED_LONG;
    refuse(&shape, ERROR_CORRUPT, "'rope_factors_long.weight'");
}

/* Overwrites what the file says of a tensor: its name, or the last of its dimensions. */
static uint8_t *find_tensor(const char *name) {
    size_t place = slice_find_slice(buffer_slice(&file.bytes), slice_of_text(name));
    assert_true(place != SIZE_MAX);
    return file.bytes.bytes + file.bytes.start + place;
}

static void test_every_tensor_is_needed_and_has_its_shape(void **state) {
    (void)state;
    for (size_t i = 0; i < FAMILIES; i++) {
        model_shape shape = family_shape(families[i]);
        model_file_make(&file, &shape, 5);
        for (size_t t = 0; t < file.tensor_count; t++) {
            error err;
            architecture a;
            const model_weights *w = &file.tensors[t];
            uint8_t *place = find_tensor(w->name);
            uint8_t *dimension = place + strlen(w->name) + 4 + (w->rows > 1 ? 8 : 0);
            place[0] ^= 1;
            assert_int_not_equal(family_file_read(&file, &a, &err), ERROR_NONE);
            place[0] ^= 1;
            /* One less of what only the tensor itself counts is another model. */
            if (strcmp(w->name, "token_types.weight") != 0 && strcmp(w->name, "token_embd.weight") != 0) {
                dimension[0]--;
                assert_int_equal(family_file_read(&file, &a, &err), ERROR_CORRUPT);
                dimension[0]++;
            }
        }
        model_file_free(&file);
    }
}

/* A byte of what is said before the vocabulary, or of a tensor, becomes another one. */
static void damage(slice good, uint64_t *random) {
    static const uint8_t likely[] = {0, 1, 2, 0x7f, 0x80, 0xff};
    const model_weights *w = &file.tensors[test_random(random) % file.tensor_count];
    bool tensor = test_random(random) % 2 == 0;
    size_t from = slice_find_slice(good, slice_of_text(tensor ? w->name : "general.architecture"));
    size_t length = tensor ? strlen(w->name) + 32 : 700;
    uint8_t *place = file.bytes.bytes + file.bytes.start + from + test_random(random) % length;
    *place = test_random(random) % 2 == 0 ? likely[test_random(random) % sizeof likely]
                                          : (uint8_t)test_random(random);
}

static void test_damaged_files_do_no_harm(void **state) {
    (void)state;
    enum { ROUNDS = 400 };
    uint64_t random = 77;
    for (size_t i = 0; i < FAMILIES; i++) {
        model_shape shape = family_shape(families[i]);
        shape.layers = 1;
        model_file_make(&file, &shape, 5);
        size_t length = buffer_length(&file.bytes);
        uint8_t *whole = malloc(length);
        assert_non_null(whole);
        memcpy(whole, buffer_slice(&file.bytes).data, length);
        for (size_t round = 0; round < ROUNDS; round++) {
            error err;
            architecture a;
            for (size_t n = test_random(&random) % 3 + 1; n > 0; n--) {
                damage(slice_of(whole, length), &random);
            }
            if (family_file_read(&file, &a, &err) == ERROR_NONE) {
                architecture_free(&a);
            }
            memcpy(file.bytes.bytes + file.bytes.start, whole, length);
        }
        free(whole);
        model_file_free(&file);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_allocation_that_fails_is_an_error),
        cmocka_unit_test(test_what_is_not_understood_is_refused_by_name),
        cmocka_unit_test(test_sizes_that_make_no_model_are_refused),
        cmocka_unit_test(test_every_tensor_is_needed_and_has_its_shape),
        cmocka_unit_test(test_damaged_files_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
