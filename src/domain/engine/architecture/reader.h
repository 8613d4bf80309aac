#ifndef ENGINE_ARCHITECTURE_READER_H
#define ENGINE_ARCHITECTURE_READER_H

#include "description.h"

/* What the parts of reading an architecture hand to each other. */
enum {
    KEY_SIZE = 96,
    POSITIONS_MAX = 1 << 20, /* rope_turns is exact below it */
    HEAD_SIZE_MAX = 512,
};

/* All that an architecture owns besides its layers. */
typedef struct holdings {
    void *weights; /* NULL when they were packed earlier */
    void *numbers; /* norms, biases */
    double *frequencies;
    slice packed;
} holdings;

typedef struct reader {
    architecture *a;
    holdings *owned;
    const description *family;
    const architecture_source *source;
    const gguf *file;
    bool *used;      /* by tensor: it is part of the model */
    uint32_t window; /* of the layers that have one; 0: none has */
    uint32_t window_pattern;
    error *err;
} reader;

/* "llama.context_length" */
void key_name(const reader *r, const char *suffix, char key[KEY_SIZE]);
/* A number from `least` to `most`; what `*value` was when the key is absent, unless `needed`. */
MUST_CHECK bool read_number(const reader *r, const char *suffix, bool needed, uint32_t least, uint32_t most,
                            uint32_t *value);
MUST_CHECK bool read_float(const reader *r, const char *suffix, bool needed, float least, float most,
                           float *value);

/* Every key of the family is understood, and the architecture's sizes and constants are what they say. */
MUST_CHECK bool read_hyperparameters(reader *r);
/* All but the layers' choice among them. Marks the factors' tensors as used. */
MUST_CHECK bool read_ropes(reader *r);
/* Layers' windows and ropes, and all weights, packed. */
MUST_CHECK bool read_weights(reader *r);

/* The tensor as f32, its first row only when it has several. */
MUST_CHECK bool check_numbers(const reader *r, const gguf_tensor *t);
void read_numbers(const gguf_tensor *t, float *values);
/* NULL: there is none. Marked as used. */
const gguf_tensor *take_tensor(reader *r, const char *name);

#endif
