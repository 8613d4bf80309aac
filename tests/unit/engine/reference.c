#include "reference.h"

#include "quantise_file.h"
#include "reference_rope.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct pass {
    const model_file *file;
    const model_shape *shape;
    size_t count;
    unsigned without;
    uint32_t layer;
    double *stream; /* count x width */
    double *queries;
    double *keys;
    double *values;
} pass;

static double *numbers(size_t count) {
    double *block = calloc(count, sizeof *block);
    if (block == NULL) {
        abort();
    }
    return block;
}

static bool has(const pass *p, unsigned feature) {
    return (p->without & feature) == 0;
}

static const model_weights *find(const pass *p, const char *part, const char *last) {
    char name[64];
    snprintf(name, sizeof name, "blk.%u.%s.%s", p->layer, part, last);
    return model_file_find(p->file, name);
}

/* y = rows [first, first + count) of m times x. */
static void apply_rows(const model_weights *m, uint32_t first, uint32_t count, const double *x, double *y) {
    for (uint32_t r = 0; r < count; r++) {
        const float *row = m->values + (size_t)(first + r) * m->columns;
        double sum = 0;
        for (uint32_t c = 0; c < m->columns; c++) {
            sum += (double)row[c] * x[c];
        }
        y[r] = sum;
    }
}

static void apply(const pass *p, const char *part, const double *x, double *y) {
    const model_weights *m = find(p, part, "weight");
    const model_weights *bias = find(p, part, "bias");
    apply_rows(m, 0, m->rows, x, y);
    for (uint32_t r = 0; bias != NULL && has(p, WITHOUT_BIASES) && r < m->rows; r++) {
        y[r] += (double)bias->values[r];
    }
}

static void rms_norm(const model_weights *weights, double *x) {
    double squares = 0;
    for (uint32_t i = 0; i < weights->columns; i++) {
        squares += x[i] * x[i];
    }
    double scale = 1 / sqrt(squares / weights->columns + (double)1e-5f);
    for (uint32_t i = 0; i < weights->columns; i++) {
        x[i] *= scale * (double)weights->values[i];
    }
}

static void layer_norm(const model_weights *weights, const model_weights *bias, double *x) {
    double mean = 0;
    double variance = 0;
    for (uint32_t i = 0; i < weights->columns; i++) {
        mean += x[i] / weights->columns;
    }
    for (uint32_t i = 0; i < weights->columns; i++) {
        variance += (x[i] - mean) * (x[i] - mean) / weights->columns;
    }
    for (uint32_t i = 0; i < weights->columns; i++) {
        x[i] = (x[i] - mean) / sqrt(variance + (double)1e-5f) * (double)weights->values[i] +
               (double)bias->values[i];
    }
}

static void norm_if_there(const pass *p, const char *part, double *x) {
    const model_weights *weights = find(p, part, "weight");
    if (weights != NULL) {
        rms_norm(weights, x);
    }
}

static bool is_local(const pass *p) {
    const model_shape *s = p->shape;
    if (model_is(s, "gemma2")) {
        return p->layer % 2 == 0;
    }
    if (model_is(s, "gemma3")) {
        return s->window > 0 && (p->layer + 1) % (s->window_pattern > 0 ? s->window_pattern : 6) != 0;
    }
    return true;
}

static void turn_pair(double *a, double *b, double angle, double magnitude) {
    double x = *a * cos(angle) - *b * sin(angle);
    *b = (*b * cos(angle) + *a * sin(angle)) * magnitude;
    *a = x * magnitude;
}

static void turn_heads(const pass *p, double *vector, uint32_t heads, size_t position) {
    const model_shape *s = p->shape;
    bool local = model_is(s, "gemma3") && is_local(p) && has(p, WITHOUT_LOCAL_ROPE);
    bool neighbours = model_is(s, "llama") == has(p, WITHOUT_PAIRING);
    uint32_t turned = has(p, WITHOUT_PART_TURN) ? s->turned : s->head_size;
    double magnitude = reference_magnitude(p->file, local, p->without);
    if (model_is(s, "bert") || !has(p, WITHOUT_ROPE)) {
        return;
    }
    for (uint32_t i = 0; i < turned / 2; i++) {
        double angle = (double)position * reference_frequency(p->file, local, i, turned, p->without);
        for (uint32_t h = 0; h < heads; h++) {
            double *head = vector + (size_t)h * s->head_size;
            turn_pair(neighbours ? head + 2 * i : head + i,
                      neighbours ? head + 2 * i + 1 : head + i + turned / 2, angle, magnitude);
        }
    }
}

static void norm_heads(const pass *p, const char *part, double *vector, uint32_t heads) {
    for (uint32_t h = 0; has(p, WITHOUT_HEAD_NORMS) && h < heads; h++) {
        norm_if_there(p, part, vector + (size_t)h * p->shape->head_size);
    }
}

static void round_to_halves(double *x, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        uint8_t half[2];
        float value = (float)x[i];
        quantise_block(GGUF_F16, &value, half);
        x[i] = quantised_value(GGUF_F16, half, 0);
    }
}

static void project(pass *p, size_t position, const double *x) {
    const model_shape *s = p->shape;
    uint32_t query_size = s->heads * s->head_size;
    uint32_t key_size = s->key_heads * s->head_size;
    double *query = p->queries + position * query_size;
    double *key = p->keys + position * key_size;
    double *value = p->values + position * key_size;
    if (model_is(s, "phi3")) {
        const model_weights *joined = find(p, "attn_qkv", "weight");
        apply_rows(joined, 0, query_size, x, query);
        apply_rows(joined, query_size, key_size, x, key);
        apply_rows(joined, query_size + key_size, key_size, x, value);
    } else {
        apply(p, "attn_q", x, query);
        apply(p, "attn_k", x, key);
        apply(p, "attn_v", x, value);
    }
    norm_heads(p, "attn_q_norm", query, s->heads);
    norm_heads(p, "attn_k_norm", key, s->key_heads);
    turn_heads(p, query, s->heads, position);
    turn_heads(p, key, s->key_heads, position);
    if ((p->without & WITH_HALVES) != 0) {
        round_to_halves(key, key_size);
        round_to_halves(value, key_size);
    }
}

static bool sees(const pass *p, size_t from, size_t to) {
    const model_shape *s = p->shape;
    bool causal = !model_is(s, "bert") == has(p, WITHOUT_CAUSALITY);
    bool windowed = s->window > 0 && is_local(p) && has(p, WITHOUT_WINDOW);
    return !(causal && to > from) && !(windowed && to + s->window <= from);
}

static void attend(const pass *p, size_t position, uint32_t head, double *out) {
    const model_shape *s = p->shape;
    uint32_t key_head = has(p, WITHOUT_GROUPS) ? head / (s->heads / s->key_heads) : 0;
    const double *query = p->queries + (position * s->heads + head) * s->head_size;
    double *weights = numbers(p->count);
    double total = 0;
    for (size_t t = 0; t < p->count; t++) {
        const double *key = p->keys + (t * s->key_heads + key_head) * s->head_size;
        double score = 0;
        for (uint32_t d = 0; d < s->head_size; d++) {
            score += query[d] * key[d];
        }
        score /= has(p, WITHOUT_ATTENTION_SCALE) ? sqrt(s->head_size) : 1;
        if (s->attention_cap > 0 && has(p, WITHOUT_ATTENTION_CAP)) {
            score = (double)s->attention_cap * tanh(score / (double)s->attention_cap);
        }
        weights[t] = sees(p, position, t) ? exp(score) : 0;
        total += weights[t];
    }
    for (uint32_t d = 0; d < s->head_size; d++) {
        out[d] = 0;
        for (size_t t = 0; t < p->count; t++) {
            out[d] += weights[t] / total * p->values[(t * s->key_heads + key_head) * s->head_size + d];
        }
    }
    free(weights);
}

static double silu(double x) {
    return x / (1 + exp(-x));
}

static double gelu_tanh(double x) {
    return 0.5 * x * (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
}

static double gelu_erf(double x) {
    return 0.5 * x * (1 + erf(x / sqrt(2)));
}

static double activate(const pass *p, double x) {
    if (!has(p, WITHOUT_ACTIVATION)) {
        return x > 0 ? x : 0;
    }
    if (model_is(p->shape, "bert")) {
        return gelu_erf(x);
    }
    return strncmp(p->shape->family, "gemma", 5) == 0 ? gelu_tanh(x) : silu(x);
}

static void feed_forward(const pass *p, const double *x, double *out) {
    const model_shape *s = p->shape;
    double *gate = numbers(s->hidden);
    double *up = numbers(s->hidden);
    if (model_is(s, "phi3")) {
        const model_weights *joined = find(p, "ffn_up", "weight");
        apply_rows(joined, 0, s->hidden, x, gate);
        apply_rows(joined, s->hidden, s->hidden, x, up);
    } else {
        apply(p, "ffn_up", x, up);
        if (!model_is(s, "bert")) {
            apply(p, "ffn_gate", x, gate);
        }
    }
    for (uint32_t i = 0; i < s->hidden; i++) {
        up[i] = model_is(s, "bert") ? activate(p, up[i]) : activate(p, gate[i]) * up[i];
    }
    apply(p, "ffn_down", up, out);
    free(gate);
    free(up);
}

static void add_half(const pass *p, double *x, double *change, const char *post_norm, const char *sum_norm) {
    if (has(p, WITHOUT_POST_NORMS)) {
        norm_if_there(p, post_norm, change);
    }
    for (uint32_t i = 0; i < p->shape->width; i++) {
        x[i] += change[i];
    }
    if (find(p, sum_norm, "weight") != NULL && has(p, WITHOUT_POST_NORMS)) {
        layer_norm(find(p, sum_norm, "weight"), find(p, sum_norm, "bias"), x);
    }
}

static void compute_layer(pass *p) {
    const model_shape *s = p->shape;
    double *x = numbers(s->width);
    double *change = numbers(s->width);
    double *attended = numbers((size_t)s->heads * s->head_size);
    for (size_t t = 0; t < p->count; t++) {
        memcpy(x, p->stream + t * s->width, s->width * sizeof *x);
        norm_if_there(p, "attn_norm", x);
        project(p, t, x);
    }
    for (size_t t = 0; t < p->count; t++) {
        double *stream = p->stream + t * s->width;
        for (uint32_t h = 0; h < s->heads; h++) {
            attend(p, t, h, attended + (size_t)h * s->head_size);
        }
        apply(p, "attn_output", attended, change);
        add_half(p, stream, change, "post_attention_norm", "attn_output_norm");
        memcpy(x, stream, s->width * sizeof *x);
        norm_if_there(p, "ffn_norm", x);
        feed_forward(p, x, change);
        add_half(p, stream, change, "post_ffw_norm", "layer_output_norm");
    }
    free(x);
    free(change);
    free(attended);
}

static void embed(const pass *p, const uint32_t *tokens) {
    const model_shape *s = p->shape;
    const model_weights *embedding = model_file_find(p->file, "token_embd.weight");
    const model_weights *positions = model_file_find(p->file, "position_embd.weight");
    const model_weights *segments = model_file_find(p->file, "token_types.weight");
    bool scaled = strncmp(s->family, "gemma", 5) == 0 && has(p, WITHOUT_EMBEDDING_SCALE);
    for (size_t t = 0; t < p->count; t++) {
        double *x = p->stream + t * s->width;
        for (uint32_t i = 0; i < s->width; i++) {
            x[i] =
                (double)embedding->values[(size_t)tokens[t] * s->width + i] * (scaled ? sqrt(s->width) : 1);
            x[i] += positions != NULL && has(p, WITHOUT_POSITIONS)
                        ? (double)positions->values[t * s->width + i]
                        : 0;
            x[i] += segments != NULL && has(p, WITHOUT_SEGMENT) ? (double)segments->values[i] : 0;
        }
        if (model_is(s, "bert") && has(p, WITHOUT_EMBEDDING_NORM)) {
            layer_norm(model_file_find(p->file, "token_embd_norm.weight"),
                       model_file_find(p->file, "token_embd_norm.bias"), x);
        }
    }
}

void reference_states(const model_file *file, const uint32_t *tokens, size_t count, unsigned without,
                      double *states) {
    const model_shape *s = &file->shape;
    const model_weights *last = model_file_find(file, "output_norm.weight");
    size_t keys = count * s->key_heads * s->head_size;
    pass p = {.file = file,
              .shape = s,
              .count = count,
              .without = without,
              .stream = states,
              .queries = numbers(count * s->heads * s->head_size),
              .keys = numbers(keys),
              .values = numbers(keys)};
    embed(&p, tokens);
    for (p.layer = 0; p.layer < s->layers; p.layer++) {
        compute_layer(&p);
    }
    for (size_t t = 0; last != NULL && t < count; t++) {
        rms_norm(last, states + t * s->width);
    }
    free(p.queries);
    free(p.keys);
    free(p.values);
}

void reference_logits(const model_file *file, const double *states, size_t count, unsigned without,
                      double *logits) {
    const model_shape *s = &file->shape;
    const model_weights *head = model_file_find(file, "output.weight");
    if (head == NULL || (without & WITHOUT_HEAD) != 0) {
        head = model_file_find(file, "token_embd.weight");
    }
    for (size_t t = 0; t < count; t++) {
        double *row = logits + t * MODEL_VOCABULARY;
        apply_rows(head, 0, MODEL_VOCABULARY, states + t * s->width, row);
        for (size_t i = 0; s->logit_cap > 0 && (without & WITHOUT_LOGIT_CAP) == 0 && i < MODEL_VOCABULARY;
             i++) {
            row[i] = (double)s->logit_cap * tanh(row[i] / (double)s->logit_cap);
        }
    }
}
