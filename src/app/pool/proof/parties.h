#ifndef POOL_PROOF_PARTIES_H
#define POOL_PROOF_PARTIES_H

#include "ledger/receipt.h"
#include "proof/proof_internal.h"
#include "verify/choice.h"

/* The welcomed sessions, referees first, as verify_choose wants them. */
MUST_CHECK parties *parties_new(error *err);
void parties_free(parties *all); /* NULL is allowed */
MUST_CHECK bool parties_add(parties *all, session *s, error *err);
void parties_remove(parties *all, session *s); /* harmless if it isn't there */

/* "192.0.2.0/24", "2001:db8:1::/48" of an address as sockets tell it ("192.0.2.7:443",
 * "[2001:db8:1::7]:443"); empty if it can't be read. Pure. */
void party_network(const char *peer, char network[FLEET_NETWORK_SIZE]);

/* A worker as the choice sees it, connected or not; not able. */
verify_party party_of_worker(const fleet_worker *worker);

typedef struct party_query {
    slice model;
    const uint8_t *digest; /* of the model file; NULL: any */
    const char *profile;   /* engine profile; NULL: any */
    const uint8_t (*excluded)[RECEIPT_WORKER_SIZE];
    size_t excluded_count;
    const verify_party *subjects;
    size_t subject_count;
    bool referee_only;
    bool judging;  /* a dispute: referees may that are in disputes of their own */
    bool suspects; /* so may others */
    bool busy;     /* who has no free slot now is chosen too */
    double draw;
} party_query;

/* Somebody independent of the subjects who has a free slot for this model now. NULL: nobody. */
session *parties_choose(const proof *f, const party_query *query, verify_choice *choice);
/* Of those that have the model, or of all if it is empty; `serving` (NULL is allowed) counts the others. */
size_t parties_quarantined(const proof *f, slice model, size_t *serving);
/* A referee that has the model and is not excluded is connected, free or not. */
bool parties_have_referee(const proof *f, const party_query *query);

#endif
