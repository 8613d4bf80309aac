#ifndef WORKER_RUNTIME_STREAM_H
#define WORKER_RUNTIME_STREAM_H

#include "codec/json.h"
#include "codec/sse.h"
#include "engine/engine.h"

/* What a runtime says while it answers: the event stream of OpenAI's chat completions, read as it comes.
 * Pure; nothing in it is believed without a bound. */
enum {
    RUNTIME_EVENT_MAX = 262144,  /* bytes of one event */
    RUNTIME_VALUES_MAX = 20000,  /* JSON values of one */
    RUNTIME_EVENTS_SPARE = 4096, /* that may come beside the two that each token is allowed */
    RUNTIME_TOKENS_MAX = 16777216
};

typedef struct runtime_stream {
    sse_reader reader;
    json_value *root;         /* of the event that was last given out */
    const json_value *choice; /* in there: what `text` is from */
    uint64_t events;
    uint64_t events_max;
    bool has_finish;
    engine_finish finish;
    bool is_done; /* "[DONE]" came */
    bool has_usage;
    uint32_t prompt_tokens;
    uint32_t completion_tokens;
} runtime_stream;

typedef enum runtime_event {
    RUNTIME_MORE,   /* the whole input is taken */
    RUNTIME_TEXT,   /* `text` is the next part of the answer, not empty */
    RUNTIME_HIDDEN, /* it thinks, in words that are no part of the answer */
    RUNTIME_DONE,   /* the stream is complete: what follows is ignored */
    RUNTIME_BAD     /* `err` says what is wrong, in no words of the runtime's; it can't be read further */
} runtime_event;

runtime_stream runtime_stream_make(uint32_t max_tokens);
void runtime_stream_free(runtime_stream *s);
/* Takes `input` up to the first event of note: call again with what is left until RUNTIME_MORE. `text` is
 * valid until the next call. ERROR_MEMORY or ERROR_IO. */
MUST_CHECK runtime_event runtime_stream_next(runtime_stream *s, slice *input, slice *text, error *err);

#endif
