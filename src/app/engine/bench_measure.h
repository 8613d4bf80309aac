#ifndef APP_ENGINE_BENCH_MEASURE_H
#define APP_ENGINE_BENCH_MEASURE_H

#include "engine/engine.h"

enum { BENCH_RUNS_MAX = 99, BENCH_BATCH_PROMPT = 32, BENCH_BATCH_STEPS = 16, BENCH_FIRST_PROMPT = 16 };

/* What is to be measured, in tokens; 0 leaves a part out. */
typedef struct bench_sizes {
    uint32_t prefill;
    uint32_t decode;
    uint32_t batch; /* sequences */
    uint32_t score_prompt;
    uint32_t score_answer;
    uint32_t streams; /* such answers written at once, and then checked at once */
    uint32_t depth;   /* whole pages of the cache */
    uint32_t runs;
} bench_sizes;

/* Medians over the runs, in seconds; 0 for what was left out. */
typedef struct bench_times {
    double first;          /* a short prompt's first token, right after loading */
    double prefill;        /* the whole prompt, and the first token of the answer */
    double decode;         /* each token after that */
    double batch_one;      /* a step of one sequence behind a short prompt */
    double batch;          /* a step in which each of many gets a token */
    double produce;        /* an answer alone, with its prompt */
    double produce_stream; /* the same for each of so many that are written at once */
    double score;          /* checking that answer */
    double score_stream;   /* checking each of those many, all at once */
    double deep_prompt;    /* a prompt of `depth` tokens */
    double deep;           /* `prefill` tokens behind it */
} bench_times;

/* Over a model with nothing else running, whose context has room for each of the sizes. After `first` comes a
 * run that doesn't count. */
MUST_CHECK bool bench_first(engine_model *model, double *seconds, error *err);
MUST_CHECK bool bench_measure(engine_model *model, const bench_sizes *sizes, bench_times *times, error *err);

/* Attention's share of a part of `prefill` tokens behind `depth` others, and of the whole prompt of `depth`.
 * The time of a part grows with the positions that its tokens see: on average half the part at the beginning,
 * and `depth` more behind it. All that grows is attention, so each position costs (deep - prefill) / depth.
 */
double bench_attention_deep(const bench_sizes *sizes, const bench_times *times);
double bench_attention_prompt(const bench_sizes *sizes, const bench_times *times);

#endif
