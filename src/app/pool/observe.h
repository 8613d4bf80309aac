#ifndef POOL_OBSERVE_H
#define POOL_OBSERVE_H

#include "state.h"

/* What can be seen of the pool. Nothing here names a user or shows a word of a prompt. */

/* GET /healthz: the loop runs. GET /readyz: it can take requests; 503 while stopping or while the database
 * fails. */
void observe_health(pool *p, http_request *request);
void observe_ready(pool *p, http_request *request);
/* GET /v1/pool: the pool's id and public key, so that receipts can be checked. */
void observe_pool(pool *p, http_request *request);
void observe_keys(pool *p, http_request *request);
/* GET /v1/release: which program this is, and the manifest that it was checked against. */
void observe_release(pool *p, http_request *request);
/* GET /metrics: Prometheus text format 0.0.4. */
void observe_metrics(pool *p, http_request *request, const account *who, slice segment);
/* GET /v1/admin/status */
void observe_status(pool *p, http_request *request, const account *who, slice segment);
/* GET /v1/models, GET /v1/models/{name} */
void observe_models(pool *p, http_request *request, const account *who, slice segment);
void observe_model(pool *p, http_request *request, const account *who, slice name);

#endif
