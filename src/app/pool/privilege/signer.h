#ifndef POOL_SIGNER_H
#define POOL_SIGNER_H

#include "crypto/seal.h"
#include "crypto/sign.h"
#include "privilege/helper.h"

/* A process that holds the pool's private key, and those of session tokens (privilege/vault.h), and signs
 * with them: whoever takes over the serving process may ask for signatures as long as it is there, but can't
 * carry a key away. It opens no file and no socket, and starts nothing. A signature costs a message there and
 * one back (the README has the figure); none is made on the way of an answer, only where a receipt is fetched
 * and for each batch of the audit log. */
enum { SIGNER_MESSAGE_MAX = 256 * 1024 };

/* Loads pool.key in the new process; `confined` false: the kernel has no seccomp. `transfer`: under which the
 * keeper seals a key that is to take its place; nobody else may keep it. */
MUST_CHECK helper *signer_start(const char *site_folder, const uint8_t transfer[SEAL_KEY_SIZE],
                                bool *confined, sign_key **key, error *err);
/* From now on it signs with the key that the keeper sealed, and has wiped the one before: whatever `key` was
 * given out stands for the new one. NULL: it signs with the one before. */
MUST_CHECK sign_key *signer_take(helper *h, const uint8_t public_key[SIGN_PUBLIC_SIZE], slice sealed,
                                 error *err);

#endif
