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
    uint64_t made_with;  /* as store_new_key's */
    bool opens_vault;    /* it has a wrap (vaults.h) */
} store_key;

/* A further key of an existing user. ERROR_NOT_FOUND: no such user, or disabled. ERROR_DENIED: `made_with`
 * isn't a key of his, or was revoked. ERROR_CONFLICT: `live_limit` count already, or the hash exists. */
MUST_CHECK bool store_key_add(store *s, slice user_name, const store_new_key *key, store_key_added *done,
                              void *context, error *err);

typedef struct store_key_revocation {
    uint64_t key_id;
    uint64_t user_id; /* whose it must be; 0: anybody's */
    bool with_made;   /* and those that were made with it, and with these */
    uint64_t kept;    /* but this one, and what was made with it; 0: none is excepted */
    uint64_t now_ms;
} store_key_revocation;

typedef struct store_revoked_key {
    uint64_t key_id;
    uint8_t token_hash[STORE_HASH_SIZE]; /* to be refused from now on */
} store_revoked_key;

/* ERROR_NOT_FOUND: no such key. Revoking twice is no error and keeps the first date. Gives the key that was
 * meant, then those others that counted until now. The wrap (vaults.h) of each goes with it if another key
 * that isn't revoked opens the same vault; the last ones stay, so that their tokens and a new key can still
 * open what is kept. */
typedef void store_keys_revoked(void *context, const store_revoked_key *keys, size_t count,
                                const error *failure);
MUST_CHECK bool store_key_revoke(store *s, const store_key_revocation *revocation, store_keys_revoked *done,
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
