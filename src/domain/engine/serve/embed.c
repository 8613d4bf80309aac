#include "arithmetic/arithmetic.h"
#include "serve/sequence.h"

#include <math.h>

uint32_t sequence_wanted(const engine_sequence *s, uint32_t position, uint32_t count) {
    const uint32_t end = position + count;
    uint32_t first = s->prompt_count - 1; /* of the positions whose rows are wanted */
    if (s->kind == SEQUENCE_EMBED) {
        pooling_kind pooling = s->model->architecture.pooling;
        if (pooling == POOLING_FIRST) {
            return position == 0 ? count : 0;
        }
        first = pooling == POOLING_LAST ? first : 0;
    }
    return end <= first ? 0 : position >= first ? count : end - first;
}

void embed_row(engine_sequence *s, const float *hidden, uint32_t position) {
    const uint32_t width = s->model->information.width;
    if (s->model->architecture.pooling == POOLING_MEAN) {
        s->model->form->add(s->embedding, hidden, width);
    } else if (s->model->architecture.pooling == POOLING_LAST || position == 0) {
        memcpy(s->embedding, hidden, width * sizeof *hidden);
    }
}

/* A sum needn't be divided by the number of its parts: only the direction is kept. */
bool embed_finish(engine_sequence *s, error *err) {
    const uint32_t width = s->model->information.width;
    float length = sqrtf(s->model->form->sum_of_squares(s->embedding, width));
    float scale = 1.0f / length;
    if (!is_finite(length) || !is_finite(scale)) {
        return error_set(err, ERROR_UNSUPPORTED, "the model computes something that has no direction");
    }
    for (uint32_t i = 0; i < width; i++) {
        s->embedding[i] *= scale;
    }
    return true;
}
