#include "http1_internal.h"

enum { METHOD_MAX = 32, HEAD_DEFAULT = 16384 };

/* Fields that frame the message or steer the connection, seen so far. */
enum { SEEN_HOST = 1, SEEN_LENGTH = 2, SEEN_TRANSFER = 4, SEEN_CLOSE = 8, SEEN_KEEP_ALIVE = 16 };

http1_limits http1_limits_default(uint64_t body) {
    return (http1_limits){.head = HEAD_DEFAULT, .fields = HTTP1_FIELDS_MAX, .body = body};
}

static bool refuse(http1_head *head, unsigned status, error *err, const char *why) {
    head->refusal = status;
    return error_set(err, status == 413 || status == 414 || status == 431 ? ERROR_LIMIT : ERROR_INVALID, "%s",
                     why);
}

/* Eight bytes at a time: `below` and `delete` get a high bit for each byte under 0x20 or equal to 0x7F. A tab
 * is rare enough to be looked at singly. */
bool http1_value_is_clean(slice value) {
    const uint64_t ones = 0x0101010101010101U;
    const uint64_t highs = 0x8080808080808080U;
    size_t i = 0;
    for (; value.length - i >= 8; i += 8) {
        uint64_t word = 0;
        memcpy(&word, value.data + i, sizeof word);
        uint64_t below = (word - ones * 0x20) & ~word;
        uint64_t flipped = word ^ (ones * 0x7F);
        uint64_t delete = (flipped - ones) & ~flipped;
        if (((below | delete) & highs) != 0 && http1_span_of(slice_part(value, i, 8), HTTP1_VALUE) < 8) {
            return false;
        }
    }
    return http1_span_of(slice_after(value, i), HTTP1_VALUE) == value.length - i;
}

static http1_span span_of(const http1_head *head, slice part) {
    return (http1_span){(uint16_t)(part.data - head->bytes), (uint16_t)part.length};
}

/* RFC 9112 §2.3: "HTTP/" DIGIT "." DIGIT, of which we speak two. */
static bool parse_version(http1_head *head, slice text, error *err) {
    head->minor_zero = slice_equal(text, SLICE_LITERAL("HTTP/1.0"));
    if (head->minor_zero || slice_equal(text, SLICE_LITERAL("HTTP/1.1"))) {
        return true;
    }
    bool shaped = text.length == 8 && memcmp(text.data, "HTTP/", 5) == 0 && text.data[6] == '.' &&
                  text.data[5] >= '0' && text.data[5] <= '9' && text.data[7] >= '0' && text.data[7] <= '9';
    return shaped ? refuse(head, 505, err, "only HTTP/1.1 and HTTP/1.0 are spoken here")
                  : refuse(head, 400, err, "the first line has no HTTP version where it belongs");
}

/* Length of the run of `what` with well-formed percent signs; SIZE_MAX if one isn't. */
static size_t target_run(slice text, uint8_t what) {
    size_t i = 0;
    while (i < text.length && http1_is(text.data[i], what)) {
        if (text.data[i] != '%') {
            i++;
        } else if (text.length - i > 2 && http1_is(text.data[i + 1], HTTP1_HEX) &&
                   http1_is(text.data[i + 2], HTTP1_HEX)) {
            i += 3;
        } else {
            return SIZE_MAX;
        }
    }
    return i;
}

/* Takes the target off the front of `rest`, which then begins with the blank behind it. */
static bool parse_target(http1_head *head, slice *rest, error *err) {
    slice method = http1_text(head, head->method);
    if (slice_starts_with(*rest, SLICE_LITERAL("* ")) && slice_equal(method, SLICE_LITERAL("OPTIONS"))) {
        head->path = span_of(head, slice_part(*rest, 0, 1));
        *rest = slice_after(*rest, 1);
        return true;
    }
    if (rest->length == 0 || rest->data[0] != '/') {
        return refuse(head, 400, err, "the request target must be a path that starts with '/'");
    }
    size_t length = target_run(*rest, HTTP1_PATH);
    if (length != SIZE_MAX) {
        head->path = span_of(head, slice_part(*rest, 0, length));
        *rest = slice_after(*rest, length);
    }
    if (length != SIZE_MAX && rest->length > 0 && rest->data[0] == '?') {
        *rest = slice_after(*rest, 1);
        length = target_run(*rest, HTTP1_QUERY);
        head->query = span_of(head, slice_part(*rest, 0, length));
        *rest = slice_after(*rest, length);
    }
    if (length == SIZE_MAX || rest->length == 0 || rest->data[0] != ' ') {
        return refuse(head, 400, err, "the request target holds a character that must be percent-encoded");
    }
    return true;
}

static bool parse_request_line(http1_head *head, slice line, error *err) {
    size_t length = http1_span_of(line, HTTP1_TOKEN);
    if (length == 0 || length == line.length || line.data[length] != ' ') {
        return refuse(head, 400, err, "the first line must be: method, blank, target, blank, version");
    }
    if (length > METHOD_MAX) {
        return refuse(head, 501, err, "the request method is not known");
    }
    head->method = span_of(head, slice_part(line, 0, length));
    slice rest = slice_after(line, length + 1);
    if (rest.length > HTTP1_TARGET_MAX + sizeof " HTTP/1.1" - 1) {
        return refuse(head, 414, err, "the request target is too long");
    }
    return parse_target(head, &rest, err) && parse_version(head, slice_after(rest, 1), err);
}

/* RFC 9112 §4. */
static bool parse_status_line(http1_head *head, slice line, error *err) {
    if (line.length < 13 || line.data[8] != ' ' || line.data[12] != ' ') {
        return refuse(head, 400, err,
                      "the answer's first line must be: version, blank, status, blank, reason");
    }
    uint64_t status = 0;
    if (!slice_to_u64(slice_part(line, 9, 3), &status) || status < 100 || status > 599) {
        return refuse(head, 400, err, "the answer's status must be 100 to 599");
    }
    if (!http1_value_is_clean(slice_after(line, 13))) {
        return refuse(head, 400, err, "the answer's reason holds a control character");
    }
    head->status = (unsigned)status;
    return parse_version(head, slice_part(line, 0, 8), err);
}

static bool list_holds(slice list, slice token) {
    while (list.length > 0) {
        size_t comma = slice_find(list, ',');
        slice element = slice_trim(slice_part(list, 0, comma));
        if (slice_equal_ignore_case(element, token)) {
            return true;
        }
        list = comma == SIZE_MAX ? slice_of(NULL, 0) : slice_after(list, comma + 1);
    }
    return false;
}

static bool take_host(http1_head *head, slice value, error *err) {
    if ((head->seen & SEEN_HOST) != 0) {
        return refuse(head, 400, err, "more than one Host field");
    }
    head->seen |= SEEN_HOST;
    if (value.length == 0 || http1_span_of(value, HTTP1_HOST) < value.length) {
        return refuse(head, 400, err, "the Host field must be a name or an address, and a port");
    }
    return true;
}

static bool take_length(http1_head *head, slice value, uint64_t limit, error *err) {
    if ((head->seen & SEEN_LENGTH) != 0) {
        return refuse(head, 400, err, "more than one Content-Length field");
    }
    head->seen |= SEEN_LENGTH;
    bool digits = value.length > 0 && value.data[0] != '0';
    for (size_t i = 0; i < value.length; i++) {
        digits = digits && value.data[i] >= '0' && value.data[i] <= '9';
    }
    if (!digits && !slice_equal(value, SLICE_LITERAL("0"))) {
        return refuse(head, 400, err, "Content-Length must be one decimal number");
    }
    if (!slice_to_u64(value, &head->content_length) || head->content_length > limit) {
        return refuse(head, 413, err, "the body is larger than is accepted here");
    }
    return true;
}

static bool take_transfer(http1_head *head, slice value, error *err) {
    if ((head->seen & SEEN_TRANSFER) != 0 || !slice_equal(value, SLICE_LITERAL("chunked"))) {
        return refuse(head, 400, err, "Transfer-Encoding must be given once, as \"chunked\"");
    }
    head->seen |= SEEN_TRANSFER;
    return true;
}

static bool take_expect(http1_head *head, slice value, error *err) {
    if (head->minor_zero) {
        return true; /* RFC 9110 §10.1.1 */
    }
    head->expect_continue = slice_equal_ignore_case(value, SLICE_LITERAL("100-continue"));
    return head->expect_continue || refuse(head, 417, err, "only \"Expect: 100-continue\" can be met");
}

static void take_connection(http1_head *head, slice value) {
    if (list_holds(value, SLICE_LITERAL("close"))) {
        head->seen |= SEEN_CLOSE;
    }
    if (list_holds(value, SLICE_LITERAL("keep-alive"))) {
        head->seen |= SEEN_KEEP_ALIVE;
    }
}

/* The length of a name tells the few fields that matter here from nearly all others. */
static bool interpret_field(http1_head *head, slice name, slice value, const http1_limits *limits,
                            error *err) {
    if (name.length == 4 && slice_equal_ignore_case(name, SLICE_LITERAL("host"))) {
        return take_host(head, value, err);
    }
    if (name.length == 6 && slice_equal_ignore_case(name, SLICE_LITERAL("expect"))) {
        return take_expect(head, value, err);
    }
    if (name.length == 10 && slice_equal_ignore_case(name, SLICE_LITERAL("connection"))) {
        take_connection(head, value);
    }
    if (name.length == 14 && slice_equal_ignore_case(name, SLICE_LITERAL("content-length"))) {
        return take_length(head, value, limits->body, err);
    }
    if (name.length == 17 && slice_equal_ignore_case(name, SLICE_LITERAL("transfer-encoding"))) {
        return take_transfer(head, value, err);
    }
    return true;
}

static bool parse_field(http1_head *head, slice line, const http1_limits *limits, error *err) {
    if (head->field_count >= limits->fields || head->field_count >= HTTP1_FIELDS_MAX) {
        return refuse(head, 431, err, "too many header fields");
    }
    size_t length = http1_span_of(line, HTTP1_TOKEN);
    if (length == 0 || length == line.length || line.data[length] != ':') {
        return refuse(head, 400, err, "a header line must be a name, a colon right behind it, and a value");
    }
    slice name = slice_part(line, 0, length);
    slice value = slice_of(line.data + length + 1, line.length - length - 1);
    if (!http1_value_is_clean(value)) {
        return refuse(head, 400, err, "a header value holds a control character");
    }
    value = slice_trim(value);
    if (value.length == 0) {
        value = slice_of(line.data + length, 0);
    }
    head->fields[head->field_count++] = (http1_field){span_of(head, name), span_of(head, value)};
    return interpret_field(head, name, value, limits, err);
}

/* RFC 9112 §6.3, §9.3: what is left when everything doubtful has been refused. */
static bool finish(http1_head *head, bool is_request, error *err) {
    bool chunked = (head->seen & SEEN_TRANSFER) != 0;
    bool length = (head->seen & SEEN_LENGTH) != 0;
    if (chunked && length) {
        return refuse(head, 400, err, "Content-Length and Transfer-Encoding exclude each other");
    }
    if (chunked && head->minor_zero) {
        return refuse(head, 400, err, "HTTP/1.0 has no Transfer-Encoding");
    }
    if (is_request && !head->minor_zero && (head->seen & SEEN_HOST) == 0) {
        return refuse(head, 400, err, "the Host field is missing");
    }
    head->keep_alive =
        (head->seen & SEEN_CLOSE) == 0 && (!head->minor_zero || (head->seen & SEEN_KEEP_ALIVE) != 0);
    if (!is_request && (head->status < 200 || head->status == 204 || head->status == 304)) {
        head->framing = HTTP1_NO_BODY;
    } else if (chunked) {
        head->framing = HTTP1_CHUNKED;
    } else if (length) {
        head->framing = HTTP1_LENGTH;
    } else {
        head->framing = is_request ? HTTP1_NO_BODY : HTTP1_UNTIL_CLOSE;
        head->keep_alive = head->keep_alive && is_request;
    }
    return true;
}

static bool refuse_size(http1_head *head, error *err) {
    return head->begun ? refuse(head, 431, err, "the header fields are too long together")
                       : refuse(head, 414, err, "the first line is too long");
}

/* Every decision is taken at a line's end, or at the limit, from the bytes before it: so it can't depend on
 * how they arrived. */
static http1_progress parse(slice input, const http1_limits *limits, http1_head *head, size_t *consumed,
                            bool is_request, error *err) {
    size_t limit = limits->head < HTTP1_HEAD_MAX ? limits->head : HTTP1_HEAD_MAX;
    size_t visible = input.length < limit ? input.length : limit;
    head->bytes = input.data;
    *consumed = 0;
    if (visible > 0 && !http1_is(input.data[0], HTTP1_TOKEN)) {
        (void)refuse(head, 400, err, "this is not HTTP");
        return HTTP1_BAD;
    }
    for (;;) {
        const uint8_t *newline = head->scanned < visible
                                     ? memchr(input.data + head->scanned, '\n', visible - head->scanned)
                                     : NULL;
        if (newline == NULL) {
            head->scanned = (uint16_t)visible;
            if (visible < limit) {
                return HTTP1_MORE;
            }
            (void)refuse_size(head, err);
            return HTTP1_BAD;
        }
        size_t end = (size_t)(newline - input.data);
        slice line = slice_of(input.data + head->line_start, end - head->line_start);
        if (line.length == 0 || line.data[line.length - 1] != '\r') {
            (void)refuse(head, 400, err, "lines must end with CR LF");
            return HTTP1_BAD;
        }
        line.length--;
        head->line_start = (uint16_t)(end + 1);
        head->scanned = head->line_start;
        bool is_first = !head->begun;
        head->begun = true;
        if (!is_first && line.length == 0) {
            if (!finish(head, is_request, err)) {
                return HTTP1_BAD;
            }
            *consumed = end + 1;
            return HTTP1_DONE;
        }
        bool good = !is_first    ? parse_field(head, line, limits, err)
                    : is_request ? parse_request_line(head, line, err)
                                 : parse_status_line(head, line, err);
        if (!good) {
            return HTTP1_BAD;
        }
    }
}

http1_progress http1_request_parse(slice input, const http1_limits *limits, http1_head *head,
                                   size_t *consumed, error *err) {
    return parse(input, limits, head, consumed, true, err);
}

http1_progress http1_response_parse(slice input, const http1_limits *limits, http1_head *head,
                                    size_t *consumed, error *err) {
    return parse(input, limits, head, consumed, false, err);
}

bool http1_find(const http1_head *head, slice name, slice *value) {
    for (size_t i = 0; i < head->field_count; i++) {
        const http1_field *field = &head->fields[i];
        if (field->name.length == name.length &&
            slice_equal_ignore_case(http1_text(head, field->name), name)) {
            *value = http1_text(head, field->value);
            return true;
        }
    }
    *value = slice_of(NULL, 0);
    return false;
}

size_t http1_count(const http1_head *head, slice name) {
    size_t count = 0;
    for (size_t i = 0; i < head->field_count; i++) {
        count += slice_equal_ignore_case(http1_text(head, head->fields[i].name), name) ? 1 : 0;
    }
    return count;
}

bool http1_list_has(const http1_head *head, slice name, slice token) {
    for (size_t i = 0; i < head->field_count; i++) {
        const http1_field *field = &head->fields[i];
        if (slice_equal_ignore_case(http1_text(head, field->name), name) &&
            list_holds(http1_text(head, field->value), token)) {
            return true;
        }
    }
    return false;
}
