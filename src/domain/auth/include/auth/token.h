#ifndef AUTH_TOKEN_H
#define AUTH_TOKEN_H

#include "base/buffer.h"
#include "base/error.h"
#include "base/slice.h"

/* Bearer secrets. Texts are strict: one text for each token, so a hash of the text finds it. Callers wipe
 * what they hold of a token; the random bytes are theirs to draw. */
enum {
    AUTH_SECRET_SIZE = 32,
    AUTH_HASH_SIZE = 32,
    AUTH_USER_KEY_LENGTH = 46, /* "ck_" and 43 characters */
    AUTH_JOIN_ID_SIZE = 8,
    AUTH_PIN_SIZE = 32,
    AUTH_ADDRESS_MAX = 259,    /* "host:port": a name of 253 characters and five digits */
    AUTH_JOIN_TOKEN_MAX = 454, /* characters */
    AUTH_SESSION_ID_SIZE = 16,
    AUTH_REFRESH_LENGTH = 67 /* "cr_" and 64 characters */
};

/* A user's key: "ck_" and base64url of 32 random bytes. `text` gets a closing zero. */
void auth_user_key_make(const uint8_t secret[AUTH_SECRET_SIZE], char text[AUTH_USER_KEY_LENGTH + 1]);
/* Whether it is the text of a user's key (not whether anybody has it). */
MUST_CHECK bool auth_user_key_check(slice text);
/* What the pool stores of a user's key: SHA-256 of its text. The text is checked first: ERROR_DENIED. */
MUST_CHECK bool auth_user_key_hash(slice text, uint8_t digest[AUTH_HASH_SIZE], error *err);

/* The right to enrol one machine: "cj_ID.SECRET.CAPIN.ADDRESS". `pin` is the SHA-256 of the site CA's
 * SubjectPublicKeyInfo (certificate_pin), `address` the pool's "host:port", so that the token is all that
 * `worker join` needs. */
typedef struct auth_join_token {
    uint8_t id[AUTH_JOIN_ID_SIZE]; /* not secret; 16 lower-case hex digits */
    uint8_t secret[AUTH_SECRET_SIZE];
    uint8_t pin[AUTH_PIN_SIZE];
    char address[AUTH_ADDRESS_MAX + 1];
} auth_join_token;

/* ERROR_INVALID if the address is no "host:port". */
MUST_CHECK bool auth_join_token_make(const auth_join_token *token, char text[AUTH_JOIN_TOKEN_MAX + 1],
                                     error *err);
/* ERROR_INVALID; `token` is zeroed then. */
MUST_CHECK bool auth_join_token_parse(slice text, auth_join_token *token, error *err);
/* What the pool stores of it, and what is compared when it is used: SHA-256 of the 32 secret bytes. */
MUST_CHECK bool auth_join_secret_hash(const uint8_t secret[AUTH_SECRET_SIZE], uint8_t digest[AUTH_HASH_SIZE],
                                      error *err);

/* The right to go on with a session, once: "cr_" and base64url of the session's id and 32 random bytes. What
 * is stored is the SHA-256 of the random bytes. */
void auth_refresh_make(const uint8_t session_id[AUTH_SESSION_ID_SIZE], const uint8_t secret[AUTH_SECRET_SIZE],
                       char text[AUTH_REFRESH_LENGTH + 1]);
/* ERROR_DENIED if it isn't the text of one. */
MUST_CHECK bool auth_refresh_read(slice text, uint8_t session_id[AUTH_SESSION_ID_SIZE],
                                  uint8_t digest[AUTH_HASH_SIZE], error *err);

/* Splits "host:port" or "[IPv6]:port"; `host` comes without brackets. Names are letters, digits, '-' and '.'.
 */
MUST_CHECK bool auth_address_split(slice address, slice *host, uint16_t *port);

/* The token in an Authorization field "Bearer TOKEN" (RFC 6750 §2.1; the scheme's case is ignored). */
MUST_CHECK bool auth_bearer_parse(slice field_value, slice *token);

#endif
