#ifndef PROTO_MESSAGE_H
#define PROTO_MESSAGE_H

#include "base/arena.h"
#include "base/buffer.h"
#include "base/error.h"
#include "base/slice.h"

/* Worker protocol v1: what goes between a pool and its workers, as structs and as JSON. docs/protocol.md is
 * the reference for both: every field, unit and bound. */
#define PROTO_PATH "/v1/worker"
#define PROTO_SUBPROTOCOL "cellule.worker.v1"

enum {
    PROTO_MESSAGE_MAX = 1048576, /* bytes of JSON; a `score` job has more: */
    /* room for any question that a `generate` job can hold, and any answer of PROTO_ANSWER_MAX tokens */
    PROTO_JOB_MAX = 2621440,
    PROTO_ID_SIZE = 16,      /* job, session, worker; JSON: 32 lower-case hex digits */
    PROTO_POOL_ID_SIZE = 32, /* JSON: 64 lower-case hex digits */
    PROTO_DIGEST_SIZE = 32,  /* this and the following: base64url in JSON */
    PROTO_MACHINE_SIZE = 32,
    PROTO_NONCE_SIZE = 32,
    PROTO_SALT_SIZE = 32,
    PROTO_PUBLIC_KEY_SIZE = 32,
    PROTO_SIGNATURE_SIZE = 64,
    PROTO_MODELS_MAX = 16,
    PROTO_NAME_MAX = 128,      /* bytes of a model's name */
    PROTO_PROFILE_MAX = 64,    /* of an engine profile, of os, arch, isa, role and codes */
    PROTO_TEXT_MAX = 480,      /* of a reason for people */
    PROTO_RELEASE_MAX = 16384, /* of a release's signed manifest */
    PROTO_CA_MAX = 4096,       /* of an authority's certificate in PEM */
    PROTO_PIN_SIZE = 32,       /* SHA-256 of an authority's public key */
    PROTO_STOPS_MAX = 4,       /* stop strings of a job, each 1 to PROTO_STOP_MAX bytes */
    PROTO_STOP_MAX = 256,
    PROTO_CHATS_MAX = 4096,    /* chat messages of a job */
    PROTO_TOKENS_MAX = 4096,   /* token ids of a delta */
    PROTO_ANSWER_MAX = 131072, /* of an answer to be scored, so of any */
    PROTO_TOKEN_ID_MAX = 2147483647,
    PROTO_TEXTS_MAX = 16, /* of an `embed` job, each 1 to PROTO_TEXT_SIZE_MAX bytes, */
    PROTO_TEXT_SIZE_MAX = 32768,
    PROTO_TEXTS_SIZE_MAX = 65536, /* all together: as JSON they always fit a message */
    PROTO_DIMENSION_MAX = 8192,   /* values of a vector: so many as PROTO_TEXTS_MAX always fit one, too */
    PROTO_LOGPROB_MAX = 10000,    /* how far below 0 a logprob may be */
    PROTO_SLOTS_MAX = 1024,
    PROTO_CORES_MAX = 65536,
    PROTO_COUNT_MAX = 16777216, /* tokens: contexts, limits, usage, credit */
    PROTO_DEADLINE_MAX_MS = 86400000,
    PROTO_LEASE_BEATS = 6,       /* beats in a lease */
    PROTO_CHECKPOINT_MAX = 1024, /* bytes of the audit log's checkpoint, a signed note */
    PROTO_HASHES_MAX = 2200,     /* characters: the hashes of a proof, together as base64url */
    PROTO_KEYS_MAX = 32768       /* bytes of JSON: the keys that the pool has had */
};
#define PROTO_INTEGER_MAX 9007199254740991U /* 2^53 - 1: largest whole number sent as a JSON number */

/* Type, name in JSON, who sends it. */
#define PROTO_TYPES(X)                                                                                       \
    X(PROTO_HELLO, "hello", PROTO_WORKER)                                                                    \
    X(PROTO_CHALLENGE, "challenge", PROTO_POOL)                                                              \
    X(PROTO_PROOF, "proof", PROTO_WORKER)                                                                    \
    X(PROTO_WELCOME, "welcome", PROTO_POOL)                                                                  \
    X(PROTO_REFUSE, "refuse", PROTO_POOL)                                                                    \
    X(PROTO_JOB, "job", PROTO_POOL)                                                                          \
    X(PROTO_DELTA, "delta", PROTO_WORKER)                                                                    \
    X(PROTO_DONE, "done", PROTO_WORKER)                                                                      \
    X(PROTO_SCORED, "scored", PROTO_WORKER)                                                                  \
    X(PROTO_EMBEDDED, "embedded", PROTO_WORKER)                                                              \
    X(PROTO_FAIL, "fail", PROTO_WORKER)                                                                      \
    X(PROTO_CANCEL, "cancel", PROTO_POOL)                                                                    \
    X(PROTO_CREDIT, "credit", PROTO_POOL)                                                                    \
    X(PROTO_DRAIN, "drain", PROTO_POOL)                                                                      \
    X(PROTO_BEAT, "beat", PROTO_WORKER)                                                                      \
    X(PROTO_REVOKE, "revoke", PROTO_POOL)                                                                    \
    X(PROTO_LOG_ASK, "log_ask", PROTO_WORKER)                                                                \
    X(PROTO_LOG_PROOF, "log_proof", PROTO_POOL)                                                              \
    X(PROTO_REKEY, "rekey", PROTO_POOL)                                                                      \
    X(PROTO_NEW_KEY, "new_key", PROTO_WORKER)                                                                \
    X(PROTO_REKEYED, "rekeyed", PROTO_POOL)                                                                  \
    X(PROTO_TRUST, "trust", PROTO_POOL)                                                                      \
    X(PROTO_KEYS, "keys", PROTO_POOL)

typedef enum proto_type {
#define X(type, name, sender) type,
    PROTO_TYPES(X)
#undef X
        PROTO_TYPE_COUNT
} proto_type;

typedef enum proto_class { PROTO_CPU, PROTO_GPU, PROTO_NPU } proto_class;
typedef enum proto_kind { PROTO_GENERATE, PROTO_SCORE, PROTO_EMBED, PROTO_KIND_COUNT } proto_kind;
typedef enum proto_finish { PROTO_STOP, PROTO_LENGTH, PROTO_CANCELLED } proto_finish;
typedef enum proto_availability { PROTO_AVAILABLE, PROTO_LIMITED, PROTO_PAUSED } proto_availability;

/* `code` of refuse and fail: lower-case letters, digits and '_'. Receivers treat an unknown one as "other".
 */
#define PROTO_REFUSE_UNKNOWN "unknown_worker" /* not enrolled here, or its key is another */
#define PROTO_REFUSE_PROOF "bad_proof"
#define PROTO_REFUSE_REVOKED "revoked"
#define PROTO_REFUSE_EXPIRED "expired"
#define PROTO_REFUSE_QUARANTINED "quarantined" /* its key came from another machine than it belongs to */
#define PROTO_REFUSE_CLASS "class"             /* it is enrolled as another */
#define PROTO_REFUSE_CERTIFICATE "certificate" /* none of its own was shown in TLS: get one, dial again */
#define PROTO_REFUSE_MODEL "model"             /* no such file or profile is wanted under this name */
#define PROTO_REFUSE_RELEASE "release"         /* the pool doesn't accept the program that the worker runs */
#define PROTO_REFUSE_FULL "full"               /* come back later */
#define PROTO_REFUSE_DRAINING "draining"       /* the pool is stopping: come back later */
#define PROTO_FAIL_MODEL "unknown_model"       /* name and digest don't match what is loaded */
#define PROTO_FAIL_INPUT "bad_input"           /* the prompt can't be tokenized, or doesn't fit the context */
#define PROTO_FAIL_BUSY "busy"
#define PROTO_FAIL_ENGINE "engine" /* the engine crashed or hung */
#define PROTO_FAIL_DEADLINE "deadline"
#define PROTO_FAIL_CANCELLED "cancelled" /* confirms a cancel that came before a done */
#define PROTO_OTHER "other"

typedef struct proto_model {
    slice name;
    uint8_t digest[PROTO_DIGEST_SIZE];  /* SHA-256 of the model file */
    uint32_t context;                   /* tokens */
    slice profile;                      /* engine profile: same profile and digest, same bits */
    uint32_t slots;                     /* jobs at once */
    double tokens_per_second;           /* measured, one job; 0: not known */
    proto_kind kinds[PROTO_KIND_COUNT]; /* of jobs that it does */
    size_t kind_count;                  /* 0: generate and score */
    bool has_dimension;
    uint32_t dimension; /* of its vectors, if it does PROTO_EMBED */
} proto_model;

typedef struct proto_hello {
    uint8_t worker_id[PROTO_ID_SIZE];
    uint8_t public_key[PROTO_PUBLIC_KEY_SIZE];
    uint8_t nonce[PROTO_NONCE_SIZE];
    uint8_t build[PROTO_DIGEST_SIZE]; /* SHA-256 of the program */
    slice release;                    /* its signed manifest; empty: it was checked against none */
    slice os, arch, isa;              /* "linux", "x86_64", "avx2" */
    uint32_t cores;
    uint64_t ram; /* bytes */
    /* The same for whatever key this machine enrols with, another at each pool; zeros: it has no id. */
    uint8_t machine[PROTO_MACHINE_SIZE];
    uint8_t ca[PROTO_PIN_SIZE]; /* of the authority that it trusts; zeros: it doesn't say, and isn't told */
    proto_class class;
    size_t model_count;
    proto_model models[PROTO_MODELS_MAX];
} proto_hello;

typedef struct proto_challenge {
    uint8_t pool_id[PROTO_POOL_ID_SIZE];
    uint8_t nonce[PROTO_NONCE_SIZE];
} proto_challenge;

typedef struct proto_proof {
    uint8_t signature[PROTO_SIGNATURE_SIZE];
} proto_proof;

typedef struct proto_welcome {
    uint8_t session[PROTO_ID_SIZE];
    uint32_t lease_ms;
    uint32_t beat_ms;
    slice keys;                       /* as in proto_keys */
    uint8_t build[PROTO_DIGEST_SIZE]; /* SHA-256 of the pool's program; zeros: it doesn't say */
    slice release;                    /* as in the hello */
    slice checkpoint;                 /* of the pool's audit log; empty: none */
} proto_welcome;

typedef struct proto_refuse {
    slice code;
    slice text;
} proto_refuse;

typedef struct proto_chat {
    slice role;
    slice content;
} proto_chat;

typedef struct proto_job {
    uint8_t id[PROTO_ID_SIZE];
    proto_kind kind;
    slice model;
    uint8_t digest[PROTO_DIGEST_SIZE];
    /* From here to `salt`, and `credit`: not of an embed. */
    const proto_chat *messages;
    size_t message_count; /* at least 1 */
    float temperature;    /* 0 to 2 */
    float top_p;          /* 0 to 1 */
    uint32_t max_tokens;
    size_t stop_count;
    slice stop[PROTO_STOPS_MAX];
    uint64_t seed;
    uint8_t nonce[PROTO_NONCE_SIZE]; /* of the commitment */
    uint8_t salt[PROTO_SALT_SIZE];   /* of the receipt's hashes */
    uint32_t deadline_ms;            /* from the arrival of this message */
    uint32_t credit;                 /* tokens that may be sent before a `credit` comes */
    const uint32_t *answer;          /* of a score: the token ids to be checked; else none */
    size_t answer_count;             /* 1 to PROTO_ANSWER_MAX */
    bool logprobs;                   /* of a generate: the logprobs of the tokens are wanted, if there are */
    const slice *texts;              /* of an embed */
    size_t text_count;               /* 1 to PROTO_TEXTS_MAX */
} proto_job;

typedef struct proto_delta {
    uint8_t id[PROTO_ID_SIZE];
    uint64_t seq; /* 0, 1, 2 … of this job in this session */
    slice text;   /* may be empty: a token may end inside a character */
    const uint32_t *tokens;
    size_t token_count;
    const float *logprobs; /* of these tokens, natural logarithms: as many, or none */
    size_t logprob_count;
} proto_delta;

typedef struct proto_done {
    uint8_t id[PROTO_ID_SIZE];
    proto_finish finish;
    uint32_t prompt_tokens;
    uint32_t completion_tokens;
    uint8_t commitment[PROTO_DIGEST_SIZE];
    uint64_t started_ms; /* Unix, by the worker's clock */
    uint64_t finished_ms;
    uint8_t signature[PROTO_SIGNATURE_SIZE]; /* of the receipt */
} proto_done;

/* Answers a score job, in place of deltas and done: what this worker finds of the answer it was given. */
typedef struct proto_scored {
    uint8_t id[PROTO_ID_SIZE];
    uint32_t prompt_tokens;
    uint32_t agreed; /* token ids before the first that differs; all: right so far as it goes */
    bool complete;   /* all agreed, and generation would have ended just there; then nothing is expected */
    bool has_expected;
    uint32_t expected; /* what is drawn in place of the first that differs */
    uint8_t commitment[PROTO_DIGEST_SIZE];
    uint64_t started_ms; /* Unix, by the worker's clock */
    uint64_t finished_ms;
    uint8_t signature[PROTO_SIGNATURE_SIZE]; /* of the finding */
} proto_scored;

/* Answers an embed job: a vector for each of its texts, in their order (proto/vector.h). */
typedef struct proto_embedded {
    uint8_t id[PROTO_ID_SIZE];
    uint32_t prompt_tokens; /* of all texts */
    uint32_t dimension;     /* values in each vector */
    const slice *vectors;
    size_t vector_count;
} proto_embedded;

typedef struct proto_fail {
    uint8_t id[PROTO_ID_SIZE];
    slice code;
    slice text;
    bool retryable;
} proto_fail;

typedef struct proto_cancel {
    uint8_t id[PROTO_ID_SIZE];
} proto_cancel;

typedef struct proto_credit {
    uint8_t id[PROTO_ID_SIZE];
    uint32_t tokens; /* more than before */
} proto_credit;

typedef struct proto_beat {
    double load; /* of the machine, 0 to 1 */
    uint32_t running;
    uint32_t slots;
    proto_availability state;
} proto_beat;

typedef struct proto_revoke {
    slice reason;
} proto_revoke;

/* The worker remembers a checkpoint of so many entries: does the log go on from it? */
typedef struct proto_log_ask {
    uint64_t from;
} proto_log_ask;

/* That it does: the log's checkpoint now, and the consistency proof from `from` to it. */
typedef struct proto_log_proof {
    uint64_t from;
    slice checkpoint;
    slice hashes; /* base64url of all of them; may be empty */
} proto_log_proof;
/* Asks for another key; `new_key` answers. */
typedef struct proto_rekey {
    uint64_t epoch; /* of all workers' keys; to 2^53 - 1 */
    uint8_t nonce[PROTO_NONCE_SIZE];
} proto_rekey;

typedef struct proto_new_key {
    uint8_t public_key[PROTO_PUBLIC_KEY_SIZE];
    uint8_t signature[PROTO_SIGNATURE_SIZE];        /* proto/rekey.h: by this key */
    uint8_t former_signature[PROTO_SIGNATURE_SIZE]; /* by the key in use */
} proto_new_key;

/* The new key counts from here on: what comes after this message is signed with it. */
typedef struct proto_rekeyed {
    uint8_t worker_id[PROTO_ID_SIZE]; /* the new one */
} proto_rekeyed;

/* The site has another authority: the worker trusts that one from its next connection on. */
typedef struct proto_trust {
    slice ca;                                /* its certificate in PEM */
    uint8_t signature[PROTO_SIGNATURE_SIZE]; /* proto/trust.h: by the pool's key now */
} proto_trust;

/* The pool has exchanged its key. Comes before anything that the new one signed. */
typedef struct proto_keys {
    slice keys; /* all that it has had: JSON, ledger/succession.h */
} proto_keys;

typedef struct proto_message {
    proto_type type;
    union {
        proto_hello hello;
        proto_challenge challenge;
        proto_proof proof;
        proto_welcome welcome;
        proto_refuse refuse;
        proto_job job;
        proto_delta delta;
        proto_done done;
        proto_scored scored;
        proto_embedded embedded;
        proto_fail fail;
        proto_cancel cancel;
        proto_credit credit;
        proto_beat beat;
        proto_revoke revoke;
        proto_log_ask log_ask;
        proto_log_proof log_proof;
        proto_rekey rekey;
        proto_new_key new_key;
        proto_rekeyed rekeyed;
        proto_trust trust;
        proto_keys keys;
    };
} proto_message;

/* The most bytes of JSON that a message like this may have: PROTO_JOB_MAX or PROTO_MESSAGE_MAX. */
size_t proto_size_limit(const proto_message *message);

/* Strings and arrays of `out` are in `arena` or in `text`, so both must live as long. Members that v1 doesn't
 * know are ignored; everything else is checked, with ERROR_INVALID naming the field. json_start comes first.
 */
MUST_CHECK bool proto_decode(slice text, arena *a, proto_message *out, error *err);

/* Appends one JSON object. False with ERROR_INVALID, and nothing appended, when a field is out of bounds (so
 * what is sent is always decodable), ERROR_LIMIT when it is over proto_size_limit or the buffer's limit,
 * ERROR_MEMORY. */
MUST_CHECK bool proto_encode(const proto_message *message, buffer *out, error *err);

/* "delta"; static text. */
const char *proto_type_name(proto_type type);
/* Whether its hello says that the model does jobs of this kind. */
bool proto_model_does(const proto_model *model, proto_kind kind);
/* "cpu", "gpu", "npu". Parsing is exact. */
const char *proto_class_name(proto_class class_id);
MUST_CHECK bool proto_class_parse(slice name, proto_class *class_id);

#endif
