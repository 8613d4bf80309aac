#ifndef WORKER_ENGINE_PROCESS_H
#define WORKER_ENGINE_PROCESS_H

#include "backend.h"
#include "ev/loop.h"

/* The engine as a child process: started, listened to, pinged, and started again when it dies or hangs. */

typedef struct engine_process_options {
    const char *model; /* path of the GGUF */
    uint32_t slots;
    uint32_t context;    /* 0: the model's own */
    uint32_t threads;    /* 0: one per core */
    uint32_t memory_mib; /* for keys and values; 0: as is usual */
    const char *kernels; /* form of the loops; NULL: the fastest */
    bool cache;          /* packed weights are kept beside the model */
    uint32_t hung_ms;    /* without a word while it should answer pings: it is killed */
} engine_process_options;

/* on_lost: it has died, or was killed because it hung. It is started again after a pause. */
MUST_CHECK backend *engine_process_new(ev_loop *loop, const engine_process_options *options,
                                       const backend_handlers *handlers, void *context, error *err);

#endif
