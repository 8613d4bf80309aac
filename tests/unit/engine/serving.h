#ifndef SERVING_H
#define SERVING_H

#include "engine/engine.h"
#include "model_file.h"

/* For tests through the public interface: requests, and the answers that a model gives to them. Every failure
 * ends the test. */
enum { ANSWER_MAX = 512, ANSWER_TEXT_MAX = 16 * 1024 };

typedef struct request {
    const uint32_t *prompt;
    size_t prompt_count;
    engine_parameters parameters;
    uint64_t seed;
    const uint8_t *salt;
} request;

typedef struct answer {
    uint32_t tokens[ANSWER_MAX];
    size_t count;
    char text[ANSWER_TEXT_MAX];
    size_t length;
    engine_finish finish;
    engine_usage usage;
    uint8_t commitment[ENGINE_DIGEST_SIZE];
} answer;

extern const uint8_t serving_nonce[ENGINE_NONCE_SIZE];

/* `options` may be NULL. */
engine_model *serving_open(const model_file *file, const engine_options *options);
engine_draw serving_draw(const request *r);
engine_sequence *serving_start(engine_model *m, const request *r);
engine_sequence *serving_start_score(engine_model *m, const request *r, const uint32_t *tokens, size_t count);

/* Adds what a step told to the answer of the sequence in `sequences` that it is about. At its end fills the
 * rest in, frees it and sets it to NULL. Returns how many ended. */
size_t serving_step(engine_model *m, engine_sequence **sequences, answer *answers, size_t count);
/* Steps until all have ended. */
void serving_run(engine_model *m, engine_sequence **sequences, answer *answers, size_t count);
/* One request, alone. */
void serving_answer(engine_model *m, const request *r, answer *a);
/* One sequence of a kind that isn't told step by step; the caller frees it. */
engine_finish serving_finish(engine_model *m, engine_sequence *s);

/* Everything but how much was reused. */
void serving_assert_same(const answer *a, const answer *b);
void serving_fill_prompt(uint32_t *prompt, size_t count, uint64_t *random);

#endif
