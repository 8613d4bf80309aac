#ifndef POOL_HOOKS_H
#define POOL_HOOKS_H

#include "state.h"

/* What the dispatcher asks for, passed on to sessions and jobs. */
dispatch_hooks pool_dispatch_hooks(pool *p);

#endif
