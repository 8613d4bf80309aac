#ifndef POOL_ROUTE_TABLE_H
#define POOL_ROUTE_TABLE_H

#include "audit/gate.h"

/* The one table of endpoints, from which requests are dispatched, `cellule pool routes` prints, docs/roles.md
 * is written and every endpoint is tested with every role. Which roles an action takes is in auth/role.h. */
typedef struct route {
    const char *method;
    const char *path;      /* segments may be "*": the handler gets the last of them */
    const char *help;      /* one line */
    auth_action action;    /* AUTH_ACTION_COUNT, which nobody may do, where it is `open` */
    audit_subject subject; /* what its entry in the audit log names */
    void (*handle)(pool *p, http_request *request, const account *who, slice segment);
    void (*open)(pool *p, http_request *request); /* asks for no key; NULL: `handle`, for who may */
} route;

extern const route route_table[];
extern const size_t route_count;

#endif
