#ifndef POOL_PUBLIC_ADDRESS_H
#define POOL_PUBLIC_ADDRESS_H

#include "auth/token.h"
#include "state.h"

/* Where workers and browsers dial: as configured, or this machine's first name and the port that is served;
 * never what a request says. */
MUST_CHECK bool pool_public_address(const pool *p, char address[AUTH_ADDRESS_MAX + 1], error *err);

#endif
