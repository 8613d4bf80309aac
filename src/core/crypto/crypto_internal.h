#ifndef CRYPTO_INTERNAL_H
#define CRYPTO_INTERNAL_H

#include "base/buffer.h"
#include "base/error.h"

#include <openssl/evp.h>
#include <openssl/kdf.h>

/* Fetched once by crypto_start, since OpenSSL 3 takes locks for each fetch; read-only afterwards. */
typedef struct crypto_algorithms {
    EVP_MD *sha256;
    EVP_MAC *hmac;
    EVP_KDF *hkdf;
    EVP_KDF *pbkdf2;
    EVP_CIPHER *aes; /* AES-128-CBC */
} crypto_algorithms;

/* NULL, with ERROR_INTERNAL, before crypto_start. */
MUST_CHECK const crypto_algorithms *crypto_algorithms_get(error *err);

/* ERROR_MEMORY if OpenSSL queued that, else the reason it queued last, after `what`; empties the queue.
 * Always returns false. */
bool crypto_openssl_error(error *err, const char *what);
/* Of an algorithm that is fetched already only memory can be lacking, though libcrypto doesn't always say so.
 * ERROR_MEMORY; empties the queue. Always returns false. */
bool crypto_no_memory(error *err);

/* Room at the end of `b`, which is left as it was when it may not hold as much (ERROR_LIMIT). */
MUST_CHECK uint8_t *crypto_room(buffer *b, size_t length, error *err);
/* That error. Always returns false. */
bool crypto_no_room(size_t length, error *err);

/* Frees the contexts that sealing keeps, before the algorithms. */
void crypto_fernet_stop(void);

#endif
