#ifndef STORE_REVOCATIONS_H
#define STORE_REVOCATIONS_H

#include "store/keys.h"
#include "store/workers.h"

/* Many at once, in one transaction, synced to the disk before it is answered: all of it or nothing. What is
 * revoked already keeps its date. */
typedef struct store_revoked {
    uint64_t workers; /* that weren't revoked before */
    uint64_t keys;
    uint64_t sessions;    /* of people and services */
    uint64_t join_tokens; /* not used and not expired before */
} store_revoked;

/* `revoked` is zeros on failure. `back` is the key that was added, if any. */
typedef void store_revoked_many(void *context, const store_revoked *revoked, const store_loaded_key *back,
                                const error *failure);

/* Every worker of this owner, and the join tokens and requests that would enrol more. ERROR_NOT_FOUND: there
 * has never been one. */
MUST_CHECK bool store_revoke_owner(store *s, slice owner, uint64_t now_ms, store_revoked_many *done,
                                   void *context, error *err);

/* Every worker, every key and session of everybody and every join token, but for one new key of the user
 * `user_id`: the way back. Users are as before, so that they can be given keys again. ERROR_NOT_FOUND: no
 * such user, or disabled. */
MUST_CHECK bool store_revoke_everything(store *s, uint64_t user_id, const store_new_key *back,
                                        uint64_t now_ms, store_revoked_many *done, void *context, error *err);

#endif
