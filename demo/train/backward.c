#include "layers.h"
#include "pass.h"

static void drop_backward(const pass *p, float *dx, const float *mask, size_t count) {
    for (size_t i = 0; p->dropped > 0 && i < count; i++) {
        dx[i] *= mask[i];
    }
}

static void attention_gradients(pass *p, const batch *b, const layer_state *l) {
    const model *m = p->m;
    const model_shape *s = &m->shape;
    size_t width = s->width;
    size_t keys = (size_t)s->key_heads * model_head_width(s);
    const float *weights = l->weights;
    for (size_t i = 0; i < b->sequences; i++) {
        size_t at = b->starts[i];
        size_t rows = b->starts[i + 1] - at;
        layer_attention_backward(s, p->d_query + at * width, p->d_key + at * keys, p->d_value + at * keys,
                                 p->d_scores, p->d_width + at * width, weights, l->query + at * width,
                                 l->key + at * keys, l->value + at * keys, rows);
        layer_rope(m, p->d_query + at * width, rows, s->heads, -1.0F);
        layer_rope(m, p->d_key + at * keys, rows, s->key_heads, -1.0F);
        weights += rows * rows * s->heads;
    }
}

/* p->d_stream holds the gradient of the layer's output, and afterwards that of its input. */
static void backward_layer(pass *p, const batch *b, uint32_t layer, float *g) {
    const model *m = p->m;
    const model_shape *s = &m->shape;
    const float *w = m->parameters;
    const layer_state *l = &p->layers[layer];
    size_t n = b->tokens_count;
    size_t width = s->width;
    size_t keys = (size_t)s->key_heads * model_head_width(s);
    size_t wide = s->feed_forward;
    size_t down = model_layer(m, layer, FEED_FORWARD_DOWN);
    size_t up = model_layer(m, layer, FEED_FORWARD_UP);
    size_t gate = model_layer(m, layer, FEED_FORWARD_GATE);
    size_t norm = model_layer(m, layer, FEED_FORWARD_NORM);
    layer_matrix_backward(p->d_hidden, false, g + down, p->d_stream, l->hidden, w + down, n, wide, width);
    drop_backward(p, p->d_hidden, l->hidden_mask, n * wide);
    layer_swiglu_backward(p->d_gate, p->d_up, p->d_hidden, l->gate, l->up, n * wide);
    layer_matrix_backward(p->d_width, false, g + up, p->d_up, l->middle_norm, w + up, n, width, wide);
    layer_matrix_backward(p->d_width, true, g + gate, p->d_gate, l->middle_norm, w + gate, n, width, wide);
    layer_norm_backward(p->d_stream, g + norm, p->d_width, l->middle, l->middle_scale, w + norm, n, width);

    size_t output = model_layer(m, layer, ATTENTION_OUTPUT);
    size_t query = model_layer(m, layer, ATTENTION_QUERY);
    size_t key = model_layer(m, layer, ATTENTION_KEY);
    size_t value = model_layer(m, layer, ATTENTION_VALUE);
    norm = model_layer(m, layer, ATTENTION_NORM);
    layer_matrix_backward(p->d_width, false, g + output, p->d_stream, l->attention, w + output, n, width,
                          width);
    drop_backward(p, p->d_width, l->attention_mask, n * width);
    attention_gradients(p, b, l);
    layer_matrix_backward(p->d_width, false, g + query, p->d_query, l->norm, w + query, n, width, width);
    layer_matrix_backward(p->d_width, true, g + key, p->d_key, l->norm, w + key, n, width, keys);
    layer_matrix_backward(p->d_width, true, g + value, p->d_value, l->norm, w + value, n, width, keys);
    layer_norm_backward(p->d_stream, g + norm, p->d_width, l->input, l->norm_scale, w + norm, n, width);
}

void pass_backward(pass *p, const batch *b, float *gradient) {
    const model *m = p->m;
    const model_shape *s = &m->shape;
    size_t width = s->width;
    size_t n = b->tokens_count;
    /* d_query serves as the gradient of the gathered rows: nothing else uses it yet. */
    layer_matrix_backward(p->d_query, false, gradient + model_output(m), p->logits, p->gathered,
                          m->parameters + model_output(m), p->predictions, width, s->vocabulary);
    memset(p->d_width, 0, n * width * sizeof(float));
    memset(p->d_stream, 0, n * width * sizeof(float));
    for (size_t i = 0; i < p->predictions; i++) {
        memcpy(p->d_width + p->predicted[i] * width, p->d_query + i * width, width * sizeof(float));
    }
    layer_norm_backward(p->d_stream, gradient + model_output_norm(m), p->d_width, p->final, p->final_scale,
                        m->parameters + model_output_norm(m), n, width);
    for (uint32_t layer = s->layers; layer-- > 0;) {
        backward_layer(p, b, layer, gradient);
    }
    drop_backward(p, p->d_stream, p->embedding_mask, n * width);
    for (size_t i = 0; i < n; i++) {
        float *row = gradient + model_embedding(m) + (size_t)b->tokens[i] * width;
        for (size_t k = 0; k < width; k++) {
            row[k] += p->d_stream[i * width + k];
        }
    }
}
