#ifndef POOL_PROOF_ADMIN_H
#define POOL_PROOF_ADMIN_H

#include "state.h"

/* What admins see and decide of proof, under /v1/admin. */

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

/* The newest checks. */
void admin_verification_list(pool *p, http_request *request, const account *who, slice segment);
/* Users' answers that were found wrong, told to them or not. */
void admin_notice_list(pool *p, http_request *request, const account *who, slice segment);

void admin_honeytoken_list(pool *p, http_request *request, const account *who, slice segment);
/* The body is any text: which of the markers in it are the pool's own, and whose? */
void admin_honeytoken_check(pool *p, http_request *request, const account *who, slice segment);

#endif
