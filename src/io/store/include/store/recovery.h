#ifndef STORE_RECOVERY_H
#define STORE_RECOVERY_H

#include "store/vaults.h"

/* Shares of users' data keys, sealed to officers (memory/recovery.h). A user has those of one set, or none.
 * Erasing his vault deletes them with its wraps. What is deleted leaves the file as wraps do (vaults.h). */
enum {
    STORE_RECOVERY_SHARES_MAX = 16, /* of a user */
    STORE_RECOVERY_SHARE_MAX = 512,
    STORE_RECOVERY_SET_SIZE = 16,
    STORE_RECOVERY_KEY_SIZE = 32
};

typedef struct store_recovery_share {
    slice officer; /* a user's name */
    uint8_t public_key[STORE_RECOVERY_KEY_SIZE];
    uint8_t digest[STORE_HASH_SIZE];
    slice sealed;
} store_recovery_share;

typedef struct store_recovery {
    uint8_t salt[STORE_VAULT_SALT_SIZE]; /* says which vault */
    uint8_t set[STORE_RECOVERY_SET_SIZE];
    uint64_t needed;
    const store_recovery_share *shares; /* by officers' names */
    size_t count;                       /* 0: there are none */
    bool opens;                         /* the key that was asked about opens the vault */
} store_recovery;

/* NULL without `failure`: the user has no vault. */
typedef void store_recovery_found(void *context, const store_recovery *found, const error *failure);
MUST_CHECK bool store_recovery_get(store *s, uint64_t user_id, uint64_t key_id, store_recovery_found *done,
                                   void *context, error *err);

/* Puts these in the place of all that the user has; count 0: none. ERROR_NOT_FOUND: there is no vault with
 * that salt, or it is being erased. */
MUST_CHECK bool store_recovery_put(store *s, uint64_t user_id, const store_recovery *set, store_done *done,
                                   void *context, error *err);

#endif
