#include "pass.h"

#include "layers.h"

#include <math.h>

/* A plan of allocations: the first failure is remembered, so that one check at the end suffices. */
static float *take(arena *a, size_t rows, size_t columns, bool *good) {
    size_t count = 0;
    float *block = NULL;
    if (*good && !__builtin_mul_overflow(rows, columns, &count)) {
        block = arena_allocate_array(a, count, sizeof(float));
    }
    *good = *good && block != NULL;
    return block;
}

static void make_layer(arena *a, layer_state *l, const model_shape *s, size_t n, size_t sequence,
                       bool *good) {
    size_t keys = (size_t)s->key_heads * model_head_width(s);
    *l = (layer_state){
        .input = take(a, n, s->width, good),
        .norm = take(a, n, s->width, good),
        .norm_scale = take(a, n, 1, good),
        .query = take(a, n, s->width, good),
        .key = take(a, n, keys, good),
        .value = take(a, n, keys, good),
        .attention = take(a, n, s->width, good),
        .weights = take(a, n * sequence, s->heads, good),
        .middle = take(a, n, s->width, good),
        .middle_norm = take(a, n, s->width, good),
        .middle_scale = take(a, n, 1, good),
        .gate = take(a, n, s->feed_forward, good),
        .up = take(a, n, s->feed_forward, good),
        .hidden = take(a, n, s->feed_forward, good),
    };
}

static void make_backward(arena *a, pass *p, const model_shape *s, size_t n, size_t sequence, bool *good) {
    size_t keys = (size_t)s->key_heads * model_head_width(s);
    for (uint32_t i = 0; i < s->layers; i++) {
        p->layers[i].attention_mask = take(a, n, s->width, good);
        p->layers[i].hidden_mask = take(a, n, s->feed_forward, good);
    }
    p->embedding_mask = take(a, n, s->width, good);
    p->d_stream = take(a, n, s->width, good);
    p->d_width = take(a, n, s->width, good);
    p->d_query = take(a, n, s->width, good);
    p->d_key = take(a, n, keys, good);
    p->d_value = take(a, n, keys, good);
    p->d_gate = take(a, n, s->feed_forward, good);
    p->d_up = take(a, n, s->feed_forward, good);
    p->d_hidden = take(a, n, s->feed_forward, good);
    p->d_scores = take(a, sequence, sequence, good);
}

bool pass_make(arena *a, const model *m, size_t capacity, size_t sequence, bool backward, pass *p,
               error *err) {
    const model_shape *s = &m->shape;
    if (sequence > s->context || sequence > PASS_SEQUENCE_MAX) {
        return error_set(err, ERROR_LIMIT, "a sequence of %zu tokens is longer than the context", sequence);
    }
    bool good = true;
    *p = (pass){.m = m, .capacity = capacity};
    for (uint32_t i = 0; i < s->layers; i++) {
        make_layer(a, &p->layers[i], s, capacity, sequence, &good);
    }
    p->final = take(a, capacity, s->width, &good);
    p->final_norm = take(a, capacity, s->width, &good);
    p->final_scale = take(a, capacity, 1, &good);
    p->logits = take(a, capacity, s->vocabulary, &good);
    p->gathered = take(a, capacity, s->width, &good);
    p->rounded = take(a, capacity, s->width > s->feed_forward ? s->width : s->feed_forward, &good);
    p->predicted = arena_allocate_array(a, capacity, sizeof *p->predicted);
    if (backward) {
        make_backward(a, p, s, capacity, sequence, &good);
    }
    return (good && p->predicted != NULL) || error_memory(err);
}

static const float *as_engine(pass *p, const float *x, size_t rows, size_t width) {
    if (!p->rounds_activations) {
        return x;
    }
    layer_round_activations(p->rounded, x, rows, width);
    return p->rounded;
}

/* Leaves some activations out and makes the others larger by as much. The mask is kept for the backward pass.
 */
static void drop(pass *p, float *x, float *mask, size_t count) {
    if (!(p->dropped > 0)) {
        return;
    }
    uint32_t limit = (uint32_t)(p->dropped * 65536.0F);
    float scale = 65536.0F / (65536.0F - (float)limit);
    for (size_t i = 0; i < count; i += 2) {
        uint32_t two = random_next(&p->random);
        mask[i] = (two & 65535U) < limit ? 0.0F : scale;
        if (i + 1 < count) {
            mask[i + 1] = (two >> 16) < limit ? 0.0F : scale;
        }
    }
    for (size_t i = 0; i < count; i++) {
        x[i] *= mask[i];
    }
}

static void add(float *y, const float *x, size_t count) {
    for (size_t i = 0; i < count; i++) {
        y[i] += x[i];
    }
}

static void forward_layer(pass *p, const batch *b, uint32_t layer, float *output) {
    const model *m = p->m;
    const model_shape *s = &m->shape;
    const float *w = m->parameters;
    layer_state *l = &p->layers[layer];
    size_t n = b->tokens_count;
    size_t width = s->width;
    size_t keys = (size_t)s->key_heads * model_head_width(s);
    size_t wide = s->feed_forward;
    layer_norm(l->norm, l->norm_scale, l->input, w + model_layer(m, layer, ATTENTION_NORM), n, width,
               s->epsilon);
    const float *x = as_engine(p, l->norm, n, width);
    layer_matrix(l->query, x, w + model_layer(m, layer, ATTENTION_QUERY), n, width, width);
    layer_matrix(l->key, x, w + model_layer(m, layer, ATTENTION_KEY), n, width, keys);
    layer_matrix(l->value, x, w + model_layer(m, layer, ATTENTION_VALUE), n, width, keys);
    float *weights = l->weights;
    for (size_t i = 0; i < b->sequences; i++) {
        size_t at = b->starts[i];
        size_t rows = b->starts[i + 1] - at;
        layer_rope(m, l->query + at * width, rows, s->heads, 1.0F);
        layer_rope(m, l->key + at * keys, rows, s->key_heads, 1.0F);
        layer_attention(s, l->attention + at * width, weights, l->query + at * width, l->key + at * keys,
                        l->value + at * keys, rows);
        weights += rows * rows * s->heads;
    }
    drop(p, l->attention, l->attention_mask, n * width);
    x = as_engine(p, l->attention, n, width);
    layer_matrix(l->middle, x, w + model_layer(m, layer, ATTENTION_OUTPUT), n, width, width);
    add(l->middle, l->input, n * width);
    layer_norm(l->middle_norm, l->middle_scale, l->middle, w + model_layer(m, layer, FEED_FORWARD_NORM), n,
               width, s->epsilon);
    x = as_engine(p, l->middle_norm, n, width);
    layer_matrix(l->gate, x, w + model_layer(m, layer, FEED_FORWARD_GATE), n, width, wide);
    layer_matrix(l->up, x, w + model_layer(m, layer, FEED_FORWARD_UP), n, width, wide);
    layer_swiglu(l->hidden, l->gate, l->up, n * wide);
    drop(p, l->hidden, l->hidden_mask, n * wide);
    x = as_engine(p, l->hidden, n, wide);
    layer_matrix(output, x, w + model_layer(m, layer, FEED_FORWARD_DOWN), n, wide, width);
    add(output, l->middle, n * width);
}

void pass_forward(pass *p, const batch *b) {
    const model *m = p->m;
    const model_shape *s = &m->shape;
    const float *w = m->parameters;
    float *first = p->layers[0].input;
    for (size_t i = 0; i < b->tokens_count; i++) {
        memcpy(first + i * s->width, w + model_embedding(m) + (size_t)b->tokens[i] * s->width,
               s->width * sizeof(float));
    }
    drop(p, first, p->embedding_mask, b->tokens_count * s->width);
    for (uint32_t layer = 0; layer < s->layers; layer++) {
        forward_layer(p, b, layer, layer + 1 < s->layers ? p->layers[layer + 1].input : p->final);
    }
    layer_norm(p->final_norm, p->final_scale, p->final, w + model_output_norm(m), b->tokens_count, s->width,
               s->epsilon);
    p->predictions = 0;
    for (size_t i = 0; i < b->tokens_count; i++) {
        if (b->targets[i] != PASS_NO_TARGET) {
            memcpy(p->gathered + p->predictions * s->width, p->final_norm + i * s->width,
                   s->width * sizeof(float));
            p->predicted[p->predictions++] = i;
        }
    }
    const float *x = as_engine(p, p->gathered, p->predictions, s->width);
    layer_matrix(p->logits, x, w + model_output(m), p->predictions, s->width, s->vocabulary);
}

double pass_loss(pass *p, const batch *b, double divisor) {
    size_t vocabulary = p->m->shape.vocabulary;
    double loss = 0;
    for (size_t row = 0; row < p->predictions; row++) {
        float *line = p->logits + row * vocabulary;
        uint32_t target = b->targets[p->predicted[row]];
        float most = line[0];
        for (size_t i = 1; i < vocabulary; i++) {
            most = line[i] > most ? line[i] : most;
        }
        float right = line[target] - most;
        float sum = 0;
        for (size_t i = 0; i < vocabulary; i++) {
            line[i] = expf(line[i] - most);
            sum += line[i];
        }
        loss += log((double)sum) - (double)right;
        float scale = (float)(1.0 / ((double)sum * divisor));
        for (size_t i = 0; i < vocabulary; i++) {
            line[i] *= scale;
        }
        line[target] -= (float)(1.0 / divisor);
    }
    return loss;
}
