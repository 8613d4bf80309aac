#ifndef POOL_MEMORY_KEYRING_H
#define POOL_MEMORY_KEYRING_H

#include "memory/slots.h"
#include "memory/wrap.h"
#include "state.h"

/* The data keys of the users who have brought a token of theirs lately, in secret memory. Bringing a token
 * proves it for this key, or this session of a person, alone, for KEYRING_IDLE_MS after its last use and
 * KEYRING_LONGEST_MS at most. With the last proof the data key is wiped, and so is what hangs on it. Loop
 * thread. */
enum {
    KEYRING_IDLE_MS = 15 * 60 * 1000,
    KEYRING_LONGEST_MS = 8 * 60 * 60 * 1000,
    KEYRING_PROOFS_MAX = 256, /* of one user; the oldest goes */
    KEYRING_HOLDERS_MAX = 64  /* of one vault that requests make; the threads are everybody's */
};

typedef struct keyring keyring;

/* A user's data key, while it is known. */
typedef struct open_vault {
    uint64_t user_id;
    uint8_t salt[WRAP_SALT_SIZE];
    const uint8_t *data_key; /* RECORD_KEY_SIZE bytes */
    list_node proofs;
    size_t proof_count;
    unsigned holders;
    bool closed; /* nobody finds it any more */
    bool erased; /* nor is there what it opened: nothing is to be sealed with its key any more */
    void *attached;
    void (*detach)(void *attached);
    keyring *ring;
} open_vault;

MUST_CHECK keyring *keyring_new(pool *p, error *err);
/* Wipes all. NULL is allowed. */
void keyring_free(keyring *ring);

/* Where secrets of a few bytes can lie. */
slots *keyring_slots(keyring *ring);

/* The caller's, if what it proved still counts, which this lengthens. NULL: it is to be opened. Valid until
 * the loop's next turn, unless held. */
open_vault *keyring_find(keyring *ring, const account *who);

/* A vault that isn't closed meanwhile keeps its key while it is held; one that is closed, until the last
 * holder has given it back. */
void keyring_hold(open_vault *v);
void keyring_give_back(open_vault *v);
/* The same for a request. ERROR_LIMIT: KEYRING_HOLDERS_MAX hold it already. */
MUST_CHECK bool keyring_hold_for_request(open_vault *v, error *err);
/* What is decrypted with the key hangs here: `detach` is called when the key goes. One thing. */
void keyring_attach(open_vault *v, void *attached, void (*detach)(void *attached));

/* Opens the vault for this caller with one of the user's tokens, or makes it where there is none (`make`).
 * The token of a key that was revoked or has expired makes nothing, but opens what it still has a wrap of.
 * Takes about a quarter of a second, longer when others are before it. `done` comes once, on the loop: `v`
 * NULL without `failure` is that the user has no vault. ERROR_DENIED: the token opens nothing. ERROR_LIMIT:
 * too many wait. False: at once, and no call to come. */
typedef void keyring_opened(void *context, open_vault *v, const error *failure);
typedef struct keyring_wait keyring_wait;
MUST_CHECK keyring_wait *keyring_open(keyring *ring, const account *who, slice token, bool make,
                                      keyring_opened *done, void *context, error *err);
/* No call comes any more. */
void keyring_forget(keyring_wait *wait);

/* Which key of the user this is the token of. False: none that counts. */
MUST_CHECK bool keyring_key_of(const keyring *ring, uint64_t user_id, slice token, uint64_t *key_id);
/* Has another of the user's tokens open the vault from now on (wrapping.c). `done` comes once, on the loop,
 * when the wrap is stored; it must not be missed. False: at once, and no call to come. ERROR_LIMIT as above.
 */
MUST_CHECK bool keyring_wrap(open_vault *v, uint64_t key_id, slice token, store_done *done, void *context,
                             error *err);

/* As if time were up: of one key or session (`login` 0: the key's), of a user, of everybody. */
void keyring_lock(keyring *ring, uint64_t user_id, uint64_t key_id, uint64_t login);
void keyring_lock_user(keyring *ring, uint64_t user_id);
void keyring_lock_all(keyring *ring);
/* What hangs on them is to be read anew. */
void keyring_detach_all(keyring *ring);
/* What the user keeps is being erased: his vault closes, who waits for it is told so, ties are broken. */
void keyring_erase_user(keyring *ring, uint64_t user_id);

/* What outlives a request's hold of the vault, and must know whether that was erased meanwhile. */
typedef struct vault_tie {
    list_node node;
    uint64_t user_id;
    bool erased;
} vault_tie;
void keyring_tie(keyring *ring, vault_tie *tie, uint64_t user_id);
/* Harmless where it isn't tied. Zeroed memory must be given to keyring_tie first. */
void keyring_untie(vault_tie *tie);

/* Closes what is over; every minute. */
void keyring_keep_house(keyring *ring);
size_t keyring_count(const keyring *ring);

#endif
