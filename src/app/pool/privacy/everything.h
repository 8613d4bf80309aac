#ifndef POOL_PRIVACY_EVERYTHING_H
#define POOL_PRIVACY_EVERYTHING_H

#include "state.h"

/* GET /v1/privacy/export: all that is kept of the caller, as one JSON document, streamed. It ends with
 * "complete":true, and is whole only with that. */
void privacy_export(pool *p, http_request *request, const account *who, slice segment);

#endif
