#ifndef TRAIN_MODEL_H
#define TRAIN_MODEL_H

#include "base/arena.h"
#include "random.h"

/* A llama-architecture transformer in float: RMSNorm, rotary positions over neighbouring pairs, grouped-query
 * attention, SwiGLU, a head of its own. All parameters stand in one array, in the order of its tensors; the
 * gradient and the optimiser's state have the same layout. */
enum { MODEL_LAYERS_MAX = 32, MODEL_TENSOR_NAME_SIZE = 48 };

typedef struct model_shape {
    uint32_t vocabulary;
    uint32_t context; /* longest sequence */
    uint32_t layers;
    uint32_t width;
    uint32_t heads;
    uint32_t key_heads; /* divides heads */
    uint32_t feed_forward;
    float rope_base;
    float epsilon; /* of the norms */
} model_shape;

/* The tensors of one layer, in order. */
typedef enum layer_tensor {
    ATTENTION_NORM,
    ATTENTION_QUERY,
    ATTENTION_KEY,
    ATTENTION_VALUE,
    ATTENTION_OUTPUT,
    FEED_FORWARD_NORM,
    FEED_FORWARD_GATE,
    FEED_FORWARD_UP,
    FEED_FORWARD_DOWN,
    LAYER_TENSORS
} layer_tensor;

typedef struct model_tensor {
    char name[MODEL_TENSOR_NAME_SIZE]; /* as GGUF files call it */
    uint32_t rows;                     /* outputs; 1 for a norm */
    uint32_t columns;                  /* inputs */
    size_t offset;                     /* in the parameters */
} model_tensor;

typedef struct model {
    model_shape shape;
    size_t tensor_count;
    model_tensor tensors[2 + 1 + MODEL_LAYERS_MAX * LAYER_TENSORS];
    size_t parameter_count;
    float *parameters;
    float *rope; /* [context][head width / 2][cosine, sine] */
} model;

/* Checks the shape, lays the tensors out, allocates them as zeros. */
MUST_CHECK bool model_make(arena *a, const model_shape *shape, model *m, error *err);
/* Random weights; norms 1. */
void model_initialise(model *m, random_source *random);

static inline bool model_tensor_is_norm(const model_tensor *tensor) {
    return tensor->rows == 1;
}

static inline uint32_t model_head_width(const model_shape *shape) {
    return shape->width / shape->heads;
}

/* Where the tensors stand in an array laid out as the parameters. */
static inline size_t model_embedding(const model *m) {
    return m->tensors[0].offset;
}

static inline size_t model_layer(const model *m, uint32_t layer, layer_tensor which) {
    return m->tensors[1 + (size_t)layer * LAYER_TENSORS + which].offset;
}

static inline size_t model_output_norm(const model *m) {
    return m->tensors[m->tensor_count - 2].offset;
}

static inline size_t model_output(const model *m) {
    return m->tensors[m->tensor_count - 1].offset;
}

#endif
