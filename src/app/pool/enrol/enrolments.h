#ifndef POOL_ENROL_ENROLMENTS_H
#define POOL_ENROL_ENROLMENTS_H

#include "state.h"

/* A machine's way in where another person approves it: request, approval (approvals.h), token (tokens.h). */

/* POST /v1/enrolments: asks for a machine. Who owns workers and no more asks for his own. */
void enrolment_request(pool *p, http_request *request, const account *who, slice segment);
/* POST /v1/enrolments/ID/token: the join token of a request that was approved, to who asked, once. */
void enrolment_token(pool *p, http_request *request, const account *who, slice id);

#endif
