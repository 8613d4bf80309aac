#ifndef POOL_MEMORY_DERIVE_H
#define POOL_MEMORY_DERIVE_H

#include "ev/loop.h"
#include "memory/wrap.h"

/* Stretching users' tokens takes a quarter of a second of a processor each: beside the loop, few at once, and
 * no more waiting than are soon done, so that a flood of logins slows nobody else. Loop thread. */
enum { DERIVE_WAITING_MAX = 32, DERIVE_WAITING_OF_USER_MAX = 8 };

typedef struct derive_queue derive_queue;

MUST_CHECK derive_queue *derive_queue_new(ev_loop *loop, error *err);
/* None is under way any more (ev_loop_settle); who waits isn't called. NULL is allowed. */
void derive_queue_free(derive_queue *q);

/* One of them. The caller fills in the first part; what it points to stays until `done`. */
typedef struct derivation {
    wrap_owner owner;
    slice token;       /* in secret memory */
    uint8_t *data_key; /* in secret memory; given when `makes`, else found */
    bool makes;        /* a wrap from the data key */
    slice kind;        /* of the wrap that is opened */
    uint64_t cost;
    slice wrapped;
    uint64_t unix_ms;
    void (*done)(struct derivation *d, const error *failure); /* on the loop */

    buffer made; /* the wrap, where `makes`; the caller's to free */
    derive_queue *queue;
    list_node node;
    bool failed;
    error failure;
} derivation;

/* ERROR_LIMIT: DERIVE_WAITING_MAX wait already, or so many of this user. */
MUST_CHECK bool derive_submit(derive_queue *q, derivation *d, error *err);

#endif
