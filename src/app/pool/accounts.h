#ifndef POOL_ACCOUNTS_H
#define POOL_ACCOUNTS_H

#include "auth/role.h"
#include "store/keys.h"

/* Who may call: every key that is neither revoked nor its user disabled, by the SHA-256 of its token. Kept in
 * memory so that a request asks no database; changes come here after the store has committed them. */
typedef struct accounts accounts;

enum { ACCOUNT_MODE_SIZE = 16 };

typedef struct account {
    uint8_t token_hash[STORE_HASH_SIZE];
    uint64_t key_id; /* 0: only a place, see accounts_reserve; or a session's that no key was used for */
    uint64_t login;  /* the number of the session that asks (sso/logins.h); 0: a key asks by itself */
    uint64_t user_id;
    char user_name[STORE_NAME_MAX + 1];
    auth_role role;
    uint64_t made_with;                  /* the key's: store_new_key's; 0 for sessions */
    uint64_t expires_ms;                 /* Unix; 0: never */
    char verify_mode[ACCOUNT_MODE_SIZE]; /* "off", "spot", "every", "proved" or "required" */
} account;

MUST_CHECK accounts *accounts_new(error *err);
void accounts_free(accounts *all); /* NULL is allowed */

/* Adds or updates. */
MUST_CHECK bool accounts_add_stored(accounts *all, const store_loaded_key *key, error *err);
/* Makes a place for a key that is about to be stored, so that adding it can't fail for memory afterwards.
 * Until then nobody is found by it; accounts_remove_key gives the place back. */
MUST_CHECK bool accounts_reserve(accounts *all, const uint8_t token_hash[STORE_HASH_SIZE], error *err);
/* NULL if nobody has this key, or it has expired at `unix_ms`. Valid until the account is removed. */
const account *accounts_find(const accounts *all, const uint8_t token_hash[STORE_HASH_SIZE],
                             uint64_t unix_ms);
/* `mode`: one that exists. */
void accounts_set_mode(accounts *all, const uint8_t token_hash[STORE_HASH_SIZE], slice mode);
/* Of all keys of a user, from now on. */
void accounts_set_role(accounts *all, uint64_t user_id, auth_role role);
/* Harmless when there is none. */
void accounts_remove_key(accounts *all, const uint8_t token_hash[STORE_HASH_SIZE]);
void accounts_remove_user(accounts *all, uint64_t user_id);
/* Everybody's keys but this one (NULL: without exception). Places that are reserved stay. */
void accounts_remove_all_but(accounts *all, const uint8_t *token_hash);
/* The account of a key's id, of any key of a user; NULL if there is none. Valid as accounts_find's. Looks
 * through all. */
const account *accounts_find_key_id(const accounts *all, uint64_t key_id);
/* One that was made with the key of this id, but the one of the id `kept` (0: any). */
const account *accounts_find_made_with(const accounts *all, uint64_t key_id, uint64_t kept);
const account *accounts_find_user(const accounts *all, slice user_name);
size_t accounts_count(const accounts *all);

#endif
