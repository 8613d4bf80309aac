#include "reference_rope.h"

#include <math.h>

/* transformers, modeling_rope_utils.py: the YaRN part. */
static double correction_dimension(double turns, double dimensions, double base, double original) {
    return dimensions * log(original / (turns * 2 * M_PI)) / (2 * log(base));
}

static double yarn(const model_shape *s, double frequency, uint32_t pair, double base) {
    double dimensions = s->turned;
    double original = s->original_context;
    double low = fmax(floor(correction_dimension(32, dimensions, base, original)), 0);
    double high = fmin(ceil(correction_dimension(1, dimensions, base, original)), dimensions - 1);
    double ramp = fmin(fmax((pair - low) / (high == low ? 0.001 : high - low), 0), 1);
    double extrapolated = 1 - ramp;
    return frequency / (double)s->rope_factor * (1 - extrapolated) + frequency * extrapolated;
}

static double factor_of_pair(const model_file *file, uint32_t pair) {
    const model_shape *s = &file->shape;
    const char *name = !model_is(s, "phi3")               ? "rope_freqs.weight"
                       : s->context > s->original_context ? "rope_factors_long.weight"
                                                          : "rope_factors_short.weight";
    const model_weights *factors = model_file_find(file, name);
    return factors == NULL ? 1 : (double)factors->values[pair];
}

double reference_frequency(const model_file *file, bool local, uint32_t pair, uint32_t turned,
                           unsigned without) {
    const model_shape *s = &file->shape;
    double base = (double)s->rope_base;
    if (local) {
        base = s->local_rope_base > 0 ? (double)s->local_rope_base : 10000;
    }
    base = (without & WITHOUT_ROPE_BASE) != 0 ? 10000 : base;
    double frequency = 1 / pow(base, 2.0 * pair / turned);
    if (local) {
        return frequency;
    }
    if ((without & WITHOUT_ROPE_FACTORS) == 0) {
        frequency /= factor_of_pair(file, pair);
    }
    if ((without & WITHOUT_ROPE_SCALING) == 0 && s->rope_factor > 0) {
        frequency =
            s->scaling == SCALED_YARN ? yarn(s, frequency, pair, base) : frequency / (double)s->rope_factor;
    }
    return frequency;
}

double reference_magnitude(const model_file *file, bool local, unsigned without) {
    const model_shape *s = &file->shape;
    if (local || (without & WITHOUT_MAGNITUDE) != 0) {
        return 1;
    }
    return (double)s->rope_magnitude *
           (s->scaling == SCALED_YARN ? 0.1 * log((double)s->rope_factor) + 1 : 1);
}
