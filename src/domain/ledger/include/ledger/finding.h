#ifndef LEDGER_FINDING_H
#define LEDGER_FINDING_H

#include "ledger/receipt.h"

/* What a verifier signs about an answer that it has computed again, given its prompt and its token ids, not
 * what was claimed about it. The README says what each field proves. */
enum {
    FINDING_VERSION = 1,
    FINDING_CHECK_SIZE = 16,
    FINDING_TOKEN_MAX = 2147483647,
    FINDING_ENCODED_LIMIT = 640,
    FINDING_JSON_LIMIT = 8192
};

typedef struct finding {
    uint32_t version;
    uint8_t pool_id[HASH_SIZE];
    uint8_t check_id[FINDING_CHECK_SIZE];   /* of the score job */
    uint8_t worker_id[RECEIPT_WORKER_SIZE]; /* the verifier */
    /* What was computed again; as in the receipt of the answer. */
    uint8_t model_digest[HASH_SIZE];
    char engine_profile[RECEIPT_PROFILE_LIMIT + 1];
    uint8_t prompt_hash[HASH_SIZE];
    float temperature;
    float top_p;
    uint32_t max_tokens;
    uint8_t stop_hash[HASH_SIZE];
    uint64_t seed;
    uint8_t token_hash[HASH_SIZE]; /* receipt_hash_tokens over the ids that were given */
    uint32_t claimed_tokens;       /* how many */
    /* What came out. */
    uint32_t prompt_tokens;
    uint32_t agreed;               /* ids before the first that differs; at most claimed_tokens */
    bool complete;                 /* all agree, and generation would have ended just there */
    bool has_expected;             /* only if some differ; false: generation would have ended before */
    uint32_t expected;             /* drawn in place of the first that differs; 0 if there is none */
    uint8_t commitment[HASH_SIZE]; /* receipt_commit: the given ids, its own logits, the text of the ids */
    uint64_t started_ms;           /* Unix, by the verifier's clock; at most 2^53 */
    uint64_t finished_ms;
} finding;

/* A finding with its signature. `bytes` is what was signed; `fields` is decoded from it. */
typedef struct signed_finding {
    finding fields;
    size_t length;
    uint8_t bytes[FINDING_ENCODED_LIMIT];
    uint8_t worker_key[SIGN_PUBLIC_SIZE];
    uint8_t worker_signature[SIGN_SIGNATURE_SIZE];
} signed_finding;

/* The envelope "cellule finding v1" and back. Decoding refuses anything that encoding would not produce. */
MUST_CHECK bool finding_encode(const finding *f, buffer *out, error *err);
MUST_CHECK bool finding_decode(slice bytes, finding *f, error *err);

/* Verifier: fills bytes, worker_key and worker_signature from `fields`; refuses a worker_id not of this key.
 */
MUST_CHECK bool finding_sign_worker(signed_finding *s, const sign_key *worker, error *err);
/* Anyone: decodes bytes into `fields`, checks that the worker's id is of worker_key and that its signature
 * holds. Who that worker is, and whether this was asked of it, is the caller's to know. ERROR_CORRUPT. */
MUST_CHECK bool finding_verify_worker(signed_finding *s, error *err);

/* Whether it is about that very answer: the same pool, model, profile, prompt, parameters, seed and token
 * ids. Neither is verified. */
bool finding_is_about(const finding *f, const receipt *r);

/* One JSON object. Reading takes only the signed bytes, key and signature, and refuses readable copies that
 * disagree with the signed bytes; it does not verify: finding_verify_worker does. */
MUST_CHECK bool finding_write_json(const signed_finding *s, buffer *out, error *err);
MUST_CHECK bool finding_read_json(slice json, signed_finding *s, error *err);

#endif
