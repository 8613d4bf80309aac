#include "crypto/seal.h"

#include "crypto_internal.h"

#include <sodium.h>

enum { NONCE_SIZE = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES };

_Static_assert(SEAL_KEY_SIZE == crypto_aead_xchacha20poly1305_ietf_KEYBYTES, "XChaCha20-Poly1305");
_Static_assert(SEAL_OVERHEAD == NONCE_SIZE + crypto_aead_xchacha20poly1305_ietf_ABYTES, "XChaCha20-Poly1305");

bool crypto_no_room(size_t length, error *err) {
    return error_set(err, ERROR_LIMIT, "a sealed message of %zu bytes is longer than is allowed here",
                     length);
}

uint8_t *crypto_room(buffer *b, size_t length, error *err) {
    size_t used = buffer_length(b);
    if (used > b->limit || length > b->limit - used) {
        crypto_no_room(length, err);
        return NULL;
    }
    uint8_t *room = buffer_reserve(b, length);
    if (room == NULL) {
        error_memory(err);
    }
    return room;
}

bool seal(const uint8_t key[SEAL_KEY_SIZE], slice associated, slice plain, buffer *sealed, error *err) {
    if (crypto_algorithms_get(err) == NULL) {
        return false;
    }
    if (plain.length > SIZE_MAX - SEAL_OVERHEAD) {
        return error_set(err, ERROR_LIMIT, "the message is too long to be sealed");
    }
    uint8_t *nonce = crypto_room(sealed, plain.length + SEAL_OVERHEAD, err);
    if (nonce == NULL) {
        return false;
    }
    randombytes_buf(nonce, NONCE_SIZE);
    crypto_aead_xchacha20poly1305_ietf_encrypt(nonce + NONCE_SIZE, NULL, plain.data, plain.length,
                                               associated.data, associated.length, NULL, nonce, key);
    buffer_commit(sealed, plain.length + SEAL_OVERHEAD);
    return true;
}

bool seal_open(const uint8_t key[SEAL_KEY_SIZE], slice associated, slice sealed, buffer *plain, error *err) {
    if (crypto_algorithms_get(err) == NULL) {
        return false;
    }
    if (sealed.length < SEAL_OVERHEAD) {
        return error_set(err, ERROR_CORRUPT, "a sealed message is cut off");
    }
    size_t length = sealed.length - SEAL_OVERHEAD;
    uint8_t nothing[1];
    uint8_t *room = length == 0 ? nothing : crypto_room(plain, length, err);
    if (room == NULL) {
        return false;
    }
    /* The tag is checked before anything is written. */
    if (crypto_aead_xchacha20poly1305_ietf_decrypt(room, NULL, NULL, sealed.data + NONCE_SIZE,
                                                   sealed.length - NONCE_SIZE, associated.data,
                                                   associated.length, sealed.data, key) != 0) {
        return error_set(err, ERROR_CORRUPT,
                         "a sealed message doesn't open: the key is another, or it was changed");
    }
    buffer_commit(plain, length);
    return true;
}
