#ifndef CRYPTO_SIGN_H
#define CRYPTO_SIGN_H

#include "base/error.h"
#include "base/slice.h"

/* Ed25519 (RFC 8032), from libsodium. The private half lives in secret memory. Any thread: a key doesn't
 * change after it is made. */
enum { SIGN_PUBLIC_SIZE = 32, SIGN_SEED_SIZE = 32, SIGN_SIGNATURE_SIZE = 64 };

typedef struct sign_key sign_key;

MUST_CHECK sign_key *sign_key_generate(error *err);
MUST_CHECK sign_key *sign_key_from_seed(const uint8_t seed[SIGN_SEED_SIZE], error *err);
/* A key whose private half is elsewhere: `sign` is asked for each signature, in the caller's thread. It can't
 * be saved. `drop`, which may be NULL, comes when the key is freed. `context` is the caller's and must
 * outlive the key. */
typedef bool sign_elsewhere(void *context, slice message, uint8_t signature[SIGN_SIGNATURE_SIZE], error *err);
MUST_CHECK sign_key *sign_key_elsewhere(const uint8_t public_key[SIGN_PUBLIC_SIZE], sign_elsewhere *sign,
                                        void (*drop)(void *context), void *context, error *err);
void sign_key_free(sign_key *key); /* NULL is allowed */
/* SIGN_PUBLIC_SIZE bytes that live as long as the key. */
const uint8_t *sign_key_public(const sign_key *key);

MUST_CHECK bool sign_bytes(const sign_key *key, slice message, uint8_t signature[SIGN_SIGNATURE_SIZE],
                           error *err);
/* True if `signature` is by the holder of `public_key` over exactly `message`. Refuses non-canonical
 * signatures and keys of small order. */
MUST_CHECK bool sign_verify(const uint8_t public_key[SIGN_PUBLIC_SIZE], slice message,
                            const uint8_t signature[SIGN_SIGNATURE_SIZE]);

/* The key file: PKCS#8 in PEM (RFC 8410), as `openssl genpkey -algorithm ed25519` writes it; mode 0600,
 * sealed as crypto/key_file.h says.
 * Loading refuses a file that others may read (ERROR_DENIED) and one that is not such a key (ERROR_CORRUPT).
 */
MUST_CHECK bool sign_key_save(const sign_key *key, const char *path, error *err);
MUST_CHECK sign_key *sign_key_load(const char *path, error *err);

#endif
