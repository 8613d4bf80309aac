#ifndef POOL_RECEIPTS_H
#define POOL_RECEIPTS_H

#include "job.h"

/* Receipts between the worker's signature, the store and the user. */

/* Verifies the worker's signature before the answer is completed. An Ed25519 verification costs as much as
 * all else about a short answer, so it is budgeted: a worker's first 20 in a session and then up to 50 a
 * second of all workers' are verified; beyond that one in 32, by the job's own draw, and all the rest when
 * the receipt is fetched. */
MUST_CHECK bool receipts_check(job *j, session *worker_session, signed_receipt *entry, error *err);

/* Hands the receipt to the store; job_receipt_stored follows, unless receipts_forget is called first (the job
 * has ended; the receipt is kept all the same). NULL: it couldn't be queued. */
MUST_CHECK receipt_storing *receipts_store(pool *p, job *j, const fleet_worker *worker,
                                           const signed_receipt *entry, error *err);
/* The same under any id, with any end. */
typedef struct receipt_keeping {
    uint64_t user_id;
    const uint8_t *job_id; /* that the user asks for it by */
    const uint8_t *worker_id;
    const signed_receipt *entry;
    void (*stored)(void *context, const error *failure);
    void *context;
} receipt_keeping;
MUST_CHECK receipt_storing *receipts_keep(pool *p, const receipt_keeping *wanted, error *err);
void receipts_forget(receipt_storing *storing);

/* GET /v1/receipts/{job}: the owner's only; verified and countersigned here, the first time. */
void receipts_get(pool *p, http_request *request, const account *who, slice job_hex);

/* Deletes receipts past their retention, a bounded number per call. */
void receipts_expire(pool *p);

#endif
