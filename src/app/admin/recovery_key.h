#ifndef ADMIN_RECOVERY_KEY_H
#define ADMIN_RECOVERY_KEY_H

#include "crypto/box.h"

/* The file of an officer's private key: a line that says what it is, and the key as base64url; private, and
 * sealed under a passphrase (crypto/key_file.h). */
MUST_CHECK bool recovery_key_make(const char *path, uint8_t public_key[BOX_KEY_SIZE], error *err);
/* In secret memory, for secret_free. NULL: it isn't such a file. */
MUST_CHECK uint8_t *recovery_key_read(const char *path, error *err);

#endif
