#ifndef POOL_PROOF_ADMIN_H
#define POOL_PROOF_ADMIN_H

#include "codec/json_writer.h"
#include "state.h"
#include "store/receipts.h"

/* What admins see and decide of proof, under /v1/admin. */

/* 32 hexadecimal digits: of a job, a worker, a check. */
void admin_add_id(json_writer *w, const char *name, const uint8_t id[STORE_JOB_ID_SIZE]);

/* Every worker's standing, or one's. */
void admin_standing_list(pool *p, http_request *request, const account *who, slice segment);
void admin_standing_get(pool *p, http_request *request, const account *who, slice worker_id);
/* A human lets a worker that was convicted, or is in quarantine, begin anew. Stored before it counts. */
void admin_worker_clear(pool *p, http_request *request, const account *who, slice worker_id);
/* The newest bundle that tells why it was convicted (ledger/evidence.h). */
void admin_evidence_get(pool *p, http_request *request, const account *who, slice worker_id);

void admin_blacklist_get(pool *p, http_request *request, const account *who, slice segment);
/* {kind, value, reason}: live sessions are closed before the store has answered. */
void admin_blacklist_add(pool *p, http_request *request, const account *who, slice segment);
/* {kind, value} */
void admin_blacklist_remove(pool *p, http_request *request, const account *who, slice segment);

/* The newest checks; those that a human has to decide; one of them. */
void admin_verification_list(pool *p, http_request *request, const account *who, slice segment);
void admin_dispute_list(pool *p, http_request *request, const account *who, slice segment);
void admin_verification_get(pool *p, http_request *request, const account *who, slice id);
/* {guilty, reason}: a human settles a dispute that nobody could. What follows is what follows from a
 * referee's verdict; answered when it is on disk. */
void admin_verification_decide(pool *p, http_request *request, const account *who, slice id);
/* It goes to referees once more. */
void admin_verification_judge(pool *p, http_request *request, const account *who, slice id);
/* Users' answers that were found wrong, told to them or not. */
void admin_notice_list(pool *p, http_request *request, const account *who, slice segment);

void admin_honeytoken_list(pool *p, http_request *request, const account *who, slice segment);
/* The body is any text: which of the markers in it are the pool's own, and whose? */
void admin_honeytoken_check(pool *p, http_request *request, const account *who, slice segment);

#endif
