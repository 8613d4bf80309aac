#ifndef POOL_BACKCHANNEL_H
#define POOL_BACKCHANNEL_H

#include "sso/providers.h"

/* Providers that say whose session has ended with them (OpenID Connect Back-Channel Logout 1.0). */
typedef struct backchannel backchannel;

enum { BACKCHANNEL_KNOWN_MAX = 10000 /* logout tokens that were taken: the oldest gives way */ };

MUST_CHECK bool backchannel_start(pool *p, error *err);
void backchannel_free(backchannel *all); /* NULL is allowed; after providers_stop */
void backchannel_keep_house(pool *p);

/* POST /auth/backchannel-logout: ends, at once, the sessions that a provider's logout token names. Each token
 * counts once, so that a copy of it can't end a session that began later. */
void backchannel_logout(pool *p, http_request *request);

/* How many tokens were taken, and whether one since then names a session of that subject (and session of the
 * provider's; maybe empty): a logout ends also the login that is under way when it comes. */
uint64_t backchannel_count(const pool *p);
bool backchannel_named_since(const pool *p, uint64_t count, const provider *from, slice subject,
                             slice provider_session);

#endif
