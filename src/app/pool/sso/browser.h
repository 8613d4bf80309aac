#ifndef POOL_BROWSER_H
#define POOL_BROWSER_H

#include "sso/providers.h"

/* The authorization code flow with PKCE (RFC 6749 §4.1, RFC 7636, RFC 9700) for a browser. Each login that is
 * under way belongs to one browser by a cookie, and to one provider by what is kept here: an answer that
 * comes to another browser, from another provider, or a second time is refused. */
typedef struct browsers browsers;

enum { BROWSERS_MAX = 10000, BROWSER_LIFE_MS = 10 * 60 * 1000 };

MUST_CHECK bool browsers_start(pool *p, error *err);
void browsers_free(browsers *all); /* NULL is allowed; after providers_stop */
void browsers_keep_house(pool *p);

/* GET /auth/login?provider=NAME&return=/PATH: off to the provider. */
void browser_login(pool *p, http_request *request);
/* GET /auth/callback: back from it, and on to the path with the session's cookies. */
void browser_callback(pool *p, http_request *request);
/* POST /auth/refresh: new cookies for the refresh cookie. */
void browser_refresh(pool *p, http_request *request);
/* POST /auth/logout: ends the session that the cookies are of, and deletes them. */
void browser_logout(pool *p, http_request *request);

#endif
