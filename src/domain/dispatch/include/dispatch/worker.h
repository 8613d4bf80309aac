#ifndef DISPATCH_WORKER_H
#define DISPATCH_WORKER_H

#include "dispatch/dispatch.h"

/* A worker's side: its session, its beats, and what it says about jobs. A handle is valid until
 * dispatch_worker_remove, or until the worker_closed hook was called for it. */

enum { DISPATCH_MODELS_MAX = 32, DISPATCH_SLOTS_MAX = 1024 /* of a worker, over all its models */ };

typedef struct dispatch_offer {
    slice model;                          /* name, 1 to DISPATCH_MODEL_NAME_MAX bytes; copied */
    dispatch_kind kind;                   /* one offer for each that it does; both share the slots */
    uint8_t digest[DISPATCH_DIGEST_SIZE]; /* of the model file */
    uint32_t slots;                       /* jobs of this model at once, at least 1; the same for both */
    bool exact;                           /* same digest: same bits, on any other exact worker */
} dispatch_offer;

/* Adds a session; it gets jobs from dispatch_worker_ready on. A session with the same id is replaced: its
 * jobs move, worker_closed is called for it. ERROR_INVALID (models), ERROR_MEMORY: nothing has changed. */
MUST_CHECK dispatch_worker *dispatch_worker_add(dispatch *d, const dispatch_id *id, void *context,
                                                const dispatch_offer *models, size_t model_count,
                                                uint64_t now, error *err);
/* The worker was told that it is welcome: give it work. */
void dispatch_worker_ready(dispatch_worker *w, uint64_t now);
/* It goes by another id from now on; its jobs stay. ERROR_CONFLICT: another session has it. ERROR_MEMORY.
 * Nothing has changed then. */
MUST_CHECK bool dispatch_worker_rename(dispatch_worker *w, const dispatch_id *id, error *err);
/* No new jobs; worker_drained is called when it holds none. */
void dispatch_worker_drain(dispatch_worker *w, uint64_t now);
/* Quarantine: while held it gets no job but by dispatch_assign. Those that it has go on; what waits for its
 * model waits for others, as if it paused. */
void dispatch_worker_hold(dispatch_worker *w, bool hold, uint64_t now);
/* Keeps one free slot of this model for DISPATCH_GENERATE, now or as soon as there is one, from the queue, so
 * that dispatch_assign finds it; or lets it go again, which a new session of the worker has done already.
 * False: nothing is kept, for it lacks the model, or doesn't serve, pauses or hangs. */
bool dispatch_worker_reserve(dispatch_worker *w, slice model, bool reserve, uint64_t now);
/* dispatch_assign would find a free slot of this model for DISPATCH_GENERATE now. */
bool dispatch_worker_has_slot(const dispatch_worker *w, slice model);
/* The session has ended, for whatever reason: its jobs go elsewhere. No hook is called for the worker. */
void dispatch_worker_remove(dispatch_worker *w, uint64_t now);

typedef enum dispatch_availability {
    DISPATCH_AVAILABLE,
    DISPATCH_LIMITED, /* takes jobs when no available worker has a free slot */
    DISPATCH_PAUSED   /* takes none */
} dispatch_availability;

/* `running`: jobs the worker says it computes; those beyond what it holds from us (left over from an earlier
 * session) count as busy until its next beat. `slots` caps the worker's total, below what it was added with.
 */
typedef struct dispatch_beat {
    double load; /* of the machine, 0 to 1; shown, not used */
    uint32_t running;
    uint32_t slots;
    dispatch_availability availability;
} dispatch_beat;

void dispatch_worker_beat(dispatch_worker *w, const dispatch_beat *beat, uint64_t now);

typedef enum dispatch_verdict {
    DISPATCH_OK,
    DISPATCH_STALE,    /* about a job just taken away from this worker: leave it aside */
    DISPATCH_VIOLATION /* not its job, wrong order or count, more than its credit: close the session */
} dispatch_verdict;

/* The context of a job that this worker runs now, or NULL. */
void *dispatch_worker_job(dispatch_worker *w, const dispatch_id *job);
/* `seq` counts the job's deltas from 0 on each worker. A delta may carry no token, but only now and then.
 * `*job` becomes the context of the job if DISPATCH_OK, else NULL. */
MUST_CHECK dispatch_verdict dispatch_job_delta(dispatch_worker *w, const dispatch_id *id, uint64_t seq,
                                               uint64_t tokens, uint64_t now, void **job);
/* The worker finished; `tokens` is its claim, checked against those counted. If DISPATCH_OK the job is over:
 * its handle is invalid, `*job` is its context. */
MUST_CHECK dispatch_verdict dispatch_job_done(dispatch_worker *w, const dispatch_id *id, uint64_t tokens,
                                              uint64_t now, void **job);
/* The worker ends a silent job; otherwise as dispatch_job_done. For a job that isn't silent, and of
 * dispatch_job_delta and dispatch_job_done for one that is: DISPATCH_VIOLATION. */
MUST_CHECK dispatch_verdict dispatch_job_scored(dispatch_worker *w, const dispatch_id *id, uint64_t now,
                                                void **job);
/* The worker gave up, or confirms a cancel. Not retryable: job_failed(DISPATCH_REFUSED) is called. */
MUST_CHECK dispatch_verdict dispatch_job_fail(dispatch_worker *w, const dispatch_id *id, bool retryable,
                                              uint64_t now);

typedef enum dispatch_worker_state {
    DISPATCH_JOINED, /* not ready yet */
    DISPATCH_SERVING,
    DISPATCH_DRAINING,
    DISPATCH_GONE /* never seen from outside */
} dispatch_worker_state;

typedef struct dispatch_worker_info {
    dispatch_id id;
    void *context;
    dispatch_worker_state state;
    dispatch_availability availability;
    bool held;
    bool suspect; /* lost or hung a job since the last one it completed: chosen after others */
    double load;
    uint32_t running, busy, slots;
    uint64_t completed;
} dispatch_worker_info;

/* The live session of a worker, or NULL. */
dispatch_worker *dispatch_worker_find(const dispatch *d, const dispatch_id *id);
void dispatch_worker_describe(const dispatch_worker *w, dispatch_worker_info *info);
/* for (size_t i = 0; (w = dispatch_worker_next(d, &i)) != NULL;) — add and remove none meanwhile. */
dispatch_worker *dispatch_worker_next(const dispatch *d, size_t *position);

#endif
