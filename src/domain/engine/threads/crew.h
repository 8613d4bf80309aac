#ifndef ENGINE_THREADS_CREW_H
#define ENGINE_THREADS_CREW_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

/* Threads that work on one thing together: the caller's and those that it started. */
typedef struct crew crew;
typedef struct crew_member crew_member;
enum { CREW_MAX = 256 };

/* `count` includes the caller. All threads have begun when it returns; they sleep while there is no work. */
MUST_CHECK crew *crew_new(uint32_t count, error *err);
void crew_free(crew *c); /* NULL is allowed; ends and joins the threads */
uint32_t crew_count(const crew *c);
/* Which one it is, from 0; the caller is 0. */
uint32_t crew_index(const crew_member *self);

/* Members run `work`, the caller's among them, until what there is to take has been done; returns then. A
 * member whose thread the system doesn't run just now is not waited for: it comes in later, finds phases
 * over, and goes through them. So nothing may be left to a certain member, and nothing shared changed outside
 * a portion. One call at a time. Work is done in the canonical floating-point mode (arithmetic_enter); the
 * caller has its own back afterwards. False: the mode can't be set. */
MUST_CHECK bool crew_run(crew *c, void (*work)(void *context, crew_member *self), void *context, error *err);
/* Within work: the next portion [*first, *last) of `total` things, at most `grain`, that nobody has yet;
 * false when none is left in this phase. Asked until then; taking is saying that the portion before is done.
 * All members ask for the same total, above 0 and below 2^32. */
MUST_CHECK bool crew_take(crew_member *self, size_t total, size_t grain, size_t *first, size_t *last);
/* Within work, after crew_take has given false: until all things of the phase are done. The next phase
 * begins. */
void crew_wait(crew_member *self);

#endif
