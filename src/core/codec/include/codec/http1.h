#ifndef CODEC_HTTP1_H
#define CODEC_HTTP1_H

#include "base/buffer.h"
#include "base/error.h"
#include "base/slice.h"

/* HTTP/1.1 heads and bodies (RFC 9110, RFC 9112), strict: what two implementations could read in two ways is
 * refused. Nothing here allocates, except the buffers that are written to. One owner at a time. */
typedef enum http1_progress {
    HTTP1_MORE, /* whole input looked at, nothing wrong, not complete */
    HTTP1_DONE,
    HTTP1_BAD /* answer with `refusal` and close: what follows can't be told apart from a second message */
} http1_progress;

enum { HTTP1_FIELDS_MAX = 64, HTTP1_HEAD_MAX = 65535, HTTP1_TARGET_MAX = 8192 };

typedef struct http1_limits {
    size_t head; /* bytes of request line and fields, ≤ HTTP1_HEAD_MAX; beyond: 431 (414 in the first line) */
    size_t fields; /* ≤ HTTP1_FIELDS_MAX; beyond: 431 */
    uint64_t body; /* bytes of content; beyond: 413 */
} http1_limits;

/* 16 KiB, 64 fields, and the body limit given. */
http1_limits http1_limits_default(uint64_t body);

/* A piece of the head: from `start`, relative to where the head's bytes stand. */
typedef struct http1_span {
    uint16_t start;
    uint16_t length;
} http1_span;

typedef struct http1_field {
    http1_span name;
    http1_span value; /* without blanks at both ends */
} http1_field;

typedef enum http1_framing {
    HTTP1_NO_BODY,
    HTTP1_LENGTH,
    HTTP1_CHUNKED,
    HTTP1_UNTIL_CLOSE /* responses only */
} http1_framing;

/* Zeroed before the first parse of each message. The pieces are positions, so the bytes may move: whoever
 * moves them sets `bytes`. Everything but `refusal` is valid after HTTP1_DONE only. */
typedef struct http1_head {
    const uint8_t *bytes; /* where the head stands now; each parse call sets it */
    http1_span method;    /* request */
    http1_span path;  /* request: starts with '/', or is "*" with OPTIONS; percent signs are well-formed */
    http1_span query; /* request: what follows '?' */
    unsigned status;  /* response: 100..599 */
    unsigned refusal; /* HTTP1_BAD: 400, 413, 414, 417, 431, 501 or 505 */
    bool minor_zero;  /* HTTP/1.0 */
    bool keep_alive;  /* the connection may serve another message after this one */
    bool expect_continue; /* "Expect: 100-continue" on HTTP/1.1 */
    http1_framing framing;
    uint64_t content_length; /* HTTP1_LENGTH: ≥ 0, within the limit */
    size_t field_count;
    http1_field fields[HTTP1_FIELDS_MAX];
    /* Where the parser stands; not for callers. */
    uint16_t line_start;
    uint16_t scanned;
    uint8_t seen;
    bool begun;
} http1_head;

/* `input` begins with the message's first byte and each time holds all of it that has come; work already done
 * is not done again. HTTP1_DONE: `consumed` is the head's length, blank line included. HTTP1_BAD: `refusal`
 * and `err` say why. The outcome doesn't depend on how the bytes were split. Requests: origin-form targets,
 * and "*" with OPTIONS. Accepts a body by one Content-Length or by exactly "Transfer-Encoding: chunked". */
MUST_CHECK http1_progress http1_request_parse(slice input, const http1_limits *limits, http1_head *head,
                                              size_t *consumed, error *err);
/* A response's head, for answers to a GET or POST. */
MUST_CHECK http1_progress http1_response_parse(slice input, const http1_limits *limits, http1_head *head,
                                               size_t *consumed, error *err);

static inline slice http1_text(const http1_head *head, http1_span span) {
    return slice_of(head->bytes + span.start, span.length);
}

/* Value of the first field of that name (case ignored). False: there is none. */
bool http1_find(const http1_head *head, slice name, slice *value);
/* How many fields have that name. A credential given twice is for the caller to refuse. */
size_t http1_count(const http1_head *head, slice name);
/* Whether the comma-separated lists of all fields `name` hold `token` (case ignored): Connection, Upgrade. */
bool http1_list_has(const http1_head *head, slice name, slice token);

/* Takes the content out of the bytes behind a head. */
typedef struct http1_body {
    http1_framing framing;
    uint8_t state;
    uint8_t digits;
    uint16_t trailer;  /* bytes of trailer fields seen; they are checked, bounded (4 KiB) and ignored */
    unsigned refusal;  /* HTTP1_BAD: 400, 413 or 431 */
    uint64_t left;     /* of the content or of this chunk */
    uint64_t received; /* content so far */
    uint64_t limit;
} http1_body;

void http1_body_start(http1_body *body, const http1_head *head, const http1_limits *limits);
/* Takes `consumed` bytes of `input`; `data` is the content among them (a part of `input`, often all of it,
 * may be empty). HTTP1_MORE with input left: call again with the rest. HTTP1_DONE: `data` is the last; the
 * rest of the input is the next message. With no body, an empty input is HTTP1_DONE at once. Chunk extensions
 * are refused. HTTP1_UNTIL_CLOSE is never done. */
MUST_CHECK http1_progress http1_body_decode(http1_body *body, slice input, size_t *consumed, slice *data,
                                            error *err);

/* Writers. What would not be one valid line fails the buffer instead of being written (see buffer_failed). */
void http1_write_status(buffer *out, unsigned status); /* "HTTP/1.1 404 Not Found\r\n" */
void http1_write_request(buffer *out, slice method, slice target);
void http1_write_field(buffer *out, slice name, slice value);
void http1_write_field_u64(buffer *out, slice name, uint64_t value);
void http1_write_head_end(buffer *out);
/* One chunk; nothing when `data` is empty, as an empty chunk would end the body. */
void http1_write_chunk(buffer *out, slice data);
/* The parts of http1_write_chunk, for content of known length that is written in place between them. */
void http1_write_chunk_start(buffer *out, size_t length);
void http1_write_chunk_end(buffer *out);
void http1_write_last_chunk(buffer *out);
/* "Not Found"; "Unknown" if the code has no phrase. */
const char *http1_reason(unsigned status);

#endif
