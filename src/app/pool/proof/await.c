#include "proof/await.h"

#include "proof/check.h"
#include "proof/proof_internal.h"

void proof_waiter_init(proof_waiter *waiter) {
    *waiter = (proof_waiter){0};
    list_init(&waiter->node);
}

void proof_await(pool *p, proof_waiter *waiter, const uint8_t job_id[STORE_JOB_ID_SIZE],
                 void (*told)(void *context, proof_outcome outcome), void *context) {
    list_remove(&waiter->node);
    memcpy(waiter->job_id, job_id, sizeof waiter->job_id);
    waiter->told = told;
    waiter->context = context;
    list_append(&p->proof->waiters, &waiter->node);
}

void proof_forget(proof_waiter *waiter) {
    list_remove(&waiter->node);
}

static proof_outcome outcome_of(const check *c) {
    switch (c->v.state) {
    case VERIFICATION_AGREED:
    case VERIFICATION_VERIFIER_WRONG:
        return PROOF_HOLDS;
    case VERIFICATION_WORKER_WRONG:
        return PROOF_WRONG;
    default:
        return PROOF_UNKNOWN;
    }
}

void await_tell(const check *c) {
    list_node *waiters = &c->proof->waiters;
    for (list_node *node = waiters->next; node != waiters; node = node->next) {
        proof_waiter *waiter = LIST_ENTRY(node, proof_waiter, node);
        if (memcmp(waiter->job_id, c->job_id, sizeof waiter->job_id) == 0) {
            list_remove(node);
            waiter->told(waiter->context, outcome_of(c));
            return;
        }
    }
}
