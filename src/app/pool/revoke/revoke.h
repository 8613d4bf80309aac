#ifndef POOL_REVOKE_H
#define POOL_REVOKE_H

#include "state.h"
#include "store/keys.h"
#include "store/revocations.h"

/* Everything that ends somebody's right to be here, whoever decides it: an admin, a conviction, a forged
 * receipt. Each shuts out first and stores then, so that a database that can't be written keeps no door open:
 * when the call returns no request is let in any more, and what was live is being closed. `done` comes once,
 * after the store has it on the disk; what had been added meanwhile is swept out then, in the same turn.
 * False, with `done` never called: the store took nothing, but who was shut out is out all the same until the
 * pool starts anew. Loop thread. */

/* The worker is told why, its connection is closed, its jobs go to others from their first token, and it
 * wipes what its engine knows. */
MUST_CHECK bool revoke_worker(pool *p, fleet_worker *worker, const char *reason, store_done *done,
                              void *context, error *err);
/* Without an answer: what goes wrong is in the program's log. */
void revoke_worker_noted(pool *p, fleet_worker *worker, const char *reason);

/* What is being answered to it ends with an error, and so with those that were made with it if that is wished
 * for. ERROR_NOT_FOUND comes from the store. `*was_live`: it could still be used. */
MUST_CHECK bool revoke_key(pool *p, const store_key_revocation *wish, bool *was_live,
                           store_keys_revoked *done, void *context, error *err);
/* What the store says is on the disk: keys that only it knew to be made with the one that was meant, and
 * sessions that were being made meanwhile. */
void revoke_keys_again(pool *p, const store_revoked_key *keys, size_t count);
/* With all keys. */
MUST_CHECK bool revoke_user(pool *p, slice name, bool *was_live, store_user_disabled *done, void *context,
                            error *err);
/* Keys that were being added while their user was shut out. */
void revoke_user_again(pool *p, uint64_t user_id);

/* All the owner's workers, and what would enrol more. */
MUST_CHECK bool revoke_owner(pool *p, slice owner, bool *was_live, store_revoked_many *done, void *context,
                             error *err);
/* What the store says is on the disk: shuts out again, for a worker may have been enrolled meanwhile. */
void revoke_owner_again(pool *p, slice owner);

/* All workers, keys and sessions, but the key or session of who asks (the one way to ask again if the store
 * fails) until revoke_everything_again. `back` is stored in its place. */
MUST_CHECK bool revoke_everything(pool *p, const account *who, const store_new_key *back,
                                  store_revoked_many *done, void *context, error *err);
/* It is on the disk: now all, with the key that asked. `back` counts from now on; its place is reserved
 * (accounts_reserve). */
MUST_CHECK bool revoke_everything_again(pool *p, const store_loaded_key *back, error *err);

#endif
