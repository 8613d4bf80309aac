#ifndef POOL_ENROL_APPROVALS_H
#define POOL_ENROL_APPROVALS_H

#include "state.h"
#include "store/approvals.h"

/* What one person asks for and another approves: the exact bytes, whatever their kind. The store keeps that
 * nobody approves what he asked for, and that each is used once. */

/* Whether the site asks for a second person (setting `approval`). */
bool approval_is_asked(const pool *p);
/* At the start and after each change of the settings: says in both logs which is in force. */
void approvals_announce(pool *p);

/* Enters that `who` asks for this, and answers with what waits now. */
void approvals_ask(pool *p, http_request *request, const account *who, const char *kind, slice exact);

/* Whether the bytes are those that were hashed when it was asked for: ERROR_CONFLICT if somebody changed them
 * since. */
MUST_CHECK bool approvals_check(const store_approval *a, error *err);

/* For the audit log: its number, or empty for 0. Returns `name`. */
enum { APPROVAL_NAME_SIZE = 24 };
const char *approval_name(uint64_t id, char name[APPROVAL_NAME_SIZE]);

/* GET /v1/enrolments: one's own. GET /v1/admin/approvals, with ?waiting: those that can be decided. */
void approvals_list_own(pool *p, http_request *request, const account *who, slice segment);
void approvals_list(pool *p, http_request *request, const account *who, slice segment);
void approvals_get(pool *p, http_request *request, const account *who, slice id);
/* POST /v1/admin/approvals/ID/approve {hash}: by somebody else than who asked, of exactly what was shown. */
void approvals_approve(pool *p, http_request *request, const account *who, slice id);
void approvals_refuse(pool *p, http_request *request, const account *who, slice id);

#endif
