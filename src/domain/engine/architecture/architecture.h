#ifndef ENGINE_ARCHITECTURE_H
#define ENGINE_ARCHITECTURE_H

#include "engine/gguf.h"

/* The llama architecture as a file describes it: sizes, constants and where each weight stands. Whatever the
 * file says that would change a result and isn't understood here is refused, by name. */
typedef struct matrix {
    gguf_type type;
    const uint8_t *data; /* rows one after the other, in the mapped file */
    uint32_t rows;
    uint32_t columns;
} matrix;

typedef struct layer {
    const float *attention_norm;
    const float *feed_forward_norm;
    matrix query;
    matrix key;
    matrix value;
    matrix output;
    matrix gate;
    matrix up;
    matrix down;
} layer;

typedef struct architecture {
    uint32_t context;
    uint32_t width;
    uint32_t hidden;
    uint32_t layer_count;
    uint32_t heads;
    uint32_t key_heads; /* each serves heads / key_heads heads */
    uint32_t head_size;
    uint32_t vocabulary;
    float epsilon;
    float rope_base;
    uint64_t parameters;
    matrix embedding;
    matrix head; /* the embedding again when the file has none */
    const float *final_norm;
    layer *layers;
    float *norms; /* all of them, as f32 */
} architecture;

/* Points into the file, which must outlive it. */
MUST_CHECK bool architecture_read(architecture *a, const gguf *file, error *err);
void architecture_free(architecture *a);
/* Whether the family is known. */
bool architecture_known(slice name);
/* Bytes of a row as it stands in the file. */
size_t matrix_row_size(const matrix *m);

#endif
