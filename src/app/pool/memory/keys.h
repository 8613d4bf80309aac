#ifndef POOL_MEMORY_KEYS_H
#define POOL_MEMORY_KEYS_H

#include "state.h"

/* Which of a user's keys open what he keeps. POST /v1/memory/keys {"key"}: this one does from now on; without
 * "key" the one that asks. DELETE /v1/memory/keys/{id}: it does no more; never the last. What is kept must be
 * open for who asks. */
void memory_key_add(pool *p, http_request *request, const account *who, slice segment);
void memory_key_remove(pool *p, http_request *request, const account *who, slice key_id);

#endif
