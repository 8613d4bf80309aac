#include "http1_internal.h"

enum { TRAILER_MAX = 4096, SIZE_DIGITS_MAX = 16 };

/* Chunked: SIZE, SIZE_LF, then CONTENT, CONTENT_CR, CONTENT_LF and SIZE again; after a size of 0 the trailer
 * lines up to an empty one. The other framings know CONTENT and FINISHED only. */
enum {
    SIZE,
    SIZE_LF,
    CONTENT,
    CONTENT_CR,
    CONTENT_LF,
    TRAILER_START,
    TRAILER_NAME,
    TRAILER_VALUE,
    TRAILER_LF,
    LAST_LF,
    FINISHED,
    FAILED
};

void http1_body_start(http1_body *body, const http1_head *head, const http1_limits *limits) {
    *body = (http1_body){.framing = head->framing, .limit = limits->body, .state = CONTENT};
    if (head->framing == HTTP1_CHUNKED) {
        body->state = SIZE;
    } else if (head->framing == HTTP1_LENGTH) {
        body->left = head->content_length;
    } else if (head->framing == HTTP1_UNTIL_CLOSE) {
        body->left = UINT64_MAX;
    }
    if (body->state == CONTENT && body->left == 0) {
        body->state = FINISHED;
    }
}

static bool refuse(http1_body *body, unsigned status, error *err, const char *why) {
    body->refusal = status;
    body->state = FAILED;
    return error_set(err, status == 400 ? ERROR_INVALID : ERROR_LIMIT, "%s", why);
}

static bool take_size(http1_body *body, uint8_t byte, error *err) {
    if (http1_is(byte, HTTP1_HEX) && body->digits < SIZE_DIGITS_MAX) {
        body->left = body->left << 4 | http1_hex_value(byte);
        body->digits++;
        return true;
    }
    if (byte != '\r' || body->digits == 0) {
        return refuse(body, 400, err, "a chunk must start with its size in hexadecimal and nothing else");
    }
    if (body->left > body->limit - body->received) {
        return refuse(body, 413, err, "the body is larger than is accepted here");
    }
    body->digits = 0;
    body->state = SIZE_LF;
    return true;
}

static bool expect(http1_body *body, uint8_t byte, uint8_t wanted, uint8_t next, error *err) {
    body->state = next;
    return byte == wanted || refuse(body, 400, err, "a chunk's lines must end with CR LF");
}

static bool take_trailer(http1_body *body, uint8_t byte, error *err) {
    if (++body->trailer > TRAILER_MAX) {
        return refuse(body, 431, err, "the trailer fields are too long together");
    }
    if (byte == '\r' && body->state != TRAILER_NAME) {
        body->state = body->state == TRAILER_START ? LAST_LF : TRAILER_LF;
        return true;
    }
    if (body->state != TRAILER_VALUE && http1_is(byte, HTTP1_TOKEN)) {
        body->state = TRAILER_NAME;
        return true;
    }
    if (body->state == TRAILER_NAME && byte == ':') {
        body->state = TRAILER_VALUE;
        return true;
    }
    return (body->state == TRAILER_VALUE && http1_is(byte, HTTP1_VALUE)) ||
           refuse(body, 400, err, "a trailer line must be a name, a colon and a value");
}

static bool take_framing_byte(http1_body *body, uint8_t byte, error *err) {
    switch (body->state) {
    case SIZE:
        return take_size(body, byte, err);
    case SIZE_LF:
        return expect(body, byte, '\n', body->left == 0 ? TRAILER_START : CONTENT, err);
    case CONTENT_CR:
        return expect(body, byte, '\r', CONTENT_LF, err);
    case CONTENT_LF:
        return expect(body, byte, '\n', SIZE, err);
    case TRAILER_LF:
        return expect(body, byte, '\n', TRAILER_START, err);
    case LAST_LF:
        return expect(body, byte, '\n', FINISHED, err);
    default:
        return take_trailer(body, byte, err);
    }
}

/* Part of the content; the rest of the chunk, or of the body, may be further on. */
static bool take_content(http1_body *body, slice input, slice *data, error *err) {
    *data = slice_part(input, 0, body->left < input.length ? (size_t)body->left : input.length);
    if (data->length > body->limit - body->received) {
        *data = slice_of(NULL, 0);
        return refuse(body, 413, err, "the body is larger than is accepted here");
    }
    body->received += data->length;
    body->left -= data->length;
    if (body->left == 0) {
        body->state = body->framing == HTTP1_CHUNKED ? CONTENT_CR : FINISHED;
    }
    return true;
}

http1_progress http1_body_decode(http1_body *body, slice input, size_t *consumed, slice *data, error *err) {
    size_t taken = 0;
    *data = slice_of(NULL, 0);
    while (taken < input.length && body->state != CONTENT && body->state < FINISHED) {
        (void)take_framing_byte(body, input.data[taken++], err);
    }
    if (body->state == CONTENT && taken < input.length &&
        take_content(body, slice_after(input, taken), data, err)) {
        taken += data->length;
    }
    *consumed = taken;
    if (body->state == FAILED) {
        return HTTP1_BAD;
    }
    return body->state == FINISHED ? HTTP1_DONE : HTTP1_MORE;
}
