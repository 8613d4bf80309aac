#ifndef WORKER_RUNTIME_H
#define WORKER_RUNTIME_H

#include "backend.h"
#include "ev/loop.h"

/* Another program's server as what computes: llama.cpp's, Ollama, vLLM, whatever speaks OpenAI's chat
 * completions. It is asked what it serves, and again while it is idle; it is lost when it doesn't answer, and
 * asked with growing pauses until it does. Nothing but its URL is ever dialled. */
typedef struct runtime_options {
    const char *url;
    const char *model;    /* the runtime's name for it */
    const char *name;     /* of the runtime, "llama.cpp"; NULL: as its own words tell */
    const char *key_file; /* holds the key that it asks for; NULL: none */
    const char *ca_file;  /* PEM: whom to trust; NULL: the system's CAs */
    uint32_t slots;       /* answers at once; 0: as it says, or one */
    uint32_t context;     /* tokens; 0: as it says, or RUNTIME_CONTEXT */
    uint32_t silent_ms;   /* without an answer to what it serves it counts as lost */
    uint32_t pause_ms;    /* before it is asked again after it was lost, doubling; 0: as is usual */
} runtime_options;

/* Reads the files, checks the URL; dials later, from the loop. The options' texts live as long as the
 * runtime. */
MUST_CHECK backend *runtime_new(ev_loop *loop, const runtime_options *options,
                                const backend_handlers *handlers, void *context, error *err);

#endif
