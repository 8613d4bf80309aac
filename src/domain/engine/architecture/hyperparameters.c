#include "reader.h"

#include "arithmetic/arithmetic.h"

#include <stdio.h>

enum {
    WIDTH_MAX = 1 << 16,
    HIDDEN_MAX = 1 << 20,
    LAYERS_MAX = 512,
    HEADS_MAX = 1024,
};

/* What a family must have for a key to mean something to it. */
typedef enum trait {
    ANY_FAMILY = 0,
    HAS_RMS_NORM = 1,
    HAS_LAYER_NORM = 2,
    HAS_ROPE = 4,
    HAS_WINDOW = 8,
    HAS_PATTERN = 16,
    HAS_LOCAL_ROPE = 32,
    HAS_SOFT_CAPS = 64,
} trait;

static const struct {
    const char *suffix;
    trait needs;
} known_keys[] = {
    {"context_length", ANY_FAMILY},
    {"embedding_length", ANY_FAMILY},
    {"block_count", ANY_FAMILY},
    {"feed_forward_length", ANY_FAMILY},
    {"vocab_size", ANY_FAMILY},
    {"expert_count", ANY_FAMILY},
    {"expert_used_count", ANY_FAMILY},
    {"pooling_type", ANY_FAMILY},
    {"attention.causal", ANY_FAMILY},
    {"attention.head_count", ANY_FAMILY},
    {"attention.head_count_kv", ANY_FAMILY},
    {"attention.key_length", ANY_FAMILY},
    {"attention.value_length", ANY_FAMILY},
    {"attention.layer_norm_rms_epsilon", HAS_RMS_NORM},
    {"attention.layer_norm_epsilon", HAS_LAYER_NORM},
    {"attention.sliding_window", HAS_WINDOW},
    {"attention.sliding_window_pattern", HAS_PATTERN},
    {"attn_logit_softcapping", HAS_SOFT_CAPS},
    {"final_logit_softcapping", HAS_SOFT_CAPS},
    {"rope.dimension_count", HAS_ROPE},
    {"rope.freq_base", HAS_ROPE},
    {"rope.freq_base_swa", HAS_LOCAL_ROPE},
    {"rope.scale_linear", HAS_ROPE},
    {"rope.scaling.type", HAS_ROPE},
    {"rope.scaling.factor", HAS_ROPE},
    {"rope.scaling.attn_factor", HAS_ROPE},
    {"rope.scaling.original_context_length", HAS_ROPE},
    {"rope.scaling.finetuned", HAS_ROPE}, /* tells of training, changes nothing */
    {"rope.scaling.yarn_beta_fast", HAS_ROPE},
    {"rope.scaling.yarn_beta_slow", HAS_ROPE},
};

static unsigned traits_of(const description *family) {
    return (family->norm == NORM_RMS ? HAS_RMS_NORM : HAS_LAYER_NORM) |
           (family->rope != ROPE_NONE ? HAS_ROPE : 0U) | (family->windowed ? HAS_WINDOW : 0U) |
           (family->window_pattern > 0 ? HAS_PATTERN : 0U) |
           (family->local_rope_base > 0 ? HAS_LOCAL_ROPE : 0U) | (family->soft_caps ? HAS_SOFT_CAPS : 0U);
}

static bool understood(const description *family, slice key) {
    slice name = slice_of_text(family->name);
    if (!slice_starts_with(key, name) || key.length <= name.length || key.data[name.length] != '.') {
        return true; /* says nothing of the computation */
    }
    slice suffix = slice_after(key, name.length + 1);
    unsigned traits = traits_of(family);
    for (size_t i = 0; i < sizeof known_keys / sizeof known_keys[0]; i++) {
        if (slice_equal_text(suffix, known_keys[i].suffix)) {
            return (known_keys[i].needs & ~traits) == 0;
        }
    }
    return false;
}

static bool check_keys(const reader *r) {
    for (size_t i = 0; i < gguf_key_count(r->file); i++) {
        slice key = gguf_key_name(r->file, i);
        if (!understood(r->family, key)) {
            return error_set(r->err, ERROR_UNSUPPORTED,
                             "key '%.*s' asks for something this engine doesn't compute",
                             SLICE_FORMAT(slice_part(key, 0, 128)));
        }
    }
    return true;
}

void key_name(const reader *r, const char *suffix, char key[KEY_SIZE]) {
    snprintf(key, KEY_SIZE, "%s.%s", r->family->name, suffix);
}

static bool key_there(const reader *r, const char *suffix) {
    char key[KEY_SIZE];
    key_name(r, suffix, key);
    return gguf_has(r->file, key);
}

bool read_number(const reader *r, const char *suffix, bool needed, uint32_t least, uint32_t most,
                 uint32_t *value) {
    char key[KEY_SIZE];
    key_name(r, suffix, key);
    if (!needed && !gguf_has(r->file, key)) {
        return true;
    }
    if (!gguf_u32(r->file, key, value, r->err)) {
        return false;
    }
    return (*value >= least && *value <= most) ||
           error_set(r->err, ERROR_UNSUPPORTED, "key '%s' is %u: this engine takes %u to %u", key, *value,
                     least, most);
}

bool read_float(const reader *r, const char *suffix, bool needed, float least, float most, float *value) {
    char key[KEY_SIZE];
    key_name(r, suffix, key);
    if (!needed && !gguf_has(r->file, key)) {
        return true;
    }
    if (!gguf_f32(r->file, key, value, r->err)) {
        return false;
    }
    return (*value >= least && *value <= most) ||
           error_set(r->err, ERROR_UNSUPPORTED, "key '%s' is %g: this engine takes %g to %g", key,
                     (double)*value, (double)least, (double)most);
}

static bool read_sizes(reader *r) {
    architecture *a = r->a;
    uint32_t experts = 0;
    return read_number(r, "context_length", true, 1, POSITIONS_MAX, &a->context) &&
           read_number(r, "embedding_length", true, 1, WIDTH_MAX, &a->width) &&
           read_number(r, "feed_forward_length", true, 1, HIDDEN_MAX, &a->hidden) &&
           read_number(r, "block_count", true, 1, LAYERS_MAX, &a->layer_count) &&
           read_number(r, "expert_count", false, 0, 0, &experts) &&
           read_number(r, "expert_used_count", false, 0, 0, &experts);
}

static bool read_heads(reader *r) {
    architecture *a = r->a;
    if (!read_number(r, "attention.head_count", true, 1, HEADS_MAX, &a->heads)) {
        return false;
    }
    a->key_heads = a->heads;
    if (!read_number(r, "attention.head_count_kv", false, 1, HEADS_MAX, &a->key_heads)) {
        return false;
    }
    a->head_size = a->width / a->heads;
    if (a->heads % a->key_heads != 0 ||
        (!key_there(r, "attention.key_length") && a->head_size * a->heads != a->width)) {
        return error_set(r->err, ERROR_CORRUPT, "%u heads over %u key heads don't divide the width %u",
                         a->heads, a->key_heads, a->width);
    }
    if (!read_number(r, "attention.key_length", false, 1, HEAD_SIZE_MAX, &a->head_size)) {
        return false;
    }
    if (a->head_size > HEAD_SIZE_MAX) {
        return error_set(r->err, ERROR_UNSUPPORTED, "heads of %u: this engine takes up to %d", a->head_size,
                         HEAD_SIZE_MAX);
    }
    uint32_t value_size = a->head_size;
    return read_number(r, "attention.value_length", false, a->head_size, a->head_size, &value_size);
}

static bool read_pooling(reader *r) {
    static const pooling_kind kinds[] = {POOLING_NONE, POOLING_MEAN, POOLING_FIRST, POOLING_LAST};
    bool encoder = r->family->encoder;
    bool causal = !encoder;
    uint32_t number = 0;
    char key[KEY_SIZE];
    key_name(r, "attention.causal", key);
    if (gguf_has(r->file, key) && !gguf_bool(r->file, key, &causal, r->err)) {
        return false;
    }
    if (causal == encoder) {
        return error_set(r->err, ERROR_UNSUPPORTED, "key '%s' is %s: this engine computes the other way", key,
                         causal ? "true" : "false");
    }
    if (!read_number(r, "pooling_type", encoder, encoder ? 1 : 0, 3, &number)) {
        return false;
    }
    r->a->causal = causal;
    r->a->pooling = kinds[number];
    return true;
}

static float inverse_root(uint32_t number) {
    return 1.0f / sqrtf((float)number);
}

static bool read_constants(reader *r) {
    architecture *a = r->a;
    const description *family = r->family;
    const float largest_cap = 1e6f;
    const char *epsilon =
        family->norm == NORM_RMS ? "attention.layer_norm_rms_epsilon" : "attention.layer_norm_epsilon";
    a->name = family->name;
    a->norm = family->norm;
    a->activation = family->activation;
    a->embedding_scale = family->embedding_scaled ? sqrtf((float)a->width) : 1.0f;
    a->attention_scale = inverse_root(a->head_size);
    if (a->layer_count == family->layers_scaled_by_width) {
        a->attention_scale = inverse_root(a->width / a->heads);
    }
    return read_float(r, epsilon, true, 0.0f, 1.0f, &a->epsilon) &&
           read_float(r, "attn_logit_softcapping", false, 0.0f, largest_cap, &a->attention_cap) &&
           read_float(r, "final_logit_softcapping", false, 0.0f, largest_cap, &a->logit_cap);
}

static bool read_window(reader *r) {
    r->window = r->family->window;
    r->window_pattern = r->family->window_pattern;
    return read_number(r, "attention.sliding_window", false, 0, UINT32_MAX, &r->window) &&
           read_number(r, "attention.sliding_window_pattern", false, 1, LAYERS_MAX, &r->window_pattern);
}

bool read_hyperparameters(reader *r) {
    return check_keys(r) && read_sizes(r) && read_heads(r) && read_pooling(r) && read_constants(r) &&
           read_window(r);
}
