#ifndef POOL_HELPER_H
#define POOL_HELPER_H

#include "base/buffer.h"
#include "base/error.h"
#include "base/slice.h"

/* A process of the pool's own that does one kind of thing for it, which the pool then has no right to do. It
 * is forked before the pool opens anything, speaks over a socket pair, one question after the other, and ends
 * with the pool: where that is killed at once, whatever it does. Every message is bounded. */
typedef struct helper helper;

enum { HELPER_MESSAGE_MAX = 512 * 1024, HELPER_TIMEOUT_MS = 10000 };

/* What it does; all of it runs in the helper. */
typedef struct helper_task {
    const char *name; /* in the list of processes; at most 15 characters */
    /* Reads what it needs and gives up its rights. What it appends is what helper_start gives. */
    bool (*prepare)(void *context, buffer *first, error *err);
    bool (*answer)(void *context, uint8_t what, slice question, buffer *answer, error *err);
} helper_task;

/* Forks, and waits until it is prepared: fails as `prepare` does. Before there are threads. */
MUST_CHECK helper *helper_start(const helper_task *task, void *context, buffer *first, error *err);
/* Asks, and waits. The error is its own; ERROR_TIMEOUT or ERROR_IO: it hangs or has ended, and is of no use
 * any more. Any thread. */
MUST_CHECK bool helper_ask(helper *h, uint8_t what, slice question, buffer *answer, error *err);
/* An answer hasn't come, and none will: what was asked for last may have been done. Any thread. */
bool helper_is_broken(helper *h);
/* Its end is readable as the end of this descriptor, which is the helper's. */
int helper_descriptor(const helper *h);
/* Ends it and waits for that. NULL is allowed. */
void helper_stop(helper *h);

#endif
