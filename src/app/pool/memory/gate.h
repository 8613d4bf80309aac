#ifndef POOL_MEMORY_GATE_H
#define POOL_MEMORY_GATE_H

#include "memory/keyring.h"

/* What a request about what its user keeps must pass: his vault is open, or is opened now with the key that
 * the request brings. A session has to bring a key first (memory/unlock). */
typedef enum memory_need {
    MEMORY_IF_ANY, /* where the user has no vault, the handler is told so: NULL */
    MEMORY_MADE    /* then it is made */
} memory_need;

/* `v`: the caller's, during the call; NULL: there is none. `context` lies in the request's arena. */
typedef void memory_opened(void *context, const account *who, open_vault *v);
/* Goes on, now or when the vault is open; or answers the request with why not. Nothing follows when the
 * client leaves meanwhile. */
void memory_open(pool *p, http_request *request, const account *who, memory_need need, memory_opened *go_on,
                 void *context);

typedef void memory_handler(pool *p, http_request *request, const account *who, slice segment, open_vault *v);
/* The same for a route's handler. */
void memory_enter(pool *p, http_request *request, const account *who, slice segment, memory_need need,
                  memory_handler *handler);
/* The token that the request brings, unless it is a session's; lives as long as the request. */
MUST_CHECK bool memory_request_token(const http_request *request, slice *token);
/* Answers with what kept the vault from being opened. */
void memory_refuse(http_request *request, const error *failure);
/* POST /v1/memory/unlock {"key"}: a session's, or another key's. POST /v1/memory/lock. */
void memory_unlock(pool *p, http_request *request, const account *who, slice segment);
void memory_lock(pool *p, http_request *request, const account *who, slice segment);

#endif
