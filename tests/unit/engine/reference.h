#ifndef REFERENCE_H
#define REFERENCE_H

#include "model_file.h"

/* The textbook: a whole sequence at once in double precision, written from the papers and the families'
 * definitions in transformers, sharing nothing with the engine. Nothing is rounded but by double itself,
 * unless asked for. */

/* What can be left out, to see that it matters. */
typedef enum reference_without {
    WITHOUT_NOTHING = 0,
    WITHOUT_CAUSALITY = 1 << 0, /* an encoder gets it instead */
    WITHOUT_WINDOW = 1 << 1,
    WITHOUT_GROUPS = 1 << 2, /* all heads share the first key head */
    WITHOUT_ROPE = 1 << 3,
    WITHOUT_ROPE_BASE = 1 << 4,    /* 10,000 everywhere */
    WITHOUT_LOCAL_ROPE = 1 << 5,   /* all layers have the model's */
    WITHOUT_ROPE_SCALING = 1 << 6, /* linear, YaRN */
    WITHOUT_ROPE_FACTORS = 1 << 7,
    WITHOUT_MAGNITUDE = 1 << 8,
    WITHOUT_PART_TURN = 1 << 9, /* the whole head is turned */
    WITHOUT_PAIRING = 1 << 10,  /* neighbours for halves, halves for neighbours */
    WITHOUT_HEAD_NORMS = 1 << 11,
    WITHOUT_POST_NORMS = 1 << 12,
    WITHOUT_BIASES = 1 << 13,
    WITHOUT_EMBEDDING_SCALE = 1 << 14,
    WITHOUT_ATTENTION_CAP = 1 << 15,
    WITHOUT_LOGIT_CAP = 1 << 16,
    WITHOUT_POSITIONS = 1 << 17,
    WITHOUT_SEGMENT = 1 << 18,
    WITHOUT_EMBEDDING_NORM = 1 << 19,
    WITHOUT_ACTIVATION = 1 << 20, /* another one */
    WITHOUT_HEAD = 1 << 21,       /* the embedding again */
    WITHOUT_ATTENTION_SCALE = 1 << 22,
    WITHOUT_END = 1 << 23,
    WITH_HALVES = 1 << 24, /* keys and values are rounded to half precision, as the engine keeps them */
} reference_without;

/* The states after the last norm: `width` numbers per token. */
void reference_states(const model_file *file, const uint32_t *tokens, size_t count, unsigned without,
                      double *states);
/* MODEL_VOCABULARY numbers per token. */
void reference_logits(const model_file *file, const double *states, size_t count, unsigned without,
                      double *logits);

#endif
