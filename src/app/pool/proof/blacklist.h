#ifndef POOL_PROOF_BLACKLIST_H
#define POOL_PROOF_BLACKLIST_H

#include "proof/proof_internal.h"
#include "store/blacklist.h"

/* Who may not serve, whatever key it comes with: workers, owners, machines. In memory; the store keeps it. */
MUST_CHECK blacklist *blacklist_new(const uint8_t seed[MAP_SEED_SIZE], error *err);
void blacklist_free(blacklist *all); /* NULL is allowed */
/* `kind` is "worker" or "machine", with a `value` in hexadecimal, or "owner", with a name. */
bool blacklist_is_valid(slice kind, slice value);
/* Adding what is there already is no error. */
MUST_CHECK bool blacklist_put(blacklist *all, slice kind, slice value, error *err);
void blacklist_drop(blacklist *all, slice kind, slice value);
bool blacklist_has(const blacklist *all, slice kind, slice value);

/* This worker, its owner, or this machine (NULL: not known) is on it. */
bool blacklist_covers(const proof *f, const fleet_worker *worker, const uint8_t machine[STORE_MACHINE_SIZE]);
/* How many enrolled workers, not revoked, this entry is about. */
size_t blacklist_count(const proof *f, slice kind, slice value);
/* Closes the sessions of all that are on it. */
void blacklist_enforce(proof *f);

#endif
