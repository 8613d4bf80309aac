#ifndef POOL_WORK_H
#define POOL_WORK_H

#include "dispatch/dispatch.h"
#include "ledger/finding.h"
#include "ledger/receipt.h"
#include "proto/message.h"
#include "state.h"

/* What every context of a dispatcher's job begins with, so that the session and the hooks need not know what
 * a job is for: a client's question (job.h), a check (proof/check.h), or another that the pool itself wants.
 */
typedef struct work work;

typedef struct work_kind {
    const char *name; /* for logs */
    /* All of the job's message but what depends on the worker (digest) and the credit. What it points at
     * lives as long as the work does. */
    void (*describe)(const work *w, proto_message *message);

    /* A generating job; all NULL for one that is silent (dispatch_assign). False: the worker broke the
     * protocol and its session must be closed; the job is then still the dispatcher's. */
    bool (*delta)(work *w, const proto_delta *delta, error *err);
    /* The worker says that its answer is complete, but another worker's had gone further already: true, and
     * the job has ended with an error. NULL: can't be. */
    bool (*is_short)(work *w);
    /* Before the dispatcher hears that the job is done: makes and checks what the worker signed.
     * ERROR_INVALID and ERROR_CORRUPT are the worker's fault, others the pool's own; ERROR_CORRUPT is that
     * its signature is forged: it is revoked. */
    bool (*check_done)(work *w, const fleet_worker *worker, const proto_done *done, signed_receipt *entry,
                       error *err);
    /* The dispatcher has let go. NULL: the entry could not be made. */
    void (*complete)(work *w, const fleet_worker *worker, const signed_receipt *entry);

    /* A silent job that scores; NULL for others. As check_done and complete. */
    bool (*check_scored)(work *w, const fleet_worker *worker, const proto_scored *scored,
                         signed_finding *entry, error *err);
    void (*scored)(work *w, const fleet_worker *worker, const signed_finding *entry);

    /* A job for vectors; NULL for others. Before the dispatcher hears that it is done: keeps them.
     * ERROR_INVALID is the worker's fault. */
    bool (*check_embedded)(work *w, const session *s, const proto_embedded *embedded, error *err);
    /* The dispatcher has let go. `kept` false: for want of memory they could not be. */
    void (*embedded)(work *w, bool kept);

    /* It is on its way to this worker. May be NULL. */
    void (*placed)(work *w, session *s);
    /* The worker gives it up; `failed` or `restarted` follows. */
    void (*gave_up)(work *w, const fleet_worker *worker, const proto_fail *fail);
    /* The worker calls it impossible, after `gave_up`: true if another is to be asked all the same. NULL:
     * none ever is. */
    bool (*doubts)(work *w, const fleet_worker *worker, const proto_fail *fail);
    /* Hooks of the dispatcher. `restarted` may be NULL for an assigned job. */
    void (*restarted)(work *w, bool resumed);
    void (*failed)(work *w, dispatch_failure reason);
} work_kind;

struct work {
    const work_kind *kind;
    pool *pool;
    dispatch_id id;
    char id_hex[33];
    slice model; /* name; lives as long as the work */
    /* Whom it was given to last, under the key of that moment: what comes of it is signed with that one. */
    fleet_worker *worker;
};

#endif
