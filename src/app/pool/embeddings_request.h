#ifndef POOL_EMBEDDINGS_REQUEST_H
#define POOL_EMBEDDINGS_REQUEST_H

#include "base/arena.h"
#include "base/error.h"
#include "base/slice.h"
#include "settings.h"

/* The body of POST /v1/embeddings, as OpenAI's API reference has it. Unknown members are ignored; a wrong
 * type or a value out of bounds is an error; what this pool can't do is refused, never left out silently. */
enum { EMBEDDINGS_TEXTS_MAX = 256, EMBEDDINGS_DEPTH_LIMIT = 8, EMBEDDINGS_VALUES_LIMIT = 8192 };

typedef struct embeddings_request {
    slice model;
    slice *texts; /* each fits a job (embedding.h) */
    size_t count; /* 1 to EMBEDDINGS_TEXTS_MAX */
    bool base64;  /* vectors as base64 of little-endian binary32, not as numbers */
} embeddings_request;

/* Everything is copied into `memory`. On failure `*param` names the member at fault, or is NULL. */
MUST_CHECK bool embeddings_request_parse(slice body, const pool_settings *settings, arena *memory,
                                         embeddings_request *wanted, const char **param, error *err);

#endif
