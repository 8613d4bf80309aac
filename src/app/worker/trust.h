#ifndef WORKER_TRUST_H
#define WORKER_TRUST_H

#include "agent.h"

/* The site's other authority (`trust` in docs/protocol.md): kept if the pool's own key signed it and it is
 * newer than the one that is there, and asked from the next connection on. What is wrong with it is in the
 * log; the session goes on. */
void trust_take(agent *a, const proto_trust *told);

#endif
