#ifndef POOL_SESSION_KEYS_H
#define POOL_SESSION_KEYS_H

#include "crypto/seal.h"
#include "crypto/sign.h"
#include "privilege/helper.h"
#include "privilege/vault.h"

typedef struct session_keys session_keys;

typedef struct session_key {
    session_keys *all; /* NULL: nobody's */
    uint8_t number;    /* the vault's */
} session_key;

/* Asks the vault: the signer's, or its own. Its address is kept. Loop thread. */
struct session_keys {
    helper *signer; /* NULL: `own` */
    vault *own;
    session_key keys[VAULT_KEYS_MAX];
};

/* Before all others, with the key that seals what the database holds. `signer` NULL: the keys are here. */
MUST_CHECK bool session_keys_open(session_keys *all, helper *signer, const uint8_t seal_key[SEAL_KEY_SIZE],
                                  error *err);
void session_keys_close(session_keys *all); /* after the keys are freed; harmless if it wasn't opened */

/* A new key, with the row it is for; appends what the row keeps. */
MUST_CHECK sign_key *session_keys_draw(session_keys *all, uint8_t id[VAULT_ID_SIZE], buffer *sealed,
                                       error *err);
/* The key of a row. ERROR_CORRUPT: it isn't this site's, or damaged. */
MUST_CHECK sign_key *session_keys_take(session_keys *all, const uint8_t id[VAULT_ID_SIZE], slice sealed,
                                       error *err);

#endif
