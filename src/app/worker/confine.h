#ifndef WORKER_CONFINE_H
#define WORKER_CONFINE_H

#include "base/error.h"

/* What is left to the agent once it serves: to dial whom net/egress.h allows, to keep its own folder up to
 * date, and to start the engine, which gets no more rights than the agent has. It opens no other file of its
 * own; what the engine reads it could read too. Says in the log, in one line, what the kernel lacks of it. */

/* `state`: the worker's folder. `model`: the engine's file, NULL where a runtime computes: then nothing can
 * be started. `cache`: packed weights are written beside it. After all has been opened, before threads. */
MUST_CHECK bool worker_confine(const char *state, const char *model, bool cache, error *err);

#endif
