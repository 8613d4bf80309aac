#ifndef AUTH_JWT_H
#define AUTH_JWT_H

#include "auth/jws.h"
#include "codec/json.h"

/* What a token claims (RFC 7519), checked as RFC 8725 asks. Times are Unix seconds and are passed in. */
enum { AUTH_JWT_LEEWAY_S = 60 /* of clocks that differ */ };

/* What a token must say. Issuer and audience are always compared, byte for byte. */
typedef struct auth_jwt_expected {
    slice issuer;
    slice audience; /* one of "aud", which may be a text or an array */
    slice type;     /* "typ" of the header, any case; empty: not looked at */
    slice nonce;    /* empty: not looked at */
    uint64_t now_s; /* exp is later than now - leeway, nbf and iat no later than now + leeway */
    uint64_t age_s; /* most seconds since iat, beside the leeway; 0: not looked at */
    uint64_t leeway_s;
    bool subject_optional; /* as in a logout token, which may name a session alone */
} auth_jwt_expected;

/* Claims of a verified token; texts live in `root`, which the caller frees (json_free). */
typedef struct auth_jwt {
    json_value *root;
    slice subject;
    slice id; /* "jti"; may be empty */
    uint64_t issued_s;
    uint64_t expires_s;
} auth_jwt;

/* Reads the payload of a token that auth_jws_verify accepted. ERROR_DENIED names the claim that is wrong.
 * exp, iat and, unless optional, sub must be there; a token with several audiences must name
 * `expected->audience` in "azp" too if it has that. */
MUST_CHECK bool auth_jwt_check(const auth_jws *jws, const auth_jwt_expected *expected, auth_jwt *jwt,
                               error *err);

#endif
