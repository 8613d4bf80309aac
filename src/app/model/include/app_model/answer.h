#ifndef APP_MODEL_ANSWER_H
#define APP_MODEL_ANSWER_H

#include "base/buffer.h"
#include "engine/engine.h"

#include <signal.h>

/* One answer of one model, from its prompt to its end, with its times. */
typedef struct answer {
    buffer text;
    buffer tokens; /* uint32_t, one after the other */
    engine_finish finish;
    bool cancelled;
    engine_usage usage;
    uint8_t commitment[ENGINE_DIGEST_SIZE]; /* zeros when cancelled */
    double prefill_seconds;                 /* from the start to the first token */
    double decode_seconds;                  /* from there to the end */
} answer;

typedef struct answer_request {
    const uint32_t *prompt;
    size_t prompt_count;
    const engine_parameters *parameters;
    const engine_draw *draw;
    const volatile sig_atomic_t *cancel; /* looked at between passes */
    /* Each token and the text that came with it, which is often empty. May be NULL. */
    void (*take)(void *context, uint32_t token, slice text);
    void *context;
} answer_request;

/* answer_free is due in any case. */
MUST_CHECK bool answer_compute(answer *a, engine_model *model, const answer_request *request, error *err);
void answer_free(answer *a);

/* Tokens of the prompt that were computed, and those behind the first of the answer, a second; 0: none. */
double answer_prefill_speed(const answer *a);
double answer_decode_speed(const answer *a);

#endif
