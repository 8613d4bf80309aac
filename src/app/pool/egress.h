#ifndef POOL_EGRESS_H
#define POOL_EGRESS_H

#include "state.h"

/* What the pool may connect to: what its settings name, through net/egress.h. A refusal is in the audit log
 * too, so that whoever reads it sees that something in the pool wanted to talk to others. */

/* Before anything connects. A part of the pool whose own settings name whom it asks adds that afterwards,
 * with net_egress_allow_url. */
MUST_CHECK bool egress_start(pool *p, error *err);
void egress_stop(void);

#endif
