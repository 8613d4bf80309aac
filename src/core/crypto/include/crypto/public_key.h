#ifndef CRYPTO_PUBLIC_KEY_H
#define CRYPTO_PUBLIC_KEY_H

#include "base/error.h"
#include "base/slice.h"

/* Public keys of identity providers and the signatures made with them, as JSON web signatures have them (RFC
 * 7518 §3.3, §3.4, RFC 8037 §3.1). A key is of one algorithm: none is ever taken from what is to be verified.
 * Any thread; a key doesn't change. Own keys and signatures are in sign.h. */
typedef enum public_key_algorithm {
    PUBLIC_KEY_EDDSA, /* Ed25519 */
    PUBLIC_KEY_ES256, /* ECDSA on P-256 with SHA-256; the signature is r ‖ s, 64 bytes */
    PUBLIC_KEY_RS256  /* RSASSA-PKCS1-v1_5 with SHA-256, of 2048 to 8192 bits */
} public_key_algorithm;

typedef struct public_key public_key;

/* ERROR_INVALID if it is no good key of its kind: a point off the curve, a modulus too short, an even
 * exponent. */
MUST_CHECK public_key *public_key_eddsa(slice bytes, error *err);
MUST_CHECK public_key *public_key_es256(slice x, slice y, error *err);
MUST_CHECK public_key *public_key_rs256(slice modulus, slice exponent, error *err); /* big-endian */
void public_key_free(public_key *key);                                              /* NULL is allowed */

public_key_algorithm public_key_algorithm_of(const public_key *key);

/* True if `signature` is by the holder of `key` over exactly `message`. False for all else, memory being out
 * among it. */
MUST_CHECK bool public_key_verify(const public_key *key, slice message, slice signature);

#endif
