#ifndef POOL_REVOKE_ADMIN_H
#define POOL_REVOKE_ADMIN_H

#include "state.h"

/* POST /v1/admin/revoke/owner {"owner": NAME}: all workers of that owner, and the join tokens for more. */
void admin_owner_revoke(pool *p, http_request *request, const account *who, slice segment);
/* POST /v1/admin/revoke/everything {"confirm": "everything"}: all workers, keys and join tokens. The answer
 * holds the only key that counts from then on, the caller's new one. */
void admin_everything_revoke(pool *p, http_request *request, const account *who, slice segment);

#endif
