#include "model.h"

#include <math.h>
#include <stdio.h>

static void add_tensor(model *m, const char *name, uint32_t rows, uint32_t columns) {
    model_tensor *tensor = &m->tensors[m->tensor_count++];
    *tensor = (model_tensor){.rows = rows, .columns = columns, .offset = m->parameter_count};
    snprintf(tensor->name, sizeof tensor->name, "%s", name);
    m->parameter_count += (size_t)rows * columns;
}

static void add_layer_tensor(model *m, uint32_t layer, const char *name, uint32_t rows, uint32_t columns) {
    char full[MODEL_TENSOR_NAME_SIZE];
    snprintf(full, sizeof full, "blk.%u.%s.weight", layer, name);
    add_tensor(m, full, rows, columns);
}

static void lay_out(model *m) {
    const model_shape *s = &m->shape;
    uint32_t keys = s->key_heads * model_head_width(s);
    add_tensor(m, "token_embd.weight", s->vocabulary, s->width);
    for (uint32_t layer = 0; layer < s->layers; layer++) {
        add_layer_tensor(m, layer, "attn_norm", 1, s->width);
        add_layer_tensor(m, layer, "attn_q", s->width, s->width);
        add_layer_tensor(m, layer, "attn_k", keys, s->width);
        add_layer_tensor(m, layer, "attn_v", keys, s->width);
        add_layer_tensor(m, layer, "attn_output", s->width, s->width);
        add_layer_tensor(m, layer, "ffn_norm", 1, s->width);
        add_layer_tensor(m, layer, "ffn_gate", s->feed_forward, s->width);
        add_layer_tensor(m, layer, "ffn_up", s->feed_forward, s->width);
        add_layer_tensor(m, layer, "ffn_down", s->width, s->feed_forward);
    }
    add_tensor(m, "output_norm.weight", 1, s->width);
    add_tensor(m, "output.weight", s->vocabulary, s->width);
}

static bool shape_is_sound(const model_shape *s) {
    return s->vocabulary > 0 && s->vocabulary <= 65535 && s->context > 0 && s->context <= 65536 &&
           s->layers > 0 && s->layers <= MODEL_LAYERS_MAX && s->width > 0 && s->width <= 8192 &&
           s->heads > 0 && s->key_heads > 0 && s->width % s->heads == 0 && s->heads % s->key_heads == 0 &&
           model_head_width(s) % 2 == 0 && s->feed_forward > 0 && s->feed_forward <= 65536;
}

bool model_make(arena *a, const model_shape *shape, model *m, error *err) {
    if (!shape_is_sound(shape)) {
        return error_set(err, ERROR_INVALID, "the model's shape does not fit together");
    }
    *m = (model){.shape = *shape};
    lay_out(m);
    uint32_t half = model_head_width(shape) / 2;
    m->parameters = arena_allocate_array(a, m->parameter_count, sizeof *m->parameters);
    m->rope = arena_allocate_array(a, (size_t)shape->context * half * 2, sizeof *m->rope);
    if (m->parameters == NULL || m->rope == NULL) {
        return error_memory(err);
    }
    for (uint32_t position = 0; position < shape->context; position++) {
        for (uint32_t i = 0; i < half; i++) {
            double angle = position * pow((double)shape->rope_base, -(double)i / half);
            float *pair = m->rope + ((size_t)position * half + i) * 2;
            pair[0] = (float)cos(angle);
            pair[1] = (float)sin(angle);
        }
    }
    return true;
}

/* What is added to the residual stream is scaled down with depth (Radford 2019). */
static bool is_residual(const char *name) {
    return strstr(name, "attn_output") != NULL || strstr(name, "ffn_down") != NULL;
}

void model_initialise(model *m, random_source *random) {
    for (size_t t = 0; t < m->tensor_count; t++) {
        const model_tensor *tensor = &m->tensors[t];
        float *values = m->parameters + tensor->offset;
        float scale = 1.0F / sqrtf((float)tensor->columns);
        if (is_residual(tensor->name)) {
            scale /= sqrtf(2.0F * (float)m->shape.layers);
        }
        for (size_t i = 0; i < (size_t)tensor->rows * tensor->columns; i++) {
            values[i] = model_tensor_is_norm(tensor) ? 1.0F : scale * random_normal(random);
        }
    }
}
