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
    page *pages[PROBE_TOKENS_MAX / CHUNK + 1] = {NULL};
    size_t page_count = (tokens->count + CHUNK - 1) / CHUNK;
    page_pool pool;
    bool good = true;
    page_pool_start(&pool, &m->architecture, UINT64_MAX);
    for (size_t i = 0; good && i < page_count; i++) {
        pages[i] = page_take(&pool, err);
        good = pages[i] != NULL;
    }
    for (size_t i = 0; good && i < tokens->count; i++) {
        float *row = NULL;
        forward_part part = {
            .tokens = tokens->ids + i, .count = 1, .position = (uint32_t)i, .pages = pages, .wanted = 1};
        good = forward_pass(m->forward, &part, 1, err) && forward_logits(m->forward, part.row, 1, &row, err);
        if (good) {
            memcpy(rows + i * vocabulary, row, vocabulary * sizeof *row);
        }
    }
    for (size_t i = 0; i < page_count; i++) {
        page_release(&pool, pages[i]);
    }
    return good;
}

/* Steps until the only sequence is done. */
static bool finish(engine_model *m, probe_tokens *answer, error *err) {
    engine_output outputs[ENGINE_SLOTS_MAX];
    engine_finish finish = ENGINE_RUNNING;
    while (finish == ENGINE_RUNNING) {
        size_t count = 0;
        if (!engine_step(m, outputs, &count, err)) {
            return false;
        }
        for (size_t i = 0; i < count; i++) {
            finish = outputs[i].finish;
            if (outputs[i].has_token && answer != NULL) {
                answer->ids[answer->count++] = outputs[i].token;
            }
        }
    }
    return finish != ENGINE_FAILED || error_set(err, ERROR_UNSUPPORTED, "the sequence failed");
}

static bool greedy(void *context, const probe_tokens *tokens, size_t count, probe_tokens *answer,
                   error *err) {
    engine_model *m = ((engine *)context)->model;
    engine_parameters parameters = {.top_p = 1, .repetition_penalty = 1, .max_tokens = (uint32_t)count};
    engine_draw fixed = {0};
    engine_sequence *s = engine_generate(m, tokens->ids, tokens->count, &parameters, &fixed, err);
    answer->count = 0;
    bool good = s != NULL && finish(m, answer, err);
    engine_sequence_free(s);
    return good;
}

static bool embed(void *context, const probe_tokens *tokens, float *values, error *err) {
    engine_model *m = ((engine *)context)->model;
    engine_sequence *s = engine_embed(m, tokens->ids, tokens->count, err);
    bool good = s != NULL && finish(m, NULL, err);
    if (good) {
        memcpy(values, engine_sequence_embedding(s), m->information.width * sizeof *values);
    }
    engine_sequence_free(s);
    return good;
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
    e->model = engine_open(&e->file, 1, NULL, &options, err);
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
        uint32_t width = e.model == NULL ? 0 : engine_describe(e.model)->width;
        probe p = {&e, tokenizer_count(e.tokens), width, tokenize, logits, greedy, embed};
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
