#ifndef POOL_PROOF_AWAIT_H
#define POOL_PROOF_AWAIT_H

#include "base/list.h"
#include "state.h"
#include "store/verifications.h"

/* Somebody waits for what the check of an answer finds. A waiter lives inside its owner. */
typedef enum proof_outcome {
    PROOF_HOLDS,  /* another worker agrees, or the one that did not was wrong itself */
    PROOF_WRONG,  /* the answer's worker is convicted */
    PROOF_UNKNOWN /* nobody could say */
} proof_outcome;

typedef struct proof_waiter {
    list_node node; /* in proof.waiters */
    uint8_t job_id[STORE_JOB_ID_SIZE];
    void (*told)(void *context, proof_outcome outcome);
    void *context;
} proof_waiter;

void proof_waiter_init(proof_waiter *waiter);
/* `told` is called once, from inside the verdict: it only puts it down. Before proof_answer_done. */
void proof_await(pool *p, proof_waiter *waiter, const uint8_t job_id[STORE_JOB_ID_SIZE],
                 void (*told)(void *context, proof_outcome outcome), void *context);
/* Harmless if it doesn't wait. */
void proof_forget(proof_waiter *waiter);

/* A check is over, or only a person can settle it. */
typedef struct check check;
void await_tell(const check *c);

#endif
