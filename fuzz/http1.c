#include "codec/http1.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* First byte: request or response, how to cut. Property: a message comes out the same whole and in pieces,
 * and all that is handed out lies inside what was given. */
static void require(bool condition) {
    if (!condition) {
        abort();
    }
}

static http1_progress parse(bool response, slice input, http1_head *head, size_t *consumed) {
    http1_limits limits = {.head = 2048, .fields = 16, .body = 4096};
    error err;
    return response ? http1_response_parse(input, &limits, head, consumed, &err)
                    : http1_request_parse(input, &limits, head, consumed, &err);
}

/* In blocks of the exact size, so that the sanitizer sees every byte read beyond. */
static http1_progress parse_in_pieces(bool response, slice input, size_t step, http1_head *head,
                                      size_t *consumed) {
    http1_progress progress = HTTP1_MORE;
    for (size_t length = 0; progress == HTTP1_MORE; length += step) {
        length = length > input.length ? input.length : length;
        uint8_t *copy = malloc(length + 1);
        require(copy != NULL);
        memcpy(copy + 1, input.data, length);
        progress = parse(response, slice_of(copy + 1, length), head, consumed);
        free(copy);
        if (length == input.length) {
            break;
        }
    }
    head->bytes = input.data;
    return progress;
}

static void require_inside(const http1_head *head, http1_span span, size_t length) {
    require((size_t)span.start + span.length <= length);
    for (size_t i = 0; i < span.length; i++) {
        uint8_t byte = head->bytes[span.start + i];
        require(byte != '\r' && byte != '\n' && byte != 0);
    }
}

typedef struct decoded {
    uint8_t content[4096];
    size_t length;
    size_t consumed;
    http1_progress progress;
    unsigned refusal;
} decoded;

static void decode(const http1_head *head, slice input, size_t step, decoded *out) {
    http1_limits limits = {.body = 4096};
    http1_body body;
    http1_body_start(&body, head, &limits);
    out->length = 0;
    out->consumed = 0;
    error err;
    do {
        slice data;
        size_t consumed = 0;
        slice piece = slice_part(input, out->consumed, step);
        out->progress = http1_body_decode(&body, piece, &consumed, &data, &err);
        require(consumed <= piece.length && data.length <= consumed);
        require(consumed > 0 || piece.length == 0 || out->progress != HTTP1_MORE);
        require(data.length <= sizeof out->content - out->length);
        require(data.length == 0 ||
                (data.data >= piece.data && data.data + data.length <= piece.data + consumed));
        if (data.length > 0) {
            memcpy(out->content + out->length, data.data, data.length);
        }
        out->length += data.length;
        out->consumed += consumed;
    } while (out->progress == HTTP1_MORE && out->consumed < input.length);
    out->refusal = body.refusal;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) {
        return 0;
    }
    bool response = (data[0] & 1) != 0;
    size_t step = (size_t)(data[0] >> 1) + 1;
    slice input = slice_of(data + 1, size - 1);
    static http1_head whole;
    static http1_head pieces;
    whole = (http1_head){.refusal = 0};
    pieces = (http1_head){.refusal = 0};
    size_t consumed = 0;
    size_t consumed_in_pieces = 0;
    http1_progress progress = parse(response, input, &whole, &consumed);
    require(progress == parse_in_pieces(response, input, step, &pieces, &consumed_in_pieces));
    require(whole.refusal == pieces.refusal && consumed == consumed_in_pieces);
    require((progress == HTTP1_BAD) == (whole.refusal != 0));
    if (progress != HTTP1_DONE) {
        return 0;
    }
    require(consumed <= input.length && whole.field_count == pieces.field_count);
    require(whole.framing == pieces.framing && whole.content_length == pieces.content_length);
    require_inside(&whole, whole.method, consumed);
    require_inside(&whole, whole.path, consumed);
    require_inside(&whole, whole.query, consumed);
    for (size_t i = 0; i < whole.field_count; i++) {
        require_inside(&whole, whole.fields[i].name, consumed);
        require_inside(&whole, whole.fields[i].value, consumed);
        require(memcmp(&whole.fields[i], &pieces.fields[i], sizeof whole.fields[i]) == 0);
    }
    static decoded one;
    static decoded many;
    decode(&whole, slice_after(input, consumed), SIZE_MAX, &one);
    decode(&whole, slice_after(input, consumed), step, &many);
    require(one.progress == many.progress && one.refusal == many.refusal);
    if (one.progress != HTTP1_BAD) {
        require(one.consumed == many.consumed && one.length == many.length);
        require(memcmp(one.content, many.content, one.length) == 0);
    }
    return 0;
}
