#ifndef WORKER_BACKEND_H
#define WORKER_BACKEND_H

#include "engine/pipe.h"

/* What computes behind the agent: the engine's process (engine_process.h), or another program's server
 * (runtime.h). The agent and its jobs know neither: they speak the messages of engine/pipe.h with it. */
typedef struct backend backend;

typedef struct backend_handlers {
    /* Every message but pongs; valid during the call. PIPE_READY comes whenever it can take jobs again. */
    void (*on_message)(void *context, const pipe_message *message);
    /* It is gone: whatever it was doing is lost. It comes back by itself, which PIPE_READY tells. */
    void (*on_lost)(void *context, const char *reason);
} backend_handlers;

struct backend {
    bool (*send)(backend *self, const pipe_message *message);
    void (*free)(backend *self);
};

/* False: it isn't there, doesn't read, or doesn't know this kind of message; what was to be sent is lost.
 * After a PIPE_CANCEL nothing more comes about the job. */
MUST_CHECK static inline bool backend_send(backend *b, const pipe_message *message) {
    return b->send(b, message);
}

/* Ends it. No call comes after it. NULL is allowed. */
static inline void backend_free(backend *b) {
    if (b != NULL) {
        b->free(b);
    }
}

#endif
