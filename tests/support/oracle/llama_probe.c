#include "base/memory.h"
#include "llamacpp.h"
#include "probe.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* llama.cpp behind the requests of probe.h: llama_probe FOLDER MODEL [vocabulary|embeddings]. */
static bool tokenize(void *context, slice text, bool whole, bool special, probe_tokens *tokens, error *err) {
    return llamacpp_tokenize(context, text, whole, special, tokens->ids, PROBE_TOKENS_MAX, &tokens->count,
                             err);
}

static bool pass(llamacpp *l, const probe_tokens *tokens, error *err) {
    static llamacpp_token batch[PROBE_TOKENS_MAX];
    for (size_t i = 0; i < tokens->count; i++) {
        batch[i] = (llamacpp_token){tokens->ids[i], (uint32_t)i, 0, true};
    }
    llamacpp_clear(l);
    return llamacpp_pass(l, batch, tokens->count, err);
}

static bool logits(void *context, const probe_tokens *tokens, float *rows, error *err) {
    size_t row = llamacpp_vocabulary(context);
    if (!pass(context, tokens, err)) {
        return false;
    }
    for (size_t i = 0; i < tokens->count; i++) {
        const float *values = llamacpp_logits(context, i, err);
        if (values == NULL) {
            return false;
        }
        memcpy(rows + i * row, values, row * sizeof *rows);
    }
    return true;
}

static bool greedy(void *context, const probe_tokens *tokens, size_t count, probe_tokens *answer,
                   error *err) {
    uint32_t vocabulary = llamacpp_vocabulary(context);
    answer->count = 0;
    if (!pass(context, tokens, err)) {
        return false;
    }
    size_t index = tokens->count - 1;
    while (answer->count < count) {
        const float *values = llamacpp_logits(context, index, err);
        float largest = -INFINITY;
        uint32_t best = 0;
        for (uint32_t i = 0; values != NULL && i < vocabulary; i++) {
            best = values[i] > largest ? i : best;
            largest = values[i] > largest ? values[i] : largest;
        }
        llamacpp_token next = {best, (uint32_t)(tokens->count + answer->count), 0, true};
        answer->ids[answer->count++] = best;
        index = 0;
        if (values == NULL || !llamacpp_pass(context, &next, 1, err)) {
            return false;
        }
    }
    return true;
}

static bool embed(void *context, const probe_tokens *tokens, float *values, error *err) {
    if (!pass(context, tokens, err)) {
        return false;
    }
    const float *pooled = llamacpp_embedding(context, 0, err);
    if (pooled != NULL) {
        memcpy(values, pooled, llamacpp_width(context) * sizeof *values);
    }
    return pooled != NULL;
}

int main(int argc, char **argv) {
    error err;
    if (argc < 3 || argc > 4) {
        fprintf(stderr, "usage: llama_probe FOLDER MODEL [vocabulary|embeddings]\n");
        return 2;
    }
    const char *kind = argc == 4 ? argv[3] : "";
    llamacpp_setup setup = {.folder = argv[1],
                            .model = argv[2],
                            .threads = 1,
                            .sequences = 1,
                            .batch = PROBE_TOKENS_MAX,
                            .vocabulary_only = strcmp(kind, "vocabulary") == 0,
                            .embeddings = strcmp(kind, "embeddings") == 0};
    llamacpp *l = llamacpp_open(&setup, &err);
    if (l == NULL) {
        fprintf(stderr, "llama_probe: %s\n", err.text);
        return 1;
    }
    probe p = {l, llamacpp_vocabulary(l), llamacpp_width(l), tokenize, logits, greedy, embed};
    bool good = probe_run(&p);
    llamacpp_close(l);
    return good ? 0 : 1;
}
