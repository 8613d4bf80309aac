#ifndef ENGINE_SAMPLE_SAMPLER_H
#define ENGINE_SAMPLE_SAMPLER_H

#include "engine/engine.h"

/* Chooses the next token. The seed and the position fix the draw, so that another worker can go on from any
 * token. The README gives the order of steps and every rounding. One thread at a time per `sampling`, but for
 * draws by different hands. */

/* What all sequences of a model share: working memory, and the vocabulary as grammars see it. */
typedef struct sampling sampling;

typedef struct sampling_model {
    uint32_t vocabulary;                                     /* 1 to 2^20 */
    slice (*text)(const void *text_context, uint32_t token); /* what a token writes; empty: a control token */
    const void *text_context;
    const uint32_t *ends; /* the tokens that end an answer, the first the most usual; copied */
    size_t end_count;     /* at most SAMPLING_ENDS_MAX */
    /* The kernel's, in place, the bits of exponential(); NULL: that, one by one. */
    void (*exponentials)(float *x, size_t count);
    size_t hands; /* working memories to draw with, up to SAMPLING_HANDS_MAX; 0: one */
} sampling_model;

enum { SAMPLING_ENDS_MAX = 64, SAMPLING_HANDS_MAX = 8 };

/* The texts must outlive it. */
MUST_CHECK sampling *sampling_new(const sampling_model *model, error *err);
void sampling_free(sampling *shared); /* after its samplers; wiped; NULL is allowed */

/* One per sequence: parameters, what was said so far, the grammar's state. */
typedef struct sampler sampler;

/* Checks and copies the parameters that concern the choice (not max_tokens and stops). ERROR_INVALID names
 * the parameter or the place in the grammar; ERROR_UNSUPPORTED the keyword of the schema; ERROR_LIMIT: too
 * large a grammar.
 */
MUST_CHECK sampler *sampler_new(sampling *shared, const engine_parameters *parameters, uint64_t seed,
                                error *err);
void sampler_free(sampler *s); /* wiped; NULL is allowed */

typedef struct draw {
    uint32_t token;
    float logprob; /* of the token, when with_logprob or logprobs is asked for; else 0 */
    engine_logprob top[ENGINE_LOGPROBS_MAX];
    size_t top_count;
} draw;

/* `logits`: one per token of the vocabulary, finite. `position` counts from the start of the prompt. Within
 * arithmetic_enter. Changes nothing but `result`: may be called again, or not at all where a token is known.
 * Draws by different `hand`s, from 0, may run at once: for different samplers, or for one that has no memory.
 */
MUST_CHECK bool sampler_draw(sampler *s, size_t hand, const float *logits, uint64_t position, draw *result,
                             error *err);

/* The token that stands at the next position: drawn, claimed, or of the prompt. The penalties count it, and
 * the grammar goes on with it (not of_prompt). A token that the grammar doesn't allow ends it: from then on
 * only the end is drawn.
 */
MUST_CHECK bool sampler_accept(sampler *s, uint32_t token, bool of_prompt, error *err);

/* False when nothing depends on sampler_accept: then it need not be called. */
bool sampler_has_memory(const sampler *s);

#endif
