#ifndef MEMORY_RECOVERY_H
#define MEMORY_RECOVERY_H

#include "crypto/box.h"
#include "crypto/hash.h"
#include "crypto/share.h"
#include "memory/wrap.h"

/* A user's data key in shares (crypto/share.h), each sealed to an officer's public key (crypto/box.h), so
 * that some of the officers together give it back to a user who has lost his tokens. What is sealed:
 *
 *   version (1 byte) ‖ user's id (8, big-endian) ‖ the vault's salt (16) ‖ the set's id (16) ‖ shares needed
 * (1) ‖ shares (1) ‖ point (1) ‖ check (32) ‖ share (32) ‖ length of the officer's name (1) ‖ name
 *
 * The check is HMAC-SHA-256 under the data key of the rest that all shares of the set have in common: what is
 * joined is this key or is refused. Any thread. */
enum {
    RECOVERY_OFFICERS_MAX = SHARE_COUNT_MAX,
    RECOVERY_SET_ID_SIZE = 16,
    RECOVERY_NAME_MAX = 64,
    RECOVERY_SHARE_MAX = 176, /* bytes before they are sealed */
    RECOVERY_SEALED_MAX = RECOVERY_SHARE_MAX + BOX_OVERHEAD,
    RECOVERY_ID_SIZE = 16,
    RECOVERY_CODE_SIZE = 20 /* "0123-4567-89ab-cdef" */
};

/* What all shares of a set have in common. */
typedef struct recovery_set {
    uint64_t user_id;
    uint8_t salt[WRAP_SALT_SIZE];
    uint8_t id[RECOVERY_SET_ID_SIZE];
    uint8_t needed;
    uint8_t count;
    uint8_t check[HASH_SIZE];
} recovery_set;

/* In secret memory, or wiped. */
typedef struct recovery_share {
    recovery_set set;
    uint8_t point; /* 1 and up */
    uint8_t bytes[RECORD_KEY_SIZE];
    char officer[RECOVERY_NAME_MAX + 1];
} recovery_share;

/* Fills in set->check. */
MUST_CHECK bool recovery_make_check(recovery_set *set, const uint8_t data_key[RECORD_KEY_SIZE], error *err);

/* Appends the sealed share. `digest`: SHA-256 of what is sealed, by which the pool knows it when it comes
 * back; of no use without the share. */
MUST_CHECK bool recovery_seal(const recovery_share *share, const uint8_t public_key[BOX_KEY_SIZE],
                              uint8_t digest[HASH_SIZE], buffer *sealed, error *err);
/* ERROR_CORRUPT: for another key, changed, or no share. Zeros on failure. */
MUST_CHECK bool recovery_open(const uint8_t private_key[BOX_KEY_SIZE], slice sealed, recovery_share *share,
                              uint8_t digest[HASH_SIZE], error *err);

/* The data key from shares[0].set.needed shares of one set. ERROR_CORRUPT, and zeros: they don't give the key
 * that was split. */
MUST_CHECK bool recovery_join(const recovery_share *const *shares, size_t count,
                              uint8_t data_key[RECORD_KEY_SIZE], error *err);

/* What the user reads to the officers, so that they know that it is his request that they answer: the first 8
 * bytes of SHA-256 of its id and public key. */
MUST_CHECK bool recovery_code(const uint8_t id[RECOVERY_ID_SIZE], const uint8_t public_key[BOX_KEY_SIZE],
                              char code[RECOVERY_CODE_SIZE], error *err);

#endif
