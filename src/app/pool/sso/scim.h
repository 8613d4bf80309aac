#ifndef POOL_SCIM_H
#define POOL_SCIM_H

#include "sso/providers.h"

/* Identity providers that say who has left (SCIM 2.0, RFC 7644), each with a token of its own, about its own
 * people alone: those who have logged in here. Whoever is no longer active is out at once, for good:
 * sessions, keys, and what is being answered. Who is made active again may log in again; keys are made anew.
 * Entered in the audit log before it is done. */
void scim_list(pool *p, http_request *request);
void scim_get(pool *p, http_request *request);
void scim_patch(pool *p, http_request *request);
void scim_put(pool *p, http_request *request);
void scim_delete(pool *p, http_request *request);

#endif
