#ifndef TRAIN_PASS_H
#define TRAIN_PASS_H

#include "model.h"

/* One pass over a batch: sequences that stand one after the other in `tokens`. */
typedef struct batch {
    const uint32_t *tokens;
    const uint32_t *targets; /* what follows each token, or PASS_NO_TARGET where nothing is to be learned */
    size_t tokens_count;
    const size_t *starts; /* of each sequence; starts[sequences] is the end */
    size_t sequences;
} batch;

enum { PASS_SEQUENCE_MAX = 512 };
#define PASS_NO_TARGET UINT32_MAX

/* The activations of one layer that the backward pass needs. */
typedef struct layer_state {
    float *input, *norm, *norm_scale, *query, *key, *value, *attention, *weights;
    float *middle, *middle_norm, *middle_scale, *gate, *up, *hidden;
    float *attention_mask, *hidden_mask; /* of the dropout */
} layer_state;

/* Memory for passes over at most `capacity` tokens; used by one thread at a time. */
typedef struct pass {
    const model *m;
    size_t capacity;
    bool rounds_activations; /* as the engine does; for measuring only, the gradient ignores it */
    float dropped; /* share of the activations left out at random (Srivastava 2014); 0 but in training */
    random_source random; /* chooses them */
    float *embedding_mask;
    layer_state layers[MODEL_LAYERS_MAX];
    float *final, *final_norm, *final_scale;
    float *logits;     /* one row per token that has a target */
    float *gathered;   /* the final norm's rows of those tokens */
    size_t *predicted; /* their places in the batch */
    size_t predictions;
    float *rounded; /* scratch of the forward pass */
    float *d_stream, *d_width, *d_query, *d_key, *d_value, *d_gate, *d_up, *d_hidden,
        *d_scores; /* of the backward */
} pass;

/* `sequence`: the longest sequence; with `backward` the gradient can be computed too. */
MUST_CHECK bool pass_make(arena *a, const model *m, size_t capacity, size_t sequence, bool backward, pass *p,
                          error *err);
/* Fills p->logits. The batch fits the pass. */
void pass_forward(pass *p, const batch *b);
/* Turns p->logits into probabilities and then into their gradient divided by `divisor`; returns the summed
 * loss (natural logarithm). */
double pass_loss(pass *p, const batch *b, double divisor);
/* Adds to `gradient`, laid out as the parameters. After pass_forward and pass_loss on the same batch. */
void pass_backward(pass *p, const batch *b, float *gradient);

#endif
