#ifndef ENGINE_ARCHITECTURE_DESCRIPTION_H
#define ENGINE_ARCHITECTURE_DESCRIPTION_H

#include "architecture/architecture.h"

/* A family of models as data, for a reader that knows none of them: each is `const description family_NAME`
 * in families/NAME.c, and NAME stands in this folder's meson.build. */

/* What a tensor's side is as long as. ONE: a vector, kept as f32. ANY: as the file says; the first row is
 * kept. */
typedef enum side { ONE, ANY, WIDTH, HIDDEN, QUERIES, KEYS, HEAD_SIZE, VOCABULARY, POSITIONS } side;

/* Rules of one name in a row are parts of one tensor, by rows; each comes after the rows of the one before.
 */
typedef struct tensor_rule {
    const char *name; /* of a layer's tensor: what stands behind "blk.N."; NULL ends the table */
    side columns;
    side rows;
    size_t place; /* of the matrix, or of the pointer to its numbers, within architecture or layer */
    bool optional;
} tensor_rule;

#define OF_MODEL(place) offsetof(architecture, place)
#define OF_LAYER(place) offsetof(layer, place)

typedef enum rope_kind { ROPE_NONE, ROPE_NEIGHBOURS, ROPE_HALVES } rope_kind;

typedef struct description {
    const char *name; /* in general.architecture */
    norm_kind norm;
    activation_kind activation;
    rope_kind rope;
    bool encoder;          /* every position sees all, there is no head, the file says how to pool */
    bool embedding_scaled; /* by the square root of the width */
    bool soft_caps;        /* the keys of soft caps are understood */
    bool windowed;         /* the key of a sliding window is understood */
    /* Of so many layers the last one sees all and has the model's rope, the others have the window; 0: all
     * have it. The file may say another number. */
    uint32_t window_pattern;
    uint32_t window;       /* where the file doesn't say one */
    float local_rope_base; /* of the layers with the window; 0: they have the model's rope */
    /* A model of so many layers divides scores by sqrt(width / heads) in place of sqrt(head_size). */
    uint32_t layers_scaled_by_width;
    const tensor_rule *tensors;
    const tensor_rule *layer_tensors;
} description;

/* NULL: not known. */
const description *description_find(slice name);

#endif
