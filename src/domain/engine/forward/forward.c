#include "forward.h"

#include "arithmetic/arithmetic.h"
#include "base/memory.h"

struct forward {
    const architecture *a;
    const kernels *form;
    double *frequencies;
    float *block;  /* the vectors below, in one piece */
    float *stream; /* the residual stream */
    float *normed;
    float *query;
    float *key;
    float *value;
    float *attended;
    float *gate;
    float *up;
    float *change; /* what a half-layer adds to the stream */
    float *cosines;
    float *sines;
    float *scores; /* of one head; room for `score_room` positions */
    size_t score_room;
    float *logits;
    quantised numbers; /* of the vector that a matrix is applied to */
};

/* A vector to be multiplied, rounded to Q8_0 blocks once if any matrix wants it so. */
typedef struct operand {
    const float *values;
    bool is_quantised;
} operand;

static size_t whole_chunks(uint32_t positions) {
    return ((size_t)positions + CHUNK - 1) / CHUNK * CHUNK;
}

static size_t cache_values(const architecture *a, uint32_t positions) {
    return (size_t)a->layer_count * a->key_heads * a->head_size * whole_chunks(positions);
}

uint64_t cache_size(const architecture *a, uint32_t positions) {
    return (uint64_t)cache_values(a, positions) * 2 * sizeof(uint16_t);
}

bool cache_new(cache *c, const architecture *a, uint32_t positions, error *err) {
    size_t count = cache_values(a, positions);
    *c = (cache){memory_allocate_zeroed(count, sizeof *c->keys),
                 memory_allocate_zeroed(count, sizeof *c->values), (uint32_t)whole_chunks(positions)};
    if (c->keys == NULL || c->values == NULL) {
        cache_free(c);
        return error_memory(err);
    }
    return true;
}

void cache_free(cache *c) {
    memory_free(c->keys);
    memory_free(c->values);
    *c = (cache){0};
}

static size_t larger(size_t a, size_t b) {
    return a > b ? a : b;
}

static bool allocate(forward *f, const architecture *a) {
    size_t queries = (size_t)a->heads * a->head_size;
    size_t keys = (size_t)a->key_heads * a->head_size;
    size_t widest = larger(larger(a->width, a->hidden), queries);
    f->score_room = whole_chunks(a->context);
    struct {
        float **vector;
        size_t count;
    } parts[] = {{&f->stream, a->width},
                 {&f->normed, a->width},
                 {&f->query, queries},
                 {&f->key, keys},
                 {&f->value, keys},
                 {&f->attended, queries},
                 {&f->gate, a->hidden},
                 {&f->up, a->hidden},
                 {&f->change, a->width},
                 {&f->cosines, a->head_size / 2},
                 {&f->sines, a->head_size / 2},
                 {&f->scores, f->score_room},
                 {&f->logits, a->vocabulary},
                 {&f->numbers.scales, widest / Q8_BLOCK}};
    size_t total = 0;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        total += parts[i].count;
    }
    f->block = memory_allocate_zeroed(total, sizeof *f->block);
    f->numbers.numbers = memory_allocate_zeroed(widest, 1);
    f->frequencies = memory_allocate_zeroed(a->head_size / 2, sizeof *f->frequencies);
    if (f->block == NULL || f->numbers.numbers == NULL || f->frequencies == NULL) {
        return false;
    }
    float *next = f->block;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        *parts[i].vector = next;
        next += parts[i].count;
    }
    return true;
}

forward *forward_new(const architecture *a, const kernels *form, error *err) {
    forward *f = memory_allocate_zeroed(1, sizeof *f);
    arithmetic_state saved;
    if (f == NULL || !allocate(f, a)) {
        forward_free(f);
        error_memory(err);
        return NULL;
    }
    if (!arithmetic_enter(&saved)) {
        forward_free(f);
        error_set(err, ERROR_INTERNAL, "the processor's rounding mode can't be set");
        return NULL;
    }
    f->a = a;
    f->form = form;
    rope_frequencies(f->frequencies, a->head_size, a->rope_base);
    arithmetic_leave(&saved);
    return f;
}

void forward_free(forward *f) {
    if (f != NULL) {
        memory_free(f->block);
        memory_free(f->numbers.numbers);
        memory_free(f->frequencies);
        memory_free(f);
    }
}

static bool not_finite(error *err) {
    return error_set(err, ERROR_UNSUPPORTED,
                     "the model computed something that is not a finite number: its weights "
                     "are broken or too large for this arithmetic");
}

static bool multiply(forward *f, const matrix *m, operand *x, float *y, error *err) {
    switch (m->type) {
    case GGUF_Q8_0:
        if (!x->is_quantised && !f->form->quantise(&f->numbers, x->values, m->columns)) {
            return not_finite(err);
        }
        x->is_quantised = true;
        f->form->multiply_q8(y, m->data, m->rows, m->columns, &f->numbers);
        return true;
    case GGUF_F16:
        f->form->multiply_f16(y, m->data, m->rows, m->columns, x->values);
        return true;
    case GGUF_F32:
        f->form->multiply_f32(y, m->data, m->rows, m->columns, x->values);
        return true;
    default:
        break;
    }
    return error_set(err, ERROR_INTERNAL, "a matrix has an unknown type");
}

static void embed(const forward *f, uint32_t token) {
    const matrix *m = &f->a->embedding;
    const uint8_t *row = m->data + matrix_row_size(m) * token;
    for (size_t i = 0; i < m->columns; i++) {
        if (m->type == GGUF_Q8_0) {
            const uint8_t *block = row + i / Q8_BLOCK * Q8_BLOCK_SIZE;
            uint8_t byte = block[2 + i % Q8_BLOCK];
            f->stream[i] = float_of_half(load_u16(block)) * (float)(byte < 128 ? byte : byte - 256);
        } else {
            f->stream[i] = m->type == GGUF_F16 ? float_of_half(load_u16(row + 2 * i)) : load_f32(row + 4 * i);
        }
    }
}

/* RMSNorm (Zhang and Sennrich 2019) of the stream. */
static bool normalise(const forward *f, const float *weights, error *err) {
    size_t width = f->a->width;
    float squares = f->form->sum_of_squares(f->stream, width);
    if (!is_finite(squares)) {
        return not_finite(err);
    }
    float scale = 1.0f / sqrtf(squares / (float)width + f->a->epsilon);
    for (size_t i = 0; i < width; i++) {
        float scaled = f->stream[i] * scale;
        f->normed[i] = scaled * weights[i];
    }
    return true;
}

/* Rotary embedding (Su et al. 2021) of neighbouring pairs. */
static void turn(const forward *f, float *vector, uint32_t heads) {
    size_t pairs = f->a->head_size / 2;
    for (size_t i = 0; i < heads * pairs; i++) {
        float c = f->cosines[i % pairs];
        float s = f->sines[i % pairs];
        float x = vector[2 * i];
        float y = vector[2 * i + 1];
        vector[2 * i] = fmaf(x, c, -(y * s));
        vector[2 * i + 1] = fmaf(y, c, x * s);
    }
}

/* Where the keys or values of a head in a layer begin. */
static size_t head_place(const forward *f, const cache *c, uint32_t layer_index, uint32_t key_head) {
    return ((size_t)layer_index * f->a->key_heads + key_head) * f->a->head_size * c->capacity;
}

static bool store(const forward *f, cache *c, uint32_t layer_index, uint32_t position, error *err) {
    size_t size = f->a->head_size;
    uint32_t overflow = 0;
    for (uint32_t head = 0; head < f->a->key_heads; head++) {
        size_t place = head_place(f, c, layer_index, head);
        uint16_t *keys = c->keys + place + position / CHUNK * CHUNK * size + position % CHUNK;
        uint16_t *values = c->values + place + position * size;
        for (size_t d = 0; d < size; d++) {
            keys[d * CHUNK] = half_of_float(f->key[head * size + d]);
            values[d] = half_of_float(f->value[head * size + d]);
            overflow |= (keys[d * CHUNK] & 0x7c00U) == 0x7c00U || (values[d] & 0x7c00U) == 0x7c00U;
        }
    }
    return overflow == 0 || not_finite(err);
}

static bool compute_scores(const forward *f, const uint16_t *keys, const float *query, size_t count,
                           float *largest, error *err) {
    size_t size = f->a->head_size;
    for (size_t start = 0; start < count; start += CHUNK) {
        f->form->score(f->scores + start, query, keys + start * size, size);
    }
    *largest = f->scores[0];
    for (size_t t = 0; t < count; t++) {
        if (!is_finite(f->scores[t])) {
            return not_finite(err);
        }
        *largest = f->scores[t] > *largest ? f->scores[t] : *largest;
    }
    return true;
}

/* The sum of a chunk's weights: lane l is ((e[l]+e[16+l])+e[32+l])+e[48+l], then tree16. */
static float chunk_sum(const float e[CHUNK]) {
    float lanes[16];
    for (size_t l = 0; l < 16; l++) {
        lanes[l] = ((e[l] + e[16 + l]) + e[32 + l]) + e[48 + l];
    }
    return tree16(lanes);
}

static bool attend_head(const forward *f, const cache *c, size_t place, const float *query, float *out,
                        size_t count, error *err) {
    size_t size = f->a->head_size;
    float largest = 0;
    if (!compute_scores(f, c->keys + place, query, count, &largest, err)) {
        return false;
    }
    float scale = 1.0f / sqrtf((float)size);
    float denominator = 0;
    memset(out, 0, size * sizeof *out);
    for (size_t start = 0; start < count; start += CHUNK) {
        float weights[CHUNK] = {0};
        size_t length = count - start < CHUNK ? count - start : CHUNK;
        for (size_t t = 0; t < length; t++) {
            weights[t] = (f->scores[start + t] - largest) * scale;
        }
        f->form->exponentials(weights, length);
        denominator += chunk_sum(weights);
        f->form->weigh(out, weights, c->values + place + start * size, length, size);
    }
    float inverse = 1.0f / denominator;
    for (size_t d = 0; d < size; d++) {
        out[d] *= inverse;
    }
    return true;
}

static void add_change(const forward *f) {
    for (size_t i = 0; i < f->a->width; i++) {
        f->stream[i] += f->change[i];
    }
}

static bool attention(forward *f, cache *c, uint32_t index, uint32_t position, error *err) {
    const architecture *a = f->a;
    const layer *l = &a->layers[index];
    if (!normalise(f, l->attention_norm, err)) {
        return false;
    }
    operand normed = {f->normed, false};
    if (!multiply(f, &l->query, &normed, f->query, err) || !multiply(f, &l->key, &normed, f->key, err) ||
        !multiply(f, &l->value, &normed, f->value, err)) {
        return false;
    }
    turn(f, f->query, a->heads);
    turn(f, f->key, a->key_heads);
    if (!store(f, c, index, position, err)) {
        return false;
    }
    for (uint32_t head = 0; head < a->heads; head++) {
        size_t place = head_place(f, c, index, head / (a->heads / a->key_heads));
        size_t offset = (size_t)head * a->head_size;
        if (!attend_head(f, c, place, f->query + offset, f->attended + offset, (size_t)position + 1, err)) {
            return false;
        }
    }
    operand attended = {f->attended, false};
    if (!multiply(f, &l->output, &attended, f->change, err)) {
        return false;
    }
    add_change(f);
    return true;
}

/* SwiGLU (Shazeer 2020). */
static bool feed_forward(forward *f, uint32_t index, error *err) {
    const layer *l = &f->a->layers[index];
    if (!normalise(f, l->feed_forward_norm, err)) {
        return false;
    }
    operand normed = {f->normed, false};
    if (!multiply(f, &l->up, &normed, f->up, err) || !multiply(f, &l->gate, &normed, f->gate, err)) {
        return false;
    }
    enum { PART = 64 };
    for (size_t start = 0; start < f->a->hidden; start += PART) {
        size_t length = f->a->hidden - start < PART ? f->a->hidden - start : PART;
        float powers[PART];
        for (size_t i = 0; i < length; i++) {
            powers[i] = -f->gate[start + i];
        }
        f->form->exponentials(powers, length);
        for (size_t i = 0; i < length; i++) {
            float sigmoid_weighted = f->gate[start + i] / (1.0f + powers[i]);
            f->gate[start + i] = sigmoid_weighted * f->up[start + i];
        }
    }
    operand gated = {f->gate, false};
    if (!multiply(f, &l->down, &gated, f->change, err)) {
        return false;
    }
    add_change(f);
    return true;
}

static bool compute_logits(forward *f, error *err) {
    if (!normalise(f, f->a->final_norm, err)) {
        return false;
    }
    operand normed = {f->normed, false};
    if (!multiply(f, &f->a->head, &normed, f->logits, err)) {
        return false;
    }
    for (size_t i = 0; i < f->a->vocabulary; i++) {
        if (!is_finite(f->logits[i])) {
            return not_finite(err);
        }
    }
    return true;
}

bool forward_token(forward *f, cache *c, uint32_t token, uint32_t position, const float **logits,
                   error *err) {
    embed(f, token);
    rope_turns(f->cosines, f->sines, f->frequencies, f->a->head_size / 2, position);
    for (uint32_t i = 0; i < f->a->layer_count; i++) {
        if (!attention(f, c, i, position, err) || !feed_forward(f, i, err)) {
            return false;
        }
    }
    if (logits == NULL) {
        return true;
    }
    *logits = f->logits;
    return compute_logits(f, err);
}
