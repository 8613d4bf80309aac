#ifndef AUTH_KEY_RING_H
#define AUTH_KEY_RING_H

#include "base/buffer.h"
#include "crypto/public_key.h"
#include "crypto/sign.h"

/* The keys that sign our own session tokens, one after the other. A key is published some time before it
 * begins to sign, so that whoever keeps the key set has it by then, and is good for a while after the next
 * one has begun, so that what it signed last can expire. Times are Unix milliseconds and are passed in. */
enum { AUTH_RING_MAX = 8, AUTH_RING_ID_LENGTH = 43 };

typedef struct auth_ring_key {
    char id[AUTH_RING_ID_LENGTH + 1]; /* "kid": the key's thumbprint (RFC 7638), SHA-256 in base64url */
    sign_key *own;
    public_key *trusted; /* its public half */
    uint64_t begins_ms;  /* signs from then on, until the next begins */
} auth_ring_key;

typedef struct auth_key_ring {
    auth_ring_key keys[AUTH_RING_MAX]; /* in the order in which they begin */
    size_t count;
    uint64_t keep_ms; /* a key is good for this long after the next has begun */
} auth_key_ring;

void auth_key_ring_free(auth_key_ring *ring);
/* Takes `own` over, also when it fails. ERROR_LIMIT: AUTH_RING_MAX keys are in it. */
MUST_CHECK bool auth_key_ring_add(auth_key_ring *ring, sign_key *own, uint64_t begins_ms, error *err);
/* The id that a key has in a ring. */
MUST_CHECK bool auth_key_ring_id(const sign_key *key, char id[AUTH_RING_ID_LENGTH + 1], error *err);
/* The one that signs now; the first where none has begun. NULL: it is empty. */
const auth_ring_key *auth_key_ring_signer(const auth_key_ring *ring, uint64_t now_ms);
/* The one of that id, if what it signed is good now. */
const auth_ring_key *auth_key_ring_find(const auth_key_ring *ring, slice id, uint64_t now_ms);
/* Takes the first key out if it has ended. True: `id` says which. */
bool auth_key_ring_drop_ended(auth_key_ring *ring, uint64_t now_ms, char id[AUTH_RING_ID_LENGTH + 1]);
/* The key set (RFC 7517) of all that are good now or will be. */
void auth_key_ring_write(const auth_key_ring *ring, uint64_t now_ms, buffer *json);

#endif
