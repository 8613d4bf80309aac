#ifndef POOL_OAUTH_REPLY_H
#define POOL_OAUTH_REPLY_H

#include "reply.h"
#include "sso/logins.h"

/* Answers in OAuth's shape (RFC 6749 §5); none is to be kept by a cache. Each ends the request. */
void oauth_reply_grant(http_request *request, unsigned status, const login_grant *grant, buffer *room);
/* Room for that, so that what is stored can then also be said. */
MUST_CHECK bool oauth_reply_reserve(reply_later *later, error *err);
/* `code`: one of §5.2, or RFC 8628 §3.5. */
void oauth_reply_error(http_request *request, unsigned status, const char *code, const char *description);
/* What is denied is "invalid_grant", what can't be read "invalid_request", the rest
 * "temporarily_unavailable". */
void oauth_reply_failure(http_request *request, const error *failure);
/* The same of a refresh token. One that isn't good counts against its address (sso/strangers.h), which is
 * told "slow_down" alone when it brings too many. */
void oauth_reply_not_refreshed(pool *p, http_request *request, const error *failure);

#endif
