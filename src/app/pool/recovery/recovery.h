#ifndef POOL_RECOVERY_H
#define POOL_RECOVERY_H

#include "state.h"

/* Users who have lost all their keys get back what they keep, from some of the officers together. */

/* GET /v1/memory/recovery: whether it is on, who the officers are, how many it takes, and how far one's own
 * request is. */
void recovery_show(pool *p, http_request *request, const account *who, slice segment);
/* POST /v1/memory/recovery: with the key that is to open it. */
void recovery_request(pool *p, http_request *request, const account *who, slice segment);

/* GET /v1/admin/recoveries: all but one's own. */
void recovery_list(pool *p, http_request *request, const account *who, slice segment);
/* GET /v1/admin/recoveries/ID/share: an officer's own, sealed to him. */
void recovery_get_share(pool *p, http_request *request, const account *who, slice id);
/* POST /v1/admin/recoveries/ID/share {share}: the same, sealed to the request. */
void recovery_put_share(pool *p, http_request *request, const account *who, slice id);
/* POST /v1/admin/recoveries/ID/refuse. */
void recovery_refuse(pool *p, http_request *request, const account *who, slice id);

#endif
