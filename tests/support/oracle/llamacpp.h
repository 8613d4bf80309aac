#ifndef LLAMACPP_H
#define LLAMACPP_H

#include "base/error.h"
#include "base/slice.h"

/* llama.cpp as it comes in the npm package @node-llama-cpp/linux-x64, the oracle of tests and the yardstick
 * of benchmarks: its shared libraries are opened when asked for, nothing is built against it. One model with
 * one context; one thread uses it. */
typedef struct llamacpp llamacpp;

#define LLAMACPP_VERSION "0.5.0-dev" /* whose structures these are; others are refused */
enum { LLAMACPP_SEQUENCES_MAX = 64 };

typedef struct llamacpp_setup {
    const char *folder; /* of the shared libraries */
    const char
        *form; /* of the processor's code: "haswell" is its AVX2 form; NULL: the best for this machine */
    const char *model;
    uint32_t threads;
    uint32_t context;   /* positions of each sequence; 0: what the model was made for */
    uint32_t sequences; /* at once */
    uint32_t batch;     /* most tokens of a pass, which is not split; also most outputs */
    bool vocabulary_only;
    bool embeddings; /* the model's own pooling, instead of logits */
} llamacpp_setup;

/* ERROR_NOT_FOUND: no such library; ERROR_UNSUPPORTED: another version, or no form for this processor;
 * ERROR_INVALID: it refuses the model (what it said is on standard error). */
MUST_CHECK llamacpp *llamacpp_open(const llamacpp_setup *setup, error *err);
void llamacpp_close(llamacpp *l); /* NULL is allowed */

/* The form of the processor's code in use: "zen4". */
const char *llamacpp_form(const llamacpp *l);
uint32_t llamacpp_vocabulary(const llamacpp *l);
uint32_t llamacpp_width(const llamacpp *l);

/* At most `capacity` tokens. `first`: with what the model wants at the beginning and the end. `special`:
 * spellings of control tokens become these. */
MUST_CHECK bool llamacpp_tokenize(const llamacpp *l, slice text, bool first, bool special, uint32_t *tokens,
                                  size_t capacity, size_t *count, error *err);

typedef struct llamacpp_token {
    uint32_t token;
    uint32_t position;
    uint32_t sequence;
    bool wanted; /* its output */
} llamacpp_token;

/* Forgets all sequences. */
void llamacpp_clear(llamacpp *l);
/* Forgets what the sequence has from `position` on. */
void llamacpp_cut(llamacpp *l, uint32_t sequence, uint32_t position);
MUST_CHECK bool llamacpp_pass(llamacpp *l, const llamacpp_token *tokens, size_t count, error *err);
/* Of token `index` of the last pass, which was wanted; valid until the next. */
MUST_CHECK const float *llamacpp_logits(llamacpp *l, size_t index, error *err);
/* The pooled embedding of a sequence, not scaled to length 1. */
MUST_CHECK const float *llamacpp_embedding(llamacpp *l, uint32_t sequence, error *err);

#endif
