#ifndef POOL_JOB_H
#define POOL_JOB_H

#include "chat_request.h"
#include "ledger/receipt.h"
#include "proto/message.h"
#include "state.h"

/* One question on its way: the client's request, the dispatcher's job, and the answer so far. Lives in the
 * request's arena and ends with the request:
 *
 *   waiting ──first delta──> answering ──done, receipt stored──> answered
 *      └──────────┴── failed (an error goes out) or left (the client is gone)
 *
 * Invariants: `handle` is NULL exactly when the dispatcher has let go; `text` holds all that came of the
 * answer, of which nothing is ever taken back once `started`; while `replayed` < text length, what comes must
 * equal it. */
typedef struct receipt_storing receipt_storing;

typedef struct job {
    list_node node;         /* in pool.jobs */
    list_node stalled_node; /* in pool.stalled */
    pool *pool;
    http_request *request;
    dispatch_job *handle;
    dispatch_id id;
    char id_hex[33];
    uint64_t user_id;
    uint64_t key_id;
    chat_request chat;
    uint64_t created_ms; /* Unix */
    uint64_t seed;
    uint8_t check_draw; /* random, known to nobody else: receipts.h */
    uint8_t nonce[32];
    uint8_t salt[RECEIPT_SALT_SIZE];
    buffer text;     /* of the answer */
    size_t replayed; /* bytes of `text` that the current worker has produced */
    buffer tokens;   /* ids of the current worker's run, uint32_t each */
    uint64_t token_count;
    bool head_sent;     /* streaming: the HTTP head is out */
    bool started;       /* streaming: the first byte of the answer is out */
    slice chunk_prefix; /* streaming: what every event begins with */
    bool input_refused;
    char refusal[256];        /* what the worker said when it refused the job */
    receipt_storing *storing; /* the receipt is with the store */
    buffer end; /* what completes the answer: made before its receipt is stored, so that nothing but the
                   connection can fail afterwards */
    ev_timer queue_timer; /* streaming: news while it waits */
} job;

/* Takes over the request: makes the job, submits it, answers errors. */
void job_start(pool *p, http_request *request, const account *who, const chat_request *chat);

/* What the serving worker says. False: the worker broke the protocol and its session must be closed; the job
 * is then still the dispatcher's. */
MUST_CHECK bool job_delta(job *j, const proto_delta *delta, error *err);
/* The worker says that its answer is complete, but another worker's had gone further already: true, and the
 * job has ended with an error. */
MUST_CHECK bool job_is_short(job *j);
/* Builds the receipt from what the pool knows and what the worker claims and checks the worker's signature,
 * before the dispatcher hears that the job is done. ERROR_INVALID and ERROR_CORRUPT are the worker's fault,
 * others the pool's own. */
MUST_CHECK bool job_check_receipt(job *j, const fleet_worker *worker, const proto_done *done,
                                  signed_receipt *entry, error *err);
/* The dispatcher has let go: store the receipt, then complete the answer. NULL: the pool could not make it.
 */
void job_complete(job *j, const fleet_worker *worker, const signed_receipt *entry);
/* The store's answer to that. */
void job_receipt_stored(job *j, const error *failure);
/* The worker refused: the reason is kept for the client. */
void job_note_refusal(job *j, bool input_refused, slice text);

/* Hooks of the dispatcher. */
void job_restarted(job *j, bool resumed);
void job_failed(job *j, dispatch_failure reason);

/* Ends every job of a key, or of a user (`key_id` 0), with an error: the key was revoked. */
void job_end_revoked(pool *p, uint64_t user_id, uint64_t key_id);
/* Ends the jobs that wait for a worker, or every job, with an error: the pool is going down. */
void job_end_queued(pool *p);
void job_end_all(pool *p);
/* Looks again at jobs whose client was behind. */
void job_check_stalled(void *context);

#endif
