#ifndef POOL_ROUTES_H
#define POOL_ROUTES_H

#include "state.h"

/* The table of endpoints: method, path, who may call, what handles it. Everything that isn't public needs a
 * key whose role allows the action; nothing is allowed by default. */
void routes_handle(pool *p, http_request *request);

/* Asked before a request's body is read: a long one that would be refused anyway isn't taken in, so that
 * nobody without a key can fill the memory. */
http_body_mode routes_expect_body(void *context, http_request *request);

/* The body of an error that the HTTP server answers itself, in the API's shape. */
slice routes_error_body(void *context, unsigned status, const char *reason, const char **media_type);

#endif
