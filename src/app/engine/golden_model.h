#ifndef APP_ENGINE_GOLDEN_MODEL_H
#define APP_ENGINE_GOLDEN_MODEL_H

#include "app_model/model_files.h"
#include "engine/engine.h"
#include "engine/golden.h"

enum { GOLDEN_THREADS = 3, GOLDEN_TOKENS = 64, GOLDEN_ANSWERS = 2, GOLDEN_ENDS_MAX = 16 };

/* What a model gives to fixed prompts: the most likely tokens, and drawn ones; of an encoder, embeddings. */
typedef struct golden_answer {
    const char *name; /* "greedy" */
    uint32_t tokens[GOLDEN_TOKENS];
    uint32_t count;
    uint8_t digest[ENGINE_DIGEST_SIZE]; /* the commitment, or the hash of an embedding's bits */
} golden_answer;

typedef struct golden_model {
    uint8_t digest[ENGINE_DIGEST_SIZE]; /* of the file */
    golden_answer answers[GOLDEN_ANSWERS];
    engine_bias ends[GOLDEN_ENDS_MAX]; /* tokens that ended an answer too early, made unlikely */
    size_t end_count;
    uint32_t ways;        /* in which they were computed */
    char difference[128]; /* the first way that gave others, or empty */
} golden_model;

/* Computes them by each form, with 1, 2 and 3 threads (threads[n - 1]), in passes of 512, 7 and 64 tokens,
 * each alone and all at once beside another. */
MUST_CHECK bool golden_model_run(golden_model *g, const model_files *files, const char *const *forms,
                                 size_t form_count, engine_threads *const threads[GOLDEN_THREADS],
                                 error *err);

#endif
