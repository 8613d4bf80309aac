#ifndef POOL_PROOF_STANDINGS_H
#define POOL_PROOF_STANDINGS_H

#include "proof/proof_internal.h"
#include "store/reputation.h"

/* What the pool thinks of each worker, in memory; every change goes to the store, those of state synced. A
 * worker that nothing is known of is new. A machine has one, under the id of its first key. */
MUST_CHECK standings *standings_new(const fleet *workers, const uint8_t seed[MAP_SEED_SIZE], error *err);
void standings_free(standings *all); /* NULL is allowed */
/* ERROR_CORRUPT: what is stored is not sound. */
MUST_CHECK bool standings_add_stored(standings *all, const store_reputation *stored, error *err);

/* Never NULL; valid until the next change. */
const standing *standings_of(const standings *all, const uint8_t worker[STORE_WORKER_ID_SIZE]);

/* Moves it and stores it; then the worker's session, if it has one, is held or let go as the new state says.
 * A move that its table doesn't allow is logged and changes nothing. False: memory is out, or not allowed. */
bool standings_move(proof *f, const uint8_t worker[STORE_WORKER_ID_SIZE], standing_event event, double score);

/* Holds its session, if it has one, as its state says. */
void standings_hold(proof *f, const uint8_t worker[STORE_WORKER_ID_SIZE]);
/* Whether new prompts, of users or of checks, may be given to it. */
bool standings_may_serve(const proof *f, const uint8_t worker[STORE_WORKER_ID_SIZE]);
/* Whether it may judge a dispute of others: also one that is in disputes of its own. */
bool standings_may_judge(const proof *f, const uint8_t worker[STORE_WORKER_ID_SIZE]);

#endif
