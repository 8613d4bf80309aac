#ifndef ENGINE_FORWARD_FORWARD_H
#define ENGINE_FORWARD_FORWARD_H

#include "forward/pages.h"
#include "threads/crew.h"

/* One pass of many sequences' tokens through the model: prefill chunks and single steps alike. What a token
 * computes depends on its own sequence only, never on what else is in the pass or how it was split. */
typedef struct forward forward;

enum { FORWARD_LOGITS_ROWS = 32 }; /* logits at hand at once */

typedef struct forward_part {
    const uint32_t *tokens; /* below the vocabulary */
    uint32_t count;
    uint32_t position; /* of the first; all before it are in the pages */
    page **pages;      /* for positions 0 to position + count; those written to must not be shared.
                          An encoder (not causal) needs its whole text in one part. */
    uint32_t wanted;   /* so many of the last tokens' outputs are kept */
    uint32_t row;      /* set by the pass: the first of the kept outputs */
    bool failed;       /* set by the pass: something wasn't finite; its rows mean nothing */
} forward_part;

/* `batch`: most tokens in a pass; also most rows that are kept. The architecture and crew must outlive it. */
MUST_CHECK forward *forward_new(const architecture *a, const kernels *form, crew *members, uint32_t batch,
                                error *err);
void forward_free(forward *f);

MUST_CHECK bool forward_pass(forward *f, forward_part *parts, size_t count, error *err);
/* Scores over the vocabulary of kept rows [row, row + count), count <= FORWARD_LOGITS_ROWS: row i at
 * i * forward_logits_stride; may be changed; valid until the next call. Before the next pass. A row whose
 * logits aren't finite has NaN as its first. */
MUST_CHECK bool forward_logits(forward *f, uint32_t row, uint32_t count, float **logits, error *err);
size_t forward_logits_stride(const forward *f);
/* The final hidden state of a kept row (after the last norm), `width` values; valid until the next pass. */
const float *forward_hidden(const forward *f, uint32_t row);

#endif
