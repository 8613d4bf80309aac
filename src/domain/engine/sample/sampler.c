#include "sample/sampler.h"

#include "base/memory.h"
#include "crypto/hash.h"
#include "crypto/secret.h"
#include "sample/choose.h"
#include "sample/mask.h"

#include <float.h>
#include <math.h>

/* What one thread draws with. */
typedef struct hand {
    chooser chooser;
    float *changed; /* logits after penalties, biases and the grammar */
} hand;

struct sampling {
    sampling_model model;
    uint32_t ends[SAMPLING_ENDS_MAX];
    hand hands[SAMPLING_HANDS_MAX];
    word_tree words; /* for grammars: made for the first one */
    bool has_words;
};

/* How often a token was generated, and whether the prompt has it. */
static const uint32_t of_prompt_bit = UINT32_C(1) << 31;

struct sampler {
    sampling *shared;
    engine_parameters parameters; /* without what it points to */
    uint64_t seed;
    engine_bias *biases;
    uint32_t *counts; /* of every token; NULL when no penalty is asked for */
    uint32_t *seen;   /* those with a count */
    size_t seen_count;
    size_t seen_capacity;
    constraint *constraint; /* NULL: any text */
    bool closed;            /* only the end may come now */
};

static bool hand_start(hand *h, const sampling_model *model, error *err) {
    h->changed = memory_allocate_zeroed(model->vocabulary, sizeof *h->changed);
    return h->changed == NULL ? error_memory(err)
                              : chooser_start(&h->chooser, model->vocabulary, model->exponentials, err);
}

sampling *sampling_new(const sampling_model *model, error *err) {
    if (model->vocabulary == 0 || model->vocabulary > UINT32_C(1) << 20 ||
        model->end_count > SAMPLING_ENDS_MAX || model->hands > SAMPLING_HANDS_MAX) {
        error_set(err, ERROR_INVALID,
                  "a vocabulary of %u tokens with %zu ends can't be drawn from by %zu threads",
                  model->vocabulary, model->end_count, model->hands);
        return NULL;
    }
    sampling *s = memory_allocate_zeroed(1, sizeof *s);
    if (s == NULL) {
        error_memory(err);
        return NULL;
    }
    s->model = *model;
    for (size_t i = 0; i < model->end_count; i++) {
        s->ends[i] = model->ends[i];
    }
    s->model.ends = s->ends;
    s->model.hands = model->hands > 0 ? model->hands : 1;
    for (size_t i = 0; i < s->model.hands; i++) {
        if (!hand_start(&s->hands[i], model, err)) {
            sampling_free(s);
            return NULL;
        }
    }
    return s;
}

static void wipe_and_free(void *block, size_t size) {
    if (block != NULL) {
        secret_wipe(block, size);
        memory_free(block);
    }
}

void sampling_free(sampling *s) {
    if (s != NULL) {
        for (size_t i = 0; i < s->model.hands; i++) {
            chooser_free(&s->hands[i].chooser);
            wipe_and_free(s->hands[i].changed, s->model.vocabulary * sizeof(float));
        }
        word_tree_free(&s->words);
        memory_free(s);
    }
}

/* Written so that a NaN is refused. */
static bool check_range(const char *name, float value, float least, float most, error *err) {
    return (value >= least && value <= most) ||
           error_set(err, ERROR_INVALID, "%s is not from %g to %g", name, (double)least, (double)most);
}

static bool check(const sampling *shared, const engine_parameters *p, error *err) {
    if (!check_range("the temperature", p->temperature, 0, 2, err) ||
        !check_range("min_p", p->min_p, 0, 1, err) ||
        !check_range("the presence penalty", p->presence_penalty, -2, 2, err) ||
        !check_range("the frequency penalty", p->frequency_penalty, -2, 2, err)) {
        return false;
    }
    if (!(p->top_p > 0 && p->top_p <= 1)) {
        return error_set(err, ERROR_INVALID, "top_p is not above 0 and at most 1");
    }
    if (!(p->repetition_penalty > 0 && p->repetition_penalty <= 10)) {
        return error_set(err, ERROR_INVALID, "the repetition penalty is not above 0 and at most 10");
    }
    if (p->logprobs > ENGINE_LOGPROBS_MAX) {
        return error_set(err, ERROR_INVALID, "more than %d log probabilities are asked for",
                         ENGINE_LOGPROBS_MAX);
    }
    if (p->bias_count > ENGINE_BIASES_MAX) {
        return error_set(err, ERROR_INVALID, "more than %d tokens have a logit bias", ENGINE_BIASES_MAX);
    }
    for (size_t i = 0; i < p->bias_count; i++) {
        if (p->biases[i].token >= shared->model.vocabulary) {
            return error_set(err, ERROR_INVALID, "the logit bias names token %u, which the vocabulary lacks",
                             p->biases[i].token);
        }
        if (!check_range("a logit bias", p->biases[i].value, -100, 100, err)) {
            return false;
        }
    }
    return true;
}

static bool has_penalty(const engine_parameters *p) {
    return p->repetition_penalty != 1 || p->presence_penalty != 0 || p->frequency_penalty != 0;
}

static bool is_end(const sampling *shared, uint32_t token) {
    for (size_t i = 0; i < shared->model.end_count; i++) {
        if (shared->ends[i] == token) {
            return true;
        }
    }
    return false;
}

static slice text_of(const void *shared, uint32_t token) {
    const sampling *s = shared;
    return is_end(s, token) ? (slice){NULL, 0} : s->model.text(s->model.text_context, token);
}

static bool constrain(sampler *s, const engine_parameters *p, error *err) {
    sampling *shared = s->shared;
    if (p->schema.length > 0 && p->grammar.length > 0) {
        return error_set(err, ERROR_INVALID, "a schema and a grammar are given: choose one");
    }
    if (shared->model.end_count == 0) {
        return error_set(err, ERROR_UNSUPPORTED,
                         "the model has no end token, which an answer by a grammar needs");
    }
    if (!shared->has_words) {
        shared->has_words = word_tree_start(&shared->words, shared->model.vocabulary, text_of, shared, err);
        if (!shared->has_words) {
            return false;
        }
    }
    grammar *g =
        p->schema.length > 0 ? grammar_from_schema(p->schema, err) : grammar_from_gbnf(p->grammar, err);
    s->constraint = g == NULL ? NULL : constraint_new(&shared->words, g, err);
    return s->constraint != NULL;
}

static bool prepare(sampler *s, const engine_parameters *p, error *err) {
    if (has_penalty(p)) {
        s->counts = memory_allocate_zeroed(s->shared->model.vocabulary, sizeof *s->counts);
    }
    if (p->bias_count > 0) {
        s->biases = memory_allocate(p->bias_count * sizeof *s->biases);
    }
    if ((has_penalty(p) && s->counts == NULL) || (p->bias_count > 0 && s->biases == NULL)) {
        return error_memory(err);
    }
    if (p->bias_count > 0) {
        memcpy(s->biases, p->biases, p->bias_count * sizeof *s->biases);
    }
    return (p->schema.length == 0 && p->grammar.length == 0) || constrain(s, p, err);
}

sampler *sampler_new(sampling *shared, const engine_parameters *p, uint64_t seed, error *err) {
    if (!check(shared, p, err)) {
        return NULL;
    }
    sampler *s = memory_allocate_zeroed(1, sizeof *s);
    if (s == NULL) {
        error_memory(err);
        return NULL;
    }
    s->shared = shared;
    s->parameters = *p;
    s->seed = seed;
    if (!prepare(s, p, err)) {
        sampler_free(s);
        return NULL;
    }
    return s;
}

void sampler_free(sampler *s) {
    if (s != NULL) {
        wipe_and_free(s->counts, s->shared->model.vocabulary * sizeof *s->counts);
        wipe_and_free(s->seen, s->seen_capacity * sizeof *s->seen);
        memory_free(s->biases);
        constraint_free(s->constraint);
        memory_free(s);
    }
}

bool sampler_has_memory(const sampler *s) {
    return s->counts != NULL || s->constraint != NULL;
}

static bool remember(sampler *s, uint32_t token, error *err) {
    if (s->seen_count == s->seen_capacity) {
        size_t capacity = s->seen_capacity == 0 ? 256 : 2 * s->seen_capacity;
        uint32_t *seen = memory_resize(s->seen, capacity * sizeof *seen);
        if (seen == NULL) {
            return error_memory(err);
        }
        s->seen = seen;
        s->seen_capacity = capacity;
    }
    s->seen[s->seen_count++] = token;
    return true;
}

bool sampler_accept(sampler *s, uint32_t token, bool of_prompt, error *err) {
    if (token >= s->shared->model.vocabulary) {
        return error_set(err, ERROR_INVALID, "token %u is not in the vocabulary", token);
    }
    if (s->constraint != NULL && !of_prompt && !s->closed) {
        slice text = text_of(s->shared, token);
        s->closed = text.length == 0 || !constraint_accept(s->constraint, text);
        const error *failure = constraint_failure(s->constraint);
        if (failure != NULL) {
            *err = *failure;
            return false;
        }
    }
    if (s->counts == NULL) {
        return true;
    }
    if (s->counts[token] == 0 && !remember(s, token, err)) {
        return false;
    }
    if (of_prompt) {
        s->counts[token] |= of_prompt_bit;
    } else if ((s->counts[token] & ~of_prompt_bit) < ENGINE_CONTEXT_MAX) {
        s->counts[token]++;
    }
    return true;
}

/* Changes stay finite. */
static float cut(float logit) {
    return logit > FLT_MAX ? FLT_MAX : logit < -FLT_MAX ? -FLT_MAX : logit;
}

static void penalise(const sampler *s, float *logits) {
    const engine_parameters *p = &s->parameters;
    for (size_t i = 0; i < s->seen_count; i++) {
        uint32_t token = s->seen[i];
        float logit = logits[token];
        logit = cut(logit > 0 ? logit / p->repetition_penalty : logit * p->repetition_penalty);
        uint32_t generated = s->counts[token] & ~of_prompt_bit;
        if (generated > 0) {
            float frequent = (float)generated * p->frequency_penalty;
            logit = cut(logit - (frequent + p->presence_penalty));
        }
        logits[token] = logit;
    }
}

static void add_biases(const sampler *s, float *logits) {
    for (size_t i = 0; i < s->parameters.bias_count; i++) {
        logits[s->biases[i].token] = cut(logits[s->biases[i].token] + s->biases[i].value);
    }
}

static void leave_allowed(const sampler *s, const uint64_t *allowed, bool ends, float *logits) {
    const sampling *shared = s->shared;
    float kept[SAMPLING_ENDS_MAX];
    for (size_t i = 0; i < shared->model.end_count; i++) {
        kept[i] = ends ? logits[shared->ends[i]] : -INFINITY;
    }
    for (size_t i = 0; i < shared->model.vocabulary; i++) {
        logits[i] = allowed != NULL && (allowed[i / 64] >> i % 64 & 1) != 0 ? logits[i] : -INFINITY;
    }
    for (size_t i = 0; i < shared->model.end_count; i++) {
        logits[shared->ends[i]] = kept[i];
    }
}

static bool apply_constraint(const sampler *s, float *logits, error *err) {
    bool ends = s->closed || constraint_can_end(s->constraint);
    const uint64_t *allowed = s->closed ? NULL : constraint_allowed(s->constraint, err);
    if (allowed == NULL && !s->closed) {
        return false;
    }
    leave_allowed(s, allowed, ends, logits);
    return logits[choose_largest(logits, s->shared->model.vocabulary)] >= -FLT_MAX ||
           error_set(err, ERROR_UNSUPPORTED,
                     "the model's vocabulary has no token that the grammar allows here");
}

/* The logits that are drawn from: the model's own where nothing changes them. */
static bool change(const sampler *s, float *changed, const float **logits, error *err) {
    if (s->seen_count == 0 && s->parameters.bias_count == 0 && s->constraint == NULL) {
        return true;
    }
    memcpy(changed, *logits, s->shared->model.vocabulary * sizeof *changed);
    penalise(s, changed);
    add_biases(s, changed);
    *logits = changed;
    return s->constraint == NULL || apply_constraint(s, changed, err);
}

/* From 0 up to but not 1, a multiple of 2^-53. */
static bool draw_fraction(uint64_t seed, uint64_t position, double *fraction, error *err) {
    static const char label[] = "cellule draw v1";
    uint8_t input[sizeof label - 1 + 16];
    uint8_t digest[HASH_SIZE];
    memcpy(input, label, sizeof label - 1);
    for (size_t i = 0; i < 8; i++) {
        input[sizeof label - 1 + i] = (uint8_t)(seed >> (56 - 8 * i));
        input[sizeof label + 7 + i] = (uint8_t)(position >> (56 - 8 * i));
    }
    if (!hash_sha256(slice_of(input, sizeof input), digest, err)) {
        return false;
    }
    uint64_t bits = 0;
    for (size_t i = 0; i < 8; i++) {
        bits = bits << 8 | digest[i];
    }
    *fraction = (double)(bits >> 11) * 0x1p-53;
    return true;
}

static void tell_logprobs(const sampler *s, chooser *c, const float *logits, draw *result) {
    logprob_base base = choose_logprob_base(c, logits);
    result->logprob = choose_logprob(&base, logits[result->token]);
    result->top_count = choose_top(logits, c->vocabulary, result->top, s->parameters.logprobs);
    for (size_t i = 0; i < result->top_count; i++) {
        result->top[i].logprob = choose_logprob(&base, result->top[i].logprob);
    }
}

bool sampler_draw(sampler *s, size_t by, const float *logits, uint64_t position, draw *result, error *err) {
    hand *h = &s->shared->hands[by];
    chooser *c = &h->chooser;
    *result = (draw){0};
    const float *changed = logits;
    if (!change(s, h->changed, &changed, err)) {
        return false;
    }
    if (s->parameters.temperature == 0) {
        result->token = choose_largest(changed, c->vocabulary);
    } else {
        double fraction = 0;
        if (!draw_fraction(s->seed, position, &fraction, err)) {
            return false;
        }
        result->token = choose(c, changed, &s->parameters, fraction);
    }
    if (s->parameters.with_logprob || s->parameters.logprobs > 0) {
        tell_logprobs(s, c, logits, result);
    }
    return true;
}
