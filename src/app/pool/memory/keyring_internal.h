#ifndef POOL_MEMORY_KEYRING_INTERNAL_H
#define POOL_MEMORY_KEYRING_INTERNAL_H

#include "base/map.h"
#include "memory/derive.h"
#include "memory/keyring.h"
#include "store/vaults.h"

struct keyring {
    pool *pool;
    slots *slots;
    derive_queue *derivations;
    map *vaults;        /* by user id: open_vault */
    list_node openings; /* opening.node */
    list_node ties;     /* vault_tie.node */
};

/* Who may use a vault's key. */
typedef struct keyring_proof {
    list_node node; /* in open_vault.proofs, the last one used at the end */
    uint64_t key_id;
    uint64_t login;
    uint64_t since_ms; /* monotonic */
    uint64_t used_ms;
} keyring_proof;

/* One token being stretched, for whoever waits for it. */
typedef struct opening {
    list_node node; /* in keyring.openings */
    keyring *ring;
    uint64_t user_id;
    uint64_t key_id; /* of the token; 0 until its wrap is found: it doesn't count any more */
    uint8_t token_hash[STORE_HASH_SIZE];
    bool is_past; /* the key was revoked, or has expired */
    bool makes;
    bool has_vault;
    bool erased; /* what was read of the vault isn't true any more */
    unsigned tries;
    uint8_t *token; /* slot */
    size_t token_length;
    uint8_t *data_key; /* slot */
    derivation work;
    char kind[STORE_WRAP_KIND_MAX];
    uint8_t wrapped[STORE_WRAP_MAX];
    list_node waits; /* keyring_wait.node */
} opening;

/* Puts a data key (a slot, taken over in any case) on the ring. NULL: memory is out. */
MUST_CHECK open_vault *keyring_put(keyring *ring, uint64_t user_id, const uint8_t salt[WRAP_SALT_SIZE],
                                   uint8_t *data_key, error *err);
/* The caller has proved a token. */
MUST_CHECK bool keyring_prove(open_vault *v, uint64_t key_id, uint64_t login, error *err);
open_vault *keyring_vault_of(const keyring *ring, uint64_t user_id);
void keyring_void_openings(keyring *ring, uint64_t user_id);
void keyring_free_openings(keyring *ring);

#endif
