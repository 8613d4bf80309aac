#ifndef AUTH_JWKS_H
#define AUTH_JWKS_H

#include "base/buffer.h"
#include "crypto/public_key.h"
#include "crypto/sign.h"

/* The keys that an issuer publishes (RFC 7517). Keys of kinds that aren't known, that are for encryption or
 * that are no good are passed over: they simply verify nothing. */
enum {
    AUTH_JWKS_SIZE_MAX = 65536, /* bytes */
    AUTH_JWKS_KEYS_MAX = 64,
    AUTH_KEY_ID_MAX = 128 /* bytes */
};

/* Which algorithms an issuer may use: bits, 1 << public_key_algorithm. Set by the site, never by a token. */
#define AUTH_ALGORITHM_BIT(algorithm) (1U << (unsigned)(algorithm))
#define AUTH_ALGORITHMS_ALL                                                                                  \
    (AUTH_ALGORITHM_BIT(PUBLIC_KEY_EDDSA) | AUTH_ALGORITHM_BIT(PUBLIC_KEY_ES256) |                           \
     AUTH_ALGORITHM_BIT(PUBLIC_KEY_RS256))

typedef struct auth_jwks auth_jwks;

/* Keeps the keys of the allowed algorithms. ERROR_INVALID: not a key set, or one of more than
 * AUTH_JWKS_KEYS_MAX. */
MUST_CHECK auth_jwks *auth_jwks_parse(slice json, unsigned algorithms, error *err);
void auth_jwks_free(auth_jwks *set); /* NULL is allowed */
size_t auth_jwks_count(const auth_jwks *set);

/* The key of that id and algorithm name; with no id the only key of that algorithm, if there is just one.
 * NULL: none. */
const public_key *auth_jwks_find(const auth_jwks *set, slice key_id, slice algorithm);

/* One of our own public keys as a member of a key set. */
void auth_jwks_write_key(const uint8_t key[SIGN_PUBLIC_SIZE], slice key_id, buffer *json);

#endif
