#ifndef CODEC_SSE_H
#define CODEC_SSE_H

#include "base/buffer.h"
#include "base/error.h"
#include "base/slice.h"

/* Server-sent events (WHATWG HTML §9.2). Events are written without a type: official OpenAI SDKs fail on
 * others. Writers fail the buffer (see buffer_failed) when the text holds a line break or NUL, which would
 * let it end the event early. */
void sse_write_data(buffer *out, slice payload); /* "data: …\n\n" */
void sse_write_comment(buffer *out, slice text); /* ": …\n\n"; readers skip it */

/* The other end. Lines may end with LF, CR or CRLF; several data lines are joined with LF. */
typedef enum sse_kind {
    SSE_MORE,    /* the whole input is taken, no event is complete */
    SSE_DATA,    /* `text` is the data of an event */
    SSE_COMMENT, /* `text` is a comment */
    SSE_BAD      /* over the limit, or memory is out: `err` says which; the reader can't go on */
} sse_kind;

typedef struct sse_reader {
    buffer line;
    buffer data;
    bool has_data;
    bool after_cr;
    bool line_taken;
    bool started;
    bool data_taken;
} sse_reader;

/* `limit`: bytes of one event. */
sse_reader sse_reader_make(size_t limit);
void sse_reader_free(sse_reader *reader);
/* Takes `consumed` bytes of `input` and stops behind the first event or comment: call again with the rest
 * until SSE_MORE. `text` is valid until the next call. An event cut off by the end of the stream is dropped,
 * as the standard says. */
MUST_CHECK sse_kind sse_reader_feed(sse_reader *reader, slice input, size_t *consumed, slice *text,
                                    error *err);

#endif
