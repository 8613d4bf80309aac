#ifndef CRYPTO_START_H
#define CRYPTO_START_H

#include "base/error.h"

/* Once per process, before threads and before anything else touches OpenSSL or libsodium (libcurl included):
 * gives OpenSSL the allocator of base/memory, fetches its algorithms, starts libsodium. Calling again is
 * harmless. */
MUST_CHECK bool crypto_start(error *err);
/* Gives back what crypto_start fetched, so that leak checkers see a clean exit. */
void crypto_stop(void);

#endif
