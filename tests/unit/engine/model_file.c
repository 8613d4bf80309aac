#include "model_file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

const model_shape model_shape_small = {.width = 64,
                                       .hidden = 96,
                                       .layers = 2,
                                       .heads = 4,
                                       .key_heads = 2,
                                       .context = 256,
                                       .type = GGUF_Q8_0,
                                       .tied = true,
                                       .pretokenizer = "gpt-2"};

uint64_t test_random(uint64_t *state) {
    uint64_t z = *state += 0x9e3779b97f4a7c15U;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31);
}

float test_random_float(uint64_t *state) {
    return (float)(test_random(state) >> 40) * 0x1p-23f - 1.0f;
}

bool model_is(const model_shape *shape, const char *family) {
    return strcmp(shape->family == NULL ? "llama" : shape->family, family) == 0;
}

model_shape model_shape_whole(const model_shape *shape) {
    model_shape s = *shape;
    s.family = s.family == NULL ? "llama" : s.family;
    s.head_size = s.head_size == 0 ? s.width / s.heads : s.head_size;
    s.turned = s.turned == 0 ? s.head_size : s.turned;
    s.rope_base = s.rope_base == 0 ? 10000.0f : s.rope_base;
    s.rope_magnitude = s.rope_magnitude == 0 ? 1.0f : s.rope_magnitude;
    s.pretokenizer = s.pretokenizer == NULL ? "gpt-2" : s.pretokenizer;
    return s;
}

typedef struct maker {
    model_file *file;
    gguf_writer w;
    uint64_t random;
} maker;

typedef enum filling { MATRIX, NORM, BIAS, ROPE_FACTORS } filling;

/* A matrix is uniform, so that each row times a unit-sized vector has about unit size. */
static float draw(maker *m, filling kind, uint32_t columns) {
    float value = test_random_float(&m->random);
    switch (kind) {
    case NORM:
        return 1.0f + 0.2f * value;
    case BIAS:
        return 0.3f * value;
    case ROPE_FACTORS:
        return 2.5f + 1.5f * value;
    case MATRIX:
        break;
    }
    return value * sqrtf(3.0f / (float)columns);
}

static void add(maker *m, const char *name, filling kind, gguf_type type, uint32_t columns, uint32_t rows) {
    if (m->file->tensor_count == MODEL_TENSORS_MAX) {
        abort();
    }
    model_weights *t = &m->file->tensors[m->file->tensor_count++];
    snprintf(t->name, sizeof t->name, "%s", name);
    t->columns = columns;
    t->rows = rows;
    t->values = calloc((size_t)columns * rows, sizeof *t->values);
    if (t->values == NULL) {
        abort();
    }
    for (size_t i = 0; i < (size_t)columns * rows; i++) {
        t->values[i] = draw(m, kind, columns);
    }
    writer_tensor(&m->w, name, type, columns, rows, t->values);
}

static void name_in_layer(char name[64], uint32_t index, const char *part, const char *last) {
    snprintf(name, 64, "blk.%u.%s.%s", index, part, last);
}

/* Vectors in every form that the reader takes. */
static void add_vector(maker *m, uint32_t index, const char *part, const char *last, filling kind,
                       uint32_t length) {
    static const gguf_type types[] = {GGUF_F32, GGUF_F16, GGUF_BF16};
    char name[64];
    name_in_layer(name, index, part, last);
    add(m, name, kind, types[m->file->shape.small_vectors ? index % 3 : 0], length, 1);
}

static void add_matrix(maker *m, uint32_t index, const char *part, uint32_t columns, uint32_t rows,
                       bool biased) {
    const model_shape *s = &m->file->shape;
    bool exact = s->mixed && (strcmp(part, "attn_v") == 0 || strcmp(part, "ffn_down") == 0);
    char name[64];
    name_in_layer(name, index, part, "weight");
    add(m, name, MATRIX, exact ? GGUF_Q6_K : s->type, columns, rows);
    if (biased) {
        add_vector(m, index, part, "bias", BIAS, rows);
    }
}

static void add_norm(maker *m, uint32_t index, const char *part, uint32_t length) {
    add_vector(m, index, part, "weight", NORM, length);
}

static void add_attention(maker *m, uint32_t index) {
    const model_shape *s = &m->file->shape;
    uint32_t queries = s->heads * s->head_size;
    uint32_t keys = s->key_heads * s->head_size;
    bool all_biased = s->biases || model_is(s, "bert");
    bool biased = all_biased || model_is(s, "qwen2");
    if (model_is(s, "phi3")) {
        add_matrix(m, index, "attn_qkv", s->width, queries + 2 * keys, false);
    } else {
        add_matrix(m, index, "attn_q", s->width, queries, biased);
        add_matrix(m, index, "attn_k", s->width, keys, biased);
        add_matrix(m, index, "attn_v", s->width, keys, biased);
    }
    if (model_is(s, "qwen3") || model_is(s, "gemma3")) {
        add_norm(m, index, "attn_q_norm", s->head_size);
        add_norm(m, index, "attn_k_norm", s->head_size);
    }
    add_matrix(m, index, "attn_output", queries, s->width, all_biased);
}

static void add_feed_forward(maker *m, uint32_t index) {
    const model_shape *s = &m->file->shape;
    bool biased = s->biases || model_is(s, "bert");
    if (model_is(s, "phi3")) {
        add_matrix(m, index, "ffn_up", s->width, 2 * s->hidden, false);
    } else {
        if (!model_is(s, "bert")) {
            add_matrix(m, index, "ffn_gate", s->width, s->hidden, biased);
        }
        add_matrix(m, index, "ffn_up", s->width, s->hidden, biased);
    }
    add_matrix(m, index, "ffn_down", s->hidden, s->width, biased);
}

static void add_layer(maker *m, uint32_t index) {
    const model_shape *s = &m->file->shape;
    bool bert = model_is(s, "bert");
    if (bert) {
        add_norm(m, index, "attn_output_norm", s->width);
        add_vector(m, index, "attn_output_norm", "bias", BIAS, s->width);
        add_norm(m, index, "layer_output_norm", s->width);
        add_vector(m, index, "layer_output_norm", "bias", BIAS, s->width);
    } else {
        add_norm(m, index, "attn_norm", s->width);
        add_norm(m, index, "ffn_norm", s->width);
    }
    if (model_is(s, "gemma2") || model_is(s, "gemma3")) {
        add_norm(m, index, "post_attention_norm", s->width);
        add_norm(m, index, "post_ffw_norm", s->width);
    }
    add_attention(m, index);
    add_feed_forward(m, index);
}

static void add_outer_tensors(maker *m) {
    const model_shape *s = &m->file->shape;
    gguf_type type = s->mixed ? GGUF_F16 : s->type;
    add(m, "token_embd.weight", MATRIX, type, s->width, MODEL_VOCABULARY);
    if (model_is(s, "bert")) {
        add(m, "position_embd.weight", MATRIX, GGUF_F32, s->width, s->context);
        add(m, "token_types.weight", MATRIX, GGUF_F32, s->width, 2);
        add(m, "token_embd_norm.weight", NORM, GGUF_F32, s->width, 1);
        add(m, "token_embd_norm.bias", BIAS, GGUF_F32, s->width, 1);
        return;
    }
    add(m, "output_norm.weight", NORM, GGUF_F32, s->width, 1);
    if (!s->tied) {
        add(m, "output.weight", MATRIX, s->type, s->width, MODEL_VOCABULARY);
    }
    if (s->rope_factors && model_is(s, "phi3")) {
        add(m, "rope_factors_long.weight", ROPE_FACTORS, GGUF_F32, s->turned / 2, 1);
        add(m, "rope_factors_short.weight", ROPE_FACTORS, GGUF_F32, s->turned / 2, 1);
    } else if (s->rope_factors) {
        add(m, "rope_freqs.weight", ROPE_FACTORS, GGUF_F32, s->turned / 2, 1);
    }
}

static void key_u32(maker *m, const char *suffix, uint32_t value) {
    char key[96];
    snprintf(key, sizeof key, "%s.%s", m->file->shape.family, suffix);
    writer_u32(&m->w, key, value);
}

static void key_f32(maker *m, const char *suffix, float value) {
    char key[96];
    snprintf(key, sizeof key, "%s.%s", m->file->shape.family, suffix);
    writer_f32(&m->w, key, value);
}

static void add_rope_keys(maker *m) {
    static const char *const scalings[] = {"none", "linear", "yarn", "longrope"};
    const model_shape *s = &m->file->shape;
    char key[96];
    key_f32(m, "rope.freq_base", s->rope_base);
    if (s->turned != s->head_size) {
        key_u32(m, "rope.dimension_count", s->turned);
    }
    if (s->local_rope_base > 0) {
        key_f32(m, "rope.freq_base_swa", s->local_rope_base);
    }
    if (s->scaling != SCALED_NOT) {
        snprintf(key, sizeof key, "%s.rope.scaling.type", s->family);
        writer_text(&m->w, key, scalings[s->scaling]);
    }
    if (s->rope_factor > 0) {
        key_f32(m, "rope.scaling.factor", s->rope_factor);
    }
    if (s->rope_magnitude != 1) {
        key_f32(m, "rope.scaling.attn_factor", s->rope_magnitude);
    }
    if (s->original_context > 0) {
        key_u32(m, "rope.scaling.original_context_length", s->original_context);
    }
}

static void add_keys(maker *m) {
    const model_shape *s = &m->file->shape;
    bool bert = model_is(s, "bert");
    writer_text(&m->w, "general.architecture", s->family);
    writer_text(&m->w, "general.name", "random test model");
    key_u32(m, "context_length", s->context);
    key_u32(m, "embedding_length", s->width);
    key_u32(m, "feed_forward_length", s->hidden);
    key_u32(m, "block_count", s->layers);
    key_u32(m, "attention.head_count", s->heads);
    key_u32(m, "attention.head_count_kv", s->key_heads);
    if (s->head_size * s->heads != s->width) {
        key_u32(m, "attention.key_length", s->head_size);
        key_u32(m, "attention.value_length", s->head_size);
    }
    key_f32(m, bert ? "attention.layer_norm_epsilon" : "attention.layer_norm_rms_epsilon", 1e-5f);
    if (s->window > 0) {
        key_u32(m, "attention.sliding_window", s->window);
    }
    if (s->window_pattern > 0) {
        key_u32(m, "attention.sliding_window_pattern", s->window_pattern);
    }
    if (s->attention_cap > 0) {
        key_f32(m, "attn_logit_softcapping", s->attention_cap);
    }
    if (s->logit_cap > 0) {
        key_f32(m, "final_logit_softcapping", s->logit_cap);
    }
    if (s->pooling > 0) {
        key_u32(m, "pooling_type", s->pooling);
    }
    if (bert) {
        writer_bool(&m->w, "bert.attention.causal", false);
        writer_u32(&m->w, "tokenizer.ggml.token_type_count", 2);
    } else {
        add_rope_keys(m);
    }
}

void model_file_make(model_file *file, const model_shape *shape, uint64_t seed) {
    maker m = {.file = file, .random = seed};
    writer_start(&m.w);
    *file = (model_file){.shape = model_shape_whole(shape)};
    add_keys(&m);
    model_vocabulary_write(&m.w, file->shape.pretokenizer);
    add_outer_tensors(&m);
    for (uint32_t i = 0; i < file->shape.layers; i++) {
        add_layer(&m, i);
    }
    if (shape->more != NULL) {
        shape->more(&m.w);
    }
    writer_finish(&m.w, &file->bytes);
}

void model_file_free(model_file *file) {
    for (size_t i = 0; i < file->tensor_count; i++) {
        free(file->tensors[i].values);
    }
    buffer_free(&file->bytes);
}

const model_weights *model_file_find(const model_file *file, const char *name) {
    for (size_t i = 0; i < file->tensor_count; i++) {
        if (strcmp(file->tensors[i].name, name) == 0) {
            return &file->tensors[i];
        }
    }
    return NULL;
}
