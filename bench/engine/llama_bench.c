#include "../samples.h"

#include "base/memory.h"
#include "llamacpp.h"
#include "options/options.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* llama.cpp's speed with one model, in one JSON object: the figures of `cellule engine bench`, measured
 * alike. Loading isn't in them; each is the median of the runs, after a prompt that doesn't count. */
enum { BATCH_PROMPT = 32, BATCH_STEPS = 16, REPEATS_MAX = 99, RUNS = 5 };

typedef struct settings {
    const char *library;
    const char *form;
    const char *model;
    uint64_t threads;
    uint64_t prefill;
    uint64_t decode;
    uint64_t batch;
    uint64_t depth;
    uint64_t repeats;
} settings;

typedef struct bench {
    const settings *settings;
    llamacpp *llama;
    llamacpp_token *tokens; /* room for a prompt or a step */
    uint32_t vocabulary;
    uint64_t state;
} bench;

static uint32_t draw(bench *b) {
    b->state = b->state * 6364136223846793005U + 1442695040888963407U; /* Knuth, MMIX */
    return (uint32_t)((b->state >> 33) % b->vocabulary);
}

static bool best_token(bench *b, size_t index, uint32_t *token, error *err) {
    const float *logits = llamacpp_logits(b->llama, index, err);
    if (logits == NULL) {
        return false;
    }
    float largest = -INFINITY;
    for (uint32_t i = 0; i < b->vocabulary; i++) {
        if (logits[i] > largest) {
            largest = logits[i];
            *token = i;
        }
    }
    return true;
}

/* A prompt of random tokens, or its part from `position` on; the last one's output is wanted. */
static bool prefill(bench *b, uint32_t sequence, uint32_t position, uint32_t count, uint32_t *next,
                    error *err) {
    for (uint32_t i = 0; i < count; i++) {
        b->tokens[i] = (llamacpp_token){draw(b), position + i, sequence, i + 1 == count};
    }
    return llamacpp_pass(b->llama, b->tokens, count, err) && best_token(b, count - 1, next, err);
}

/* Seconds of a prompt and of each token that follows. */
static bool run_single(bench *b, double *prompt, double *step, error *err) {
    const settings *s = b->settings;
    uint32_t token = 0;
    llamacpp_clear(b->llama);
    uint64_t start = bench_now_ns();
    if (!prefill(b, 0, 0, (uint32_t)s->prefill, &token, err)) {
        return false;
    }
    uint64_t middle = bench_now_ns();
    for (uint32_t i = 0; i < s->decode; i++) {
        llamacpp_token next = {token, (uint32_t)s->prefill + i, 0, true};
        if (!llamacpp_pass(b->llama, &next, 1, err) || !best_token(b, 0, &token, err)) {
            return false;
        }
    }
    *prompt = (double)(middle - start) / 1e9;
    *step = (double)(bench_now_ns() - middle) / 1e9 / (double)s->decode;
    return true;
}

/* Seconds of a step in which `count` sequences get one token each. */
static bool run_batch(bench *b, uint32_t count, double *step, error *err) {
    uint32_t tokens[LLAMACPP_SEQUENCES_MAX] = {0};
    llamacpp_clear(b->llama);
    for (uint32_t i = 0; i < count; i++) {
        if (!prefill(b, i, 0, BATCH_PROMPT, &tokens[i], err)) {
            return false;
        }
    }
    uint64_t start = bench_now_ns();
    for (uint32_t k = 0; k < BATCH_STEPS; k++) {
        for (uint32_t i = 0; i < count; i++) {
            b->tokens[i] = (llamacpp_token){tokens[i], BATCH_PROMPT + k, i, true};
        }
        if (!llamacpp_pass(b->llama, b->tokens, count, err)) {
            return false;
        }
        for (uint32_t i = 0; i < count; i++) {
            if (!best_token(b, i, &tokens[i], err)) {
                return false;
            }
        }
    }
    *step = (double)(bench_now_ns() - start) / 1e9 / BATCH_STEPS;
    return true;
}

/* Seconds of so many tokens as a prompt's, when others of at least `depth` stand before them. */
static bool run_deep(bench *b, double *seconds, error *err) {
    uint32_t count = (uint32_t)b->settings->prefill;
    uint32_t token = 0;
    uint64_t start = 0;
    llamacpp_clear(b->llama);
    for (uint32_t position = 0; start == 0; position += count) {
        start = position >= b->settings->depth ? bench_now_ns() : 0;
        if (!prefill(b, 0, position, count, &token, err)) {
            return false;
        }
    }
    *seconds = (double)(bench_now_ns() - start) / 1e9;
    return true;
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, size_t count) {
    qsort(values, count, sizeof *values, compare);
    return values[count / 2];
}

static bool measure(bench *b, error *err) {
    const settings *s = b->settings;
    double times[RUNS][REPEATS_MAX] = {{0}};
    double medians[RUNS];
    if (!run_single(b, &times[0][0], &times[1][0], err)) {
        return false;
    }
    for (size_t i = 0; i < s->repeats; i++) {
        if (!run_single(b, &times[0][i], &times[1][i], err) || !run_batch(b, 1, &times[2][i], err) ||
            !run_batch(b, (uint32_t)s->batch, &times[3][i], err) ||
            (s->depth > 0 && !run_deep(b, &times[4][i], err))) {
            return false;
        }
    }
    for (size_t i = 0; i < RUNS; i++) {
        medians[i] = median(times[i], s->repeats);
    }
    printf("{\"form\":\"%s\",\"threads\":%u,\"prefill_tokens\":%u,\"prefill_seconds\":%.6f,\"decode_"
           "seconds\":%.6f,"
           "\"batch_sequences\":%u,\"batch_one_seconds\":%.6f,\"batch_seconds\":%.6f,\"deep_prefill_"
           "seconds\":%.6f}\n",
           llamacpp_form(b->llama), (unsigned)s->threads, (unsigned)s->prefill, medians[0], medians[1],
           (unsigned)s->batch, medians[2], medians[3], medians[4]);
    return true;
}

static bool run(const settings *s, error *err) {
    uint64_t most = s->prefill > BATCH_PROMPT ? s->prefill : BATCH_PROMPT;
    uint64_t longest =
        most + s->decode > BATCH_PROMPT + BATCH_STEPS ? most + s->decode : BATCH_PROMPT + BATCH_STEPS;
    bench b = {.settings = s, .state = 2026};
    llamacpp_setup setup = {.folder = s->library,
                            .form = s->form,
                            .model = s->model,
                            .threads = (uint32_t)s->threads,
                            .context =
                                (uint32_t)(longest > s->depth + 2 * most ? longest : s->depth + 2 * most),
                            .sequences = (uint32_t)s->batch,
                            .batch = (uint32_t)(most > s->batch ? most : s->batch)};
    b.tokens = memory_allocate_zeroed(setup.batch, sizeof *b.tokens);
    if (b.tokens == NULL) {
        return error_memory(err);
    }
    b.llama = llamacpp_open(&setup, err);
    bool good = b.llama != NULL;
    if (good) {
        b.vocabulary = llamacpp_vocabulary(b.llama);
        good = measure(&b, err);
    }
    llamacpp_close(b.llama);
    memory_free(b.tokens);
    return good;
}

int main(int argc, char **argv) {
    settings s = {.threads = 1, .prefill = 256, .decode = 64, .batch = 8, .repeats = 1};
    const option_row rows[] = {
        {"library", OPTION_REQUIRED, &s.library, "FOLDER", "of llama.cpp's shared libraries", 0, 0},
        {"form", OPTION_TEXT, &s.form, "NAME", "of the processor's code; the best one if left out", 0, 0},
        {"model", OPTION_REQUIRED, &s.model, "FILE", "a GGUF file", 0, 0},
        {"threads", OPTION_U64, &s.threads, "N", "that compute", 1, 256},
        {"prefill", OPTION_U64, &s.prefill, "TOKENS", "of a prompt", 1, 32768},
        {"decode", OPTION_U64, &s.decode, "TOKENS", "written after it", 1, 32768},
        {"batch", OPTION_U64, &s.batch, "N", "sequences at once", 1, LLAMACPP_SEQUENCES_MAX},
        {"depth", OPTION_U64, &s.depth, "TOKENS", "before a prompt's part that is measured too; 0: it isn't",
         0, 32768},
        {"repeats", OPTION_U64, &s.repeats, "N", "of each; the median counts", 1, REPEATS_MAX},
    };
    const option_table table = {.usage = "bench_llama --library FOLDER --model FILE [options]",
                                .summary = "llama.cpp's speed with a model, as one JSON object.",
                                .rows = rows,
                                .row_count = sizeof rows / sizeof rows[0]};
    int status = 0;
    error err;
    if (!options_parse(&table, argc, argv, NULL, &status)) {
        return status;
    }
    status = run(&s, &err) ? 0 : options_fail("bench_llama", &err);
    fflush(stdout);
    return status;
}
