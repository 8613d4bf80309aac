#ifndef POOL_CHAT_REQUEST_H
#define POOL_CHAT_REQUEST_H

#include "base/arena.h"
#include "base/error.h"
#include "base/slice.h"
#include "ledger/receipt.h"
#include "settings.h"

/* The body of POST /v1/chat/completions, as OpenAI's API reference has it. Unknown members are ignored; a
 * wrong type or a value out of bounds is an error; what this pool can't do is refused, never left out
 * silently. */
enum {
    CHAT_STOPS_LIMIT = 4,
    CHAT_STOP_LENGTH_LIMIT = 256,
    CHAT_DEPTH_LIMIT = 32,
    CHAT_VALUES_LIMIT = 32768 /* parsing is the loop's work: some 10 ms */
};

typedef struct chat_request {
    slice model;
    receipt_message *messages; /* that the model gets */
    size_t message_count;
    const receipt_message *sent; /* by the user: without facts of his (memory/recall.h) */
    size_t sent_count;
    slice facts;       /* ids of those, with commas between; empty: none */
    float temperature; /* 0 to 2, default 1 */
    float top_p;       /* above 0, at most 1, default 1 */
    uint32_t max_tokens;
    slice stops[CHAT_STOPS_LIMIT];
    size_t stop_count;
    bool has_seed;
    uint64_t seed;
    bool stream;
    bool include_usage;
    bool store;   /* the user wants it kept */
    bool dismiss; /* and here, that he wants it not to be */
} chat_request;

/* Everything is copied into `memory`. On failure `*param` names the member at fault, or is NULL. */
MUST_CHECK bool chat_request_parse(slice body, const pool_settings *settings, arena *memory,
                                   chat_request *chat, const char **param, error *err);

#endif
