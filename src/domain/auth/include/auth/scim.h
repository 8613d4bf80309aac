#ifndef AUTH_SCIM_H
#define AUTH_SCIM_H

#include "base/arena.h"
#include "base/error.h"
#include "base/slice.h"

/* What provisioning services ask about people (SCIM 2.0: RFC 7643, RFC 7644), as far as it says who is
 * active. Everything else of a person is the provider's own and is passed over. */
typedef enum auth_scim_active { AUTH_SCIM_UNSAID, AUTH_SCIM_INACTIVE, AUTH_SCIM_ACTIVE } auth_scim_active;

/* PATCH (RFC 7644 §3.5.2): operations "add" and "replace" of "active", with or without a path; the last one
 * counts. Texts "true" and "false" are taken too, in any case, as some services send them. ERROR_INVALID: not
 * a PatchOp, or an "active" that is neither; it is never taken for either then. */
MUST_CHECK bool auth_scim_read_patch(slice json, auth_scim_active *active, error *err);
/* PUT (§3.5.1): the whole resource. */
MUST_CHECK bool auth_scim_read_resource(slice json, auth_scim_active *active, error *err);

/* filter=ATTRIBUTE eq "VALUE" (§3.4.2.2), of the one attribute "userName" or "externalId". Both empty for an
 * empty filter; the value lies in `a`. ERROR_INVALID for all others. */
typedef struct auth_scim_filter {
    slice user_name; /* lower case */
    slice external_id;
} auth_scim_filter;
MUST_CHECK bool auth_scim_read_filter(slice text, arena *a, auth_scim_filter *filter, error *err);

#endif
