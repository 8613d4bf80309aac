#include "crypto/box.h"

#include "crypto/secret.h"
#include "crypto_internal.h"

#include <sodium.h>

_Static_assert(BOX_KEY_SIZE == crypto_box_PUBLICKEYBYTES, "X25519");
_Static_assert(BOX_KEY_SIZE == crypto_box_SECRETKEYBYTES, "X25519");
_Static_assert(BOX_OVERHEAD == crypto_box_SEALBYTES, "a public key and a tag");

bool box_make_keys(uint8_t public_key[BOX_KEY_SIZE], uint8_t private_key[BOX_KEY_SIZE], error *err) {
    if (crypto_algorithms_get(err) == NULL) {
        return false;
    }
    return crypto_box_keypair(public_key, private_key) == 0 ||
           error_set(err, ERROR_INTERNAL, "no key pair could be made; try again");
}

bool box_public_key(const uint8_t private_key[BOX_KEY_SIZE], uint8_t public_key[BOX_KEY_SIZE], error *err) {
    if (crypto_algorithms_get(err) == NULL) {
        return false;
    }
    return crypto_scalarmult_base(public_key, private_key) == 0 ||
           error_set(err, ERROR_INVALID, "this is no private key of X25519");
}

/* Points of small order give the same secret with every key: nothing but zeros, which libsodium refuses. */
bool box_check_key(const uint8_t public_key[BOX_KEY_SIZE], error *err) {
    uint8_t shared[crypto_scalarmult_BYTES];
    static const uint8_t any[crypto_scalarmult_SCALARBYTES] = {1, [31] = 64};
    bool good = crypto_scalarmult(shared, any, public_key) == 0;
    secret_wipe(shared, sizeof shared);
    return good || error_set(err, ERROR_INVALID, "this is no public key of X25519; make another pair");
}

bool box_seal(const uint8_t public_key[BOX_KEY_SIZE], slice plain, buffer *sealed, error *err) {
    if (crypto_algorithms_get(err) == NULL || !box_check_key(public_key, err)) {
        return false;
    }
    if (plain.length > SIZE_MAX - BOX_OVERHEAD) {
        return error_set(err, ERROR_LIMIT, "the message is too long to be sealed");
    }
    uint8_t *room = crypto_room(sealed, plain.length + BOX_OVERHEAD, err);
    if (room == NULL) {
        return false;
    }
    if (crypto_box_seal(room, plain.data, plain.length, public_key) != 0) {
        return error_set(err, ERROR_INVALID, "nothing can be sealed for this key; make another pair");
    }
    buffer_commit(sealed, plain.length + BOX_OVERHEAD);
    return true;
}

static bool open_with(const uint8_t *private_key, slice sealed, uint8_t *room, error *err) {
    uint8_t public_key[BOX_KEY_SIZE];
    return box_public_key(private_key, public_key, err) &&
           (crypto_box_seal_open(room, sealed.data, sealed.length, public_key, private_key) == 0 ||
            error_set(err, ERROR_CORRUPT, "this was sealed for somebody else, or was changed"));
}

bool box_open(const uint8_t private_key[BOX_KEY_SIZE], slice sealed, buffer *plain, error *err) {
    uint8_t nothing[1];
    if (crypto_algorithms_get(err) == NULL) {
        return false;
    }
    if (sealed.length < BOX_OVERHEAD) {
        return error_set(err, ERROR_CORRUPT, "a sealed message is cut off");
    }
    size_t length = sealed.length - BOX_OVERHEAD;
    uint8_t *room = length == 0 ? nothing : crypto_room(plain, length, err);
    if (room == NULL || !open_with(private_key, sealed, room, err)) {
        return false;
    }
    buffer_commit(plain, length);
    return true;
}
