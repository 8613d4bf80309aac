#include "auth/session_token.h"

#include "auth/jwt.h"
#include "codec/json_writer.h"
#include "crypto/hash.h"

#include <stdio.h>

enum { ISSUER_SIZE = 96, LEEWAY_S = 5 /* both clocks are the pool's, which may be set back a little */ };

static const char token_type[] = "at+jwt";

static slice issuer_of(const char *pool_id, char issuer[ISSUER_SIZE]) {
    snprintf(issuer, ISSUER_SIZE, "urn:cellule:pool:%s", pool_id);
    return slice_of_text(issuer);
}

bool auth_session_token_make(const auth_session_token *token, const uint8_t id[AUTH_SESSION_ID_SIZE],
                             const char *pool_id, const auth_key_ring *ring, buffer *text, error *err) {
    char issuer[ISSUER_SIZE];
    char session_id[2 * AUTH_SESSION_ID_SIZE + 1];
    const auth_ring_key *key = auth_key_ring_signer(ring, token->issued_s * 1000);
    buffer claims = buffer_make(AUTH_SESSION_TOKEN_MAX);
    json_writer w = json_writer_make(&claims);
    if (key == NULL) {
        return error_set(err, ERROR_NOT_FOUND, "there is no key to sign session tokens with");
    }
    hex_encode(slice_of(token->session_id, sizeof token->session_id), session_id);
    json_write_object_begin(&w);
    json_add_text(&w, "iss", issuer_of(pool_id, issuer));
    json_add_text(&w, "aud", slice_of_text(pool_id));
    json_add_text(&w, "sub", token->user_name);
    json_add_text(&w, "role", slice_of_text(auth_role_name(token->role)));
    json_add_text(&w, "sid", slice_of_text(session_id));
    json_add_bytes(&w, "jti", slice_of(id, AUTH_SESSION_ID_SIZE));
    json_add_u64(&w, "iat", token->issued_s);
    json_add_u64(&w, "exp", token->expires_s);
    json_write_object_end(&w);
    bool made = buffer_failed(&claims) ? error_memory(err)
                                       : auth_jws_sign(buffer_slice(&claims), token_type,
                                                       slice_of_text(key->id), key->own, text, err);
    buffer_free(&claims);
    return made;
}

static bool read_claims(const auth_jws *jws, const char *pool_id, uint64_t now_ms, arena *a,
                        auth_session_token *token, error *err) {
    char issuer[ISSUER_SIZE];
    auth_jwt jwt;
    auth_jwt_expected expected = {.issuer = issuer_of(pool_id, issuer),
                                  .audience = slice_of_text(pool_id),
                                  .type = slice_of_text(token_type),
                                  .now_s = now_ms / 1000,
                                  .age_s = AUTH_SESSION_SECONDS_MAX,
                                  .leeway_s = LEEWAY_S};
    if (!auth_jwt_check(jws, &expected, &jwt, err)) {
        return false;
    }
    slice session_id = json_text_of(json_find(jwt.root, "sid"));
    bool good = hex_decode(session_id, token->session_id, sizeof token->session_id) ||
                error_set(err, ERROR_DENIED, "the token names no session");
    good = good && (arena_copy(a, jwt.subject, &token->user_name) || error_memory(err));
    token->issued_s = jwt.issued_s;
    token->expires_s = jwt.expires_s;
    json_free(jwt.root);
    return good;
}

bool auth_session_token_read(slice text, const char *pool_id, const auth_key_ring *ring, uint64_t now_ms,
                             arena *a, auth_session_token *token, error *err) {
    auth_jws jws;
    *token = (auth_session_token){.role = AUTH_ROLE_COUNT};
    if (text.length > AUTH_SESSION_TOKEN_MAX) {
        return error_set(err, ERROR_DENIED, "this is not a session token");
    }
    if (!auth_jws_parse(text, a, &jws, err)) {
        return false;
    }
    const auth_ring_key *key = auth_key_ring_find(ring, jws.key_id, now_ms);
    if (key == NULL) {
        return error_set(err, ERROR_DENIED,
                         "the token is signed with a key that isn't this pool's, or has ended");
    }
    return auth_jws_verify(&jws, key->trusted, err) && read_claims(&jws, pool_id, now_ms, a, token, err);
}
