#ifndef POOL_CHAT_H
#define POOL_CHAT_H

#include "state.h"

/* POST /v1/chat/completions. */
void chat_completions(pool *p, http_request *request, const account *who, slice segment);

#endif
