#ifndef POOL_DEVICE_H
#define POOL_DEVICE_H

#include "sso/providers.h"

/* The device flow (RFC 8628) for programs without a browser. The pool is the provider's client, so that its
 * secret and the person's tokens stay here; the program talks to the pool alone, with a code of the pool's
 * own. */
typedef struct devices devices;

enum { DEVICES_MAX = 1000, DEVICES_PER_SECOND = 20 };

MUST_CHECK bool devices_start(pool *p, error *err);
void devices_free(devices *all); /* NULL is allowed; after providers_stop */
void devices_keep_house(pool *p);

/* POST /auth/device: begins a login; the form may name a provider. */
void device_authorize(pool *p, http_request *request);
/* POST /auth/token with that grant type: asks how it stands, no more often than was said. */
void device_poll(pool *p, http_request *request, slice device_code);

#endif
