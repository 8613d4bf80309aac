#ifndef POOL_AUDIT_SUBJECT_H
#define POOL_AUDIT_SUBJECT_H

#include "audit/gate.h"
#include "codec/json.h"
#include "ledger/audit_entry.h"

/* What an entry says of a request. Of the path and the body only what is an id, a number or a word of this
 * program stands in it as it is; a person's name, wherever a caller put one, never. */
typedef struct audit_about {
    char target[AUDIT_TEXT_MAX + 1];
    slice person; /* in `body` or in the request */
    json_value *body;
} audit_about;

/* Freed by audit_about_free. A body that can't be read says nothing: its handler refuses it. */
void audit_describe(const pool *p, const http_request *request, const audit_act *act, audit_about *about);
/* Method and pattern alone; nothing to free. */
void audit_describe_path(const audit_act *act, audit_about *about);
void audit_about_free(audit_about *about);

#endif
