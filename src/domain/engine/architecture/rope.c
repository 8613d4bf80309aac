#include "reader.h"

#include "arithmetic/arithmetic.h"
#include "base/memory.h"

/* The turning speeds of pairs, in binary64 by the series of arithmetic.c. One rounding per operation below,
 * in the order written, is part of the profile. */
typedef enum scaling_kind { SCALING_NONE, SCALING_LINEAR, SCALING_YARN, SCALING_LONG } scaling_kind;

typedef struct scaling {
    scaling_kind kind;
    float base;
    float factor;
    float magnitude;
    float beta_fast;
    float beta_slow;
    uint32_t original_context;
} scaling;

static bool read_kind(const reader *r, scaling *s) {
    static const struct {
        const char *name;
        scaling_kind kind;
    } kinds[] = {{"none", SCALING_NONE},
                 {"linear", SCALING_LINEAR},
                 {"yarn", SCALING_YARN},
                 {"longrope", SCALING_LONG}};
    char key[KEY_SIZE];
    slice name;
    key_name(r, "rope.scaling.type", key);
    s->kind = SCALING_LINEAR; /* with a factor of 1 it is none */
    if (!gguf_has(r->file, key)) {
        return true;
    }
    if (!gguf_text(r->file, key, &name, r->err)) {
        return false;
    }
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (slice_equal_text(name, kinds[i].name)) {
            s->kind = kinds[i].kind;
            return true;
        }
    }
    return error_set(r->err, ERROR_UNSUPPORTED, "key '%s' asks for '%.*s', which this engine doesn't compute",
                     key, SLICE_FORMAT(slice_part(name, 0, 64)));
}

static bool read_scaling(const reader *r, scaling *s) {
    const float most = 1e6f;
    const float largest_base = 1e12f;
    *s = (scaling){.base = 10000.0f,
                   .factor = 1.0f,
                   .magnitude = 1.0f,
                   .beta_fast = 32.0f,
                   .beta_slow = 1.0f,
                   .original_context = r->a->context};
    if (!read_kind(r, s) || !read_float(r, "rope.freq_base", false, 1.0f, largest_base, &s->base) ||
        !read_float(r, "rope.scale_linear", false, 0.0f, most, &s->factor) ||
        !read_float(r, "rope.scaling.factor", false, 0.0f, most, &s->factor) ||
        !read_float(r, "rope.scaling.attn_factor", false, 1e-3f, 1e3f, &s->magnitude) ||
        !read_float(r, "rope.scaling.yarn_beta_fast", false, 1e-3f, most, &s->beta_fast) ||
        !read_float(r, "rope.scaling.yarn_beta_slow", false, 1e-3f, most, &s->beta_slow) ||
        !read_number(r, "rope.scaling.original_context_length", false, 1, POSITIONS_MAX,
                     &s->original_context)) {
        return false;
    }
    s->factor = s->factor == 0.0f || s->kind == SCALING_NONE ? 1.0f : s->factor;
    if (s->kind == SCALING_LONG && s->factor != 1.0f) {
        return error_set(r->err, ERROR_UNSUPPORTED,
                         "key '%s.rope.scaling.factor' stands beside the factors of 'longrope'",
                         r->family->name);
    }
    if (s->kind == SCALING_YARN && (s->base <= 1.0f || s->factor < 1.0f || r->family->local_rope_base > 0)) {
        return error_set(r->err, ERROR_UNSUPPORTED,
                         "key '%s.rope.scaling.type' asks for 'yarn' where this engine doesn't compute it",
                         r->family->name);
    }
    return true;
}

/* The pair that turns `turns` times within the original context (Peng et al. 2023, YaRN). */
static double pair_of_turns(const scaling *s, uint32_t pairs, float turns) {
    const double full_turn = 0x1.921fb54442d18p2;
    double dimensions = (double)(2 * pairs);
    double pair = dimensions * logarithm((double)s->original_context / ((double)turns * full_turn)) /
                  (2.0 * logarithm((double)s->base));
    return pair < -1.0 ? -1.0 : pair > dimensions ? dimensions : pair;
}

static double round_down(double x) { /* |x| is small */
    double whole = (double)(int64_t)x;
    return whole > x ? whole - 1.0 : whole;
}

static void mix_yarn(const scaling *s, double *frequencies, uint32_t pairs) {
    double low = round_down(pair_of_turns(s, pairs, s->beta_fast));
    double high = -round_down(-pair_of_turns(s, pairs, s->beta_slow));
    double last = (double)(2 * pairs - 1);
    low = low < 0.0 ? 0.0 : low;
    high = high > last ? last : high;
    double length = high - low > 0.001 ? high - low : 0.001;
    for (uint32_t i = 0; i < pairs; i++) {
        double kept = 1.0 - ((double)i - low) / length;
        kept = kept < 0.0 ? 0.0 : kept > 1.0 ? 1.0 : kept;
        double slowed = frequencies[i] / (double)s->factor;
        frequencies[i] = slowed * (1.0 - kept) + frequencies[i] * kept;
    }
}

/* Of the pairs, or NULL. A model made for more positions than it was first trained on takes the long ones: a
 * property of the file, so that all who compute it agree. */
static bool find_factors(reader *r, const scaling *s, const gguf_tensor **factors) {
    const gguf_tensor *usual = take_tensor(r, "rope_freqs.weight");
    const gguf_tensor *longer = take_tensor(r, "rope_factors_long.weight");
    const gguf_tensor *shorter = take_tensor(r, "rope_factors_short.weight");
    if ((longer == NULL) != (shorter == NULL) || (usual != NULL && longer != NULL) ||
        (s->kind == SCALING_LONG && longer == NULL)) {
        return error_set(
            r->err, ERROR_CORRUPT,
            "tensors 'rope_factors_long.weight' and 'rope_factors_short.weight' don't go together");
    }
    *factors = usual != NULL ? usual : r->a->context > s->original_context ? longer : shorter;
    return true;
}

static bool divide_by_factors(const reader *r, const gguf_tensor *factors, double *frequencies) {
    float values[HEAD_SIZE_MAX / 2];
    uint32_t pairs = r->a->rope_pairs;
    if (!check_numbers(r, factors)) {
        return false;
    }
    if (factors->dimensions[0] != pairs || factors->dimensions[1] != 1) {
        return error_set(r->err, ERROR_CORRUPT, "tensor '%.*s' doesn't have %u numbers",
                         SLICE_FORMAT(factors->name), pairs);
    }
    read_numbers(factors, values);
    for (uint32_t i = 0; i < pairs; i++) {
        if (!(values[i] >= 1e-3f && values[i] <= 1e9f)) {
            return error_set(r->err, ERROR_CORRUPT, "tensor '%.*s' has a factor that is no such thing",
                             SLICE_FORMAT(factors->name));
        }
        frequencies[i] /= (double)values[i];
    }
    return true;
}

/* rope_turns is exact for angles below 1.5 * 2^20. */
static bool check_frequencies(const reader *r, const double *frequencies) {
    for (uint32_t i = 0; i < r->a->rope_pairs; i++) {
        if (!(frequencies[i] <= 1.5)) {
            return error_set(r->err, ERROR_UNSUPPORTED,
                             "the model's rope turns faster than this engine computes");
        }
    }
    return true;
}

static bool compute_model_rope(reader *r, const scaling *s, double *frequencies) {
    const gguf_tensor *factors = NULL;
    uint32_t pairs = r->a->rope_pairs;
    rope_frequencies(frequencies, (size_t)2 * pairs, s->base);
    if (!find_factors(r, s, &factors) || (factors != NULL && !divide_by_factors(r, factors, frequencies))) {
        return false;
    }
    double magnitude = (double)s->magnitude;
    if (s->kind == SCALING_YARN) {
        mix_yarn(s, frequencies, pairs);
        magnitude *= 1.0 + 0.1 * logarithm((double)s->factor);
    } else {
        for (uint32_t i = 0; i < pairs; i++) {
            frequencies[i] /= (double)s->factor;
        }
    }
    r->a->ropes[0] = (rope){frequencies, (float)magnitude};
    return check_frequencies(r, frequencies);
}

static bool compute_local_rope(reader *r, double *frequencies) {
    float base = r->family->local_rope_base;
    if (!read_float(r, "rope.freq_base_swa", false, 1.0f, 1e12f, &base)) {
        return false;
    }
    rope_frequencies(frequencies, (size_t)2 * r->a->rope_pairs, base);
    r->a->ropes[1] = (rope){frequencies, 1.0f};
    return true;
}

bool read_ropes(reader *r) {
    architecture *a = r->a;
    scaling s;
    uint32_t turned = a->head_size;
    if (r->family->rope == ROPE_NONE) {
        return true;
    }
    if (!read_number(r, "rope.dimension_count", false, 2, a->head_size, &turned) || !read_scaling(r, &s)) {
        return false;
    }
    if (turned % 2 != 0) {
        return error_set(r->err, ERROR_UNSUPPORTED,
                         "%u numbers of a head are turned: this engine takes even counts", turned);
    }
    a->rope_neighbours = r->family->rope == ROPE_NEIGHBOURS;
    a->rope_pairs = turned / 2;
    a->rope_count = r->family->local_rope_base > 0 ? 2 : 1;
    double *frequencies = memory_allocate_zeroed((size_t)a->rope_count * a->rope_pairs, sizeof *frequencies);
    r->owned->frequencies = frequencies;
    if (frequencies == NULL) {
        return error_memory(r->err);
    }
    return compute_model_rope(r, &s, frequencies) &&
           (a->rope_count == 1 || compute_local_rope(r, frequencies + a->rope_pairs));
}
