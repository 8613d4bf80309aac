#ifndef CRYPTO_BOX_H
#define CRYPTO_BOX_H

#include "base/buffer.h"
#include "base/error.h"
#include "base/slice.h"

/* Messages that one person alone can open, whoever wrote them: libsodium's sealed boxes (X25519,
 * XSalsa20-Poly1305, with a key pair that is drawn for each message and forgotten). They say nothing of the
 * writer, and are bound to nothing but the key: name in the message the place it belongs to. crypto_start
 * comes first. Any thread. */
enum { BOX_KEY_SIZE = 32, BOX_OVERHEAD = 48 };

/* `private_key`: secret memory of the caller's. */
MUST_CHECK bool box_make_keys(uint8_t public_key[BOX_KEY_SIZE], uint8_t private_key[BOX_KEY_SIZE],
                              error *err);
/* The public half of a private key. */
MUST_CHECK bool box_public_key(const uint8_t private_key[BOX_KEY_SIZE], uint8_t public_key[BOX_KEY_SIZE],
                               error *err);
/* ERROR_INVALID: under such a key anybody could open what is sealed for it. */
MUST_CHECK bool box_check_key(const uint8_t public_key[BOX_KEY_SIZE], error *err);

/* Appends BOX_OVERHEAD more bytes than `plain` has. Nothing is appended on failure: ERROR_INVALID as above,
 * ERROR_MEMORY, ERROR_LIMIT when `sealed` may not hold as much. */
MUST_CHECK bool box_seal(const uint8_t public_key[BOX_KEY_SIZE], slice plain, buffer *sealed, error *err);
/* Appends the plain text: free it with buffer_wipe, and give a buffer that is empty or has the room.
 * ERROR_CORRUPT, with nothing appended: it was sealed for somebody else, or changed in any bit. */
MUST_CHECK bool box_open(const uint8_t private_key[BOX_KEY_SIZE], slice sealed, buffer *plain, error *err);

#endif
