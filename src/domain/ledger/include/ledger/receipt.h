#ifndef LEDGER_RECEIPT_H
#define LEDGER_RECEIPT_H

#include "base/buffer.h"
#include "base/error.h"
#include "base/slice.h"
#include "crypto/hash.h"
#include "crypto/sign.h"
#include "ledger/succession.h"

/* What a worker signs about an answer, and the pool after it. The README says what each field proves. */
enum {
    RECEIPT_VERSION = 1,
    RECEIPT_JOB_SIZE = 16,
    RECEIPT_WORKER_SIZE = 16,
    RECEIPT_SALT_SIZE = 32,
    RECEIPT_PROFILE_LIMIT = 64,
    RECEIPT_ENCODED_LIMIT = 640,
    RECEIPT_JSON_LIMIT = 8192
};

/* Value, name in JSON. */
#define RECEIPT_FINISHES(X)                                                                                  \
    X(RECEIPT_FINISH_STOP, 1, "stop")                                                                        \
    X(RECEIPT_FINISH_LENGTH, 2, "length")                                                                    \
    X(RECEIPT_FINISH_CANCELLED, 3, "cancelled")

typedef enum receipt_finish {
#define X(name, value, text) name = value,
    RECEIPT_FINISHES(X)
#undef X
} receipt_finish;

typedef struct receipt {
    uint32_t version;
    uint8_t pool_id[HASH_SIZE];                     /* SHA-256 of the pool's public key */
    uint8_t job_id[RECEIPT_JOB_SIZE];               /* as the pool gave it out */
    uint8_t worker_id[RECEIPT_WORKER_SIZE];         /* first half of SHA-256 of the worker's public key */
    uint8_t model_digest[HASH_SIZE];                /* SHA-256 of the model file */
    char engine_profile[RECEIPT_PROFILE_LIMIT + 1]; /* printable ASCII, 1 to 64 characters */
    uint8_t prompt_hash[HASH_SIZE];                 /* receipt_hash_prompt */
    uint8_t answer_hash[HASH_SIZE];                 /* receipt_hash_answer */
    float temperature;                              /* finite, not negative; signed as its bits */
    float top_p;
    uint32_t max_tokens;
    uint8_t stop_hash[HASH_SIZE]; /* receipt_hash_stop */
    uint64_t seed;
    uint8_t token_hash[HASH_SIZE]; /* receipt_hash_tokens over the completion */
    uint8_t commitment[HASH_SIZE]; /* receipt_commit: tokens, logits and text */
    uint32_t prompt_tokens;
    uint32_t completion_tokens;
    receipt_finish finish;
    uint64_t started_ms; /* Unix, by the worker's clock; at most 2^53 */
    uint64_t finished_ms;
} receipt;

/* A receipt with its signatures. `bytes` is what was signed; `fields` is decoded from it. */
typedef struct signed_receipt {
    receipt fields;
    size_t length;
    uint8_t bytes[RECEIPT_ENCODED_LIMIT];
    uint8_t worker_key[SIGN_PUBLIC_SIZE];
    uint8_t worker_signature[SIGN_SIGNATURE_SIZE];
    uint8_t pool_key[SIGN_PUBLIC_SIZE];
    uint8_t pool_signature[SIGN_SIGNATURE_SIZE];
    uint8_t salt[RECEIPT_SALT_SIZE]; /* not signed itself: the hashes made with it are */
} signed_receipt;

/* Hashes. `salt` is random per job, made by the pool, and given to the worker and to the user: without it a
 * short prompt could be guessed from its hash. */
typedef struct receipt_message {
    slice role;
    slice content;
} receipt_message;

MUST_CHECK bool receipt_hash_prompt(const uint8_t salt[RECEIPT_SALT_SIZE], const receipt_message *messages,
                                    size_t count, uint8_t digest[HASH_SIZE], error *err);
MUST_CHECK bool receipt_hash_answer(const uint8_t salt[RECEIPT_SALT_SIZE], slice text,
                                    uint8_t digest[HASH_SIZE], error *err);
MUST_CHECK bool receipt_hash_stop(const slice *stops, size_t count, uint8_t digest[HASH_SIZE], error *err);
MUST_CHECK bool receipt_hash_tokens(const uint32_t *tokens, size_t count, uint8_t digest[HASH_SIZE],
                                    error *err);
/* The nonce of the commitment, SHA-256 of the envelope "cellule nonce v1" over the salt: so the receipt and
 * its salt are all that is needed to compute the commitment again. */
MUST_CHECK bool receipt_nonce(const uint8_t salt[RECEIPT_SALT_SIZE], uint8_t nonce[HASH_SIZE], error *err);
/* What an exact worker commits to, all that can be computed again of an answer, so that whoever compares
 * commitments compares all of it: SHA-256 of the envelope "cellule commitment v1", the engine's chain over
 * tokens and logits, SHA-256 of the text, the prompt's tokens (u32), and 1 if the answer ended by itself, 2
 * if it didn't (u32, as `finish`). */
MUST_CHECK bool receipt_commit(const uint8_t chain[HASH_SIZE], const uint8_t text_hash[HASH_SIZE],
                               uint32_t prompt_tokens, bool stopped, uint8_t commitment[HASH_SIZE],
                               error *err);
/* The commitment of an engine whose profile begins with "runtime-": it shows nothing but text, so that is all
 * it commits to. SHA-256 of the envelope "cellule text commitment v1", the job's nonce, and SHA-256 of the
 * answer's text. */
MUST_CHECK bool receipt_commit_text(const uint8_t nonce[HASH_SIZE], const uint8_t text_hash[HASH_SIZE],
                                    uint8_t commitment[HASH_SIZE], error *err);
/* The first 16 bytes of SHA-256 of a worker's public key; the whole of a pool's. */
MUST_CHECK bool receipt_worker_id(const uint8_t public_key[SIGN_PUBLIC_SIZE],
                                  uint8_t worker_id[RECEIPT_WORKER_SIZE], error *err);
MUST_CHECK bool receipt_pool_id(const uint8_t public_key[SIGN_PUBLIC_SIZE], uint8_t pool_id[HASH_SIZE],
                                error *err);

/* The answer ended for want of room. Where that is depends on the context of who computed it, which nobody
 * signs: that another would have gone on proves nothing against it. */
bool receipt_may_have_been_cut(const receipt *r);

/* The envelope "cellule receipt v1" and back. Decoding refuses anything that encoding would not produce. */
MUST_CHECK bool receipt_encode(const receipt *r, buffer *out, error *err);
MUST_CHECK bool receipt_decode(slice bytes, receipt *r, error *err);

/* Worker: fills bytes, worker_key and worker_signature from `fields`; refuses a worker_id not of this key. */
MUST_CHECK bool receipt_sign_worker(signed_receipt *s, const sign_key *worker, error *err);
/* Pool: what came from the worker is put into bytes, worker_key and worker_signature; decodes it into
 * `fields` and checks the worker's id and signature. Comparing the fields with the job is the caller's.
 * ERROR_CORRUPT. */
MUST_CHECK bool receipt_verify_worker(signed_receipt *s, error *err);
/* Pool: verifies the worker's part again, refuses another pool's id, fills pool_key and pool_signature.
 * `keys`: those that the pool has had, of which `pool` is the current one; NULL: it has had one. */
MUST_CHECK bool receipt_countersign(signed_receipt *s, const sign_key *pool, const succession *keys,
                                    error *err);
/* Anyone: both signatures and both ids. `pool_id` is the pool that the caller trusts: without that knowledge
 * anybody could have made up both keys. `keys`: what leads from it to the key that signed; NULL: only the
 * first is taken. One that was replaced counts for what ended before (by the worker's clock).
 * ERROR_CORRUPT says which part is wrong; ERROR_NOT_FOUND: the signatures match, but nothing that is given
 * leads to the key, so whether it is the pool's can't be told. */
MUST_CHECK bool receipt_verify(signed_receipt *s, const uint8_t pool_id[HASH_SIZE], const succession *keys,
                               error *err);

/* The form given to users; one JSON object. Reading takes only the signed bytes, keys, signatures and salt,
 * and refuses readable copies that disagree with the signed bytes; it does not verify: receipt_verify does.
 */
MUST_CHECK bool receipt_write_json(const signed_receipt *s, buffer *out, error *err);
MUST_CHECK bool receipt_read_json(slice json, signed_receipt *s, error *err);

#endif
