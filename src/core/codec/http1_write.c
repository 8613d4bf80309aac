#include "decimal_internal.h"
#include "http1_internal.h"

static const struct {
    unsigned status;
    const char *reason;
} reasons[] = {
    {100, "Continue"},
    {101, "Switching Protocols"},
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {204, "No Content"},
    {304, "Not Modified"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {411, "Length Required"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {417, "Expectation Failed"},
    {421, "Misdirected Request"},
    {422, "Unprocessable Content"},
    {426, "Upgrade Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {499, "Client Closed Request"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
};

const char *http1_reason(unsigned status) {
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++) {
        if (reasons[i].status == status) {
            return reasons[i].reason;
        }
    }
    return "Unknown";
}

static uint8_t *put(uint8_t *place, slice bytes) {
    if (bytes.length > 0) {
        memcpy(place, bytes.data, bytes.length);
    }
    return place + bytes.length;
}

/* All parts or none. */
static void append_parts(buffer *out, const slice *parts, size_t count) {
    size_t length = 0;
    for (size_t i = 0; i < count; i++) {
        if (parts[i].length > SIZE_MAX - length) {
            out->failed = true;
            return;
        }
        length += parts[i].length;
    }
    uint8_t *place = buffer_reserve(out, length);
    if (place == NULL) {
        return;
    }
    for (size_t i = 0; i < count; i++) {
        place = put(place, parts[i]);
    }
    buffer_commit(out, length);
}

void http1_write_status(buffer *out, unsigned status) {
    if (status < 100 || status > 599) {
        out->failed = true;
        return;
    }
    uint8_t digits[DECIMAL_MAX];
    slice parts[] = {SLICE_LITERAL("HTTP/1.1 "), decimal_of(status, digits), SLICE_LITERAL(" "),
                     slice_of_text(http1_reason(status)), SLICE_LITERAL("\r\n")};
    append_parts(out, parts, sizeof parts / sizeof parts[0]);
}

void http1_write_request(buffer *out, slice method, slice target) {
    if (method.length == 0 || http1_span_of(method, HTTP1_TOKEN) < method.length || target.length == 0 ||
        http1_span_of(target, HTTP1_QUERY) < target.length) {
        out->failed = true;
        return;
    }
    slice parts[] = {method, SLICE_LITERAL(" "), target, SLICE_LITERAL(" HTTP/1.1\r\n")};
    append_parts(out, parts, sizeof parts / sizeof parts[0]);
}

void http1_write_field(buffer *out, slice name, slice value) {
    if (name.length == 0 || http1_span_of(name, HTTP1_TOKEN) < name.length || !http1_value_is_clean(value)) {
        out->failed = true;
        return;
    }
    slice parts[] = {name, SLICE_LITERAL(": "), value, SLICE_LITERAL("\r\n")};
    append_parts(out, parts, sizeof parts / sizeof parts[0]);
}

void http1_write_field_u64(buffer *out, slice name, uint64_t value) {
    uint8_t digits[DECIMAL_MAX];
    http1_write_field(out, name, decimal_of(value, digits));
}

void http1_write_head_end(buffer *out) {
    buffer_append(out, SLICE_LITERAL("\r\n"));
}

enum { CHUNK_START_MAX = 2 * sizeof(size_t) + 2 };

/* "1a2\r\n" at the end of `text`. */
static slice chunk_start(size_t length, uint8_t text[CHUNK_START_MAX]) {
    size_t at = CHUNK_START_MAX;
    text[--at] = '\n';
    text[--at] = '\r';
    do {
        text[--at] = (uint8_t) "0123456789abcdef"[length & 15];
        length >>= 4;
    } while (length > 0);
    return slice_of(text + at, CHUNK_START_MAX - at);
}

void http1_write_chunk(buffer *out, slice data) {
    if (data.length == 0) {
        return;
    }
    uint8_t text[CHUNK_START_MAX];
    slice parts[] = {chunk_start(data.length, text), data, SLICE_LITERAL("\r\n")};
    append_parts(out, parts, sizeof parts / sizeof parts[0]);
}

void http1_write_chunk_start(buffer *out, size_t length) {
    uint8_t text[CHUNK_START_MAX];
    if (length == 0) {
        out->failed = true;
        return;
    }
    buffer_append(out, chunk_start(length, text));
}

void http1_write_chunk_end(buffer *out) {
    buffer_append(out, SLICE_LITERAL("\r\n"));
}

void http1_write_last_chunk(buffer *out) {
    buffer_append(out, SLICE_LITERAL("0\r\n\r\n"));
}
