#ifndef POOL_ADMIN_WORKERS_H
#define POOL_ADMIN_WORKERS_H

#include "state.h"

/* Workers, under /v1/admin; how they come to be is in enrol/. */
void admin_worker_list(pool *p, http_request *request, const account *who, slice segment);
/* Effective at once: the session is closed, its jobs go elsewhere, before the store has answered. */
void admin_worker_revoke(pool *p, http_request *request, const account *who, slice worker_id);

#endif
