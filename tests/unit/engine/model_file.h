#ifndef MODEL_FILE_H
#define MODEL_FILE_H

#include "gguf_writer.h"

/* A small model with random weights from a fixed seed, of any family. What is zero is as the family usually
 * is. */
typedef enum model_scaling { SCALED_NOT, SCALED_LINEAR, SCALED_YARN, SCALED_LONG } model_scaling;

typedef struct model_shape {
    const char *family; /* NULL: "llama" */
    uint32_t width;
    uint32_t hidden;
    uint32_t layers;
    uint32_t heads;
    uint32_t key_heads;
    uint32_t head_size; /* 0: width / heads */
    uint32_t context;
    gguf_type type;     /* of matrices */
    bool mixed;         /* embedding F16, values and down Q6_K beside `type` */
    bool small_vectors; /* norms and biases in F16 and BF16 too, which llama.cpp doesn't compute */
    bool tied;
    bool biases; /* llama: of every matrix in a layer */
    uint32_t window;
    uint32_t window_pattern; /* 0: the family's */
    uint32_t turned;         /* numbers of a head that the rope turns; 0: all */
    float rope_base;         /* 0: 10,000 */
    float local_rope_base;   /* gemma3; 0: 10,000 */
    model_scaling scaling;
    float rope_factor;
    float rope_magnitude; /* 0: 1 */
    uint32_t original_context;
    bool rope_factors; /* llama: one set; phi3: long and short */
    float attention_cap;
    float logit_cap;
    uint32_t pooling; /* as the file numbers it: 1 mean, 2 first, 3 last */
    const char *pretokenizer;
    void (*more)(gguf_writer *w); /* writes more keys or tensors; or NULL */
} model_shape;

enum {
    MODEL_TENSORS_MAX = 1024,
    MODEL_MESSAGE_START = 256 + 5, /* after the bytes and the five merged tokens */
    MODEL_MESSAGE_END,
    MODEL_END,
    MODEL_VOCABULARY = 272 /* the rest are unused letters */
};

typedef struct model_weights {
    char name[64];
    float *values;
    uint32_t columns;
    uint32_t rows;
} model_weights;

typedef struct model_file {
    model_shape shape;
    buffer bytes;
    model_weights tensors[MODEL_TENSORS_MAX];
    size_t tensor_count;
} model_file;

extern const model_shape model_shape_small; /* llama, Q8_0, two layers, two heads to a key head */
void model_file_make(model_file *file, const model_shape *shape, uint64_t seed);
void model_file_free(model_file *file);
const model_weights *model_file_find(const model_file *file, const char *name);

bool model_is(const model_shape *shape, const char *family);
/* As model_file_make wants them: `head_size` and the others that may be 0, filled in. */
model_shape model_shape_whole(const model_shape *shape);
/* The tokenizer's keys: MODEL_VOCABULARY tokens. */
void model_vocabulary_write(gguf_writer *w, const char *pretokenizer);

/* A generator for tests (SplitMix64, Steele et al. 2014). */
uint64_t test_random(uint64_t *state);
/* From -1 to 1. */
float test_random_float(uint64_t *state);

#endif
