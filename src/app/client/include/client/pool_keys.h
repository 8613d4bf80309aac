#ifndef CLIENT_POOL_KEYS_H
#define CLIENT_POOL_KEYS_H

#include "client/api.h"
#include "ledger/succession.h"

/* Asks the pool for all keys that it has had, and verifies that they are those of the pool with this id.
 * ERROR_CORRUPT: they aren't. */
MUST_CHECK bool pool_keys_get(api *a, const uint8_t pool_id[HASH_SIZE], succession *keys, error *err);

/* To a file, as `cellule verify --keys` reads them. */
MUST_CHECK bool pool_keys_write(const succession *keys, const char *path, error *err);

#endif
