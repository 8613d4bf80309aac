#include "model_file.h"

#include "arithmetic/arithmetic.h"
#include "quantise_file.h"
#include "tokenizer/utf8.h"

#include <stdio.h>
#include <stdlib.h>

enum { FILE_MAX = 64 * 1024 * 1024 };

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

static void put(buffer *b, uint64_t value, size_t size) {
    for (size_t i = 0; i < size; i++) {
        buffer_append_byte(b, (uint8_t)(value >> (8 * i)));
    }
}

static void put_text(buffer *b, const char *text) {
    put(b, strlen(text), 8);
    buffer_append_text(b, text);
}

static void put_key(gguf_writer *w, const char *key, uint32_t type) {
    put_text(&w->keys, key);
    put(&w->keys, type, 4);
    w->key_count++;
}

void writer_start(gguf_writer *w) {
    *w = (gguf_writer){.version = 3,
                       .keys = buffer_make(FILE_MAX),
                       .tensors = buffer_make(FILE_MAX),
                       .data = buffer_make(FILE_MAX)};
}

void writer_text(gguf_writer *w, const char *key, const char *value) {
    put_key(w, key, 8);
    put_text(&w->keys, value);
}

void writer_u32(gguf_writer *w, const char *key, uint32_t value) {
    put_key(w, key, 4);
    put(&w->keys, value, 4);
}

void writer_f32(gguf_writer *w, const char *key, float value) {
    put_key(w, key, 6);
    put(&w->keys, bits_of_float(value), 4);
}

void writer_bool(gguf_writer *w, const char *key, bool value) {
    put_key(w, key, 7);
    put(&w->keys, value ? 1 : 0, 1);
}

void writer_texts(gguf_writer *w, const char *key, const char *const *texts, size_t count) {
    put_key(w, key, 9);
    put(&w->keys, 8, 4);
    put(&w->keys, count, 8);
    for (size_t i = 0; i < count; i++) {
        put_text(&w->keys, texts[i]);
    }
}

void writer_i32s(gguf_writer *w, const char *key, const int32_t *values, size_t count) {
    put_key(w, key, 9);
    put(&w->keys, 5, 4);
    put(&w->keys, count, 8);
    for (size_t i = 0; i < count; i++) {
        put(&w->keys, (uint32_t)values[i], 4);
    }
}

void writer_value(gguf_writer *w, const char *key, gguf_value_type type, const void *bytes, size_t length) {
    put_key(w, key, type);
    buffer_append(&w->keys, slice_of(bytes, length));
}

void writer_array(gguf_writer *w, const char *key, gguf_value_type type, size_t count, const void *bytes,
                  size_t length) {
    put_key(w, key, GGUF_VALUE_ARRAY);
    put(&w->keys, type, 4);
    put(&w->keys, count, 8);
    buffer_append(&w->keys, slice_of(bytes, length));
}

void writer_split(gguf_writer *w, uint16_t number, uint16_t count, int32_t tensor_count) {
    writer_value(w, "split.no", GGUF_VALUE_U16, &number, sizeof number);
    writer_value(w, "split.count", GGUF_VALUE_U16, &count, sizeof count);
    writer_value(w, "split.tensors.count", GGUF_VALUE_I32, &tensor_count, sizeof tensor_count);
}

void writer_tensor(gguf_writer *w, const char *name, gguf_type type, uint32_t columns, uint32_t rows,
                   float *values) {
    while (buffer_length(&w->data) % 32 != 0) {
        buffer_append_byte(&w->data, 0);
    }
    put_text(&w->tensors, name);
    put(&w->tensors, rows == 1 ? 1 : 2, 4);
    put(&w->tensors, columns, 8);
    if (rows > 1) {
        put(&w->tensors, rows, 8);
    }
    put(&w->tensors, type, 4);
    put(&w->tensors, buffer_length(&w->data), 8);
    w->tensor_count++;
    uint32_t block = gguf_type_block(type);
    if (block == 0 || columns % block != 0) {
        abort();
    }
    for (size_t i = 0; i < (size_t)columns * rows; i += block) {
        uint8_t bytes[GGUF_BLOCK_BYTES_MAX];
        quantise_block(type, values + i, bytes);
        buffer_append(&w->data, slice_of(bytes, gguf_type_bytes(type)));
        for (uint32_t k = 0; k < block; k++) {
            values[i + k] = (float)quantised_value(type, bytes, k);
        }
    }
}

void writer_finish(gguf_writer *w, buffer *file) {
    *file = buffer_make(FILE_MAX);
    buffer_append_text(file, "GGUF");
    put(file, w->version, 4);
    put(file, w->tensor_count, 8);
    put(file, w->key_count, 8);
    buffer_append(file, buffer_slice(&w->keys));
    buffer_append(file, buffer_slice(&w->tensors));
    while (buffer_length(file) % 32 != 0) {
        buffer_append_byte(file, 0);
    }
    buffer_append(file, buffer_slice(&w->data));
    if (buffer_failed(file) || buffer_failed(&w->keys) || buffer_failed(&w->tensors) ||
        buffer_failed(&w->data)) {
        abort();
    }
    buffer_free(&w->keys);
    buffer_free(&w->tensors);
    buffer_free(&w->data);
}

gguf *written_open(const buffer *file, error *err) {
    slice whole = buffer_slice(file);
    return gguf_open(&whole, 1, err);
}

/* Uniform, so that each row times a unit-sized vector has about unit size. */
static void add_tensor(model_file *file, gguf_writer *w, const char *name, gguf_type type, uint32_t columns,
                       uint32_t rows, uint64_t *state) {
    if (file->tensor_count == MODEL_TENSORS_MAX) {
        abort();
    }
    model_weights *t = &file->tensors[file->tensor_count++];
    snprintf(t->name, sizeof t->name, "%s", name);
    t->columns = columns;
    t->rows = rows;
    t->values = calloc((size_t)columns * rows, sizeof *t->values);
    if (t->values == NULL) {
        abort();
    }
    for (size_t i = 0; i < (size_t)columns * rows; i++) {
        float value = test_random_float(state);
        t->values[i] = rows == 1 ? 1.0f + 0.2f * value : value * sqrtf(3.0f / (float)columns);
    }
    writer_tensor(w, name, type, columns, rows, t->values);
}

static void add_layer(model_file *file, gguf_writer *w, uint32_t index, uint64_t *state) {
    const model_shape *s = &file->shape;
    uint32_t keys = s->width / s->heads * s->key_heads;
    struct {
        const char *part;
        gguf_type type;
        uint32_t columns;
        uint32_t rows;
    } parts[] = {{"attn_norm", GGUF_F32, s->width, 1},       {"ffn_norm", GGUF_F32, s->width, 1},
                 {"attn_q", s->type, s->width, s->width},    {"attn_k", s->type, s->width, keys},
                 {"attn_v", s->type, s->width, keys},        {"attn_output", s->type, s->width, s->width},
                 {"ffn_gate", s->type, s->width, s->hidden}, {"ffn_up", s->type, s->width, s->hidden},
                 {"ffn_down", s->type, s->hidden, s->width}};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        char name[64];
        snprintf(name, sizeof name, "blk.%u.%s.weight", index, parts[i].part);
        add_tensor(file, w, name, parts[i].type, parts[i].columns, parts[i].rows, state);
    }
}

/* The 256 letters, five merges of them, the markers, and unused tokens up to MODEL_VOCABULARY. */
static void add_vocabulary(gguf_writer *w, const char *pretokenizer) {
    static const char *const merged[] = {"he", "\xc4\xa0t", "the", "\xc4\xa0the", "ll"};
    static const char *const merges[] = {"h e", "\xc4\xa0 t", "t he", "\xc4\xa0t he", "l l"};
    static const char *const controls[] = {"<|im_start|>", "<|im_end|>", "<|endoftext|>"};
    static char letters[MODEL_VOCABULARY][8];
    const char *texts[MODEL_VOCABULARY];
    int32_t kinds[MODEL_VOCABULARY];
    uint32_t next = 256;
    for (uint32_t id = 0; id < MODEL_VOCABULARY; id++) {
        bool printed = (id >= '!' && id <= '~') || (id >= 0xa1 && id <= 0xac) || (id >= 0xae && id <= 0xff);
        memset(letters[id], 0, sizeof letters[id]);
        if (id < 256) {
            utf8_write(printed ? id : next++, (uint8_t *)letters[id]);
            texts[id] = letters[id];
        } else if (id < MODEL_MESSAGE_START) {
            texts[id] = merged[id - 256];
        } else if (id <= MODEL_END) {
            texts[id] = controls[id - MODEL_MESSAGE_START];
        } else {
            snprintf(letters[id], sizeof letters[id], "u%u", id);
            texts[id] = letters[id];
        }
        kinds[id] = id < MODEL_MESSAGE_START ? 1 : id <= MODEL_END ? 3 : 5;
    }
    writer_text(w, "tokenizer.ggml.model", "gpt2");
    writer_text(w, "tokenizer.ggml.pre", pretokenizer);
    writer_texts(w, "tokenizer.ggml.tokens", texts, MODEL_VOCABULARY);
    writer_i32s(w, "tokenizer.ggml.token_type", kinds, MODEL_VOCABULARY);
    writer_texts(w, "tokenizer.ggml.merges", merges, sizeof merges / sizeof merges[0]);
    writer_u32(w, "tokenizer.ggml.eos_token_id", MODEL_END);
    writer_bool(w, "tokenizer.ggml.add_bos_token", false);
}

void model_file_make(model_file *file, const model_shape *shape, uint64_t seed) {
    gguf_writer w;
    writer_start(&w);
    *file = (model_file){.shape = *shape};
    writer_text(&w, "general.architecture", "llama");
    writer_text(&w, "general.name", "random test model");
    writer_u32(&w, "llama.context_length", shape->context);
    writer_u32(&w, "llama.embedding_length", shape->width);
    writer_u32(&w, "llama.feed_forward_length", shape->hidden);
    writer_u32(&w, "llama.block_count", shape->layers);
    writer_u32(&w, "llama.attention.head_count", shape->heads);
    writer_u32(&w, "llama.attention.head_count_kv", shape->key_heads);
    writer_f32(&w, "llama.attention.layer_norm_rms_epsilon", 1e-5f);
    writer_f32(&w, "llama.rope.freq_base", 10000.0f);
    add_vocabulary(&w, shape->pretokenizer);
    add_tensor(file, &w, "token_embd.weight", shape->type, shape->width, MODEL_VOCABULARY, &seed);
    add_tensor(file, &w, "output_norm.weight", GGUF_F32, shape->width, 1, &seed);
    if (!shape->tied) {
        add_tensor(file, &w, "output.weight", shape->type, shape->width, MODEL_VOCABULARY, &seed);
    }
    for (uint32_t i = 0; i < shape->layers; i++) {
        add_layer(file, &w, i, &seed);
    }
    writer_finish(&w, &file->bytes);
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
