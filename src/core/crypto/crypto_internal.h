#ifndef CRYPTO_INTERNAL_H
#define CRYPTO_INTERNAL_H

#include "base/error.h"

#include <openssl/evp.h>
#include <openssl/kdf.h>

/* Fetched once by crypto_start, since OpenSSL 3 takes locks for each fetch; read-only afterwards. */
typedef struct crypto_algorithms {
    EVP_MD *sha256;
    EVP_MAC *hmac;
    EVP_KDF *hkdf;
} crypto_algorithms;

/* NULL, with ERROR_INTERNAL, before crypto_start. */
MUST_CHECK const crypto_algorithms *crypto_algorithms_get(error *err);

/* ERROR_MEMORY if OpenSSL queued that, else the reason it queued last, after `what`; empties the queue.
 * Always returns false. */
bool crypto_openssl_error(error *err, const char *what);

#endif
