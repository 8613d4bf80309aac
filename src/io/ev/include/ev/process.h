#ifndef EV_PROCESS_H
#define EV_PROCESS_H

#include "base/slice.h"
#include "ev/loop.h"

/* A child process whose standard input and output are pipes to us; its standard error is ours. Loop thread.
 */
typedef struct ev_process ev_process;

typedef struct ev_process_options {
    const char *const *arguments; /* ends with NULL; the first is the path of the program, not searched for */
    const char *const *environment; /* ends with NULL; the child sees nothing else. NULL: an empty one */
    size_t input_limit;             /* most bytes queued for it; 0: 1 MiB */
} ev_process_options;

typedef struct ev_process_handlers {
    void (*on_output)(void *context, slice bytes); /* valid during the call */
    void (*on_drained)(void *context);             /* all that was written has been taken; may be NULL */
    /* It has ended and all its output was delivered. `signal` is 0 unless one killed it. The last call. */
    void (*on_exit)(void *context, int64_t status, int signal);
} ev_process_handlers;

MUST_CHECK ev_process *ev_process_start(ev_loop *loop, const ev_process_options *options,
                                        const ev_process_handlers *handlers, void *context, error *err);
/* Queues all of it, or nothing: false when the limit would be passed, memory is out or its input is closed.
 */
MUST_CHECK bool ev_process_write(ev_process *process, slice bytes);
/* Bytes not yet taken by the child. */
size_t ev_process_pending(const ev_process *process);
/* End of input, after what is queued. */
void ev_process_close_input(ev_process *process);
/* Harmless once it has ended. */
void ev_process_kill(ev_process *process, int signal);
int ev_process_id(const ev_process *process);
/* Kills it (SIGKILL) if it still runs. No call comes after it. NULL is allowed. Also from on_exit. */
void ev_process_free(ev_process *process);

#endif
