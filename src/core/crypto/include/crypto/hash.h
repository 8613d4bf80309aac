#ifndef CRYPTO_HASH_H
#define CRYPTO_HASH_H

#include "base/error.h"
#include "base/slice.h"

/* SHA-256 and what is built on it, from libcrypto. crypto_start comes first; without it all fail. A failure
 * (memory out) leaves zeros in the output. Any thread; one `hash` belongs to one thread at a time. */
enum { HASH_SIZE = 32, HASH_HEX_SIZE = 65 };

/* SHA-256 (FIPS 180-4) of `bytes`. */
MUST_CHECK bool hash_sha256(slice bytes, uint8_t digest[HASH_SIZE], error *err);

/* The same in pieces. A failed update is remembered and told by hash_finish, which also starts anew. */
typedef struct hash hash;
MUST_CHECK hash *hash_new(error *err);
void hash_update(hash *h, slice bytes);
MUST_CHECK bool hash_finish(hash *h, uint8_t digest[HASH_SIZE], error *err);
void hash_free(hash *h); /* NULL is allowed */

/* HMAC-SHA-256 (RFC 2104). */
MUST_CHECK bool hash_hmac(slice key, slice bytes, uint8_t mac[HASH_SIZE], error *err);
/* HKDF-SHA-256 (RFC 5869), extract and expand; 1 ≤ length ≤ 255·32. */
MUST_CHECK bool hash_derive(slice key, slice salt, slice info, uint8_t *derived, size_t length, error *err);
/* PBKDF2-HMAC-SHA-256 (RFC 8018 §5.2); 600,000 iterations take a quarter of a second. Nothing may be empty or
 * 0. */
MUST_CHECK bool hash_pbkdf2(slice password, slice salt, uint64_t iterations, uint8_t *derived, size_t length,
                            error *err);

/* Compares in a time that tells nothing but the length. For every comparison of a secret or a MAC. */
MUST_CHECK bool hash_equal(const void *a, const void *b, size_t length);

/* Lower-case hexadecimal with a closing zero: `text` has room for 2·length + 1. */
void hex_encode(slice bytes, char *text);
/* Exactly 2·length lower-case digits, else false and `bytes` is zeroed. */
MUST_CHECK bool hex_decode(slice text, uint8_t *bytes, size_t length);

#endif
