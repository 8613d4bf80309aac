#include "golden_model.h"

#include "app_model/tool.h"
#include "crypto/hash.h"

#include <stdio.h>
#include <string.h>

enum { PROMPT = 40, CONTEXT = 256, OTHER_PROMPT = 150, MEMORY_MIB = 4096 };

/* One way to compute the answers. */
typedef struct way {
    const char *form;
    uint32_t threads;
    bool together;
} way;

typedef struct running {
    engine_sequence *sequences[GOLDEN_ANSWERS];
    engine_sequence *other; /* whose answer nobody looks at */
    size_t finished;
    bool short_answer;
} running;

static const char *const answer_names[GOLDEN_ANSWERS] = {"greedy", "sampled"};
static const char *const embedding_names[GOLDEN_ANSWERS] = {"embedding", "embedding-2"};

static void make_prompt(const engine_model *model, uint32_t *tokens, size_t count, uint32_t first) {
    for (size_t i = 0; i < count; i++) {
        tokens[i] = (uint32_t)((first + i * 2654435761U) % engine_describe(model)->vocabulary);
    }
}

static engine_sequence *begin_answer(const golden_model *g, engine_model *model, size_t index, error *err) {
    engine_parameters parameters = {.top_p = 1, .repetition_penalty = 1, .max_tokens = GOLDEN_TOKENS};
    engine_draw draw = {.seed = 42};
    uint32_t prompt[PROMPT];
    if (index == 1) {
        parameters.temperature = 0.9f;
        parameters.top_p = 0.95f;
        parameters.top_k = 200;
        parameters.min_p = 0.001f;
        parameters.repetition_penalty = 1.1f;
        parameters.presence_penalty = 0.2f;
        parameters.frequency_penalty = 0.1f;
    }
    parameters.biases = g->ends;
    parameters.bias_count = g->end_count;
    make_prompt(model, prompt, PROMPT, 17 + (uint32_t)index);
    if (!engine_describe(model)->can_generate) {
        return engine_embed(model, prompt, PROMPT, err);
    }
    return engine_generate(model, prompt, PROMPT, &parameters, &draw, err);
}

static bool begin_other(engine_model *model, running *r, error *err) {
    const engine_parameters parameters = {
        .temperature = 1, .top_p = 1, .repetition_penalty = 1, .max_tokens = 32};
    const engine_draw draw = {.seed = 7};
    uint32_t prompt[OTHER_PROMPT];
    make_prompt(model, prompt, OTHER_PROMPT, 99);
    r->other = engine_describe(model)->can_generate
                   ? engine_generate(model, prompt, OTHER_PROMPT, &parameters, &draw, err)
                   : engine_embed(model, prompt, OTHER_PROMPT, err);
    return r->other != NULL;
}

static bool take(golden_model *g, running *r, const engine_output *out) {
    for (size_t i = 0; i < GOLDEN_ANSWERS; i++) {
        golden_answer *a = &g->answers[i];
        if (r->sequences[i] == out->sequence) {
            if (out->has_token && a->count < GOLDEN_TOKENS) {
                a->tokens[a->count++] = out->token;
            }
            if (out->finish == ENGINE_STOP && a->count < GOLDEN_TOKENS && g->end_count < GOLDEN_ENDS_MAX) {
                g->ends[g->end_count++] = (engine_bias){out->token, -100};
                r->short_answer = true;
            }
            return out->finish != ENGINE_RUNNING;
        }
    }
    return false;
}

static bool step_to_end(golden_model *g, engine_model *model, running *r, size_t wanted, error *err) {
    engine_output outputs[ENGINE_SLOTS_MAX];
    while (r->finished < wanted) {
        size_t count = 0;
        if (!tool_step(model, outputs, &count, err)) {
            return false;
        }
        for (size_t i = 0; i < count; i++) {
            r->finished += take(g, r, &outputs[i]);
        }
    }
    return true;
}

static bool keep_digest(const engine_model *model, const engine_sequence *s, golden_answer *a, error *err) {
    const engine_information *i = engine_describe(model);
    if (i->can_generate) {
        engine_sequence_commitment(s, a->digest);
        return true;
    }
    return hash_sha256(slice_of(engine_sequence_embedding(s), i->width * sizeof(float)), a->digest, err);
}

static bool compute_answers(golden_model *g, engine_model *model, running *r, bool together, error *err) {
    for (size_t i = 0; i < GOLDEN_ANSWERS; i++) {
        r->sequences[i] = begin_answer(g, model, i, err);
        if (r->sequences[i] == NULL || (!together && !step_to_end(g, model, r, i + 1, err))) {
            return false;
        }
    }
    if (together && (!begin_other(model, r, err) || !step_to_end(g, model, r, GOLDEN_ANSWERS, err))) {
        return false;
    }
    for (size_t i = 0; i < GOLDEN_ANSWERS; i++) {
        if (!keep_digest(model, r->sequences[i], &g->answers[i], err)) {
            return false;
        }
    }
    return true;
}

static void end_all(running *r) {
    for (size_t i = 0; i < GOLDEN_ANSWERS; i++) {
        engine_sequence_free(r->sequences[i]);
    }
    engine_sequence_free(r->other);
}

/* Again where an answer was too short, without the token that ended it. */
static bool compute(golden_model *g, engine_model *model, bool together, error *err) {
    const char *const *names = engine_describe(model)->can_generate ? answer_names : embedding_names;
    memcpy(g->digest, engine_describe(model)->digest, sizeof g->digest);
    bool again = true;
    while (again) {
        running r = {0};
        for (size_t i = 0; i < GOLDEN_ANSWERS; i++) {
            g->answers[i] = (golden_answer){.name = names[i]};
        }
        bool good = compute_answers(g, model, &r, together, err);
        end_all(&r);
        if (!good) {
            return false;
        }
        again = r.short_answer;
    }
    return true;
}

/* The first way's answers are the measure for all others. */
static void compare(golden_model *g, const golden_model *other, const way *w) {
    for (size_t i = 0; i < GOLDEN_ANSWERS && g->difference[0] == '\0'; i++) {
        const golden_answer *a = &g->answers[i];
        const golden_answer *b = &other->answers[i];
        if (a->count != b->count || memcmp(a->tokens, b->tokens, sizeof a->tokens) != 0 ||
            memcmp(a->digest, b->digest, sizeof a->digest) != 0) {
            snprintf(g->difference, sizeof g->difference, "%s by %s, %u threads, %s", a->name, w->form,
                     w->threads, w->together ? "beside others" : "alone");
        }
    }
}

static bool run_way(golden_model *g, engine_model *model, const way *w, error *err) {
    golden_model other = {.end_count = g->end_count};
    memcpy(other.ends, g->ends, sizeof other.ends);
    if (!compute(&other, model, w->together, err)) {
        return false;
    }
    if (g->ways == 0) {
        *g = other;
    }
    compare(g, &other, w);
    g->ways++;
    return true;
}

static engine_model *open_model(const golden_model *g, const model_files *files, const char *form,
                                engine_threads *threads, uint32_t batch, error *err) {
    const engine_options options = {.slots = 1,
                                    .memory_limit = (uint64_t)MEMORY_MIB << 20,
                                    .batch = batch,
                                    .threads = threads,
                                    .kernels = form};
    return engine_open(files->parts, files->count, g->ways > 0 ? g->digest : NULL, &options, err);
}

static bool run_form(golden_model *g, const model_files *files, const char *form,
                     engine_threads *const threads[GOLDEN_THREADS], error *err) {
    static const uint32_t batches[GOLDEN_THREADS] = {512, 7, 64};
    for (uint32_t i = 0; i < GOLDEN_THREADS; i++) {
        engine_model *model = open_model(g, files, form, threads[i], batches[i], err);
        const way alone = {form, i + 1, false};
        const way together = {form, i + 1, true};
        bool good = model != NULL && run_way(g, model, &alone, err) && run_way(g, model, &together, err);
        engine_close(model);
        if (!good) {
            return false;
        }
    }
    return true;
}

bool golden_model_run(golden_model *g, const model_files *files, const char *const *forms, size_t form_count,
                      engine_threads *const threads[GOLDEN_THREADS], error *err) {
    *g = (golden_model){0};
    for (size_t i = 0; i < form_count; i++) {
        if (!run_form(g, files, forms[i], threads, err)) {
            return false;
        }
    }
    return true;
}
