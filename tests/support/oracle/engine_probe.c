#include "arithmetic/arithmetic.h"
#include "crypto/start.h"
#include "os/file.h"
#include "probe.h"
#include "serve/model.h"

#include <stdio.h>
#include <string.h>

/* The engine behind the requests of probe.h: engine_probe MODEL [vocabulary]. */
typedef struct engine {
    slice file;
    gguf *read;
    tokenizer *tokens;
    engine_model *model; /* NULL: the file has a vocabulary only */
} engine;

static bool tokenize(void *context, slice text, bool whole, bool special, probe_tokens *tokens, error *err) {
    engine *e = context;
    token_list list = {0};
    token_span span = {text, special};
    bool good = tokenizer_encode_spans(e->tokens, &span, 1, whole, &list, err) &&
                (list.count <= PROBE_TOKENS_MAX || error_set(err, ERROR_LIMIT, "too many tokens"));
    tokens->count = good ? list.count : 0;
    if (tokens->count > 0) {
        memcpy(tokens->ids, list.ids, tokens->count * sizeof *list.ids);
    }
    token_list_free(&list);
    return good;
}

static bool logits(void *context, const probe_tokens *tokens, float *rows, error *err) {
    engine_model *m = ((engine *)context)->model;
    size_t vocabulary = m->information.vocabulary;
    cache c;
    arithmetic_state saved;
    if (!cache_new(&c, &m->architecture, (uint32_t)tokens->count, err)) {
        return false;
    }
    bool good = arithmetic_enter(&saved) || error_set(err, ERROR_UNSUPPORTED, "no canonical arithmetic");
    for (size_t i = 0; good && i < tokens->count; i++) {
        const float *row = NULL;
        good = forward_token(m->forward, &c, tokens->ids[i], (uint32_t)i, &row, err);
        if (good) {
            memcpy(rows + i * vocabulary, row, vocabulary * sizeof *row);
        }
    }
    arithmetic_leave(&saved);
    cache_free(&c);
    return good;
}

static bool greedy(void *context, const probe_tokens *tokens, size_t count, probe_tokens *answer,
                   error *err) {
    static const uint8_t nonce[ENGINE_NONCE_SIZE];
    engine_model *m = ((engine *)context)->model;
    engine_parameters parameters = {.top_p = 1, .max_tokens = (uint32_t)count};
    engine_sequence *s = engine_sequence_new(m, tokens->ids, tokens->count, &parameters, 0, nonce, err);
    engine_output output = {0};
    bool good = s != NULL;
    answer->count = 0;
    while (good && output.finish == ENGINE_RUNNING) {
        good = engine_step(s, &output, err);
        if (good && output.has_token) {
            answer->ids[answer->count++] = output.token;
        }
    }
    engine_sequence_free(s);
    return good;
}

static bool embed(void *context, const probe_tokens *tokens, float *values, error *err) {
    (void)context;
    (void)tokens;
    (void)values;
    return error_set(err, ERROR_UNSUPPORTED, "no embeddings yet");
}

static bool open_engine(engine *e, const char *path, bool whole, error *err) {
    engine_options options = {0};
    if (!file_map(path, &e->file, err)) {
        return false;
    }
    e->read = gguf_open(&e->file, 1, err);
    e->tokens = e->read == NULL ? NULL : tokenizer_new(e->read, err);
    if (e->tokens == NULL || !whole) {
        return e->tokens != NULL;
    }
    e->model = engine_open(e->file, NULL, &options, err);
    return e->model != NULL;
}

int main(int argc, char **argv) {
    error err;
    engine e = {0};
    if (argc != 2 && (argc != 3 || strcmp(argv[2], "vocabulary") != 0)) {
        fprintf(stderr, "usage: engine_probe MODEL [vocabulary]\n");
        return 2;
    }
    bool good = crypto_start(&err) && open_engine(&e, argv[1], argc == 2, &err);
    if (good) {
        probe p = {&e, tokenizer_count(e.tokens), 0, tokenize, logits, greedy, embed};
        good = probe_run(&p);
    } else {
        fprintf(stderr, "engine_probe: %s\n", err.text);
    }
    engine_close(e.model);
    tokenizer_free(e.tokens);
    gguf_free(e.read);
    file_unmap(e.file);
    return good ? 0 : 1;
}
