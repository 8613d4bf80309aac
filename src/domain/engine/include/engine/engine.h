#ifndef ENGINE_ENGINE_H
#define ENGINE_ENGINE_H

#include "base/error.h"
#include "base/slice.h"

/* A model and the sequences it works on, in the canonical arithmetic of the module's README: the same prompt,
 * parameters and seed give the same bits on every machine, whatever else runs beside. Pure: no file, clock or
 * randomness of its own. All calls on one model and its sequences come from one thread at a time; a step uses
 * the model's threads. */
typedef struct engine_threads engine_threads;
typedef struct engine_model engine_model;
typedef struct engine_sequence engine_sequence;

#define ENGINE_PROFILE "exact-2" /* names this arithmetic, sampler and commitment */

enum {
    ENGINE_DIGEST_SIZE = 32,
    ENGINE_NONCE_SIZE = 32,
    ENGINE_SALT_SIZE = 32,
    ENGINE_SLOTS_MAX = 256,       /* sequences at once that a process may be asked for */
    ENGINE_CONTEXT_MAX = 1 << 20, /* positions, of a model or of a sequence; rope_turns is exact below it */
    ENGINE_STOPS_MAX = 4,
    ENGINE_STOP_LENGTH_MAX = 256,
    ENGINE_MESSAGES_MAX = 4096,
    ENGINE_BIASES_MAX = 300,
    ENGINE_LOGPROBS_MAX = 20,
    ENGINE_SCHEMA_MAX = 64 * 1024,
    ENGINE_COMMITMENT_BLOCK = 32, /* tokens a link of the commitment covers */
    ENGINE_TOP_LOGITS = 8,
    ENGINE_PARTS_MAX = 256, /* files a model may be split into */
    ENGINE_THREADS_MAX = 256,
};
#define ENGINE_NO_TOKEN UINT32_MAX /* the id of none */

/* Threads that compute. Made before a sandbox that forbids making them. `count` includes the caller; 0: 1. */
MUST_CHECK engine_threads *engine_threads_new(uint32_t count, error *err);
void engine_threads_free(engine_threads *threads); /* after the models that use them; NULL is allowed */

typedef struct engine_options {
    uint32_t context;        /* most positions of a sequence; 0: what the model was made for, or what fits */
    uint32_t slots;          /* sequences of that length that the memory must have room for; 0: 1 */
    uint64_t memory_limit;   /* bytes that all sequences together may hold for keys and values; 0: 1 GiB */
    uint32_t batch;          /* most tokens of a pass; 0: 512 */
    engine_threads *threads; /* NULL: the caller's thread alone */
    const char *kernels;     /* "plain", "avx2", …: the same bits, slower; NULL: the fastest */
    slice packed;            /* what engine_packed gave for this very model and build, or empty; copied */
    /* Both may be NULL. progress: bytes of weights that engine_open or engine_packed has packed or hashed.
     * used: this part of a file isn't read again. */
    void (*progress)(void *context, uint64_t done, uint64_t total);
    void (*used)(void *context, slice part);
    void *context_of_calls;
} engine_options;

typedef struct engine_information {
    slice name;         /* `general.name`, or "unnamed"; UTF-8 */
    slice architecture; /* "qwen2" */
    uint8_t digest[ENGINE_DIGEST_SIZE];
    uint32_t context;
    uint32_t vocabulary;
    uint32_t width;
    uint64_t parameters;
    uint64_t weights_size;    /* bytes of weights in memory */
    uint64_t sequence_memory; /* bytes that a sequence of `context` positions holds */
    const char *chat_format;  /* "template" (the file's own), "chatml" or "none" */
    const char *kernels;      /* "avx512-vnni" */
    bool can_generate;
    bool can_embed;
} engine_information;

/* `files`: a whole GGUF or all its parts in order; may be unmapped once this has returned. `digest`: names
 * the model (the SHA-256 of the only file, or of the parts' digests), or NULL to have it computed. Errors:
 * ERROR_CORRUPT (the file doesn't hold together), ERROR_UNSUPPORTED (names the key, tensor or type),
 * ERROR_LIMIT (the memory doesn't hold such sequences), ERROR_MEMORY. */
MUST_CHECK engine_model *engine_open(const slice *files, size_t file_count,
                                     const uint8_t digest[ENGINE_DIGEST_SIZE], const engine_options *options,
                                     error *err);
/* After all its sequences are freed. NULL is allowed. Wipes what they left. */
void engine_close(engine_model *model);
/* Valid until engine_close. */
const engine_information *engine_describe(const engine_model *model);
/* The packed weights in two pieces to be written one after the other, for engine_options.packed another time;
 * valid until engine_close. They are hashed for it. What is given as `packed` is refused (ERROR_CORRUPT) when
 * a byte of it differs, ERROR_CONFLICT when it was made from another model or by another build. That finds
 * damage and what is out of date; against a writer with intent the file's owner and mode must guard. */
MUST_CHECK bool engine_packed(engine_model *model, slice pieces[2], error *err);

typedef struct engine_message {
    slice role; /* "system", "developer" (the same), "user", "assistant" or "tool" */
    slice content;
    slice tool_calls;   /* JSON array as the OpenAI API has it, or empty */
    slice tool_call_id; /* or empty */
    slice name;         /* or empty */
} engine_message;

/* The conversation as token ids, ready for the assistant's answer, by the model's own chat template. `tools`:
 * JSON array as in the OpenAI API, or empty. Content is text and nothing else: a marker written in it is
 * encoded as the letters it is made of. The caller gives `*tokens` to memory_free. */
MUST_CHECK bool engine_prompt(const engine_model *model, const engine_message *messages, size_t count,
                              slice tools, uint32_t **tokens, size_t *token_count, error *err);
/* Plain text as token ids, with the model's first token if it wants one, and an encoder's last. */
MUST_CHECK bool engine_tokenize(const engine_model *model, slice text, uint32_t **tokens, size_t *token_count,
                                error *err);
/* What a token writes; valid until engine_close. */
slice engine_token_text(const engine_model *model, uint32_t token);

typedef struct engine_bias {
    uint32_t token;
    float value; /* -100 to 100, added to the logit */
} engine_bias;

/* All zero but top_p and repetition_penalty (1) is: the most likely token, as long as there is room. The
 * order in which they apply is the README's. */
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

/* What fixes the answer beside the prompt. `salt`: beginnings are shared only between sequences of the same
 * salt (one user's); NULL: not shared. */
typedef struct engine_draw {
    uint64_t seed;
    uint8_t nonce[ENGINE_NONCE_SIZE];
    const uint8_t *salt; /* ENGINE_SALT_SIZE bytes */
} engine_draw;

/* All copy what they are given. ERROR_LIMIT: the prompt doesn't fit the context (not retryable);
 * ERROR_CONFLICT: other sequences hold the memory, or there are ENGINE_SLOTS_MAX (retryable); ERROR_INVALID:
 * names the parameter; ERROR_UNSUPPORTED: the model doesn't do this. Memory for the whole answer is set aside
 * at the start. */
MUST_CHECK engine_sequence *engine_generate(engine_model *model, const uint32_t *prompt, size_t prompt_count,
                                            const engine_parameters *parameters, const engine_draw *draw,
                                            error *err);
/* Re-computes an answer by one pass over it: what the same logits, parameters and seed give at each position.
 */
MUST_CHECK engine_sequence *engine_score(engine_model *model, const uint32_t *prompt, size_t prompt_count,
                                         const uint32_t *answer, size_t answer_count,
                                         const engine_parameters *parameters, const engine_draw *draw,
                                         error *err);
/* The text's embedding, of length 1. */
MUST_CHECK engine_sequence *engine_embed(engine_model *model, const uint32_t *tokens, size_t count,
                                         error *err);
/* At any time between steps: this is how a sequence is cancelled. NULL is allowed. Wiped. */
void engine_sequence_free(engine_sequence *sequence);

typedef enum engine_finish {
    ENGINE_RUNNING,
    ENGINE_STOP,
    ENGINE_LENGTH,
    ENGINE_SCORED,
    ENGINE_EMBEDDED,
    ENGINE_FAILED
} engine_finish;

typedef struct engine_logprob {
    uint32_t token;
    float logprob; /* natural logarithm, at temperature 1, before penalties, biases and filters */
} engine_logprob;

typedef struct engine_output {
    engine_sequence *sequence;
    bool has_token; /* a generated token; false for the others */
    uint32_t token; /* counted and committed, also when it is the end marker or completes a stop string */
    slice text;     /* whole UTF-8 characters, often empty; valid until the next step */
    float logprob;  /* of the token, when asked for */
    const engine_logprob *logprobs; /* the most likely, best first; valid until the next step */
    size_t logprob_count;
    engine_finish finish;
    const error *failure; /* of ENGINE_FAILED; valid until the sequence is freed */
} engine_output;

/* One pass for all sequences that aren't finished: prefill chunks and single steps together. `outputs` has
 * room for one per sequence (ENGINE_SLOTS_MAX); sequences with nothing to tell have none. False: the whole
 * pass failed (memory); sequences may be stepped again or freed. With no sequence: no output. */
MUST_CHECK bool engine_step(engine_model *model, engine_output *outputs, size_t *count, error *err);

typedef struct engine_usage {
    uint32_t prompt_tokens;
    uint32_t completion_tokens;
    uint32_t reused_tokens; /* of the prompt, from an earlier sequence's pages */
} engine_usage;

engine_usage engine_sequence_usage(const engine_sequence *sequence);
/* Over all tokens drawn (or scored), once the sequence has finished. */
void engine_sequence_commitment(const engine_sequence *sequence, uint8_t digest[ENGINE_DIGEST_SIZE]);

typedef struct engine_score_result {
    /* What is drawn at each position of the answer, given the claimed tokens before it; ENGINE_NO_TOKEN
     * behind the place where generation would have ended. */
    const uint32_t *tokens;
    size_t count;  /* of the answer */
    size_t agreed; /* positions before the first that differs; `count`: right so far as it goes */
    bool complete; /* all agreed, and generation would have ended just there, by whatever ends it */
    bool stopped;  /* the claimed tokens' text ends by itself: with an end marker or a stop string */
    /* SHA-256 of what the claimed tokens write, as it would have been given out, with U+FFFD for U+0000. */
    uint8_t text_digest[ENGINE_DIGEST_SIZE];
} engine_score_result;
/* Of a finished score; valid until it is freed. */
engine_score_result engine_sequence_score(const engine_sequence *sequence);
/* Of a finished embed: engine_information.width values; valid until it is freed. */
const float *engine_sequence_embedding(const engine_sequence *sequence);

#endif
