#ifndef POOL_SESSION_API_H
#define POOL_SESSION_API_H

#include "state.h"

/* Sessions over HTTP. `segment` as in routes.c. */
void session_api_make(pool *p, http_request *request, const account *who, slice segment);
void session_api_show(pool *p, http_request *request, const account *who, slice segment);
void session_api_leave(pool *p, http_request *request, const account *who, slice segment);
void session_api_list(pool *p, http_request *request, const account *who, slice user_name);
void session_api_end(pool *p, http_request *request, const account *who, slice id);
void session_api_rotate_key(pool *p, http_request *request, const account *who, slice segment);
/* For anybody. */
void session_api_keys(pool *p, http_request *request);
void session_api_token(pool *p, http_request *request);

#endif
