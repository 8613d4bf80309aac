#include "arithmetic/arithmetic.h"
#include "forward/workspace.h"

/* A pass in phases: what is done token by token, and what is done matrix by matrix, in turns. In each,
 * members take tokens or tiles as they come; a phase ends when all have. */

enum { TOKENS_AT_ONCE = 2 };

static void fail(forward *f, size_t token) {
    atomic_store_explicit(&f->failed[f->places[token].part], true, memory_order_relaxed);
}

static float *row(const rows *r, size_t index) {
    return r->values + index * r->stride;
}

bool forward_round(const forward *f, const operand *x, size_t index, const linear *const linears[],
                   size_t count) {
    bool by_32 = false;
    bool by_256 = false;
    for (size_t i = 0; i < count; i++) {
        switch (linears[i]->matrix.type) {
        case GGUF_Q4_K:
        case GGUF_Q5_K:
        case GGUF_Q6_K:
            by_256 = true;
            break;
        case GGUF_F32:
        case GGUF_F16:
        case GGUF_BF16:
            break;
        default:
            by_32 = true;
            break;
        }
    }
    if (!by_32 && !by_256) {
        float largest = f->form->largest(x->values + index * x->stride, x->columns);
        return largest == largest;
    }
    bool good = !by_32 || f->form->quantise_32(x, index);
    return (!by_256 || f->form->quantise_256(x, index)) && good;
}

/* Tiles to take at a time: few enough that the members end together, even, since kernels like pairs. */
static size_t tile_grain(const forward *f, size_t tiles) {
    size_t portions = crew_count(f->members) == 1 ? 1 : (size_t)crew_count(f->members) * 8;
    return (tiles / portions + 2) / 2 * 2;
}

void forward_multiply(const forward *f, crew_member *self, const operand *x, size_t row_count,
                      const product *products, size_t count) {
    size_t total = 0;
    for (size_t i = 0; i < count; i++) {
        total += matrix_tile_count(&products[i].linear->matrix);
    }
    size_t first = 0;
    size_t last = 0;
    while (crew_take(self, total, tile_grain(f, total), &first, &last)) {
        size_t start = 0; /* of the matrix at hand, among all tiles */
        for (size_t i = 0; i < count; i++) {
            const matrix *m = &products[i].linear->matrix;
            size_t end = start + matrix_tile_count(m);
            size_t from = first > start ? first : start;
            size_t to = last < end ? last : end;
            if (from < to) {
                f->form->multiply(products[i].y->values, products[i].y->stride, m, from - start, to - from, x,
                                  0, row_count);
            }
            start = end;
        }
    }
    crew_wait(self);
}

static void add_bias(const forward *f, float *y, const linear *l) {
    if (l->bias != NULL) {
        f->form->add(y, l->bias, l->matrix.rows);
    }
}

/* RMSNorm (Zhang and Sennrich 2019). */
static bool normalise_rms(const forward *f, float *y, const float *x, const float *weights, size_t count) {
    float squares = f->form->sum_of_squares(x, count);
    float scale = 1.0f / sqrtf(squares / (float)count + f->a->epsilon);
    f->form->scale_and_weigh(y, x, scale, weights, count);
    return is_finite(squares);
}

/* Layer normalisation (Ba et al. 2016). */
static bool normalise_layer(const forward *f, float *y, const float *x, vectors v, size_t count) {
    float mean = f->form->sum(x, count) / (float)count;
    for (size_t i = 0; i < count; i++) {
        y[i] = x[i] - mean;
    }
    bool good = normalise_rms(f, y, y, v.weights, count);
    if (v.bias != NULL) {
        f->form->add(y, v.bias, count);
    }
    return good;
}

/* y may be x. */
static void normalise(forward *f, size_t token, float *y, const float *x, vectors v) {
    size_t width = f->a->width;
    if (v.weights == NULL) {
        if (y != x) {
            memcpy(y, x, width * sizeof *y);
        }
        return;
    }
    bool good = f->a->norm == NORM_RMS ? normalise_rms(f, y, x, v.weights, width)
                                       : normalise_layer(f, y, x, v, width);
    if (!good) {
        fail(f, token);
    }
}

static void prepare(forward *f, const operand *x, size_t token, const linear *const linears[], size_t count) {
    if (!forward_round(f, x, token, linears, count)) {
        fail(f, token);
    }
}

static void turns(forward *f, size_t token) {
    const architecture *a = f->a;
    for (size_t i = 0; i < a->rope_count; i++) {
        float *cosines = row(&f->cosines[i], token);
        float *sines = row(&f->sines[i], token);
        rope_turns(cosines, sines, a->ropes[i].frequencies, a->rope_pairs, f->places[token].position);
        for (size_t p = 0; a->ropes[i].magnitude != 1.0f && p < a->rope_pairs; p++) {
            cosines[p] *= a->ropes[i].magnitude;
            sines[p] *= a->ropes[i].magnitude;
        }
    }
}

static void embed(forward *f, size_t token) {
    const architecture *a = f->a;
    const place *at = &f->places[token];
    float *stream = row(&f->stream, token);
    matrix_row(&a->embedding, f->parts[at->part].tokens[at->index], stream);
    for (size_t i = 0; a->embedding_scale != 1.0f && i < a->width; i++) {
        stream[i] *= a->embedding_scale;
    }
    if (a->positions.tiles != NULL) {
        float *learned = row(&f->change, token);
        matrix_row(&a->positions, at->position, learned);
        f->form->add(stream, learned, a->width);
    }
    if (a->segment != NULL) {
        f->form->add(stream, a->segment, a->width);
    }
    normalise(f, token, stream, stream, a->embedding_norm);
    turns(f, token);
}

/* Adds what a half-layer made to the stream. */
static void add_change(forward *f, size_t token, const linear *last, vectors post_norm, vectors sum_norm) {
    float *change = row(&f->change, token);
    float *stream = row(&f->stream, token);
    add_bias(f, change, last);
    normalise(f, token, change, change, post_norm);
    f->form->add(stream, change, f->a->width);
    normalise(f, token, stream, stream, sum_norm);
}

static void normalise_heads(forward *f, size_t token, float *x, uint32_t heads, const float *weights) {
    size_t size = f->a->head_size;
    for (size_t h = 0; weights != NULL && h < heads; h++) {
        if (!normalise_rms(f, x + h * size, x + h * size, weights, size)) {
            fail(f, token);
        }
    }
}

/* From the products to what attention reads. */
static void finish_queries(forward *f, const layer *l, uint32_t index, size_t token) {
    const architecture *a = f->a;
    float *query = row(&f->query, token);
    float *key = row(&f->key, token);
    add_bias(f, query, &l->query);
    add_bias(f, key, &l->key);
    add_bias(f, row(&f->value, token), &l->value);
    normalise_heads(f, token, query, a->heads, l->query_norm);
    normalise_heads(f, token, key, a->key_heads, l->key_norm);
    if (a->rope_pairs > 0) {
        const float *cosines = row(&f->cosines[l->rope], token);
        const float *sines = row(&f->sines[l->rope], token);
        f->form->rotate(query, a->heads, a->head_size, a->rope_pairs, a->rope_neighbours, cosines, sines);
        f->form->rotate(key, a->key_heads, a->head_size, a->rope_pairs, a->rope_neighbours, cosines, sines);
    }
    if (!attention_store(f, index, token)) {
        fail(f, token);
    }
}

static void activate(forward *f, const layer *l, size_t token) {
    const architecture *a = f->a;
    float *up = row(&f->up, token);
    float *gate = row(&f->gate, token);
    add_bias(f, up, &l->up);
    if (l->gate.matrix.tiles == NULL) { /* only gelu comes without a gate */
        f->form->gelu(up, a->hidden);
        return;
    }
    add_bias(f, gate, &l->gate);
    if (a->activation == ACTIVATION_SILU) {
        f->form->gate_silu(gate, up, a->hidden);
    } else {
        f->form->gate_gelu(gate, up, a->hidden);
    }
}

static void begin_attention(forward *f, const layer *l, size_t token) {
    const linear *const linears[] = {&l->query, &l->key, &l->value};
    operand normed = forward_operand(f, &f->normed, f->a->width);
    normalise(f, token, row(&f->normed, token), row(&f->stream, token), l->attention_norm);
    prepare(f, &normed, token, linears, LINEARS_MAX);
}

static void begin_feed_forward(forward *f, const layer *l, size_t token) {
    const linear *const linears[] = {&l->up};
    operand normed = forward_operand(f, &f->normed, f->a->width);
    normalise(f, token, row(&f->normed, token), row(&f->stream, token), l->feed_forward_norm);
    prepare(f, &normed, token, linears, 1);
    if (l->gate.matrix.tiles != NULL && l->gate.matrix.type != l->up.matrix.type) {
        const linear *const gate[] = {&l->gate};
        prepare(f, &normed, token, gate, 1);
    }
}

static void end_token(forward *f, size_t token) {
    const place *at = &f->places[token];
    const forward_part *part = &f->parts[at->part];
    if (part->count - at->index <= part->wanted) {
        size_t kept = part->row + (at->index - (part->count - part->wanted));
        normalise(f, token, row(&f->hidden, kept), row(&f->stream, token), f->a->final_norm);
    }
}

static void attention(forward *f, crew_member *self, uint32_t index) {
    const layer *l = &f->a->layers[index];
    size_t first = 0;
    size_t last = 0;
    operand normed = forward_operand(f, &f->normed, f->a->width);
    const product products[] = {{&l->query, &f->query}, {&l->key, &f->key}, {&l->value, &f->value}};
    forward_multiply(f, self, &normed, f->token_count, products, LINEARS_MAX);
    while (crew_take(self, f->token_count, TOKENS_AT_ONCE, &first, &last)) {
        for (size_t t = first; t < last; t++) {
            finish_queries(f, l, index, t);
        }
    }
    crew_wait(self);
    attention_work(f, self, index);
    operand attended = forward_operand(f, &f->attended, f->a->heads * f->a->head_size);
    const linear *const linears[] = {&l->output};
    while (crew_take(self, f->token_count, TOKENS_AT_ONCE, &first, &last)) {
        for (size_t t = first; t < last; t++) {
            prepare(f, &attended, t, linears, 1);
        }
    }
    crew_wait(self);
    forward_multiply(f, self, &attended, f->token_count, &(product){&l->output, &f->change}, 1);
}

static void feed_forward(forward *f, crew_member *self, const layer *l) {
    size_t first = 0;
    size_t last = 0;
    bool gated = l->gate.matrix.tiles != NULL;
    operand normed = forward_operand(f, &f->normed, f->a->width);
    const product products[] = {{&l->up, &f->up}, {&l->gate, &f->gate}};
    forward_multiply(f, self, &normed, f->token_count, products, gated ? 2 : 1);
    operand activated = forward_operand(f, gated ? &f->gate : &f->up, f->a->hidden);
    const linear *const linears[] = {&l->down};
    while (crew_take(self, f->token_count, TOKENS_AT_ONCE, &first, &last)) {
        for (size_t t = first; t < last; t++) {
            activate(f, l, t);
            prepare(f, &activated, t, linears, 1);
        }
    }
    crew_wait(self);
    forward_multiply(f, self, &activated, f->token_count, &(product){&l->down, &f->change}, 1);
}

static void pass(void *context, crew_member *self) {
    forward *f = context;
    const architecture *a = f->a;
    size_t first = 0;
    size_t last = 0;
    while (crew_take(self, f->token_count, TOKENS_AT_ONCE, &first, &last)) {
        for (size_t t = first; t < last; t++) {
            embed(f, t);
            begin_attention(f, &a->layers[0], t);
        }
    }
    crew_wait(self);
    for (uint32_t i = 0; i < a->layer_count; i++) {
        const layer *l = &a->layers[i];
        attention(f, self, i);
        while (crew_take(self, f->token_count, TOKENS_AT_ONCE, &first, &last)) {
            for (size_t t = first; t < last; t++) {
                add_change(f, t, &l->output, l->attention_post_norm, l->attention_sum_norm);
                begin_feed_forward(f, l, t);
            }
        }
        crew_wait(self);
        feed_forward(f, self, l);
        while (crew_take(self, f->token_count, TOKENS_AT_ONCE, &first, &last)) {
            for (size_t t = first; t < last; t++) {
                add_change(f, t, &l->down, l->feed_forward_post_norm, l->feed_forward_sum_norm);
                if (i + 1 < a->layer_count) {
                    begin_attention(f, &a->layers[i + 1], t);
                } else {
                    end_token(f, t);
                }
            }
        }
        crew_wait(self);
    }
}

static bool plan(forward *f, forward_part *parts, size_t count, error *err) {
    f->parts = parts;
    f->part_count = count;
    f->token_count = 0;
    f->kept_count = 0;
    for (size_t p = 0; p < count; p++) {
        forward_part *part = &parts[p];
        if (part->count == 0 || part->count > f->batch - f->token_count || part->wanted > part->count) {
            return error_set(err, ERROR_INTERNAL, "a pass was given more tokens than it takes");
        }
        f->first_tokens[p] = (uint32_t)f->token_count;
        atomic_store_explicit(&f->failed[p], false, memory_order_relaxed);
        for (uint32_t i = 0; i < part->count; i++) {
            f->places[f->token_count++] = (place){(uint32_t)p, i, part->position + i};
        }
        part->row = (uint32_t)f->kept_count;
        f->kept_count += part->wanted;
    }
    attention_plan(f);
    return true;
}

bool forward_pass(forward *f, forward_part *parts, size_t count, error *err) {
    if (!plan(f, parts, count, err) || !crew_run(f->members, pass, f, err)) {
        return false;
    }
    for (size_t p = 0; p < count; p++) {
        parts[p].failed = atomic_load_explicit(&f->failed[p], memory_order_relaxed);
    }
    return true;
}
