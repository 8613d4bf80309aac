#include "codec/sse.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* First byte: how to cut. Properties: events come out the same whole and in pieces; a payload without line
 * breaks comes back as it was written. */
static void require(bool condition) {
    if (!condition) {
        abort();
    }
}

static void read_all(slice input, size_t step, buffer *events) {
    sse_reader reader = sse_reader_make(256);
    size_t at = 0;
    sse_kind kind = SSE_MORE;
    error err;
    while (at < input.length && kind != SSE_BAD) {
        slice text;
        size_t consumed = 0;
        slice piece = slice_part(input, at, step);
        kind = sse_reader_feed(&reader, piece, &consumed, &text, &err);
        require(consumed <= piece.length);
        require(kind != SSE_MORE || consumed == piece.length);
        at += consumed;
        if (kind != SSE_MORE) {
            buffer_append_format(events, "%d %zu:", (int)kind, text.length);
            buffer_append(events, text);
        }
    }
    sse_reader_free(&reader);
}

static void round_trip(slice payload) {
    buffer out = buffer_make(1 << 20);
    sse_write_data(&out, payload);
    if (!buffer_failed(&out)) {
        sse_reader reader = sse_reader_make(1 << 20);
        slice text;
        size_t consumed = 0;
        error err;
        require(sse_reader_feed(&reader, buffer_slice(&out), &consumed, &text, &err) == SSE_DATA);
        require(slice_equal(text, payload) && consumed == buffer_length(&out));
        sse_reader_free(&reader);
    }
    buffer_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) {
        return 0;
    }
    slice input = slice_of(data + 1, size - 1);
    buffer whole = buffer_make(1 << 20);
    buffer pieces = buffer_make(1 << 20);
    read_all(input, SIZE_MAX, &whole);
    read_all(input, (size_t)data[0] + 1, &pieces);
    require(slice_equal(buffer_slice(&whole), buffer_slice(&pieces)));
    buffer_free(&whole);
    buffer_free(&pieces);
    round_trip(input);
    return 0;
}
