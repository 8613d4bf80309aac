#ifndef STORE_KEYS_H
#define STORE_KEYS_H

#include "store/store.h"
#include "store/users.h"

/* The keys people call the API with. Writes are synced to the disk before they are answered. */
typedef struct store_key {
    uint64_t id;
    uint64_t user_id;
    slice user_name;
    slice label;
    uint64_t created_ms;
    uint64_t expires_ms; /* 0: never */
    uint64_t revoked_ms; /* 0: not revoked */
    slice verify_mode;   /* as store_loaded_key's */
} store_key;

/* A further key of an existing user. ERROR_NOT_FOUND: no such user, or disabled. ERROR_CONFLICT: the hash
 * exists. */
MUST_CHECK bool store_key_add(store *s, slice user_name, const store_new_key *key, store_key_added *done,
                              void *context, error *err);

/* ERROR_NOT_FOUND: no such key. Revoking twice is no error and keeps the first date. Gives the hash that is
 * to be refused from now on (STORE_HASH_SIZE bytes; NULL on failure). The key's wrap (vaults.h) goes with it
 * if another key that isn't revoked opens the same vault; the last one stays, so that its token and a new key
 * can still open what is kept. */
typedef void store_key_revoked(void *context, const uint8_t *token_hash, const error *failure);
MUST_CHECK bool store_key_revoke(store *s, uint64_t key_id, uint64_t now_ms, store_key_revoked *done,
                                 void *context, error *err);

/* One user's keys (`user_name` empty: everybody's) with an id above `after`, in order, at most `limit`
 * (1..STORE_LIST_MAX). A name nobody has gives an empty list. */
typedef void store_keys_listed(void *context, const store_key *keys, size_t count, const error *failure);
MUST_CHECK bool store_key_list(store *s, slice user_name, uint64_t after, size_t limit,
                               store_keys_listed *done, void *context, error *err);

/* ERROR_NOT_FOUND: no such key. ERROR_INVALID: no such mode. Gives the key's hash (STORE_HASH_SIZE bytes;
 * NULL on failure). */
typedef void store_key_mode_set(void *context, const uint8_t *token_hash, const error *failure);
MUST_CHECK bool store_key_set_verify_mode(store *s, uint64_t key_id, slice verify_mode,
                                          store_key_mode_set *done, void *context, error *err);

/* Every key that isn't revoked, of every user who isn't disabled. */
typedef void store_keys_loaded(void *context, const store_loaded_key *keys, size_t count,
                               const error *failure);
MUST_CHECK bool store_load_keys(store *s, store_keys_loaded *done, void *context, error *err);

#endif
