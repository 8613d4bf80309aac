#ifndef POOL_ADMIN_USERS_H
#define POOL_ADMIN_USERS_H

#include "state.h"

/* Users and their keys, under /v1/admin. A change counts from the moment it is answered: the store has it on
 * disk and the accounts in memory follow. */
void admin_user_add(pool *p, http_request *request, const account *who, slice segment);
void admin_user_list(pool *p, http_request *request, const account *who, slice segment);
void admin_user_disable(pool *p, http_request *request, const account *who, slice name);
void admin_key_add(pool *p, http_request *request, const account *who, slice name);
void admin_key_list(pool *p, http_request *request, const account *who, slice name);
void admin_key_revoke(pool *p, http_request *request, const account *who, slice key_id);
void admin_key_set_verify(pool *p, http_request *request, const account *who, slice key_id);

#endif
