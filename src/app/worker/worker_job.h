#ifndef WORKER_WORKER_JOB_H
#define WORKER_WORKER_JOB_H

#include "agent.h"

/* One job from the pool, computed by the engine: an answer (generate_job.c), the check of one (score_job.c)
 * or vectors of texts (embed_job.c). */
typedef struct worker_job worker_job;

/* Takes the job over, or answers with `fail`. */
void worker_job_start(agent *a, const proto_job *wanted);
void worker_job_cancel(agent *a, const uint8_t id[PROTO_ID_SIZE]);
/* What the engine says of a job; ignored if the job is gone. */
void worker_job_fail(agent *a, const uint8_t id[PIPE_JOB_SIZE], const pipe_fail *fail);

/* The engine is lost: every job fails, to be tried elsewhere. */
void worker_job_fail_all(agent *a, const char *reason);
/* The session is lost: nobody waits for the jobs any more. */
void worker_job_drop_all(agent *a);

/* An answer: what the engine says is passed on as the pool's credit allows, the first token at once, later
 * ones gathered for 20 ms. The receipt is made from what was passed on. */
void generate_job_credit(agent *a, const proto_credit *credit);
void generate_job_delta(agent *a, const uint8_t id[PIPE_JOB_SIZE], const pipe_delta *delta);
void generate_job_done(agent *a, const uint8_t id[PIPE_JOB_SIZE], const pipe_done *done);

/* A check: one message from the engine, one signed finding to the pool. */
void score_job_scored(agent *a, const uint8_t id[PIPE_JOB_SIZE], const pipe_scored *scored);

/* Vectors: the engine is given one text after the other; one message to the pool at the end. */
void embed_job_embedded(agent *a, const uint8_t id[PIPE_JOB_SIZE], const pipe_embedded *embedded);

#endif
