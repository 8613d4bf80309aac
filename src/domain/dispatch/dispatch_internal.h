#ifndef DISPATCH_DISPATCH_INTERNAL_H
#define DISPATCH_DISPATCH_INTERNAL_H

#include "base/list.h"
#include "dispatch/dispatch.h"
#include "dispatch/job.h"
#include "dispatch/worker.h"
#include "heap_internal.h"

/* Something to call a hook for, inside what it is about; dispatch_leave empties the queue of them. */
typedef struct notice {
    list_node link;
    enum { NOTICE_LEASE, NOTICE_JOB, NOTICE_WORKER } owner;
    unsigned what; /* of the bits below; 0: not in the queue */
} notice;

enum { LEASE_SEND = 1, LEASE_CREDIT = 2, LEASE_CANCEL = 4 };
enum { JOB_RESTARTED = 1, JOB_FAILED = 2 };
enum { WORKER_DRAINED = 1, WORKER_CLOSED = 2 };

typedef struct timer {
    heap_node node;
    uint64_t at;
    enum { TIMER_JOB, TIMER_WORKER, TIMER_LEASE, TIMER_MODEL } owner;
} timer;

typedef struct user {
    uint64_t key;
    size_t jobs;
    size_t queued;
} user;

enum { MODEL_KEY_MAX = 1 + DISPATCH_MODEL_NAME_MAX };

/* A model by the name that clients use, for one kind of work: the key is the kind and the name. Lives while
 * something refers to it or its grace timer runs. */
typedef struct model {
    uint8_t key[MODEL_KEY_MAX];
    size_t key_length;
    heap choices;      /* offers of workers that may get jobs now or later, best first */
    list_node retried; /* waiting jobs that lost a worker: before the fresh ones */
    list_node fresh;
    size_t references; /* offers and jobs */
    size_t slots;      /* of the offers in `choices` */
    size_t queued;
    size_t running;
    bool positions_valid; /* every job in `retried` and `fresh` knows its position */
    timer grace;          /* runs for model_grace_ms after the last choice went */
} model;

enum { VARIANT_KEY_MAX = DISPATCH_DIGEST_SIZE + 1 + MODEL_KEY_MAX };

/* The offers of a model that give the same bits. Lives while something refers to it. */
typedef struct variant {
    uint8_t key[VARIANT_KEY_MAX];
    size_t key_length;
    bool exact;
    heap choices;
    list_node pinned;  /* waiting jobs that only these can go on with */
    size_t references; /* offers and pinned jobs */
} variant;

typedef struct offer {
    heap_node in_model;
    heap_node in_variant;
    dispatch_worker *worker;
    model *model;
    variant *variant;
    const struct offer
        *twin; /* the same model for the other kind, whose leases take its slots too; or NULL */
    uint32_t slots;
    uint32_t busy; /* leases */
    bool reserved; /* one slot is kept from the queue, by dispatch_worker_reserve */
} offer;

typedef enum lease_state { LEASE_FREE, LEASE_RUNNING, LEASE_LINGERING } lease_state;

/* One slot of a worker, given to one attempt of a job. It lingers when the job was taken away and the worker
 * has not confirmed. */
typedef struct lease {
    list_node link; /* in one of the worker's three lists */
    lease_state state;
    notice notice;
    dispatch_worker *worker;
    offer *offer;
    dispatch_job *job; /* while running */
    dispatch_id id;
    uint64_t sequence; /* of the next delta */
    uint64_t received; /* tokens */
    uint64_t granted;
    uint64_t unsent; /* credit granted and not announced */
    uint64_t empty;  /* deltas without a token */
    uint64_t assigned_at;
    uint64_t progressed_at;
    timer grace; /* while lingering */
    bool hung;
} lease;

enum { FORGOTTEN_COUNT = 32 };

typedef struct forgotten {
    dispatch_id id;
    uint64_t until; /* 0: unused */
} forgotten;

struct dispatch_worker {
    dispatch *dispatch;
    dispatch_id id;
    void *context;
    dispatch_worker_state state;
    dispatch_availability availability;
    double load;
    uint64_t session; /* number, never used twice */
    offer *offers;
    size_t offer_count;
    lease *leases;
    uint32_t capacity; /* leases */
    list_node free;
    list_node running;
    list_node lingering;
    uint32_t busy;    /* leases running or lingering */
    uint32_t foreign; /* jobs of its own telling that we hold no lease for */
    uint32_t slots;
    uint32_t hung;     /* leases; while there is one it gets no jobs */
    bool held;         /* by dispatch_worker_hold */
    uint32_t reserved; /* offers that are */
    bool suspect;
    bool drained;
    uint64_t assigned; /* number of its last assignment: equal workers take turns */
    uint64_t heard_at;
    uint64_t completed;
    timer beat;
    notice notice;
    dispatch_closing closing;
    forgotten forgotten[FORGOTTEN_COUNT];
    size_t next_forgotten;
};

typedef enum job_state { JOB_PLACING, JOB_QUEUED, JOB_RUNNING, JOB_ENDED } job_state;

typedef struct attempt {
    dispatch_id worker;
    uint64_t session;
} attempt;

struct dispatch_job {
    dispatch *dispatch;
    dispatch_id id;
    void *context;
    bool (*allows)(void *job, void *worker); /* NULL: any worker */
    user *user;
    model *model;
    variant *pin; /* of the worker whose bytes went out; NULL before */
    job_state state;
    uint64_t sequence; /* in order of submission */
    list_node link;    /* while queued */
    bool assigned;     /* to one worker: never queued */
    bool silent;       /* no deltas */
    bool retried;      /* which list of the model it is in */
    size_t position;
    lease *lease; /* while running */
    attempt tried[DISPATCH_ATTEMPTS_MAX];
    uint32_t attempts;
    uint64_t consumed; /* tokens that left for the client */
    uint64_t seen;     /* tokens that came, at most, in any attempt that still counts */
    uint64_t deadline_at;
    uint64_t wait_until;
    uint64_t grace_until;
    timer timer;
    notice notice;
    dispatch_failure failure;
    bool held; /* dispatch_submit is still running: it reports the failure itself */
};

struct dispatch {
    dispatch_config config;
    dispatch_hooks hooks;
    map *workers;  /* id -> dispatch_worker */
    map *jobs;     /* id -> dispatch_job */
    map *models;   /* name -> model */
    map *variants; /* digest, exact, name -> variant */
    map *users;    /* key -> user */
    heap timers;
    size_t timers_needed; /* room for every timer there is */
    list_node notices;    /* of leases and jobs */
    list_node worker_notices;
    unsigned depth; /* of calls: the outermost announces */
    uint64_t sessions;
    uint64_t assignments;
    dispatch_stats stats;
};

/* dispatch.c */
void dispatch_enter(dispatch *d);
void dispatch_leave(dispatch *d);
void notice_add(dispatch *d, notice *n, unsigned what);
void notice_drop(notice *n);
void timer_arm(dispatch *d, timer *t, uint64_t at);
void timer_disarm(dispatch *d, timer *t);
bool id_equal(const dispatch_id *a, const dispatch_id *b);
slice id_slice(const dispatch_id *id);

/* model.c: the first two return NULL if memory is out. Each takes a reference. */
model *model_take(dispatch *d, slice name, dispatch_kind kind);
variant *variant_take(dispatch *d, const dispatch_offer *spec);
void model_drop(dispatch *d, model *m);
/* NULL: there is none. */
model *model_find(const dispatch *d, slice name, dispatch_kind kind);
bool model_is(const model *m, slice name, dispatch_kind kind);
/* Leases of the model at this worker, of either kind. */
uint32_t offer_busy(const offer *o);
void variant_drop(dispatch *d, variant *v);
bool offer_can_take(const offer *o);
/* As that, but a held worker's too, and a slot that is reserved: for dispatch_assign. */
bool offer_has_room(const offer *o);

/* lease.c: the offer has room. */
void lease_grant(offer *o, dispatch_job *job, uint64_t now);
void lease_release(lease *l);
void lease_linger(lease *l, bool hung, uint64_t now);
void lease_expire(lease *l, uint64_t now);
uint64_t lease_due(const lease *l);

/* queue.c */
offer *queue_choose(dispatch_job *job);
bool queue_has_candidates(const dispatch_job *job);
void queue_place(dispatch_job *job, uint64_t now);
void queue_remove(dispatch_job *job);
/* Gives waiting jobs to a worker with free slots. */
void queue_fill(dispatch_worker *w, uint64_t now);
/* After the worker left the choices: what waits may now have nobody, or only those it has tried before. */
void queue_withdrawn(dispatch_worker *w, uint64_t now);

/* worker.c */
/* NULL: it doesn't have that model. */
offer *worker_find_offer(const dispatch_worker *w, slice name, dispatch_kind kind);
void worker_changed(dispatch_worker *w);
void worker_close(dispatch_worker *w, dispatch_closing reason, uint64_t now);
void worker_expire(dispatch_worker *w, uint64_t now);
void worker_free(dispatch_worker *w);
bool worker_holds(const dispatch_worker *w);

/* job.c */
void job_set_state(dispatch_job *job, job_state state);
void job_move_on(dispatch_job *job, uint64_t now);
void job_detach(dispatch_job *job);
void job_fail(dispatch_job *job, dispatch_failure reason);
void job_expire(dispatch_job *job, uint64_t now);
void job_watch(dispatch_job *job);
bool job_holds(const dispatch_job *job);

#endif
