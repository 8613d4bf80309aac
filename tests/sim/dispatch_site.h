#ifndef DISPATCH_SITE_H
#define DISPATCH_SITE_H

#include "dispatch/job.h"
#include "dispatch/worker.h"
#include "sim.h"

/* A site on simulated time: the real dispatcher, and around it machines, connections and clients that keep
 * their own account of what is true. Whatever the dispatcher says is compared with that account. */

enum { MACHINE_SLOTS_MAX = 4, TASKS_MAX = 64, CREDIT_WINDOW = 16, MODEL_COUNT = 3 };

enum event_kind {
    /* clients */
    CLIENT_ASKS,
    CLIENT_READS,
    CLIENT_LEAVES,
    /* machines */
    MACHINE_JOINS,
    MACHINE_BREAKS,
    MACHINE_BEATS,
    MACHINE_COMPUTES,
    MACHINE_GIVES_UP,
    /* messages arriving */
    AT_MACHINE_JOB,
    AT_MACHINE_CREDIT,
    AT_MACHINE_CANCEL,
    AT_POOL_BEAT,
    AT_POOL_DELTA,
    AT_POOL_DONE,
    AT_POOL_FAIL,
    AT_POOL_CLOSE
};

/* What a dishonest machine made up, about its own job or another's: never to be accepted. */
enum { FORGED = 1, FORGED_OTHER = 2 };

typedef struct task {
    bool active;
    bool waits; /* for credit */
    size_t job;
    uint64_t credit;
    uint64_t produced;
    uint64_t sequence;
} task;

typedef struct session {
    size_t machine;
    dispatch_worker *handle; /* NULL: the pool has closed it, or learned of its end */
    bool alive;              /* the machine's side */
    bool silent;             /* agent hung */
    bool stuck;              /* engine hung */
    bool sluggish;           /* slow to give up cancelled jobs */
    uint64_t to_machine_at;  /* messages of one direction arrive in order */
    uint64_t to_pool_at;
    task tasks[TASKS_MAX];
} session;

typedef struct machine {
    unsigned model;
    uint8_t digest;
    bool exact;
    uint32_t slots;
    size_t session; /* the newest; SIZE_MAX: none yet */
} machine;

typedef enum request_state { REQUEST_LATER, REQUEST_LIVE, REQUEST_ENDED } request_state;

typedef struct request {
    request_state state;
    dispatch_job *handle;
    unsigned model;
    uint64_t user;
    bool streams;
    bool reads;          /* else it never takes a byte off its connection */
    uint64_t read_delay; /* at most */
    uint64_t length;     /* tokens of the answer */
    size_t session;      /* that runs it, as the hooks told; SIZE_MAX: none */
    uint64_t arrived;    /* tokens of this attempt */
    uint64_t sent;       /* tokens on their way to the client */
    uint64_t consumed;
    bool started;
    uint64_t bits; /* which computation the sent tokens are from: equal if and only if their bits are */
    unsigned ends;
} request;

typedef struct tally {
    uint64_t failed[DISPATCH_FAILURES];
    uint64_t closed[DISPATCH_UNRESPONSIVE + 1];
    uint64_t done, left, refused, resumed, restarted, stale, violations, drained, credits, broken_sends,
        steps;
} tally;

typedef struct site {
    sim sim;
    uint64_t seed;
    uint64_t span; /* ms during which clients ask and machines break */
    dispatch *dispatch;
    machine *machines;
    size_t machine_count;
    session *sessions;
    size_t session_count;
    size_t session_limit;
    request *requests;
    size_t request_count;
    size_t live;
    bool ending; /* nothing breaks and nobody asks any more */
    tally tally;
} site;

/* Ends the process with the seed if `condition` is false. */
#define SITE_REQUIRE(s, condition) ((condition) ? (void)0 : site_broken((s), __FILE__, __LINE__, #condition))
_Noreturn void site_broken(const site *s, const char *file, int line, const char *condition);

/* machines.c: the far side of the connections. */
void machine_joins(site *s, size_t machine);
void machine_breaks(site *s, size_t machine);
/* Slots over all its models: every second machine has one of the model "common" too. */
uint32_t machine_capacity(const site *s, size_t machine);
void machine_event(site *s, const sim_event *event);
/* The connection is gone, on the machine's side too. */
void session_lost(site *s, size_t session);
void session_tell(site *s, size_t session, unsigned kind, size_t request, uint64_t a);
dispatch_id request_id(size_t request);
size_t request_of(const dispatch_id *id);

#endif
