#include "architecture.h"

#include "arithmetic/arithmetic.h"
#include "base/memory.h"
#include "engine/engine.h"

#include <stdio.h>

enum {
    WIDTH_MAX = 1 << 16,
    HIDDEN_MAX = 1 << 20,
    LAYERS_MAX = 512,
    HEADS_MAX = 1024,
    HEAD_SIZE_MAX = 512,
    VOCABULARY_MAX = 1 << 20,
};

typedef struct reader {
    architecture *a;
    const gguf *file;
    bool *used; /* by tensor */
    float *next_norm;
    error *err;
} reader;

static const char *const known_keys[] = {
    "llama.context_length",
    "llama.embedding_length",
    "llama.block_count",
    "llama.feed_forward_length",
    "llama.attention.head_count",
    "llama.attention.head_count_kv",
    "llama.attention.layer_norm_rms_epsilon",
    "llama.attention.key_length",
    "llama.attention.value_length",
    "llama.rope.dimension_count",
    "llama.rope.freq_base",
    "llama.rope.scaling.type",
    "llama.vocab_size",
};

static bool check_keys(const gguf *file, error *err) {
    for (size_t i = 0; i < gguf_key_count(file); i++) {
        slice key = gguf_key_name(file, i);
        bool known = !slice_starts_with(key, SLICE_LITERAL("llama."));
        for (size_t k = 0; k < sizeof known_keys / sizeof known_keys[0]; k++) {
            known = known || slice_equal_text(key, known_keys[k]);
        }
        if (!known) {
            return error_set(err, ERROR_UNSUPPORTED,
                             "key '%.*s' asks for something this engine doesn't compute", SLICE_FORMAT(key));
        }
    }
    slice name;
    if (gguf_has(file, "llama.rope.scaling.type")) {
        if (!gguf_text(file, "llama.rope.scaling.type", &name, err)) {
            return false;
        }
        if (!slice_equal_text(name, "none")) {
            return error_set(err, ERROR_UNSUPPORTED, "key 'llama.rope.scaling.type' asks for rope scaling");
        }
    }
    if (!gguf_text(file, "general.architecture", &name, err)) {
        return false;
    }
    return slice_equal_text(name, "llama") ||
           error_set(err, ERROR_UNSUPPORTED, "the architecture is '%.*s': this engine computes 'llama'",
                     SLICE_FORMAT(slice_part(name, 0, 64)));
}

/* A size from 1 to `most`; `fallback` (0: none) when the key is absent. */
static bool size_key(const gguf *file, const char *key, uint32_t most, uint32_t fallback, uint32_t *value,
                     error *err) {
    *value = fallback;
    if ((fallback == 0 || gguf_has(file, key)) && !gguf_u32(file, key, value, err)) {
        return false;
    }
    return (*value >= 1 && *value <= most) ||
           error_set(err, ERROR_UNSUPPORTED, "key '%s' is %u: this engine takes 1 to %u", key, *value, most);
}

static bool read_attention_sizes(architecture *a, const gguf *file, error *err) {
    uint32_t turned = 0;
    uint32_t value_size = 0;
    if (!size_key(file, "llama.attention.head_count", HEADS_MAX, 0, &a->heads, err) ||
        !size_key(file, "llama.attention.head_count_kv", HEADS_MAX, a->heads, &a->key_heads, err)) {
        return false;
    }
    uint32_t usual = a->width / a->heads;
    if (a->heads % a->key_heads != 0 ||
        (!gguf_has(file, "llama.attention.key_length") && usual * a->heads != a->width)) {
        return error_set(err, ERROR_CORRUPT, "%u heads over %u key heads don't divide the width %u", a->heads,
                         a->key_heads, a->width);
    }
    if (!size_key(file, "llama.attention.key_length", HEAD_SIZE_MAX, usual, &a->head_size, err) ||
        !size_key(file, "llama.attention.value_length", HEAD_SIZE_MAX, a->head_size, &value_size, err) ||
        !size_key(file, "llama.rope.dimension_count", HEAD_SIZE_MAX, a->head_size, &turned, err)) {
        return false;
    }
    return (a->head_size % 2 == 0 && value_size == a->head_size && turned == a->head_size) ||
           error_set(err, ERROR_UNSUPPORTED,
                     "heads of %u (values %u, turned %u): this engine takes even ones, turned whole",
                     a->head_size, value_size, turned);
}

static bool read_constants(architecture *a, const gguf *file, error *err) {
    a->rope_base = 10000.0f;
    if (!gguf_f32(file, "llama.attention.layer_norm_rms_epsilon", &a->epsilon, err) ||
        (gguf_has(file, "llama.rope.freq_base") &&
         !gguf_f32(file, "llama.rope.freq_base", &a->rope_base, err))) {
        return false;
    }
    if (!is_finite(a->epsilon) || a->epsilon < 0 || a->epsilon > 1) {
        return error_set(err, ERROR_CORRUPT,
                         "key 'llama.attention.layer_norm_rms_epsilon' is not from 0 to 1");
    }
    return (is_finite(a->rope_base) && a->rope_base >= 1) ||
           error_set(err, ERROR_CORRUPT, "key 'llama.rope.freq_base' is below 1");
}

static bool read_sizes(architecture *a, const gguf *file, error *err) {
    return size_key(file, "llama.context_length", ENGINE_CONTEXT_MAX, 0, &a->context, err) &&
           size_key(file, "llama.embedding_length", WIDTH_MAX, 0, &a->width, err) &&
           size_key(file, "llama.feed_forward_length", HIDDEN_MAX, 0, &a->hidden, err) &&
           size_key(file, "llama.block_count", LAYERS_MAX, 0, &a->layer_count, err) &&
           read_attention_sizes(a, file, err) && read_constants(a, file, err);
}

static const gguf_tensor *take(reader *r, const char *name) {
    const gguf_tensor *t = gguf_find_tensor(r->file, name);
    if (t == NULL) {
        error_set(r->err, ERROR_CORRUPT, "the model has no tensor '%s'", name);
        return NULL;
    }
    r->used[t - gguf_tensor_at(r->file, 0)] = true;
    return t;
}

static bool has_shape(reader *r, const gguf_tensor *t, uint32_t columns, uint32_t rows) {
    r->a->parameters += (uint64_t)columns * rows;
    return (t->dimensions[0] == columns && t->dimensions[1] == rows && t->dimensions[2] == 1 &&
            t->dimensions[3] == 1) ||
           error_set(r->err, ERROR_CORRUPT, "tensor '%.*s' is not %u by %u", SLICE_FORMAT(t->name), columns,
                     rows);
}

static bool take_matrix(reader *r, const char *name, uint32_t columns, uint32_t rows, matrix *m) {
    const gguf_tensor *t = take(r, name);
    if (t == NULL || !has_shape(r, t, columns, rows)) {
        return false;
    }
    if (t->type != GGUF_F32 && t->type != GGUF_F16 && t->type != GGUF_Q8_0) {
        return error_set(r->err, ERROR_UNSUPPORTED,
                         "tensor '%s' is %s: this engine computes F32, F16 and Q8_0", name,
                         gguf_type_name(t->type));
    }
    *m = (matrix){t->type, t->data.data, rows, columns};
    return true;
}

static bool take_norm(reader *r, const char *name, const float **norm) {
    const gguf_tensor *t = take(r, name);
    if (t == NULL || !has_shape(r, t, r->a->width, 1)) {
        return false;
    }
    if (t->type != GGUF_F32 && t->type != GGUF_F16) {
        return error_set(r->err, ERROR_UNSUPPORTED, "tensor '%s' is %s: norms are F32 or F16", name,
                         gguf_type_name(t->type));
    }
    for (size_t i = 0; i < r->a->width; i++) {
        r->next_norm[i] = t->type == GGUF_F32 ? load_f32(t->data.data + 4 * i)
                                              : float_of_half(load_u16(t->data.data + 2 * i));
    }
    *norm = r->next_norm;
    r->next_norm += r->a->width;
    return true;
}

/* "blk.3.attn_q.weight" */
static const char *layer_tensor(char name[64], uint32_t index, const char *part) {
    snprintf(name, 64, "blk.%u.%s.weight", index, part);
    return name;
}

static bool take_layer(reader *r, uint32_t index) {
    const architecture *a = r->a;
    layer *l = &r->a->layers[index];
    uint32_t query_rows = a->heads * a->head_size;
    uint32_t key_rows = a->key_heads * a->head_size;
    char name[64];
    return take_norm(r, layer_tensor(name, index, "attn_norm"), &l->attention_norm) &&
           take_norm(r, layer_tensor(name, index, "ffn_norm"), &l->feed_forward_norm) &&
           take_matrix(r, layer_tensor(name, index, "attn_q"), a->width, query_rows, &l->query) &&
           take_matrix(r, layer_tensor(name, index, "attn_k"), a->width, key_rows, &l->key) &&
           take_matrix(r, layer_tensor(name, index, "attn_v"), a->width, key_rows, &l->value) &&
           take_matrix(r, layer_tensor(name, index, "attn_output"), query_rows, a->width, &l->output) &&
           take_matrix(r, layer_tensor(name, index, "ffn_gate"), a->width, a->hidden, &l->gate) &&
           take_matrix(r, layer_tensor(name, index, "ffn_up"), a->width, a->hidden, &l->up) &&
           take_matrix(r, layer_tensor(name, index, "ffn_down"), a->hidden, a->width, &l->down);
}

static bool take_vocabulary(reader *r) {
    architecture *a = r->a;
    const gguf_tensor *t = take(r, "token_embd.weight");
    if (t == NULL) {
        return false;
    }
    if (t->dimensions[1] > VOCABULARY_MAX) {
        return error_set(r->err, ERROR_UNSUPPORTED, "the vocabulary has more than %d tokens", VOCABULARY_MAX);
    }
    uint32_t stated = 0;
    a->vocabulary = (uint32_t)t->dimensions[1];
    if (!size_key(r->file, "llama.vocab_size", VOCABULARY_MAX, a->vocabulary, &stated, r->err) ||
        !take_matrix(r, "token_embd.weight", a->width, a->vocabulary, &a->embedding)) {
        return false;
    }
    if (stated != a->vocabulary) {
        return error_set(r->err, ERROR_CORRUPT, "key 'llama.vocab_size' is %u, the embedding has %u rows",
                         stated, a->vocabulary);
    }
    a->head = a->embedding;
    return gguf_find_tensor(r->file, "output.weight") == NULL ||
           take_matrix(r, "output.weight", a->width, a->vocabulary, &a->head);
}

static bool take_tensors(reader *r) {
    if (!take_vocabulary(r) || !take_norm(r, "output_norm.weight", &r->a->final_norm)) {
        return false;
    }
    for (uint32_t i = 0; i < r->a->layer_count; i++) {
        if (!take_layer(r, i)) {
            return false;
        }
    }
    for (size_t i = 0; i < gguf_tensor_count(r->file); i++) {
        if (!r->used[i]) {
            return error_set(r->err, ERROR_UNSUPPORTED,
                             "tensor '%.*s' belongs to nothing this engine computes",
                             SLICE_FORMAT(gguf_tensor_at(r->file, i)->name));
        }
    }
    return true;
}

bool architecture_read(architecture *a, const gguf *file, error *err) {
    *a = (architecture){0};
    if (!check_keys(file, err) || !read_sizes(a, file, err)) {
        return false;
    }
    /* Each layer has tensors of its own, so what the file really holds bounds what is allocated. */
    if (a->layer_count > gguf_tensor_count(file)) {
        return error_set(err, ERROR_CORRUPT, "the model has tensors for fewer than its %u layers",
                         a->layer_count);
    }
    a->layers = memory_allocate_zeroed(a->layer_count, sizeof *a->layers);
    a->norms = memory_allocate_zeroed((size_t)a->width * (2 * a->layer_count + 1), sizeof *a->norms);
    reader r = {a, file, memory_allocate_zeroed(gguf_tensor_count(file), sizeof(bool)), a->norms, err};
    bool good =
        a->layers != NULL && a->norms != NULL && r.used != NULL ? take_tensors(&r) : error_memory(err);
    memory_free(r.used);
    if (!good) {
        architecture_free(a);
    }
    return good;
}

void architecture_free(architecture *a) {
    memory_free(a->layers);
    memory_free(a->norms);
    *a = (architecture){0};
}

bool architecture_known(slice name) {
    return slice_equal_text(name, "llama");
}

size_t matrix_row_size(const matrix *m) {
    return (size_t)m->columns / gguf_type_block(m->type) * gguf_type_bytes(m->type);
}
