#ifndef POOL_VAULT_H
#define POOL_VAULT_H

#include "base/buffer.h"
#include "base/error.h"
#include "base/slice.h"

/* Holds the private keys that sign session tokens, and the key that seals them for the database; gives out
 * neither. It is in the signer process (privilege/session_keys.h asks it), or in the pool's own where that
 * keeps its rights. One thread. */
typedef struct vault vault;

/* A question has the bytes that are named, one after the other; an answer too. */
typedef enum vault_question {
    VAULT_OPEN = 1, /* the sealing key: first, and once */
    VAULT_DRAW,     /* nothing -> number, public key, sealed: a new key */
    VAULT_TAKE,     /* id, sealed -> number, public key: one of the database */
    VAULT_SIGN,     /* number, message -> signature */
    VAULT_DROP      /* number: it isn't needed any more */
} vault_question;

enum { VAULT_KEYS_MAX = 16, VAULT_ID_SIZE = 16, VAULT_MESSAGE_MAX = 4096 };

MUST_CHECK vault *vault_new(error *err);
void vault_free(vault *v); /* NULL is allowed */
MUST_CHECK bool vault_answer(vault *v, uint8_t what, slice question, buffer *answer, error *err);

/* Which row of the database a key is: the first half of what its id in a ring (auth/key_ring.h) stands for.
 */
MUST_CHECK bool vault_row_of(const char *ring_id, uint8_t id[VAULT_ID_SIZE], error *err);

#endif
