#include "forward/workspace.h"

#include "base/memory.h"
#include "crypto/secret.h"

#include <string.h>

enum { ALIGNMENT = 64 };

/* Hands out pieces of one block; with no block yet, counts what they take. */
typedef struct layout {
    uint8_t *base;
    size_t used;
} layout;

static size_t rounded_up(size_t value, size_t to) {
    return (value + to - 1) / to * to;
}

static void *piece(layout *l, size_t count, size_t size) {
    void *at = l->base == NULL ? NULL : l->base + l->used;
    l->used += rounded_up(count * size, ALIGNMENT);
    return at;
}

static rows rows_of(layout *l, size_t count, size_t columns, size_t multiple) {
    size_t stride = rounded_up(columns, multiple);
    return (rows){piece(l, count * stride, sizeof(float)), stride};
}

static size_t larger(size_t a, size_t b) {
    return a > b ? a : b;
}

static uint32_t group_size(const architecture *a) {
    return a->heads / a->key_heads;
}

/* Rows that a matrix is applied to are filled up to blocks of 256 with zeros, results to tiles of 16. */
static void place_rows(forward *f, layout *l, const architecture *a, size_t batch) {
    size_t queries = (size_t)a->heads * a->head_size;
    size_t keys = (size_t)a->key_heads * a->head_size;
    f->stream = rows_of(l, batch, a->width, TILE_ROWS);
    f->normed = rows_of(l, batch, a->width, BLOCK_256);
    f->query = rows_of(l, batch, queries, TILE_ROWS);
    f->key = rows_of(l, batch, keys, TILE_ROWS);
    f->value = rows_of(l, batch, keys, TILE_ROWS);
    f->attended = rows_of(l, batch, queries, BLOCK_256);
    f->gate = rows_of(l, batch, a->hidden, BLOCK_256);
    f->up = rows_of(l, batch, a->hidden, BLOCK_256);
    f->change = rows_of(l, batch, a->width, TILE_ROWS);
    f->hidden = rows_of(l, batch, a->width, BLOCK_256);
    for (size_t i = 0; i < a->rope_count; i++) {
        f->cosines[i] = rows_of(l, batch, a->rope_pairs, TILE_ROWS);
        f->sines[i] = rows_of(l, batch, a->rope_pairs, TILE_ROWS);
    }
    f->logits_stride = rounded_up(a->vocabulary, TILE_ROWS);
    size_t logits_rows = a->head.matrix.rows == 0      ? 0
                         : batch < FORWARD_LOGITS_ROWS ? batch
                                                       : FORWARD_LOGITS_ROWS;
    f->logits = piece(l, logits_rows * f->logits_stride, sizeof *f->logits);
}

static void place_numbers(forward *f, layout *l, size_t values) {
    operand *x = &f->rounded;
    x->by_32.numbers = piece(l, values, 1);
    x->by_32.scales = piece(l, values / BLOCK_32, sizeof(float));
    x->by_32.sums = piece(l, values / BLOCK_32, sizeof(int16_t));
    for (size_t i = 0; i < 3; i++) {
        x->by_32.starts[i] = piece(l, values / BLOCK_32, sizeof(int32_t));
    }
    x->by_256.numbers = piece(l, values, 1);
    x->by_256.scales = piece(l, values / BLOCK_256, sizeof(float));
    x->by_256.sums = piece(l, values / BLOCK_32, sizeof(int16_t));
    x->by_256.starts = piece(l, values / 16, sizeof(int32_t));
}

static void place_all(forward *f, layout *l, const architecture *a, size_t batch, uint32_t threads) {
    place_rows(f, l, a, batch);
    size_t widest = larger(f->normed.stride, larger(f->attended.stride, f->gate.stride));
    place_numbers(f, l, batch * widest);
    f->places = piece(l, batch, sizeof *f->places);
    f->items = piece(l, batch * a->key_heads, sizeof *f->items);
    f->first_tokens = piece(l, batch, sizeof *f->first_tokens);
    f->failed = piece(l, batch, sizeof *f->failed);
    size_t group = group_size(a);
    size_t rows_at_once = larger(group, ATTENTION_ROWS);
    f->score_room = larger((size_t)ATTENTION_ROWS * 2048, group * rounded_up(a->context, CHUNK));
    f->scratches = piece(l, threads, sizeof *f->scratches);
    for (uint32_t i = 0; i < threads; i++) {
        scratch s = {.queries = piece(l, rows_at_once * a->head_size, sizeof(float)),
                     .output = piece(l, rows_at_once * a->head_size, sizeof(float)),
                     .scores = piece(l, f->score_room, sizeof(float))};
        if (l->base != NULL) {
            f->scratches[i] = s;
        }
    }
}

/* Bytes of working memory. */
static uint64_t size_of(const architecture *a, uint32_t batch, uint32_t threads) {
    forward f = {0};
    layout l = {0};
    place_all(&f, &l, a, batch, threads);
    return l.used;
}

forward *forward_new(const architecture *a, const kernels *form, crew *members, uint32_t batch, error *err) {
    forward *f = memory_allocate_zeroed(1, sizeof *f);
    uint64_t size = size_of(a, batch, crew_count(members));
    uint8_t *memory = memory_allocate_zeroed(1, size + ALIGNMENT);
    if (f == NULL || memory == NULL) {
        memory_free(f);
        memory_free(memory);
        error_memory(err);
        return NULL;
    }
    layout l = {.base = memory + (ALIGNMENT - (uintptr_t)memory % ALIGNMENT) % ALIGNMENT};
    place_all(f, &l, a, batch, crew_count(members));
    f->a = a;
    f->form = form;
    f->members = members;
    f->batch = batch;
    f->memory = memory;
    return f;
}

void forward_free(forward *f) {
    if (f != NULL) {
        /* What conversations left in it is theirs. */
        secret_wipe(f->memory, size_of(f->a, f->batch, crew_count(f->members)) + ALIGNMENT);
        memory_free(f->memory);
        memory_free(f);
    }
}

operand forward_operand(const forward *f, const rows *r, uint32_t columns) {
    operand x = f->rounded;
    x.columns = columns;
    x.stride = r->stride;
    x.values = r->values;
    return x;
}

size_t forward_logits_stride(const forward *f) {
    return f->logits_stride;
}

const float *forward_hidden(const forward *f, uint32_t row) {
    return f->hidden.values + row * f->hidden.stride;
}
