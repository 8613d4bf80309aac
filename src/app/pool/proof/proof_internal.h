#ifndef POOL_PROOF_INTERNAL_H
#define POOL_PROOF_INTERNAL_H

#include "base/list.h"
#include "base/map.h"
#include "proof/proof.h"
#include "verify/verification.h"

/* Shared by the files of this folder. */
typedef struct standings standings;
typedef struct parties parties;
typedef struct blacklist blacklist;
typedef struct statistical statistical;

struct proof {
    pool *pool;
    standings *standings;
    parties *parties;
    blacklist *blacklist;
    map *checks;         /* id → check: those in memory, none of which is over */
    list_node pending;   /* check.node: waiting or disputed; the longest untried first */
    list_node running;   /* check.node: a worker has it */
    size_t sealed_bytes; /* of their payloads */
    size_t claims;       /* of these, slots kept from the queue */
    uint64_t warned_of_expired_ms;
    list_node waiters; /* proof_waiter.node */
    list_node baits;   /* honeytokens on their way */
    size_t bait_count;
    list_node decisions;      /* of humans, about disputes, until they are stored */
    statistical *statistical; /* checks of runtimes */
    list_node notices;        /* untold */
    size_t notice_count;
    uint64_t open;         /* disputes that wait for a human */
    uint64_t refill_after; /* number of the last one asked of the store */
    bool more_stored;      /* checks that found no room here wait in the store */
    bool passed_over;      /* some of those that were asked of it since the first one */
    bool loading;
    bool stopping;
    ev_timer timer;
    proof_statistics statistics;
};

#endif
