#ifndef ENGINE_ENGINE_H
#define ENGINE_ENGINE_H

#include "base/error.h"
#include "base/slice.h"

/* A model and the sequences it writes, in the canonical arithmetic of the module's README: the same prompt,
 * parameters and seed give the same bits on every machine. Pure: no file, clock or randomness of its own. All
 * calls on one model and its sequences come from one thread at a time. */
typedef struct engine_model engine_model;
typedef struct engine_sequence engine_sequence;

#define ENGINE_PROFILE "exact-1" /* names this arithmetic, sampler and commitment */

enum {
    ENGINE_DIGEST_SIZE = 32,
    ENGINE_NONCE_SIZE = 32,
    ENGINE_SLOTS_MAX = 64,        /* sequences at once that a process may be asked for */
    ENGINE_CONTEXT_MAX = 1 << 20, /* positions, of a model or of a sequence; rope_turns is exact below it */
    ENGINE_STOPS_MAX = 4,
    ENGINE_STOP_LENGTH_MAX = 256,
    ENGINE_MESSAGES_MAX = 4096,
    ENGINE_BIASES_MAX = 300,
    ENGINE_LOGPROBS_MAX = 20,
    ENGINE_SCHEMA_MAX = 64 * 1024,
    ENGINE_COMMITMENT_BLOCK = 32, /* tokens a link of the commitment covers */
    ENGINE_TOP_LOGITS = 8,
};

typedef struct engine_options {
    uint32_t context;      /* most positions of a sequence; 0: what the model was made for, or what fits */
    uint32_t slots;        /* sequences of that length that the memory must have room for; 0: 1 */
    uint64_t memory_limit; /* bytes that all sequences together may hold for keys and values; 0: 1 GiB */
    bool plain_kernels;    /* the plain C form, whatever the processor can do: same bits, slower */
} engine_options;

typedef struct engine_information {
    slice name; /* `general.name`, or "unnamed"; UTF-8 */
    uint8_t digest[ENGINE_DIGEST_SIZE];
    uint32_t context;
    uint32_t vocabulary;
    uint64_t parameters;
    uint64_t sequence_memory; /* bytes that a sequence of `context` positions holds */
    const char *chat_format;  /* "template" (the file's own), "chatml" or "none" */
    const char *kernels;      /* "avx2" or "plain" */
} engine_information;

/* `file`: a whole GGUF; the caller keeps it mapped and unchanged until engine_close. `digest`: its SHA-256,
 * or NULL to have it computed. Errors: ERROR_CORRUPT (the file doesn't hold together), ERROR_UNSUPPORTED
 * (names the key, tensor or type), ERROR_LIMIT (the memory doesn't hold such sequences), ERROR_MEMORY. */
MUST_CHECK engine_model *engine_open(slice file, const uint8_t digest[ENGINE_DIGEST_SIZE],
                                     const engine_options *options, error *err);
/* After all its sequences are freed. NULL is allowed. */
void engine_close(engine_model *model);
/* Valid until engine_close. */
const engine_information *engine_describe(const engine_model *model);

typedef struct engine_message {
    slice role; /* "system", "developer" (the same), "user", "assistant" or "tool" */
    slice content;
} engine_message;

/* The conversation as token ids, ready for the assistant's answer. Content is text and nothing else: a marker
 * written in it is encoded as the letters it is made of. The caller gives `*tokens` to memory_free. */
MUST_CHECK bool engine_prompt(const engine_model *model, const engine_message *messages, size_t count,
                              uint32_t **tokens, size_t *token_count, error *err);

typedef struct engine_bias {
    uint32_t token;
    float value; /* -100 to 100, added to the logit */
} engine_bias;

/* All zero but top_p and repetition_penalty (1) is: the most likely token, as long as there is room. The order in
 * which they apply is the README's. */
typedef struct engine_parameters {
    float temperature;        /* 0 to 2; 0 takes the most likely token */
    float top_p;              /* above 0, at most 1 */
    float min_p;              /* 0 to 1; 0: off */
    uint32_t top_k;           /* 0: off */
    float repetition_penalty; /* above 0, at most 10; 1: off */
    float presence_penalty;   /* -2 to 2 */
    float frequency_penalty;  /* -2 to 2 */
    uint32_t max_tokens;      /* 0: as many as the context has room for; more than that is cut to it */
    uint32_t logprobs;        /* so many most likely tokens are told with each; 0: none */
    bool with_logprob;        /* the drawn token's own log probability is told */
    slice stops[ENGINE_STOPS_MAX];
    size_t stop_count;
    const engine_bias *biases;
    size_t bias_count;
    slice schema;  /* JSON schema that the answer must follow; "{}" is any JSON object; or empty */
    slice grammar; /* GBNF grammar that it must follow, or empty; not both */
} engine_parameters;

/* Copies all it is given. Takes the memory for the whole sequence at once: ERROR_LIMIT when the prompt
 * doesn't fit the context (not retryable) or ERROR_CONFLICT when other sequences hold the memory (retryable).
 */
MUST_CHECK engine_sequence *engine_sequence_new(engine_model *model, const uint32_t *prompt,
                                                size_t prompt_count, const engine_parameters *parameters,
                                                uint64_t seed, const uint8_t nonce[ENGINE_NONCE_SIZE],
                                                error *err);
/* At any time between steps: this is how a sequence is cancelled. NULL is allowed. */
void engine_sequence_free(engine_sequence *sequence);

typedef enum engine_finish { ENGINE_RUNNING, ENGINE_STOP, ENGINE_LENGTH } engine_finish;

typedef struct engine_logprob {
    uint32_t token;
    float logprob; /* natural logarithm, at temperature 1, before penalties, biases and filters */
} engine_logprob;

typedef struct engine_output {
    bool has_token; /* false while the prompt is being read */
    uint32_t token; /* counted and committed, also when it is the end marker or completes a stop string */
    slice text;     /* whole UTF-8 characters, often empty; valid until the next call on the sequence */
    engine_finish finish;
} engine_output;

/* Reads a part of the prompt or draws one token. After finish, or after an error, only the calls below are
 * allowed. Fails with ERROR_UNSUPPORTED when the model computes something that is not a finite number. */
MUST_CHECK bool engine_step(engine_sequence *sequence, engine_output *output, error *err);

typedef struct engine_usage {
    uint32_t prompt_tokens;
    uint32_t completion_tokens;
} engine_usage;

engine_usage engine_sequence_usage(const engine_sequence *sequence);
/* Over all tokens drawn, once the sequence has finished. */
void engine_sequence_commitment(const engine_sequence *sequence, uint8_t digest[ENGINE_DIGEST_SIZE]);

#endif
