#ifndef STORE_VAULTS_H
#define STORE_VAULTS_H

#include "store/store.h"

/* Users' vaults: the salt that a user's tokens are stretched with, and his data key sealed under each of them
 * (memory/wrap.h). Writes are synced to the disk before they are answered. A wrap that is removed leaves the
 * file with its transaction and the write-ahead log within a minute. */
enum {
    STORE_VAULT_SALT_SIZE = 16,
    STORE_WRAP_KIND_MAX = 32,
    STORE_WRAP_MAX = 512,
    STORE_WRAPS_OF_USER_MAX = 64
};

typedef struct store_wrap {
    uint64_t key_id;
    slice kind; /* of the derivation */
    uint64_t cost;
    slice wrapped;
    /* Of the key, when it is read: */
    bool revoked;
    uint8_t token_hash[STORE_HASH_SIZE];
} store_wrap;

typedef struct store_vault {
    uint8_t salt[STORE_VAULT_SALT_SIZE];
    uint64_t created_ms;
    const store_wrap *wraps;
    size_t wrap_count;
} store_vault;

/* NULL without `failure`: the user has none. One without wraps is being erased: go on with that. */
typedef void store_vault_found(void *context, const store_vault *vault, const error *failure);
MUST_CHECK bool store_vault_get(store *s, uint64_t user_id, store_vault_found *done, void *context,
                                error *err);

/* Makes the vault with its first wrap. ERROR_CONFLICT: there is one, or it isn't erased to its end.
 * ERROR_INVALID: the key isn't the user's, or was revoked. */
MUST_CHECK bool store_vault_add(store *s, uint64_t user_id, const uint8_t salt[STORE_VAULT_SALT_SIZE],
                                uint64_t created_ms, const store_wrap *wrap, store_done *done, void *context,
                                error *err);

/* Adds a wrap to a vault, or replaces the key's; `salt` says which vault is meant. ERROR_NOT_FOUND: there is
 * none with that salt, or it is being erased. ERROR_INVALID: the key isn't the user's, or was revoked.
 * ERROR_LIMIT beyond STORE_WRAPS_OF_USER_MAX. In the same transaction go the wraps of revoked keys, which
 * stay only while no other opens the vault (keys.h), and that of the key `instead` (0: none). */
MUST_CHECK bool store_wrap_put(store *s, uint64_t user_id, const uint8_t salt[STORE_VAULT_SALT_SIZE],
                               const store_wrap *wrap, uint64_t instead, store_done *done, void *context,
                               error *err);

/* ERROR_NOT_FOUND: the key opens nothing. ERROR_CONFLICT: no other that isn't revoked does; erase the vault
 * instead. */
MUST_CHECK bool store_wrap_remove(store *s, uint64_t user_id, uint64_t key_id, store_done *done,
                                  void *context, error *err);

/* Deletes wraps and shares at once, after which the rest is noise, and up to STORE_LIST_MAX rows or about 8
 * MiB of the rest, heads first; the vault goes last. Call again until `more` is false; what is added
 * meanwhile goes too. ERROR_NOT_FOUND: no vault. */
typedef void store_vault_erased(void *context, bool more, const error *failure);
MUST_CHECK bool store_vault_erase(store *s, uint64_t user_id, store_vault_erased *done, void *context,
                                  error *err);

/* Whose erasing has begun and isn't at its end, at most `limit` (1..STORE_LIST_MAX). */
typedef void store_vaults_listed(void *context, const uint64_t *user_ids, size_t count, const error *failure);
MUST_CHECK bool store_vaults_erasing(store *s, size_t limit, store_vaults_listed *done, void *context,
                                     error *err);

/* What users keep, in figures: by user id, those above `after`, at most `limit` (1..STORE_LIST_MAX). */
typedef struct store_vault_figures {
    uint64_t user_id;
    slice user_name;
    uint64_t wraps;
    uint64_t conversations;
    uint64_t turns;
    uint64_t facts;
    uint64_t bytes; /* of turns and facts, as sealed */
} store_vault_figures;
typedef void store_vaults_counted(void *context, const store_vault_figures *users, size_t count,
                                  const error *failure);
MUST_CHECK bool store_vaults_count(store *s, uint64_t after, size_t limit, store_vaults_counted *done,
                                   void *context, error *err);

#endif
