#ifndef POOL_PRIVACY_ERASE_H
#define POOL_PRIVACY_ERASE_H

#include "state.h"

/* Erasing what a user keeps. What opens it (the wraps) goes first, in one write that is synced; after it all
 * else is noise, and goes step by step, also when nobody waits for it any more, and after a restart: a vault
 * without wraps says so. One erasing of a user at a time. Loop thread. */

typedef enum erase_state {
    ERASE_CLEARING, /* the wraps are gone, and the rest goes */
    ERASE_DONE      /* nothing is left, or there was nothing */
} erase_state;

/* Comes once, when nothing can be opened any more; with `failure`, as it was before, but locked. */
typedef void erase_begun(void *context, erase_state state, const error *failure);
/* ERROR_CONFLICT: another request has just begun with it. */
MUST_CHECK bool erase_begin(pool *p, uint64_t user_id, erase_begun *done, void *context, error *err);

/* Goes on with those that were begun in an earlier life of the pool, or that a failure has stopped: at its
 * start and every minute. */
void erase_go_on(pool *p);
size_t erase_count(const pool *p);

#endif
