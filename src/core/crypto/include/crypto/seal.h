#ifndef CRYPTO_SEAL_H
#define CRYPTO_SEAL_H

#include "base/buffer.h"
#include "base/error.h"
#include "base/slice.h"

/* Sealing what is stored: XChaCha20-Poly1305-IETF (draft-irtf-cfrg-xchacha-03, RFC 8439), from libsodium. A
 * sealed message is a nonce (24 random bytes, so that no count has to be kept), the cipher text, and a tag of
 * 16 bytes. crypto_start comes first. Any thread. */
enum { SEAL_KEY_SIZE = 32, SEAL_OVERHEAD = 40 };

/* Appends SEAL_OVERHEAD more bytes than `plain` has. `associated` isn't stored, but the same must be given to
 * open: name there the place the message belongs to, so that it can't be moved to another. Nothing is
 * appended on failure: ERROR_MEMORY, or ERROR_LIMIT when `sealed` may not hold as much. */
MUST_CHECK bool seal(const uint8_t key[SEAL_KEY_SIZE], slice associated, slice plain, buffer *sealed,
                     error *err);
/* Appends the plain text: free it with buffer_wipe, and give a buffer that is empty or has the room, so that
 * no copy stays behind where it grew. ERROR_CORRUPT, with nothing appended: another key, another
 * `associated`, or changed in any bit. */
MUST_CHECK bool seal_open(const uint8_t key[SEAL_KEY_SIZE], slice associated, slice sealed, buffer *plain,
                          error *err);

#endif
