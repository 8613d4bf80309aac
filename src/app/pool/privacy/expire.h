#ifndef POOL_PRIVACY_EXPIRE_H
#define POOL_PRIVACY_EXPIRE_H

#include "state.h"

/* Deletes what is older than conversation_days and fact_days say, and what is left of conversations that were
 * deleted; in steps that hold nobody up. At the start, every minute and when the settings were
 * read anew; one that isn't done by then isn't begun anew. */
void privacy_expire(pool *p);

#endif
