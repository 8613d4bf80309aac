#ifndef POOL_JOB_INTERNAL_H
#define POOL_JOB_INTERNAL_H

#include "job.h"
#include "proof/proof.h"

/* Shared by job.c (the question and its worker), job_stream.c (what leaves while it is answered) and
 * job_end.c (the ways in which it ends without an answer). */

/* Nothing is told yet: job_release may follow. */
void job_stream_prepare(job *j);
/* A stream that has to wait is told so from now on, now and then. */
void job_stream_expect_news(job *j);
/* Text goes out, if it is a stream and isn't held back. False: memory is out, or the connection is being cut.
 */
MUST_CHECK bool job_stream_text(job *j, slice text);
/* Sends `end` and ends job and request. */
void job_stream_finish(job *j);
/* The fields of an answer's head; they live as long as the job and `head`. Returns how many. */
typedef struct job_head {
    http_header fields[6];
    char notice[PROOF_NOTICE_SIZE];
} job_head;
size_t job_head_fields(job *j, slice media_type, job_head *head);
/* Tokens whose text has left for the client, or is about to, give the worker new credit. May end the job: if
 * the credit can't be sent, the worker is lost. */
void job_tell_consumed(job *j);

/* Ends the job at the second at which the key or session that asked expires. */
void job_watch_expiry(job *j);

/* Work's `failed`. */
void job_failed(work *w, dispatch_failure reason);

#endif
