#ifndef DISPATCH_JOB_H
#define DISPATCH_JOB_H

#include "dispatch/dispatch.h"

/* A request's side. A job ends exactly once, in one of four ways: dispatch_job_done said DISPATCH_OK, the
 * job_failed hook was called, dispatch_job_cancel, or dispatch_free. Its handle is invalid from then on. */
typedef struct dispatch_spec {
    dispatch_id id;
    uint64_t user; /* whose share of the queue it takes */
    slice model;   /* name */
    dispatch_kind kind;
    void *context;        /* not NULL: what the hooks get */
    uint64_t deadline_ms; /* its own job deadline, if shorter than the configured one; 0: none */
    /* Whether the job may go to this worker (both contexts). NULL: to any. Asked when one is chosen, once for
     * each that has the model, so it is quick, changes nothing and calls no function of the dispatcher. */
    bool (*allows)(void *job, void *worker);
    bool belongs; /* to a job that runs already: it goes before fresh ones, and no queue is too full for it */
} dispatch_spec;

/* Sends the job to the best free worker, or queues it. On an error nothing is left behind, and job_failed is
 * not called. ERROR_NOT_FOUND: no connected worker has the model, nor had one within model_grace_ms.
 * ERROR_LIMIT: the queue, or this user's share of it, is full. ERROR_CONFLICT: the id is in use. ERROR_IO:
 * the hooks closed every worker it was sent to. ERROR_MEMORY. */
MUST_CHECK dispatch_job *dispatch_submit(dispatch *d, const dispatch_spec *spec, uint64_t now, error *err);

/* Sends a job to this worker, now or not at all: it takes a free slot, is never queued and never moves. When
 * the worker is lost, hangs or gives the job up, job_failed comes with DISPATCH_LOST (DISPATCH_REFUSED if it
 * said that no other try is worth it). `silent`: not a token comes before the end, which dispatch_job_scored
 * tells; only the job's deadline watches it. (One of DISPATCH_EMBED is silent by itself.) A held worker
 * (dispatch_worker_hold) takes it all the same. ERROR_LIMIT: no free slot, or the worker is not serving or
 * pauses. ERROR_NOT_FOUND: it doesn't have the model. ERROR_CONFLICT, ERROR_IO, ERROR_MEMORY as above. */
MUST_CHECK dispatch_job *dispatch_assign(dispatch *d, const dispatch_spec *spec, dispatch_worker *w,
                                         bool silent, uint64_t now, error *err);

/* NULL if there is none. */
dispatch_job *dispatch_job_find(const dispatch *d, const dispatch_id *id);
/* 0: running. Else its place in its model's queue, 1 is next. O(1) as long as the queue doesn't move. */
size_t dispatch_job_position(dispatch_job *job);
/* The worker context that runs it, or NULL. */
void *dispatch_job_worker(const dispatch_job *job);
/* Attempts so far, the running one included. */
uint32_t dispatch_job_attempts(const dispatch_job *job);

/* There is somebody else to ask, now or later, and another attempt is allowed. Of a running job. */
bool dispatch_job_has_another(const dispatch_job *job);

/* A byte of the answer is about to go to the client: from here on only a worker with the same bits can take
 * over. False: the job has just lost its worker, and nothing of what came may go out any more. */
MUST_CHECK bool dispatch_job_started(dispatch_job *job);
/* `total` tokens of the answer, from its start, have really left for the client (or are buffered nowhere).
 * The worker gets more credit by this. A smaller total than before, or more than came, changes nothing. After
 * a restart with resumed = true the count goes on; with false it starts again at 0. */
void dispatch_job_consumed(dispatch_job *job, uint64_t total, uint64_t now);
/* The client has left, or the answer isn't wanted any more. The worker is told; no hook is called for the
 * job. */
void dispatch_job_cancel(dispatch_job *job, uint64_t now);

#endif
