#ifndef POOL_PRIVACY_API_H
#define POOL_PRIVACY_API_H

#include "state.h"

/* POST /v1/privacy/erase {"confirm":"everything"}: all that the caller keeps. He needn't be able to open it.
 */
void privacy_erase(pool *p, http_request *request, const account *who, slice segment);
/* POST /v1/admin/users/NAME/erase, with the same body: what another keeps, also of one who is disabled. */
void admin_user_erase(pool *p, http_request *request, const account *who, slice name);
/* GET /v1/admin/privacy: how much each user keeps, and for how long it is kept. No content, no title. */
void admin_privacy(pool *p, http_request *request, const account *who, slice segment);

#endif
