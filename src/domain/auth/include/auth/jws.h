#ifndef AUTH_JWS_H
#define AUTH_JWS_H

#include "base/arena.h"
#include "base/buffer.h"
#include "crypto/public_key.h"
#include "crypto/sign.h"

/* Signed tokens in compact form (RFC 7515 §7.1). What a token's header says of its algorithm or key chooses
 * nothing: it must agree with the key that the reader already trusts. */
enum { AUTH_JWS_SIZE_MAX = 16384 /* characters */ };

typedef struct auth_jws {
    slice signed_text; /* header and payload with the dot: what the signature is over */
    slice payload;     /* the decoded bytes; not to be believed before auth_jws_verify */
    slice signature;
    slice algorithm;
    slice key_id; /* empty: none was named */
    slice type;   /* "typ"; empty: none */
} auth_jws;

/* The parts live in `a`, `signed_text` in `text`. ERROR_DENIED: not three parts of base64url, a header that
 * isn't a JSON object with "alg", or one that has "crit" or "b64", whose meaning a reader must not guess. */
MUST_CHECK bool auth_jws_parse(slice text, arena *a, auth_jws *jws, error *err);
/* ERROR_DENIED unless the header names the key's own algorithm and the signature is by that key. */
MUST_CHECK bool auth_jws_verify(const auth_jws *jws, const public_key *key, error *err);

/* "EdDSA", "ES256", "RS256". */
const char *auth_jws_algorithm_name(public_key_algorithm algorithm);

/* Appends a token over `payload` by our own key (EdDSA). */
MUST_CHECK bool auth_jws_sign(slice payload, const char *type, slice key_id, const sign_key *key, buffer *out,
                              error *err);

#endif
