#ifndef POOL_AUDIT_API_H
#define POOL_AUDIT_API_H

#include "audit/audit.h"

/* GET /v1/audit/checkpoint: the signed note, and the key that signs it. */
void audit_get_checkpoint(pool *p, http_request *request, const account *who, slice segment);
/* GET /v1/audit/entries?from=N&limit=N: their texts, exactly as the tree is over them. */
void audit_get_entries(pool *p, http_request *request, const account *who, slice segment);
/* GET /v1/audit/proof/inclusion?index=N&size=N, /v1/audit/proof/consistency?from=N&size=N. Without a size:
 * of the checkpoint's. */
void audit_get_inclusion(pool *p, http_request *request, const account *who, slice segment);
void audit_get_consistency(pool *p, http_request *request, const account *who, slice segment);
/* POST /v1/audit/persons/NAME/erase: the entries tell nothing of that person any more. */
void audit_post_erase(pool *p, http_request *request, const account *who, slice person);

#endif
