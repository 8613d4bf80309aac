#include "crypto/secret.h"

#include "base/fault.h"
#include "crypto_internal.h"

#include <sodium.h>
#include <string.h>

void *secret_allocate(size_t size, error *err) {
    if (crypto_algorithms_get(err) == NULL) {
        return NULL;
    }
    void *secret = fault_here("memory") ? NULL : sodium_malloc(size);
    if (secret == NULL) {
        error_memory(err);
        return NULL;
    }
    /* sodium_malloc locks too, but keeps silent when it can't. */
    if (fault_here("lock") || sodium_mlock(secret, size) != 0) {
        error_set(err, ERROR_LIMIT,
                  "the system will not lock memory for a key: raise the limit (`ulimit -l`, or "
                  "LimitMEMLOCK= in the service file)");
        sodium_free(secret);
        return NULL;
    }
    memset(secret, 0, size);
    return secret;
}

void secret_free(void *secret) {
    sodium_free(secret);
}

void secret_wipe(void *bytes, size_t length) {
    sodium_memzero(bytes, length);
}
