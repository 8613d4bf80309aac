#include "bench_measure.h"

#include "app_model/tool.h"
#include "base/memory.h"
#include "os/clock.h"

#include <stdlib.h>

enum { STREAMS_MAX = ENGINE_SLOTS_MAX, KINDS = sizeof(bench_times) / sizeof(double) };

typedef struct bench {
    engine_model *model;
    const bench_sizes *sizes;
    uint32_t vocabulary;
    uint64_t random;
    uint64_t salts; /* each deep prompt begins anew */
    engine_parameters parameters;
    engine_bias ends[ENGINE_BIASES_MAX]; /* tokens that ended an answer too early, made unlikely */
    uint32_t *prompt;                    /* of as many sequences as there is need for, one behind another */
    uint32_t *answer;                    /* of each sequence, `answer_room` apart */
    size_t answer_room;
    engine_sequence *sequences[STREAMS_MAX];
    uint32_t last[STREAMS_MAX];    /* token of each */
    uint32_t written[STREAMS_MAX]; /* tokens of each */
    size_t count;
    size_t finished;
    bool short_answer;
    engine_output outputs[ENGINE_SLOTS_MAX];
} bench;

/* SplitMix64 (Steele, Lea, Flood 2014). */
static uint32_t draw_token(bench *b) {
    uint64_t z = b->random += 0x9e3779b97f4a7c15U;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9U;
    z = (z ^ z >> 27) * 0x94d049bb133111ebU;
    return (uint32_t)((z ^ z >> 31) % b->vocabulary);
}

static void draw_prompt(bench *b, uint32_t from, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        b->prompt[from + i] = draw_token(b);
    }
}

static void end_all(bench *b) {
    for (size_t i = 0; i < b->count; i++) {
        engine_sequence_free(b->sequences[i]);
    }
    b->count = 0;
    b->finished = 0;
}

static bool add(bench *b, engine_sequence *s) {
    if (s == NULL) {
        return false;
    }
    b->sequences[b->count] = s;
    b->written[b->count++] = 0;
    return true;
}

static bool begin_from(bench *b, const uint32_t *prompt, uint32_t count, uint32_t answer, const uint8_t *salt,
                       error *err) {
    engine_draw draw = {.salt = salt};
    b->parameters.max_tokens = answer;
    return add(b, engine_generate(b->model, prompt, count, &b->parameters, &draw, err));
}

/* One more sequence that writes `answer` tokens behind the prompt. */
static bool begin(bench *b, uint32_t prompt, uint32_t answer, const uint8_t *salt, error *err) {
    return begin_from(b, b->prompt, prompt, answer, salt, err);
}

/* One more that checks the answer which the sequence of this number wrote. */
static bool begin_score(bench *b, uint32_t number, error *err) {
    const bench_sizes *s = b->sizes;
    engine_draw draw = {0};
    return add(b, engine_score(b->model, b->prompt + (size_t)number * s->score_prompt, s->score_prompt,
                               b->answer + number * b->answer_room, s->score_answer, &b->parameters, &draw,
                               err));
}

static size_t index_of(const bench *b, const engine_sequence *s) {
    size_t i = 0;
    while (b->sequences[i] != s) {
        i++;
    }
    return i;
}

static bool step(bench *b, error *err) {
    size_t count = 0;
    if (!tool_step(b->model, b->outputs, &count, err)) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        const engine_output *out = &b->outputs[i];
        size_t at = index_of(b, out->sequence);
        if (out->has_token) {
            b->last[at] = out->token;
            b->answer[at * b->answer_room + b->written[at]] = out->token;
            b->written[at]++;
        }
        b->finished += out->finish != ENGINE_RUNNING;
        if (out->finish == ENGINE_STOP) {
            b->short_answer = true;
            b->parameters.bias_count += b->parameters.bias_count < ENGINE_BIASES_MAX;
            b->ends[b->parameters.bias_count - 1] = (engine_bias){b->last[at], -100};
        }
    }
    return true;
}

/* Until each has written its first token, or all have ended. */
static bool step_to_first(bench *b, error *err) {
    bool waits = true;
    while (waits && !b->short_answer) {
        if (!step(b, err)) {
            return false;
        }
        waits = false;
        for (size_t i = 0; i < b->count; i++) {
            waits = waits || b->written[i] == 0;
        }
    }
    return true;
}

static bool step_to_end(bench *b, error *err) {
    while (b->finished < b->count && !b->short_answer) {
        if (!step(b, err)) {
            return false;
        }
    }
    return true;
}

static bool run_single(bench *b, bench_times *t, error *err) {
    const bench_sizes *s = b->sizes;
    draw_prompt(b, 0, s->prefill);
    uint64_t start = clock_monotonic_ns();
    if (!begin(b, s->prefill, s->decode + 1, NULL, err) || !step_to_first(b, err)) {
        return false;
    }
    t->prefill = tool_seconds_since(start);
    uint64_t middle = clock_monotonic_ns();
    if (!step_to_end(b, err)) {
        return false;
    }
    t->decode = tool_seconds_since(middle) / (s->decode > 0 ? s->decode : 1);
    return true;
}

static bool run_batch(bench *b, uint32_t count, double *seconds, error *err) {
    for (uint32_t i = 0; i < count; i++) {
        draw_prompt(b, 0, BENCH_BATCH_PROMPT);
        /* Those that were read first have written already when the last begins. */
        if (!begin(b, BENCH_BATCH_PROMPT, BENCH_BATCH_STEPS + 1 + count, NULL, err)) {
            return false;
        }
    }
    if (!step_to_first(b, err)) {
        return false;
    }
    uint64_t start = clock_monotonic_ns();
    for (size_t i = 0; i < BENCH_BATCH_STEPS && !b->short_answer; i++) {
        if (!step(b, err)) {
            return false;
        }
    }
    *seconds = tool_seconds_since(start) / BENCH_BATCH_STEPS;
    return true;
}

static bool run_batch_one(bench *b, bench_times *t, error *err) {
    return run_batch(b, 1, &t->batch_one, err);
}

static bool run_batch_many(bench *b, bench_times *t, error *err) {
    return run_batch(b, b->sizes->batch, &t->batch, err);
}

static bool check_scores(const bench *b, error *err) {
    for (size_t i = 0; i < b->count; i++) {
        engine_score_result result = engine_sequence_score(b->sequences[i]);
        if (!result.complete) {
            return error_set(err, ERROR_INTERNAL,
                             "an answer is refused at token %zu: the arithmetic isn't exact here",
                             result.agreed);
        }
    }
    return true;
}

/* An answer, then its check. */
static bool run_score(bench *b, bench_times *t, error *err) {
    const bench_sizes *s = b->sizes;
    draw_prompt(b, 0, s->score_prompt);
    uint64_t start = clock_monotonic_ns();
    if (!begin(b, s->score_prompt, s->score_answer, NULL, err) || !step_to_end(b, err)) {
        return false;
    }
    t->produce = tool_seconds_since(start);
    end_all(b);
    if (b->short_answer) {
        return true;
    }
    start = clock_monotonic_ns();
    if (!begin_score(b, 0, err) || !step_to_end(b, err)) {
        return false;
    }
    t->score = tool_seconds_since(start);
    return check_scores(b, err);
}

/* Many answers at once, then the checks of all of them at once. */
static bool run_streams(bench *b, bench_times *t, error *err) {
    const bench_sizes *s = b->sizes;
    draw_prompt(b, 0, s->streams * s->score_prompt);
    uint64_t start = clock_monotonic_ns();
    for (uint32_t i = 0; i < s->streams; i++) {
        if (!begin_from(b, b->prompt + (size_t)i * s->score_prompt, s->score_prompt, s->score_answer, NULL,
                        err)) {
            return false;
        }
    }
    if (!step_to_end(b, err)) {
        return false;
    }
    t->produce_stream = tool_seconds_since(start) / s->streams;
    end_all(b);
    if (b->short_answer) {
        return true;
    }
    start = clock_monotonic_ns();
    for (uint32_t i = 0; i < s->streams; i++) {
        if (!begin_score(b, i, err)) {
            return false;
        }
    }
    if (!step_to_end(b, err)) {
        return false;
    }
    t->score_stream = tool_seconds_since(start) / s->streams;
    return check_scores(b, err);
}

/* The second prompt begins as the first did, whose pages of the cache are taken over. */
static bool run_deep(bench *b, bench_times *t, error *err) {
    const bench_sizes *s = b->sizes;
    uint8_t salt[ENGINE_SALT_SIZE] = {0};
    memcpy(salt, &b->salts, sizeof b->salts);
    b->salts++;
    draw_prompt(b, 0, s->depth + s->prefill);
    uint64_t start = clock_monotonic_ns();
    if (!begin(b, s->depth, 1, salt, err) || !step_to_end(b, err)) {
        return false;
    }
    t->deep_prompt = tool_seconds_since(start);
    end_all(b);
    b->short_answer = false; /* one token is all that is wanted */
    start = clock_monotonic_ns();
    if (!begin(b, s->depth + s->prefill, 1, salt, err) || !step_to_end(b, err)) {
        return false;
    }
    t->deep = tool_seconds_since(start);
    b->short_answer = false;
    uint32_t reused = engine_sequence_usage(b->sequences[0]).reused_tokens;
    return reused == s->depth ||
           error_set(err, ERROR_INTERNAL, "%u of %u tokens of a prompt were still known", reused, s->depth);
}

typedef bool (*bench_part)(bench *b, bench_times *t, error *err);

/* Again where an answer was too short, now without the token that ended it. */
static bool run_part(bench *b, bench_part part, bench_times *t, error *err) {
    do {
        b->short_answer = false;
        bool good = part(b, t, err);
        end_all(b);
        if (!good) {
            return false;
        }
    } while (b->short_answer && b->parameters.bias_count < ENGINE_BIASES_MAX);
    return !b->short_answer || error_set(err, ERROR_UNSUPPORTED, "the model ends every answer early");
}

static bool run_parts(bench *b, bench_times *t, error *err) {
    const bench_sizes *s = b->sizes;
    return run_part(b, run_single, t, err) &&
           (s->batch == 0 || (run_part(b, run_batch_one, t, err) && run_part(b, run_batch_many, t, err))) &&
           (s->score_answer == 0 || run_part(b, run_score, t, err)) &&
           (s->streams == 0 || run_part(b, run_streams, t, err)) &&
           (s->depth == 0 || run_part(b, run_deep, t, err));
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Kind by kind: bench_times is nothing but doubles. */
static void take_medians(const bench_times *all, uint32_t runs, bench_times *medians) {
    for (size_t kind = 0; kind < KINDS; kind++) {
        double values[BENCH_RUNS_MAX];
        for (size_t i = 0; i < runs; i++) {
            memcpy(&values[i], (const char *)&all[i] + kind * sizeof(double), sizeof(double));
        }
        qsort(values, runs, sizeof values[0], compare);
        memcpy((char *)medians + kind * sizeof(double), &values[runs / 2], sizeof(double));
    }
}

static bool measure(bench *b, bench_times *times, error *err) {
    bench_times all[BENCH_RUNS_MAX] = {{0}};
    bool good = run_part(b, run_single, &all[0], err); /* doesn't count */
    for (uint32_t i = 0; good && i < b->sizes->runs; i++) {
        good = run_parts(b, &all[i], err);
    }
    double first = times->first;
    take_medians(all, b->sizes->runs, times);
    times->first = first;
    return good;
}

static uint32_t larger(uint32_t a, uint32_t b) {
    return a > b ? a : b;
}

bool bench_measure(engine_model *model, const bench_sizes *s, bench_times *times, error *err) {
    size_t many = larger(s->streams, 1);
    size_t prompts = many * s->score_prompt;
    size_t longest = larger(s->depth + s->prefill, BENCH_BATCH_PROMPT);
    uint32_t answer = larger(s->decode + 1, larger(s->score_answer, BENCH_BATCH_STEPS + 1 + s->batch));
    bench *b = memory_allocate_zeroed(1, sizeof *b);
    if (b == NULL) {
        return error_memory(err);
    }
    b->model = model;
    b->sizes = s;
    b->vocabulary = engine_describe(model)->vocabulary;
    b->parameters = (engine_parameters){.top_p = 1, .repetition_penalty = 1, .biases = b->ends};
    b->answer_room = answer;
    b->prompt = memory_allocate_zeroed(prompts > longest ? prompts : longest, sizeof *b->prompt);
    b->answer =
        memory_allocate_zeroed(larger(s->streams, larger(s->batch, 1)) * (size_t)answer, sizeof *b->answer);
    bool good = b->prompt != NULL && b->answer != NULL ? measure(b, times, err) : error_memory(err);
    memory_free(b->prompt);
    memory_free(b->answer);
    memory_free(b);
    return good;
}

bool bench_first(engine_model *model, double *seconds, error *err) {
    const engine_parameters parameters = {.top_p = 1, .repetition_penalty = 1, .max_tokens = 1};
    const engine_draw draw = {0};
    uint32_t prompt[BENCH_FIRST_PROMPT];
    engine_output outputs[ENGINE_SLOTS_MAX];
    for (uint32_t i = 0; i < BENCH_FIRST_PROMPT; i++) {
        prompt[i] = i % engine_describe(model)->vocabulary;
    }
    uint64_t start = clock_monotonic_ns();
    engine_sequence *s = engine_generate(model, prompt, BENCH_FIRST_PROMPT, &parameters, &draw, err);
    bool good = s != NULL;
    for (size_t count = 0; good && count == 0;) {
        good = tool_step(model, outputs, &count, err);
    }
    *seconds = tool_seconds_since(start);
    engine_sequence_free(s);
    return good;
}

static double cost_of_position(const bench_sizes *s, const bench_times *t) {
    double cost = (t->deep - t->prefill) / s->depth;
    return cost > 0 ? cost : 0;
}

double bench_attention_deep(const bench_sizes *s, const bench_times *t) {
    return cost_of_position(s, t) * (s->depth + s->prefill / 2.0) / t->deep;
}

double bench_attention_prompt(const bench_sizes *s, const bench_times *t) {
    double token = cost_of_position(s, t) / s->prefill;
    return token * s->depth * (s->depth / 2.0) / t->deep_prompt;
}
