#include "sso/identify.h"

#include "auth/token.h"
#include "os/clock.h"
#include "sso/cookies.h"
#include "sso/logins.h"

static const account *find_key(const pool *p, slice token, error *err) {
    uint8_t token_hash[AUTH_HASH_SIZE];
    if (!auth_user_key_hash(token, token_hash, err)) {
        return NULL;
    }
    const account *found = accounts_find(p->accounts, token_hash, clock_unix_ms());
    if (found == NULL) {
        error_set(
            err, ERROR_DENIED,
            "this key is not valid here: it is mistyped, expired or revoked; ask the admin for a new one");
    }
    return found;
}

/* A browser sends cookies with whatever another site's page has it ask, so they count from pages of this pool
 * alone. */
static const account *find_cookie(pool *p, const http_request *request, error *err) {
    slice token;
    return cookie_get(request, COOKIE_ACCESS, &token) && cookie_request_is_own(request)
               ? logins_find_token(p, token, err)
               : NULL;
}

/* It is three parts with dots between; a key has none. */
static bool is_session_token(slice token) {
    return slice_find(token, '.') != SIZE_MAX;
}

const account *identify(pool *p, const http_request *request, error *err) {
    slice field;
    slice token;
    err->code = ERROR_NONE;
    if (http_request_header_count(request, "authorization") == 0) {
        return find_cookie(p, request, err);
    }
    if (http_request_header_count(request, "authorization") != 1 ||
        !http_request_header(request, "authorization", &field)) {
        return NULL;
    }
    if (!auth_bearer_parse(field, &token)) {
        error_set(err, ERROR_DENIED, "this is not a key: send the header Authorization: Bearer ck_…");
        return NULL;
    }
    return is_session_token(token) ? logins_find_token(p, token, err) : find_key(p, token, err);
}

bool identify_tries_key(const http_request *request) {
    slice field;
    slice token;
    bool brings = http_request_header(request, "authorization", &field);
    return brings && (!auth_bearer_parse(field, &token) || !is_session_token(token));
}
