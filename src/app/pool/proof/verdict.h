#ifndef POOL_PROOF_VERDICT_H
#define POOL_PROOF_VERDICT_H

#include "proof/check.h"

/* What comes of checks, and what follows from it. */

/* A check's kind of work: it is told to a worker as a score job, and what that says is judged. */
extern const work_kind check_kind;

/* Whoever had it doesn't do it. `evaded`: that counts against the worker. */
void verdict_lost(check *c, bool evaded);
/* A human's word on one that is open, for a reason if it convicts. It isn't in memory: the caller stores it
 * as it is then. ERROR_CONFLICT: it isn't open. */
MUST_CHECK bool verdict_by_human(check *c, verification_event decided, const char *reason, error *err);
/* Nothing came of it in time. */
void check_expire(check *c);

#endif
