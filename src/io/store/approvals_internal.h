#ifndef STORE_APPROVALS_INTERNAL_H
#define STORE_APPROVALS_INTERNAL_H

#include "request.h"
#include "store/approvals.h"

/* As part of a transaction, for what is done with an approval: both or neither. Says who approved it. */
MUST_CHECK bool approvals_use(database *d, const store_approval_act *act, uint64_t *approved_by, error *err);

#endif
