#ifndef STORE_WORKERS_INTERNAL_H
#define STORE_WORKERS_INTERNAL_H

#include "request.h"
#include "store/workers.h"

/* What every query that gives workers selects, in the order workers_read takes it. */
#define WORKER_COLUMNS                                                                                       \
    "id, public_key, name, owner, class, tiers, requested_by, approved_by, created_ms, expires_ms, "         \
    "revoked_ms, last_seen_ms, suspected_ms, approval, contractor, referee, machine"

MUST_CHECK bool workers_read(query *q, arena *memory, store_worker *worker, error *err);

#endif
