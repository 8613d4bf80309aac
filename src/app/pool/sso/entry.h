#ifndef POOL_ENTRY_H
#define POOL_ENTRY_H

#include "sso/logins.h"
#include "sso/providers.h"

/* What comes after a provider has said who somebody is: the ID token is verified, the person becomes a user
 * here with the role that the groups give, and a session is made. `tokens` is the token endpoint's answer
 * (RFC 6749 §5.1), `nonce` what the ID token must have (empty: there was none to be given). `done` comes
 * once, perhaps from inside the call: ERROR_DENIED says why somebody may not. */
void entry_begin(provider *from, slice tokens, slice nonce, login_granted *done, void *context);

#endif
