#ifndef POOL_IDENTIFY_H
#define POOL_IDENTIFY_H

#include "state.h"

/* Who asks: the account of the key (`ck_…`) or of the session token that stands in the one field
 * Authorization; without that field, of the session cookie, if the request comes from a page of this pool
 * (cookies.h). NULL: nobody; then `err` says why if a token was there, and is ERROR_NONE without one. Valid
 * until the key or the session ends. The only place where a caller is found. Loop thread. */
const account *identify(pool *p, const http_request *request, error *err);

/* Whether it brings what is meant as a key. Session tokens expire every few minutes, wherever many people
 * come from one address: they are no sign of somebody who tries. */
bool identify_tries_key(const http_request *request);

#endif
