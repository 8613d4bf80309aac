#ifndef CLIENT_REQUEST_H
#define CLIENT_REQUEST_H

#include "base/arena.h"
#include "codec/json.h"
#include "ledger/receipt.h"

enum { REQUEST_STOPS_MAX = 4, REQUEST_FILE_LIMIT = 16 * 1024 * 1024 };

/* What was asked, as far as somebody who verifies an answer knows it. The texts are the arena's. */
typedef struct request {
    receipt_message *messages;
    size_t message_count; /* 0: not known */
    bool knows_stops;
    slice stops[REQUEST_STOPS_MAX];
    size_t stop_count;
    bool has_temperature;
    float temperature;
    bool has_top_p;
    float top_p;
    bool has_max_tokens;
    uint64_t max_tokens;
    bool has_seed;
    uint64_t seed;
} request;

/* JSON: the array of messages as it is sent to the API, or the whole body that is sent; from this the
 * parameters that stand in it are taken too. Members that don't change an answer are passed over. */
MUST_CHECK bool request_read(slice json, arena *memory, request *r, error *err);
/* Whether the receipt is about it, in all that is known of it. ERROR_CORRUPT says what is another. */
MUST_CHECK bool request_check(const request *r, const signed_receipt *entry, error *err);

#endif
