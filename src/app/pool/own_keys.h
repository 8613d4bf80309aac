#ifndef POOL_OWN_KEYS_H
#define POOL_OWN_KEYS_H

#include "state.h"

/* A user's own keys: GET and POST /v1/keys, POST /v1/keys/{id}/revoke. A key makes further ones
 * (own_key_add.c) that last no longer than itself, and is known as their maker: an admin who revokes it
 * revokes them too, for a stolen key must leave none behind. Its user decides that himself, and never revokes
 * the key that asks, so that he is never left without. */
enum { OWN_KEYS_MAX = 20 /* of a user that count at once, where he makes one more */ };

void own_key_list(pool *p, http_request *request, const account *who, slice segment);
void own_key_add(pool *p, http_request *request, const account *who, slice segment);
void own_key_revoke(pool *p, http_request *request, const account *who, slice key_id);

/* The answer to a revocation by an admin or a user: done, with the ids of all keys that went with it; the
 * entry of what went beside the one that was meant. `later` was filled in by revoke_key's caller; taken here.
 */
void own_key_revoked(void *later, const store_revoked_key *keys, size_t count, const error *failure);

#endif
