#ifndef WORKER_ENGINE_PROCESS_H
#define WORKER_ENGINE_PROCESS_H

#include "engine/pipe.h"
#include "ev/loop.h"

/* The engine as a child process: started, listened to, pinged, and started again when it dies or hangs. */
typedef struct engine_process engine_process;

typedef struct engine_process_options {
    const char *model; /* path of the GGUF */
    uint32_t slots;
    uint32_t context;    /* 0: the model's own */
    uint32_t threads;    /* 0: one per core */
    uint32_t memory_mib; /* for keys and values; 0: as is usual */
    bool cache;          /* packed weights are kept beside the model */
    uint32_t hung_ms;    /* without a word while it should answer pings: it is killed */
} engine_process_options;

typedef struct engine_process_handlers {
    /* Every message but pongs; valid during the call. PIPE_READY comes after each start. */
    void (*on_message)(void *context, const pipe_message *message);
    /* It has died or was killed because it hung: whatever it was doing is lost. It is started again after a
     * pause unless engine_process_free is called. */
    void (*on_lost)(void *context, const char *reason);
} engine_process_handlers;

MUST_CHECK engine_process *engine_process_new(ev_loop *loop, const engine_process_options *options,
                                              const engine_process_handlers *handlers, void *context,
                                              error *err);
/* False: the engine isn't running, or doesn't read; what was to be sent is lost. */
MUST_CHECK bool engine_process_send(engine_process *e, const pipe_message *message);
/* Kills it. No call comes after it. NULL is allowed. */
void engine_process_free(engine_process *e);

#endif
