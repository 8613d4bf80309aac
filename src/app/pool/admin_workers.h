#ifndef POOL_ADMIN_WORKERS_H
#define POOL_ADMIN_WORKERS_H

#include "state.h"

/* Workers, under /v1/admin, and the enrolment that a join token allows. */
void admin_join_token_add(pool *p, http_request *request, const account *who, slice segment);
void admin_worker_list(pool *p, http_request *request, const account *who, slice segment);
/* Effective at once: the session is closed, its jobs go elsewhere, before the store has answered. */
void admin_worker_revoke(pool *p, http_request *request, const account *who, slice worker_id);

/* POST /v1/worker/enrol {token_id, token_secret, public_key, signature, name, class}: public, the token is
 * the right. The signature proves that the machine holds the key (proto/enrolment.h). */
void admin_enrol(pool *p, http_request *request);

#endif
