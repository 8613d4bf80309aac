#include "optimise.h"

#include <math.h>

#define FIRST_KEPT 0.9F
#define SECOND_KEPT 0.98F
#define SMALLEST_STEP 1e-8F

bool optimiser_make(arena *a, const model *m, float decay, optimiser *o, error *err) {
    *o = (optimiser){.first = arena_allocate_array(a, m->parameter_count, sizeof(float)),
                     .second = arena_allocate_array(a, m->parameter_count, sizeof(float)),
                     .first_left = 1,
                     .second_left = 1,
                     .decay = decay};
    return (o->first != NULL && o->second != NULL) || error_memory(err);
}

static float cut(const float *gradient, size_t count) {
    double squares = 0;
    for (size_t i = 0; i < count; i++) {
        squares += (double)gradient[i] * (double)gradient[i];
    }
    return squares > 1 ? (float)(1 / sqrt(squares)) : 1.0F;
}

void optimiser_step(optimiser *o, model *m, float *gradient, float rate) {
    float scale = cut(gradient, m->parameter_count);
    o->first_left *= (double)FIRST_KEPT;
    o->second_left *= (double)SECOND_KEPT;
    float first_share = (float)(1 / (1 - o->first_left));
    float second_share = (float)(1 / (1 - o->second_left));
    for (size_t t = 0; t < m->tensor_count; t++) {
        const model_tensor *tensor = &m->tensors[t];
        float decay = model_tensor_is_norm(tensor) ? 0.0F : o->decay * rate;
        size_t end = tensor->offset + (size_t)tensor->rows * tensor->columns;
        for (size_t i = tensor->offset; i < end; i++) {
            float g = gradient[i] * scale;
            gradient[i] = 0;
            o->first[i] = FIRST_KEPT * o->first[i] + (1 - FIRST_KEPT) * g;
            o->second[i] = SECOND_KEPT * o->second[i] + (1 - SECOND_KEPT) * g * g;
            float step = o->first[i] * first_share / (sqrtf(o->second[i] * second_share) + SMALLEST_STEP);
            m->parameters[i] -= rate * step + decay * m->parameters[i];
        }
    }
}
