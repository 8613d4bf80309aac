#ifndef CRYPTO_SECRET_H
#define CRYPTO_SECRET_H

#include "base/error.h"

#include <stddef.h>

/* Memory for keys: locked in RAM, left out of core dumps, between guard pages, wiped when freed (libsodium).
 * Each takes whole pages: for keys, not for data. Any thread. */

/* Zeroed. ERROR_LIMIT with what to raise when the system won't lock it: there is no unlocked fallback. */
MUST_CHECK void *secret_allocate(size_t size, error *err);
void secret_free(void *secret); /* NULL is allowed */
/* Overwrites ordinary memory that held a secret; not optimised away. */
void secret_wipe(void *bytes, size_t length);

#endif
