#ifndef WORKER_JOB_INTERNAL_H
#define WORKER_JOB_INTERNAL_H

#include "worker_job.h"

/* What a job of each kind begins with; the rest is in generate_job.c, score_job.c and embed_job.c. */
struct worker_job {
    list_node node; /* in agent.jobs */
    agent *agent;
    uint8_t id[PROTO_ID_SIZE];
    proto_kind kind;
    bool finished;                     /* the engine is done with it */
    const sign_key *key;               /* that its outcome is signed with: the one of when it came */
    void (*release)(worker_job *self); /* frees the whole of it; called by worker_job_free alone */
    ev_timer deadline_timer;
};

/* Makes a job of its kind, not yet known to the engine. */
worker_job *generate_job_new(agent *a, const proto_job *wanted, error *err);
worker_job *score_job_new(agent *a, const proto_job *wanted, error *err);
worker_job *embed_job_new(agent *a, const proto_job *wanted, error *err);

/* What the engine is to score. */
MUST_CHECK bool score_job_describe(const worker_job *j, const proto_job *wanted, pipe_score *score);

/* Gives the engine the next text. */
MUST_CHECK bool embed_job_send(worker_job *j);

/* From here on the job is the agent's, and its deadline runs. */
void worker_job_begin(worker_job *j, agent *a, const proto_job *wanted, void (*release)(worker_job *self));
/* Ended, and told: the place is free. */
void worker_job_free(worker_job *j);
/* Tells the pool, and the engine if it still works on it; then the job is gone. */
void worker_job_give_up(worker_job *j, const char *code, slice text, bool retryable);

/* Text as messages can carry it: U+0000 becomes U+FFFD. Returns the bytes appended. */
size_t worker_job_append_text(buffer *out, slice text);

/* The job of that kind; NULL if there is none. */
worker_job *worker_job_find(agent *a, const uint8_t id[PROTO_ID_SIZE], proto_kind kind);

#endif
