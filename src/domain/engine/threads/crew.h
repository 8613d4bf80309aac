#ifndef ENGINE_THREADS_CREW_H
#define ENGINE_THREADS_CREW_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

/* Threads that work on one thing together: the caller's and those that it started. */
typedef struct crew crew;
typedef struct crew_member crew_member;
enum { CREW_MAX = 256 };

/* `count` includes the caller. Threads wait without spinning while there is no work. */
MUST_CHECK crew *crew_new(uint32_t count, error *err);
void crew_free(crew *c); /* NULL is allowed; ends and joins the threads */
uint32_t crew_count(const crew *c);
/* Which one it is, from 0; the caller is 0. */
uint32_t crew_index(const crew_member *self);

/* Every member runs `work`; returns when all have. One call at a time. Each member computes in the canonical
 * floating-point mode (arithmetic_enter), and has its own back afterwards. False: the mode can't be set. */
MUST_CHECK bool crew_run(crew *c, void (*work)(void *context, crew_member *self), void *context, error *err);
/* Within work: the next portion [*first, *last) of `total` things, at most `grain`, that nobody has yet;
 * false when none is left. Portions are counted from the last crew_wait on: all members must ask for the same
 * total and grain. */
MUST_CHECK bool crew_take(crew_member *self, size_t total, size_t grain, size_t *first, size_t *last);
/* Within work: until every member is here. */
void crew_wait(crew_member *self);

#endif
