#include "forward/workspace.h"

#include "arithmetic/arithmetic.h"

/* Keys of 64 positions stand dimension by dimension, so that the lanes of a score are positions; values by
 * position, so that those of a sum are dimensions: both halves of attention are the same product of floats
 * and halves. */

static size_t larger(size_t a, size_t b) {
    return a > b ? a : b;
}

static uint16_t *page_keys(const forward *f, const page *p, uint32_t layer_index, uint32_t key_head) {
    size_t block = (size_t)f->a->head_size * CHUNK;
    return p->halves + ((size_t)layer_index * f->a->key_heads + key_head) * 2 * block;
}

static uint16_t *page_values(const forward *f, const page *p, uint32_t layer_index, uint32_t key_head) {
    return page_keys(f, p, layer_index, key_head) + (size_t)f->a->head_size * CHUNK;
}

bool attention_store(const forward *f, uint32_t layer_index, size_t token) {
    const place *at = &f->places[token];
    const page *p = f->parts[at->part].pages[at->position / CHUNK];
    size_t slot = at->position % CHUNK;
    size_t size = f->a->head_size;
    const float *key = f->key.values + token * f->key.stride;
    const float *value = f->value.values + token * f->value.stride;
    bool fits = true;
    for (uint32_t head = 0; head < f->a->key_heads; head++) {
        uint16_t *keys = page_keys(f, p, layer_index, head) + slot;
        uint16_t *values = page_values(f, p, layer_index, head) + slot * size;
        fits = f->form->to_halves(keys, CHUNK, key + head * size, size) && fits;
        fits = f->form->to_halves(values, 1, value + head * size, size) && fits;
    }
    return fits;
}

/* Positions that a part's token sees end here. */
static size_t seen_to(const forward *f, const forward_part *part, size_t index) {
    return f->a->causal ? part->position + index + 1 : (size_t)part->position + part->count;
}

static size_t seen_from(const layer *l, size_t to) {
    return l->window != 0 && to > l->window ? to - l->window : 0;
}

/* As many tokens at once as make a good block of rows and as the scores have room for. */
void attention_plan(forward *f) {
    size_t group = f->a->heads / f->a->key_heads;
    f->item_count = 0;
    for (uint32_t p = 0; p < f->part_count; p++) {
        const forward_part *part = &f->parts[p];
        size_t positions = ((size_t)part->position + part->count + CHUNK - 1) / CHUNK * CHUNK;
        size_t most = f->score_room / (group * positions);
        most = most < ATTENTION_ROWS / group ? most : ATTENTION_ROWS / group;
        most = larger(most, 1);
        for (uint32_t first = 0; first < part->count; first += (uint32_t)most) {
            uint32_t count = part->count - first < most ? part->count - first : (uint32_t)most;
            for (uint32_t head = 0; head < f->a->key_heads; head++) {
                f->items[f->item_count++] = (attention_item){p, first, count, head};
            }
        }
    }
}

typedef struct span { /* the chunks that any row of an item sees */
    size_t first;
    size_t end;
} span;

static void gather_queries(const forward *f, const attention_item *item, size_t token, float *queries) {
    size_t group = f->a->heads / f->a->key_heads;
    size_t size = group * f->a->head_size;
    for (size_t i = 0; i < item->count; i++) {
        const float *from = f->query.values + (token + i) * f->query.stride + item->key_head * size;
        memcpy(queries + i * size, from, size * sizeof *queries);
    }
}

/* Turns one row of scores into weights; gives 1 over their sum, or NaN when a score isn't finite. */
static float weigh_row(const forward *f, float *scores, span chunks, size_t from, size_t to) {
    const architecture *a = f->a;
    const size_t base = chunks.first * CHUNK;
    float scale = a->attention_scale;
    float largest = f->form->largest(scores + (from - base), to - from);
    if (a->attention_cap != 0 &&
        largest == largest) { /* what isn't finite would come out of it as a number */
        f->form->cap(scores + (from - base), to - from, scale, a->attention_cap);
        largest = f->form->largest(scores + (from - base), to - from);
        scale = 1;
    }
    float total = 0;
    for (size_t c = chunks.first; c < chunks.end; c++) {
        size_t start = c * CHUNK;
        float *chunk = scores + (start - base);
        if (start >= to || start + CHUNK <= from) {
            memset(chunk, 0, CHUNK * sizeof *chunk);
            continue;
        }
        size_t low = from > start ? from - start : 0;
        size_t high = to - start < CHUNK ? to - start : CHUNK;
        total += f->form->weigh_scores(chunk, low, high, largest, scale);
    }
    return largest == largest ? 1.0f / total : largest;
}

static void attend(forward *f, const attention_item *item, uint32_t layer_index, scratch *s) {
    const architecture *a = f->a;
    const layer *l = &a->layers[layer_index];
    const forward_part *part = &f->parts[item->part];
    size_t size = a->head_size;
    size_t group = a->heads / a->key_heads;
    size_t rows_count = item->count * group;
    size_t token = (size_t)f->first_tokens[item->part] + item->first;
    size_t last_to = seen_to(f, part, item->first + item->count - 1);
    span chunks = {seen_from(l, seen_to(f, part, item->first)) / CHUNK, (last_to + CHUNK - 1) / CHUNK};
    size_t stride = (chunks.end - chunks.first) * CHUNK;
    gather_queries(f, item, token, s->queries);
    for (size_t c = chunks.first; c < chunks.end; c++) {
        const uint16_t *keys = page_keys(f, part->pages[c], layer_index, item->key_head);
        f->form->multiply_halves(s->scores + (c - chunks.first) * CHUNK, stride, s->queries, size, rows_count,
                                 keys, size, CHUNK, false);
    }
    float inverse[ATTENTION_ROWS + 1024]; /* a group may be larger than a block: heads are at most 1024 */
    for (size_t r = 0; r < rows_count; r++) {
        size_t to = seen_to(f, part, item->first + r / group);
        inverse[r] = weigh_row(f, s->scores + r * stride, chunks, seen_from(l, to), to);
        if (inverse[r] != inverse[r]) {
            atomic_store_explicit(&f->failed[item->part], true, memory_order_relaxed);
        }
    }
    memset(s->output, 0, rows_count * size * sizeof *s->output);
    for (size_t c = chunks.first; c < chunks.end; c++) {
        const uint16_t *values = page_values(f, part->pages[c], layer_index, item->key_head);
        f->form->multiply_halves(s->output, size, s->scores + (c - chunks.first) * CHUNK, stride, rows_count,
                                 values, CHUNK, size, true);
    }
    for (size_t r = 0; r < rows_count; r++) {
        float *to = f->attended.values + (token + r / group) * f->attended.stride +
                    (item->key_head * group + r % group) * size;
        for (size_t d = 0; d < size; d++) {
            to[d] = s->output[r * size + d] * inverse[r];
        }
    }
}

void attention_work(forward *f, crew_member *self, uint32_t layer_index) {
    size_t first = 0;
    size_t last = 0;
    while (crew_take(self, f->item_count, 1, &first, &last)) {
        attend(f, &f->items[first], layer_index, &f->scratches[crew_index(self)]);
    }
    crew_wait(self);
}
