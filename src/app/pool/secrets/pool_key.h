#ifndef POOL_POOL_KEY_H
#define POOL_POOL_KEY_H

#include "crypto/seal.h"
#include "site.h"

/* The pool's own key and the statements that name each one after the first (ledger/succession.h), on disk:
 * exchanged all or none (secrets/staging.h), with the checkpoint of the audit log that is kept beside the
 * database, so that the one on the disk is always by the current key. All of this blocks. */

/* Before either file is read, by who holds the site's lock. */
MUST_CHECK bool pool_key_settle(const char *folder, error *err);
/* The key, as it will be once settled; changes no file. The caller frees it. */
MUST_CHECK sign_key *pool_key_load(const char *folder, error *err);
/* All keys that the pool has had. ERROR_CORRUPT: `current` isn't the last one. */
MUST_CHECK bool pool_key_read_succession(const char *folder, const uint8_t current[SIGN_PUBLIC_SIZE],
                                         succession *keys, error *err);

/* What an exchange gives. */
typedef struct pool_key_issued {
    buffer sealed; /* the new key's seed, for whoever signs with it: pool_key_unseal */
    buffer keys;   /* all keys, as succession_write_json writes them */
} pool_key_issued;

pool_key_issued pool_key_issued_make(void);
void pool_key_issued_free(pool_key_issued *issued);

/* Draws another key, has it named by the one before, and puts the files in place. `checkpoint` is the audit
 * log's checkpoint, signed by the key before: audit.checkpoint becomes the same, signed by the new one;
 * empty: it stays as it is. Nobody else may write that file meanwhile. Where the clock is behind the last
 * exchange it counts as of the time of that one. */
MUST_CHECK bool pool_key_exchange(const char *folder, uint64_t now_unix_ms, slice checkpoint,
                                  const uint8_t seal_key[SEAL_KEY_SIZE], pool_key_issued *issued, error *err);
MUST_CHECK sign_key *pool_key_unseal(slice sealed, const uint8_t seal_key[SEAL_KEY_SIZE], error *err);

#endif
