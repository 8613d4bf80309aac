#ifndef POOL_COOKIES_H
#define POOL_COOKIES_H

#include "sso/logins.h"

/* The cookies of a browser: none can be read by a script, all go over TLS alone (RFC 6265, and the prefixes
 * of RFC 6265bis §4.1.3, which keep other hosts and plain HTTP from setting them). */
#define COOKIE_ACCESS "__Host-cellule-access"     /* the access token; not sent from other sites */
#define COOKIE_REFRESH "__Secure-cellule-refresh" /* the refresh token; to /auth alone */
#define COOKIE_LOGIN "__Host-cellule-login"       /* whose login it is, while it is under way */

enum { COOKIE_TEXT_MAX = AUTH_SESSION_TOKEN_MAX + 256 };

/* The value of the one cookie of that name. False: there is none, or two. */
MUST_CHECK bool cookie_get(const http_request *request, const char *name, slice *value);
/* A Set-Cookie field's value. `seconds` 0: it is deleted. */
slice cookie_set(char text[COOKIE_TEXT_MAX], const char *name, const char *value, uint64_t seconds);

/* Whether the request comes from a page of this pool and not from another site's: so says the browser, by
 * Sec-Fetch-Site, or else by an Origin that is this host. What can't be told is not. */
bool cookie_request_is_own(const http_request *request);

#endif
