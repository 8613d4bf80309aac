#ifndef DISPATCH_DISPATCH_H
#define DISPATCH_DISPATCH_H

#include "base/error.h"
#include "base/map.h"
#include "base/slice.h"

/* Which worker runs which job, and when to give up on either. No I/O and no clock: `now` is passed in
 * (monotonic milliseconds, never going back), and what has to happen outside is asked for through hooks. One
 * thread. Memory is taken in dispatch_new, dispatch_worker_add, dispatch_submit and dispatch_assign only;
 * nothing else can fail for want of it. */
typedef struct dispatch dispatch;
typedef struct dispatch_worker dispatch_worker; /* one connected session of a worker: dispatch/worker.h */
typedef struct dispatch_job dispatch_job;       /* dispatch/job.h */

typedef struct dispatch_id {
    uint8_t bytes[16];
} dispatch_id;

enum { DISPATCH_ATTEMPTS_MAX = 8, DISPATCH_DIGEST_SIZE = 32, DISPATCH_MODEL_NAME_MAX = 128 };

/* Kinds of work that don't mix: each has its own queue, of a model of the same name too. */
typedef enum dispatch_kind {
    DISPATCH_GENERATE,
    DISPATCH_EMBED /* such a job has no tokens to tell before it ends (dispatch_job_scored) */
} dispatch_kind;

typedef struct dispatch_config {
    uint64_t queue_deadline_ms;      /* longest wait for a worker */
    uint64_t job_deadline_ms;        /* longest life of a job, waiting included */
    uint64_t first_token_timeout_ms; /* from a worker getting the job to its first token */
    uint64_t progress_timeout_ms;    /* between two tokens, while the job has credit */
    uint64_t dead_after_ms;          /* without a beat */
    uint64_t cancel_grace_ms;        /* a cancelled job's slot counts as busy until confirmed, or this long */
    uint64_t hung_grace_ms;          /* then a worker that never confirmed giving up a hung job is closed */
    uint64_t stale_ms;               /* how long messages about a job taken away are forgiven */
    uint64_t model_grace_ms;         /* how long jobs wait for a model that no connected worker has */
    size_t queue_limit;              /* waiting jobs; those that lost their worker are let in beyond it */
    size_t queue_limit_per_user;
    uint32_t max_attempts;           /* workers tried per job, 1 to DISPATCH_ATTEMPTS_MAX */
    uint32_t credit_window;          /* tokens a worker may be ahead of the client, at least 1 */
    uint8_t map_seed[MAP_SEED_SIZE]; /* random */
} dispatch_config;

/* Everything but the seed, as documented in the README. */
dispatch_config dispatch_config_default(void);

typedef enum dispatch_failure {
    DISPATCH_NO_WORKER,      /* nobody connected has the model any more */
    DISPATCH_QUEUE_DEADLINE, /* no worker became free in time */
    DISPATCH_JOB_DEADLINE,   /* it took too long altogether */
    DISPATCH_TOO_MANY_TRIES, /* max_attempts workers lost it */
    DISPATCH_NOT_RESUMABLE,  /* its first byte is out and its worker's model isn't exact */
    DISPATCH_REFUSED,        /* the worker failed it as not worth another try */
    DISPATCH_LOST            /* an assigned job: its worker left, hung, was replaced or gave it up */
} dispatch_failure;

enum { DISPATCH_FAILURES = DISPATCH_LOST + 1 };

typedef enum dispatch_closing {
    DISPATCH_REPLACED,    /* a newer session of the same worker came */
    DISPATCH_DEAD,        /* no beat for dead_after_ms */
    DISPATCH_UNRESPONSIVE /* a hung job was never given up */
} dispatch_closing;

/* "queue_deadline", "dead": for logs and metrics; static text. */
const char *dispatch_failure_name(dispatch_failure reason);
const char *dispatch_closing_name(dispatch_closing reason);

/* Called at the end of a dispatcher call, when all state is whole. A hook may call any function but
 * dispatch_free and those that report a worker's messages; what that brings about is announced after it
 * returns. None may be NULL. `worker` and `job` are the contexts given to dispatch_worker_add and
 * dispatch_submit. */
typedef struct dispatch_hooks {
    void *context;
    /* Send `job` to `worker`; it may produce `credit` tokens, counted from the job's start, before it waits.
     */
    void (*send_job)(void *context, void *worker, void *job, uint64_t credit);
    void (*send_credit)(void *context, void *worker, const dispatch_id *job, uint64_t tokens);
    void (*send_cancel)(void *context, void *worker, const dispatch_id *job);
    /* The job lost its worker and starts again from its first token, elsewhere. `resumed`: bytes are out, and
     * the same bits will come again: compare and leave out what was sent. Otherwise: forget what came. */
    void (*job_restarted)(void *context, void *job, bool resumed);
    /* The job is over; its handle is invalid from here on. */
    void (*job_failed)(void *context, void *job, dispatch_failure reason);
    /* A draining worker holds no job any more: it can be closed. Its handle stays valid. */
    void (*worker_drained)(void *context, void *worker);
    /* The dispatcher let go of the session: close the connection. Its handle is invalid from here on. */
    void (*worker_closed)(void *context, void *worker, dispatch_closing reason);
} dispatch_hooks;

/* ERROR_INVALID if a bound is out of range, ERROR_MEMORY. */
MUST_CHECK dispatch *dispatch_new(const dispatch_config *config, const dispatch_hooks *hooks, error *err);
/* Ends everything without calling hooks; all handles become invalid. NULL is allowed. */
void dispatch_free(dispatch *d);
/* New limits, at once; only the deadlines that a job already has stay. ERROR_INVALID: nothing has changed. */
MUST_CHECK bool dispatch_configure(dispatch *d, const dispatch_config *config, error *err);

/* Handles every deadline that has passed. */
void dispatch_tick(dispatch *d, uint64_t now);
/* When dispatch_tick is next needed, never later than that; UINT64_MAX: nothing is pending. */
uint64_t dispatch_next_deadline(const dispatch *d);

typedef struct dispatch_stats {
    size_t workers, slots, busy; /* busy: slots that can't be given out, cancelled jobs included */
    size_t running, queued;      /* jobs */
    uint64_t submitted, completed, failed[DISPATCH_FAILURES], cancelled; /* jobs, ever */
    uint64_t redispatched, hung, stale, violations;                      /* events, ever */
    uint64_t comparisons; /* in all choices and deadlines: grows with log(workers) a job */
} dispatch_stats;

void dispatch_read_stats(const dispatch *d, dispatch_stats *stats);

typedef struct dispatch_model_info {
    slice name; /* valid until the next call that changes the dispatcher */
    dispatch_kind kind;
    size_t workers, slots, running, queued;
} dispatch_model_info;

/* for (size_t i = 0; dispatch_model_next(d, &i, &info);) — models that a connected worker has; one that does
 * both kinds comes twice. */
bool dispatch_model_next(const dispatch *d, size_t *position, dispatch_model_info *info);
/* A connected worker has it, for jobs of that kind. */
bool dispatch_has_model(const dispatch *d, slice name, dispatch_kind kind);

/* Recounts everything and checks every invariant of the README; costs as much as all there is. For tests. */
MUST_CHECK bool dispatch_check(const dispatch *d, error *err);

#endif
