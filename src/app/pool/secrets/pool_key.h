#ifndef POOL_POOL_KEY_H
#define POOL_POOL_KEY_H

#include "crypto/seal.h"
#include "site.h"

/* The pool's own key and the statements that name each one after the first (ledger/succession.h), on disk:
 * exchanged both or neither (secrets/staging.h). All of this blocks. */

/* Before either file is read, by who holds the site's lock. */
MUST_CHECK bool pool_key_settle(const char *folder, error *err);
/* The key, as it will be once settled; changes no file. The caller frees it. */
MUST_CHECK sign_key *pool_key_load(const char *folder, error *err);
/* All keys that the pool has had. ERROR_CORRUPT: `current` isn't the last one. */
MUST_CHECK bool pool_key_read_succession(const char *folder, const uint8_t current[SIGN_PUBLIC_SIZE],
                                         succession *keys, error *err);

/* Draws another key, has it named by the one before, and puts both files in place. `sealed` gets the new
 * key's seed under `seal_key`, for whoever signs with it (pool_key_unseal). */
MUST_CHECK bool pool_key_exchange(const char *folder, uint64_t now_unix_ms,
                                  const uint8_t seal_key[SEAL_KEY_SIZE], succession *keys, buffer *sealed,
                                  error *err);
MUST_CHECK sign_key *pool_key_unseal(slice sealed, const uint8_t seal_key[SEAL_KEY_SIZE], error *err);

#endif
