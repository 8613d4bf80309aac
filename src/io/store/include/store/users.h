#ifndef STORE_USERS_H
#define STORE_USERS_H

#include "store/store.h"

/* People. A user is never deleted, only disabled, so that whatever names one stays readable. Writes are
 * synced to the disk before they are answered. Dates are Unix milliseconds. */
typedef struct store_user {
    uint64_t id;
    slice name; /* unique */
    slice role; /* "employee", "worker_owner", "it_admin" or "security_officer" */
    uint64_t created_ms;
    bool disabled;
} store_user;

/* A key to be. The store never sees a token, only its SHA-256. */
typedef struct store_new_key {
    uint8_t token_hash[STORE_HASH_SIZE];
    slice label; /* at most STORE_LABEL_MAX bytes of UTF-8; may be empty */
    uint64_t created_ms;
    uint64_t expires_ms; /* 0: never */
    slice verify_mode;   /* how its answers are checked at least: "off" (also if empty), "spot", ... */
    uint64_t made_with;  /* a further key's: which of its user's keys asked for it; 0: none did */
    size_t live_limit;   /* a further key's: how many of its user's may count with it; 0: any number */
} store_new_key;

/* What the pool needs to recognise a caller without asking the store. */
typedef struct store_loaded_key {
    uint8_t token_hash[STORE_HASH_SIZE];
    uint64_t key_id;
    uint64_t user_id;
    slice user_name;
    slice role;
    uint64_t expires_ms; /* 0: never; expired keys are given too */
    slice verify_mode;   /* verify/policy.h: "off", "spot", "every", "proved" or "required" */
    uint64_t made_with;  /* as store_new_key's */
} store_loaded_key;

/* Adds a user and its first key, both or neither. ERROR_CONFLICT: the name or the hash exists. */
typedef void store_key_added(void *context, const store_loaded_key *key, const error *failure);
MUST_CHECK bool store_user_add(store *s, slice name, slice role, const store_new_key *first_key,
                               store_key_added *done, void *context, error *err);

/* Users with an id above `after` (0: from the first), in order, at most `limit` (1..STORE_LIST_MAX). */
typedef void store_users_listed(void *context, const store_user *users, size_t count, const error *failure);
MUST_CHECK bool store_user_list(store *s, uint64_t after, size_t limit, store_users_listed *done,
                                void *context, error *err);

/* `user` is NULL on failure. ERROR_NOT_FOUND: no such name. */
typedef void store_user_found(void *context, const store_user *user, const error *failure);
MUST_CHECK bool store_user_get(store *s, slice name, store_user_found *done, void *context, error *err);

/* ERROR_NOT_FOUND: no such name. Disabling twice is no error. Gives the user's id. */
typedef void store_user_disabled(void *context, uint64_t user_id, const error *failure);
MUST_CHECK bool store_user_disable(store *s, slice name, store_user_disabled *done, void *context,
                                   error *err);

#endif
