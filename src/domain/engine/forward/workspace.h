#ifndef ENGINE_FORWARD_WORKSPACE_H
#define ENGINE_FORWARD_WORKSPACE_H

#include "forward/forward.h"

#include <stdatomic.h>

enum { LINEARS_MAX = 3 /* that are applied to one vector */, ATTENTION_ROWS = 48 };

/* A vector per token; a row is `stride` values from the next. */
typedef struct rows {
    float *values;
    size_t stride;
} rows;

/* One token of the pass. */
typedef struct place {
    uint32_t part;
    uint32_t index; /* in the part */
    uint32_t position;
} place;

/* The queries of neighbouring tokens of one part, for all heads of one key head. */
typedef struct attention_item {
    uint32_t part;
    uint32_t first; /* token of the part */
    uint32_t count;
    uint32_t key_head;
} attention_item;

typedef struct scratch { /* a thread's own */
    float *queries;      /* ATTENTION_ROWS or a group's, head_size each */
    float *output;
    float *scores;
} scratch;

struct forward {
    const architecture *a;
    const kernels *form;
    crew *members;
    uint32_t batch;
    /* Of the pass at hand. */
    forward_part *parts;
    size_t part_count;
    size_t token_count;
    size_t kept_count;
    place *places;
    uint32_t *first_tokens; /* by part */
    _Atomic bool *failed;   /* by part */
    attention_item *items;
    size_t item_count;
    /* A row for each token. */
    rows stream;
    rows normed;
    rows query;
    rows key;
    rows value;
    rows attended;
    rows gate;
    rows up;
    rows change;
    rows hidden; /* kept ones only */
    rows cosines[ROPES_MAX];
    rows sines[ROPES_MAX];
    float *logits;
    size_t logits_stride;
    operand rounded;    /* the numbers of whichever rows are multiplied next; the values stand in those */
    scratch *scratches; /* by thread */
    size_t score_room;  /* floats of scratch->scores */
    uint8_t *memory;    /* all of the above */
};

/* Rows as the input of matrices with so many columns. */
operand forward_operand(const forward *f, const rows *r, uint32_t columns);

/* Rounds row `index` as the matrices want it. False: it has a value that isn't finite. */
bool forward_round(const forward *f, const operand *x, size_t index, const linear *const linears[],
                   size_t count);
/* y = x times each matrix, tiles shared out over the members, who then wait for each other. */
typedef struct product {
    const linear *linear;
    rows *y;
} product;
void forward_multiply(const forward *f, crew_member *self, const operand *x, size_t row_count,
                      const product *products, size_t count);

/* forward/attention.c: fills f->items; computes f->attended from f->query and the pages. */
void attention_plan(forward *f);
void attention_work(forward *f, crew_member *self, uint32_t layer_index);
/* Rounds a token's key and value into its page. False: one doesn't fit a half. */
bool attention_store(const forward *f, uint32_t layer_index, size_t token);

#endif
