#ifndef ENGINE_ARCHITECTURE_ARCHITECTURE_H
#define ENGINE_ARCHITECTURE_ARCHITECTURE_H

#include "engine/gguf.h"
#include "kernel/matrix.h"
#include "threads/crew.h"

/* A model as the forward pass wants it: sizes, constants, packed weights. Whatever a file says that would
 * change a result and isn't understood is refused by name. Each family is described by one table in its own
 * file (description.h); the forward pass knows only what stands here, not the families. */

typedef enum norm_kind { NORM_RMS, NORM_LAYER } norm_kind;
typedef enum activation_kind { ACTIVATION_SILU, ACTIVATION_GELU_TANH, ACTIVATION_GELU_ERF } activation_kind;
typedef enum pooling_kind { POOLING_NONE, POOLING_MEAN, POOLING_FIRST, POOLING_LAST } pooling_kind;
enum { ROPES_MAX = 2 };

typedef struct vectors { /* of a norm; NULL: there is none */
    const float *weights;
    const float *bias;
} vectors;

typedef struct linear {
    matrix matrix;
    const float *bias; /* or NULL; added by one addition after the whole sum */
} linear;

typedef struct layer {
    vectors attention_norm;      /* of the half-layer's input; none: the stream itself goes in */
    vectors attention_post_norm; /* of its output before it is added (gemma) */
    vectors feed_forward_norm;
    vectors feed_forward_post_norm;
    vectors attention_sum_norm; /* of the stream after the half-layer was added (bert) */
    vectors feed_forward_sum_norm;
    const float *query_norm; /* RMSNorm of each head before the rotation (qwen3, gemma3), or NULL */
    const float *key_norm;
    linear query; /* a file's joined matrix (phi3) is packed as its parts */
    linear key;
    linear value;
    linear output;
    linear gate; /* without tiles: not gated */
    linear up;
    linear down;
    uint32_t window; /* positions that are seen, the own one included; 0: all */
    uint32_t rope;   /* which of the ropes below */
} layer;

typedef struct rope {
    double *frequencies; /* of pairs; after base, scaling and factors */
    float magnitude;     /* cosines and sines are multiplied by it, one rounding; 1: they aren't */
} rope;

typedef struct architecture {
    const char *name; /* "llama" */
    uint32_t context; /* positions it was made for */
    uint32_t width;
    uint32_t hidden;
    uint32_t layer_count;
    uint32_t heads;
    uint32_t key_heads; /* each serves heads / key_heads heads */
    uint32_t head_size; /* of queries, keys and values */
    uint32_t vocabulary;
    norm_kind norm;
    activation_kind activation;
    float epsilon;
    float embedding_scale; /* the embedding is multiplied by it, one rounding, unless it is 1 */
    float attention_scale; /* of scores */
    float attention_cap;   /* soft cap of scores, 0: none */
    float logit_cap;       /* of logits, 0: none */
    bool causal;           /* false: an encoder, every position sees all */
    pooling_kind pooling;
    bool rope_neighbours; /* pairs are (2i, 2i+1), else (i, i + pairs) */
    uint32_t rope_pairs;  /* 0: no rotation (bert) */
    uint32_t rope_count;
    rope ropes[ROPES_MAX];
    matrix embedding;
    matrix positions;       /* learned, added to the embedding (bert) */
    const float *segment;   /* the first token type's embedding, added too (bert), or NULL */
    vectors embedding_norm; /* bert */
    vectors final_norm;     /* none: bert */
    linear head;            /* tied: shares the embedding's tiles; without tiles: an encoder */
    layer *layers;
    uint64_t parameters;
    uint64_t weights_size; /* bytes of packed weights */
    void *owned;           /* the memory of all of the above */
} architecture;

typedef struct architecture_source {
    const gguf *file;
    slice packed; /* weights packed earlier (architecture_packed), checked by the caller, or empty; copied */
    crew *crew;   /* packs with all its threads; NULL: the caller's alone */
    /* Both may be NULL. progress: `done` of `total` bytes of weights are packed. used: that part of the file
     * isn't read again (the caller may drop its pages). */
    void (*progress)(void *context, uint64_t done, uint64_t total);
    void (*used)(void *context, slice part);
    void *context;
} architecture_source;

/* Errors: ERROR_CORRUPT, ERROR_UNSUPPORTED (names the key, tensor, family or type), ERROR_MEMORY. Nothing
 * points into the file afterwards. */
MUST_CHECK bool architecture_read(architecture *a, const architecture_source *source, error *err);
void architecture_free(architecture *a);
/* The packed weights as one piece, to be kept beside the model and given as `packed` another time; valid
 * while `a` is. */
slice architecture_packed(const architecture *a);
/* Whether the family is known. */
bool architecture_known(slice name);

#endif
