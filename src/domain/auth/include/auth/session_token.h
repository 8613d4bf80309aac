#ifndef AUTH_SESSION_TOKEN_H
#define AUTH_SESSION_TOKEN_H

#include "auth/key_ring.h"
#include "auth/role.h"
#include "auth/token.h"
#include "base/arena.h"

/* The pool's own tokens: JWT (RFC 7519) signed with EdDSA, type "at+jwt" (RFC 9068). Issuer is
 * "urn:cellule:pool:POOL_ID", audience the pool's id in hexadecimal; "sid" is the session's id. What the
 * bearer may do is looked up in the session; "role" is for others who read the token. */
enum { AUTH_SESSION_TOKEN_MAX = 1024 /* characters */, AUTH_SESSION_SECONDS_MAX = 900 };

typedef struct auth_session_token {
    uint8_t session_id[AUTH_SESSION_ID_SIZE];
    slice user_name; /* at most 64 bytes */
    auth_role role;  /* made only: not read back */
    uint64_t issued_s;
    uint64_t expires_s; /* at most AUTH_SESSION_SECONDS_MAX later */
} auth_session_token;

/* Appends the token, signed with the ring's key of that time. `id` is its own: "jti". */
MUST_CHECK bool auth_session_token_make(const auth_session_token *token,
                                        const uint8_t id[AUTH_SESSION_ID_SIZE], const char *pool_id,
                                        const auth_key_ring *ring, buffer *text, error *err);
/* Verifies a token and reads it; `user_name` lives in `a`. ERROR_DENIED: it isn't ours, it is for another,
 * its key has ended, it isn't good now. */
MUST_CHECK bool auth_session_token_read(slice text, const char *pool_id, const auth_key_ring *ring,
                                        uint64_t now_ms, arena *a, auth_session_token *token, error *err);

#endif
