#ifndef CRYPTO_FERNET_H
#define CRYPTO_FERNET_H

#include "base/buffer.h"
#include "base/error.h"
#include "base/slice.h"

/* Fernet tokens (github.com/fernet/spec, version 0x80): AES-128-CBC with PKCS #7, then HMAC-SHA-256 over all.
 * Here a token is its bytes; the specification's text is base64url of them, with padding. A key is 16 bytes
 * to sign with, then 16 to encrypt with. Nothing of a key or a text stays in this module's memory.
 * crypto_start comes first. Any thread. */
enum {
    FERNET_KEY_SIZE = 32,
    FERNET_INITIAL_SIZE = 16,
    FERNET_TEXT_AT = 25 /* where a token's cipher text begins */
};

/* Bytes of the token for so many bytes of text. */
size_t fernet_sealed_size(size_t plain);

/* Appends the token. `seconds`: Unix time. ERROR_LIMIT when `token` may not hold as much. `plain` may lie in
 * `token` itself, FERNET_TEXT_AT into the room that it has reserved for the token: then nothing is copied. */
MUST_CHECK bool fernet_seal(const uint8_t key[FERNET_KEY_SIZE], uint64_t seconds, slice plain, buffer *token,
                            error *err);
/* The same with the initial vector given: for the specification's vectors alone; two texts under one vector
 * tell whether they begin alike. */
MUST_CHECK bool fernet_seal_with(const uint8_t key[FERNET_KEY_SIZE], uint64_t seconds,
                                 const uint8_t initial[FERNET_INITIAL_SIZE], slice plain, buffer *token,
                                 error *err);
/* Appends the text and gives the token's date (`seconds` may be NULL). Free it with buffer_wipe, and give a
 * buffer that is empty or has the room. ERROR_CORRUPT, with nothing appended: another key, or no such token.
 */
MUST_CHECK bool fernet_open(const uint8_t key[FERNET_KEY_SIZE], slice token, uint64_t *seconds, buffer *plain,
                            error *err);

#endif
