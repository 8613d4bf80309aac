#ifndef ENGINE_PIPE_H
#define ENGINE_PIPE_H

#include "base/arena.h"
#include "base/buffer.h"
#include "engine/engine.h"

/* The messages between the worker's agent and its engine child, over the child's standard input and output:
 * a big-endian u32 length of what follows, a type byte, the fields in the order below. Integers are
 * big-endian, floats are their bits, text and lists carry a u32 length or count. Pure. */
enum {
    PIPE_JOB_SIZE = 16,
    PIPE_FRAME_MAX = 4 * 1024 * 1024,
    PIPE_DELTA_TOKENS_MAX = 4096,
    PIPE_ANSWER_MAX = 512 * 1024, /* tokens of an answer to be scored */
    PIPE_WIDTH_MAX = 64 * 1024    /* values of an embedding */
};

typedef enum pipe_type {
    PIPE_GENERATE = 1, /* agent to engine */
    PIPE_CANCEL = 2,   /* frees the job's slot; no answer; what is on its way for the job is to be ignored */
    PIPE_PING = 3,     /* answered by PIPE_PONG between two passes */
    PIPE_SCORE = 4,    /* answered by PIPE_SCORED */
    PIPE_EMBED = 5,    /* answered by PIPE_EMBEDDED */
    PIPE_WIPE = 6,     /* ends every job and wipes all that is left of any; then PIPE_WIPED, the last word */
    PIPE_READY = 16,   /* engine to agent, once, after which jobs are taken */
    PIPE_LOADING = 17,
    PIPE_DELTA = 18,
    PIPE_DONE = 19,
    PIPE_FAIL = 20, /* ends the job; with a job of zeros: the engine itself ends (bad model, bad frame) */
    PIPE_PONG = 21,
    PIPE_SCORED = 22,
    PIPE_EMBEDDED = 23,
    PIPE_WIPED = 24, /* no job is taken any more */
} pipe_type;

typedef struct pipe_generate {
    const engine_message *messages;
    size_t message_count;
    slice tools; /* JSON, or empty */
    engine_parameters parameters;
    uint64_t seed;
    uint8_t nonce[ENGINE_NONCE_SIZE];
    bool has_salt; /* beginnings are shared between jobs of the same salt */
    uint8_t salt[ENGINE_SALT_SIZE];
} pipe_generate;

typedef struct pipe_score {
    pipe_generate claim; /* what is said to have led to the answer */
    const uint32_t *answer;
    size_t answer_count;
} pipe_score;

typedef struct pipe_ready {
    slice model;
    uint8_t digest[ENGINE_DIGEST_SIZE];
    uint32_t context;
    uint32_t slots;
    uint32_t vocabulary;
    uint32_t width; /* of an embedding */
    bool can_generate;
    bool can_embed;
    slice profile; /* ENGINE_PROFILE */
} pipe_ready;

typedef struct pipe_logprobs {
    float logprob; /* of the token itself */
    const engine_logprob *top;
    size_t top_count;
} pipe_logprobs;

typedef struct pipe_delta {
    const uint32_t *tokens;
    size_t token_count;
    slice text;
    const pipe_logprobs *logprobs; /* one per token, or NULL */
} pipe_delta;

typedef struct pipe_done {
    engine_finish finish; /* ENGINE_STOP or ENGINE_LENGTH */
    engine_usage usage;
    uint8_t commitment[ENGINE_DIGEST_SIZE];
} pipe_done;

typedef struct pipe_scored {
    engine_usage usage;
    uint8_t commitment[ENGINE_DIGEST_SIZE];
    engine_score_result result;
} pipe_scored;

typedef struct pipe_embedded {
    engine_usage usage;
    const float *values;
    size_t count;
} pipe_embedded;

typedef struct pipe_fail {
    error_code code;
    slice text;
    bool retryable; /* another engine, or this one later, may do it */
} pipe_fail;

typedef struct pipe_message {
    pipe_type type;
    uint8_t job[PIPE_JOB_SIZE]; /* not of ping, pong, loading, ready, wipe and wiped */
    union {
        pipe_generate generate;
        pipe_score score;
        slice text;     /* of embed */
        uint32_t nonce; /* of ping, given back in pong */
        pipe_ready ready;
        uint32_t percent; /* of loading */
        pipe_delta delta;
        pipe_done done;
        pipe_scored scored;
        pipe_embedded embedded;
        pipe_fail fail;
    };
} pipe_message;

/* Appends the frame. ERROR_LIMIT when it would pass PIPE_FRAME_MAX, or a count or length its bound: then
 * nothing is appended. ERROR_MEMORY when `output` has failed. */
MUST_CHECK bool pipe_append(buffer *output, const pipe_message *message, error *err);

/* Reads the frame at the front of `input`. `*taken` is its size, or 0 when it isn't whole yet. Slices point
 * into `input`, lists into `memory`. A frame that is malformed in any way is ERROR_INVALID or ERROR_LIMIT:
 * the stream can't be used further. */
MUST_CHECK bool pipe_read(slice input, arena *memory, pipe_message *message, size_t *taken, error *err);

#endif
