#include "codec/http1.h"

#include "unit.h"

#define GET "GET / HTTP/1.1\r\nHost: a\r\n"
#define POST "POST / HTTP/1.1\r\nHost: a\r\n"

enum { GOOD = 0, UNFINISHED = 1 };

/* Request heads and what becomes of them: GOOD, UNFINISHED, or the status they are refused with. */
static const struct {
    const char *text;
    unsigned outcome;
} heads[] = {
    {GET "\r\n", GOOD},
    {GET "\r", UNFINISHED},
    {"", UNFINISHED},
    {"GE", UNFINISHED},
    {"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", GOOD},
    {"GET /a%20b/~c;d=1?x=[1]&y={2}|3 HTTP/1.1\r\nhost: [::1]:8080\r\n\r\n", GOOD},
    {"GET / HTTP/1.0\r\n\r\n", GOOD},
    {POST "Content-Length: 0\r\n\r\n", GOOD},
    {POST "content-length:\t 5 \t\r\n\r\n", GOOD},
    {POST "Transfer-Encoding: chunked\r\n\r\n", GOOD},
    {GET "X: \xC3\xA9\r\nEmpty:\r\nTab: a\tb\r\n\r\n", GOOD},
    {GET "Expect: 100-Continue\r\n\r\n", GOOD},
    /* two readings of where the body ends */
    {POST "Content-Length: 5\r\nContent-Length: 5\r\n\r\n", 400},
    {POST "Content-Length: 5\r\ncontent-length: 6\r\n\r\n", 400},
    {POST "Content-Length: 5, 5\r\n\r\n", 400},
    {POST "Content-Length: +5\r\n\r\n", 400},
    {POST "Content-Length: -5\r\n\r\n", 400},
    {POST "Content-Length: 0x5\r\n\r\n", 400},
    {POST "Content-Length: 05\r\n\r\n", 400},
    {POST "Content-Length: 5 5\r\n\r\n", 400},
    {POST "Content-Length: 5.0\r\n\r\n", 400},
    {POST "Content-Length:\r\n\r\n", 400},
    {POST "Content-Length : 5\r\n\r\n", 400},
    {POST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
    {POST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", 400},
    {POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
    {POST "Transfer-Encoding: gzip, chunked\r\n\r\n", 400},
    {POST "Transfer-Encoding: chunked, identity\r\n\r\n", 400},
    {POST "Transfer-Encoding: identity\r\n\r\n", 400},
    {POST "Transfer-Encoding: xchunked\r\n\r\n", 400},
    {POST "Transfer-Encoding: Chunked\r\n\r\n", 400},
    {POST "Transfer-Encoding: \"chunked\"\r\n\r\n", 400},
    {POST "Transfer-Encoding: chunked;q=1\r\n\r\n", 400},
    {POST "Transfer-Encoding:\x0b"
          "chunked\r\n\r\n",
     400},
    {POST "Transfer-Encoding : chunked\r\n\r\n", 400},
    {POST "Transfer-Encoding:\r\n chunked\r\n\r\n", 400},
    {"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
    {POST "Content-Length: 1048577\r\n\r\n", 413},
    {POST "Content-Length: 18446744073709551616\r\n\r\n", 413},
    {POST "Content-Length: 99999999999999999999999999\r\n\r\n", 413},
    /* line ends and folding */
    {"GET / HTTP/1.1\nHost: a\n\n", 400},
    {GET "X: 1\n\r\n", 400},
    {GET "\n", 400},
    {GET "X: 1\rY: 2\r\n\r\n", 400},
    {GET "X: 1\r\r\n\r\n", 400},
    {GET "X: 1\r\n folded\r\n\r\n", 400},
    {GET "X: 1\r\n\tfolded\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400},
    {" GET / HTTP/1.1\r\n", 400},
    {"\r\nGET / HTTP/1.1\r\n", 400},
    {"\r\n", 400},
    /* names and values */
    {GET "X : 1\r\n\r\n", 400},
    {GET ": 1\r\n\r\n", 400},
    {GET "no colon\r\n\r\n", 400},
    {GET "X(y): 1\r\n\r\n", 400},
    {GET "X\xC3\xA9: 1\r\n\r\n", 400},
    {GET "X: a\x01"
         "b\r\n\r\n",
     400},
    {GET "X: a\x7f"
         "b\r\n\r\n",
     400},
    {GET "X: eight or more\x1f before the end of it\r\n\r\n", 400},
    /* Host */
    {"GET / HTTP/1.1\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\nHost:\r\n\r\n", 400},
    {GET "HOST: a\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", 400},
    /* first line */
    {"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    {"GET /  HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    {"GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400},
    {"GET\t/\tHTTP/1.1\r\nHost: a\r\n\r\n", 400},
    {"GET /\r\n\r\n", 400},
    {"GET\r\n\r\n", 400},
    {"GET /a\xC3\xA9 HTTP/1.1\r\n\r\n", 400},
    {"GET /a#b HTTP/1.1\r\n\r\n", 400},
    {"GET /a\\b HTTP/1.1\r\n\r\n", 400},
    {"GET /a%2 HTTP/1.1\r\n\r\n", 400},
    {"GET /a%zz HTTP/1.1\r\n\r\n", 400},
    {"GET /?a\"b HTTP/1.1\r\n\r\n", 400},
    {"GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    {"OPTIONS *a HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    {"GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    {"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    {"GET a HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    {"G(T / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    {"GET / http/1.1\r\nHost: a\r\n\r\n", 400},
    {"GET / HTTP/1.10\r\nHost: a\r\n\r\n", 400},
    {"GET / HTTP/11\r\nHost: a\r\n\r\n", 400},
    {"GET / HTTP/1.2\r\nHost: a\r\n\r\n", 505},
    {"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505},
    {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400},
    {"AVERYLONGMETHODTHATNOBODYHASEVERHEARDOF / HTTP/1.1\r\nHost: a\r\n\r\n", 501},
    {GET "Expect: the-unexpected\r\n\r\n", 417},
    {"\x16\x03\x01\x02", 400},
};

static http1_limits limits(void) {
    return http1_limits_default(1048576);
}

static unsigned outcome_of(http1_progress progress, const http1_head *head) {
    return progress == HTTP1_DONE ? GOOD : progress == HTTP1_MORE ? UNFINISHED : head->refusal;
}

static unsigned parse_whole(slice text, http1_head *head, size_t *consumed) {
    http1_limits l = limits();
    error err;
    *head = (http1_head){.refusal = 0};
    return outcome_of(http1_request_parse(text, &l, head, consumed, &err), head);
}

/* Each time in a fresh block of just the size, as a buffer that grows and moves would be. */
static unsigned parse_trickled(slice text, http1_head *head, size_t *consumed) {
    http1_limits l = limits();
    error err;
    *head = (http1_head){.refusal = 0};
    http1_progress progress = HTTP1_MORE;
    for (size_t length = 0; length <= text.length && progress == HTTP1_MORE; length++) {
        uint8_t *copy = test_malloc(length + 1);
        memcpy(copy, text.data, length);
        progress = http1_request_parse(slice_of(copy, length), &l, head, consumed, &err);
        test_free(copy);
    }
    head->bytes = text.data;
    return outcome_of(progress, head);
}

static void test_heads_are_taken_or_refused_as_listed(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++) {
        http1_head head;
        size_t consumed = 0;
        slice text = slice_of_text(heads[i].text);
        unsigned outcome = parse_whole(text, &head, &consumed);
        if (outcome != heads[i].outcome) {
            print_error("%s\n", heads[i].text);
        }
        assert_int_equal(outcome, heads[i].outcome);
        assert_int_equal(consumed, outcome == GOOD ? text.length : 0);
    }
}

static void test_a_trickled_head_comes_out_like_a_whole_one(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++) {
        http1_head whole;
        http1_head trickled;
        size_t consumed_whole = 0;
        size_t consumed_trickled = 0;
        slice text = slice_of_text(heads[i].text);
        assert_int_equal(parse_whole(text, &whole, &consumed_whole),
                         parse_trickled(text, &trickled, &consumed_trickled));
        assert_int_equal(consumed_whole, consumed_trickled);
        assert_int_equal(whole.field_count, trickled.field_count);
        assert_memory_equal(whole.fields, trickled.fields, whole.field_count * sizeof whole.fields[0]);
        assert_int_equal(whole.framing, trickled.framing);
        assert_int_equal(whole.content_length, trickled.content_length);
    }
}

static void test_nul_is_refused_everywhere(void **state) {
    (void)state;
    static const char text[] = "GET /path?query HTTP/1.1\r\nHost: name\r\nField: some value\r\n\r\n";
    for (size_t i = 0; i < sizeof text - 1; i++) {
        char copy[sizeof text];
        memcpy(copy, text, sizeof text);
        copy[i] = '\0';
        http1_head head;
        size_t consumed = 0;
        unsigned outcome = parse_whole(slice_of(copy, sizeof text - 1), &head, &consumed);
        assert_int_not_equal(outcome, GOOD);
        assert_int_equal(outcome, i == sizeof text - 2 ? UNFINISHED : 400);
    }
}

static void assert_text(slice actual, const char *wanted) {
    assert_int_equal(actual.length, strlen(wanted));
    assert_memory_equal(actual.data, wanted, actual.length);
}

static void test_the_pieces_of_a_request_are_found(void **state) {
    (void)state;
    slice text = SLICE_LITERAL(
        "POST /v1/chat?a=b?c HTTP/1.1\r\nHost: pool.example:8443\r\nAuthorization:  Bearer x \r\n"
        "Connection: keep-alive, Upgrade\r\nUPGRADE: a\r\nupgrade: h2c , WebSocket\r\n"
        "Expect: 100-continue\r\nContent-Length: 3\r\nX-Empty: \r\n\r\nabc");
    http1_head head;
    size_t consumed = 0;
    assert_int_equal(parse_trickled(text, &head, &consumed), GOOD);
    assert_int_equal(consumed, text.length - 3);
    assert_text(http1_text(&head, head.method), "POST");
    assert_text(http1_text(&head, head.path), "/v1/chat");
    assert_text(http1_text(&head, head.query), "a=b?c");
    slice value;
    assert_true(http1_find(&head, SLICE_LITERAL("authorization"), &value));
    assert_text(value, "Bearer x");
    assert_true(http1_find(&head, SLICE_LITERAL("x-empty"), &value));
    assert_int_equal(value.length, 0);
    assert_false(http1_find(&head, SLICE_LITERAL("absent"), &value));
    assert_int_equal(http1_count(&head, SLICE_LITERAL("Upgrade")), 2);
    assert_true(http1_list_has(&head, SLICE_LITERAL("connection"), SLICE_LITERAL("upgrade")));
    assert_true(http1_list_has(&head, SLICE_LITERAL("upgrade"), SLICE_LITERAL("websocket")));
    assert_false(http1_list_has(&head, SLICE_LITERAL("upgrade"), SLICE_LITERAL("web")));
    assert_int_equal(head.framing, HTTP1_LENGTH);
    assert_int_equal(head.content_length, 3);
    assert_true(head.expect_continue);
    assert_true(head.keep_alive);
}

static void test_keep_alive_follows_version_and_connection(void **state) {
    (void)state;
    static const struct {
        const char *text;
        bool keep;
    } cases[] = {
        {GET "\r\n", true},
        {GET "Connection: close\r\n\r\n", false},
        {GET "Connection: keep-alive\r\nConnection: x, CLOSE\r\n\r\n", false},
        {GET "Connection: closed\r\n\r\n", true},
        {"GET / HTTP/1.0\r\n\r\n", false},
        {"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", true},
        {"GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        http1_head head;
        size_t consumed = 0;
        assert_int_equal(parse_whole(slice_of_text(cases[i].text), &head, &consumed), GOOD);
        assert_int_equal(head.keep_alive, cases[i].keep);
    }
}

static unsigned parse_limited(const buffer *text, const http1_limits *l) {
    http1_head head = {.refusal = 0};
    size_t consumed = 0;
    error err;
    return outcome_of(http1_request_parse(buffer_slice(text), l, &head, &consumed, &err), &head);
}

static void test_a_head_is_bounded_in_bytes_and_fields(void **state) {
    (void)state;
    http1_limits l = {.head = 64, .fields = 3, .body = 0};
    buffer text = buffer_make(100000);
    buffer_append_text(&text, GET "A: 1\r\nB: 2\r\n\r\n");
    assert_int_equal(parse_limited(&text, &l), GOOD);
    buffer_clear(&text);
    buffer_append_text(&text, GET "A: 1\r\nB: 2\r\nC: 3\r\n\r\n");
    assert_int_equal(parse_limited(&text, &l), 431);
    buffer_clear(&text);
    buffer_append_text(&text, GET "A: 34567890123456789012345678901234\r\n\r\n");
    assert_int_equal(buffer_length(&text), 64);
    assert_int_equal(parse_limited(&text, &l), GOOD);
    l.head = 63;
    assert_int_equal(parse_limited(&text, &l), 431);
    l.head = 14;
    assert_int_equal(parse_limited(&text, &l), 414);
    buffer_clear(&text);
    buffer_append_text(&text, "GET /");
    for (size_t i = 0; i < HTTP1_TARGET_MAX; i++) {
        buffer_append_byte(&text, 'a');
    }
    buffer_append_text(&text, " HTTP/1.1\r\nHost: a\r\n\r\n");
    l = limits();
    assert_int_equal(parse_limited(&text, &l), 414);
    buffer_clear(&text);
    buffer_append_text(&text, GET "A: ");
    for (size_t i = 0; i < 70000; i++) {
        buffer_append_byte(&text, 'a');
    }
    l.head = SIZE_MAX;
    assert_int_equal(parse_limited(&text, &l), 431);
    buffer_free(&text);
}

static void test_pipelined_requests_are_taken_one_at_a_time(void **state) {
    (void)state;
    slice text = SLICE_LITERAL("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n");
    http1_head head;
    size_t consumed = 0;
    assert_int_equal(parse_whole(text, &head, &consumed), GOOD);
    assert_text(http1_text(&head, head.path), "/1");
    assert_int_equal(parse_whole(slice_after(text, consumed), &head, &consumed), GOOD);
    assert_text(http1_text(&head, head.path), "/2");
}

static void test_responses_are_parsed_for_clients(void **state) {
    (void)state;
    static const struct {
        const char *text;
        unsigned status; /* 0: refused */
        http1_framing framing;
    } cases[] = {
        {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n", 101, HTTP1_NO_BODY},
        {"HTTP/1.1 204 \r\n\r\n", 204, HTTP1_NO_BODY},
        {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", 200, HTTP1_LENGTH},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 200, HTTP1_CHUNKED},
        {"HTTP/1.0 200 OK\r\n\r\n", 200, HTTP1_UNTIL_CLOSE},
        {"HTTP/1.1 200\r\n\r\n", 0, HTTP1_NO_BODY},
        {"HTTP/1.1 20 OK\r\n\r\n", 0, HTTP1_NO_BODY},
        {"HTTP/1.1 099 OK\r\n\r\n", 0, HTTP1_NO_BODY},
        {"HTTP/1.1 600 OK\r\n\r\n", 0, HTTP1_NO_BODY},
        {"HTTP/1.1 200 a\x01\r\n\r\n", 0, HTTP1_NO_BODY},
        {"HTTP/2.0 200 OK\r\n\r\n", 0, HTTP1_NO_BODY},
        {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n", 0, HTTP1_NO_BODY},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        http1_head head = {.refusal = 0};
        http1_limits l = limits();
        size_t consumed = 0;
        error err;
        http1_progress progress =
            http1_response_parse(slice_of_text(cases[i].text), &l, &head, &consumed, &err);
        assert_int_equal(progress, cases[i].status == 0 ? HTTP1_BAD : HTTP1_DONE);
        if (progress == HTTP1_DONE) {
            assert_int_equal(head.status, cases[i].status);
            assert_int_equal(head.framing, cases[i].framing);
        }
    }
}

/* Content, or "!" and the status of the refusal; "…" at the end if it isn't complete. */
static void decode(http1_framing framing, uint64_t length, slice input, size_t step, char *result,
                   size_t size) {
    http1_head head = {.framing = framing, .content_length = length};
    http1_limits l = {.body = 20};
    http1_body body;
    http1_body_start(&body, &head, &l);
    size_t at = 0;
    size_t written = 0;
    http1_progress progress = HTTP1_MORE;
    error err;
    do {
        slice data;
        size_t consumed = 0;
        progress = http1_body_decode(&body, slice_part(input, at, step), &consumed, &data, &err);
        assert_true(written + data.length < size - 8);
        memcpy(result + written, data.data == NULL ? (const uint8_t *)"" : data.data, data.length);
        written += data.length;
        at += consumed;
    } while (progress == HTTP1_MORE && at < input.length);
    result[written] = '\0';
    if (progress == HTTP1_BAD) {
        snprintf(result, size, "!%u", body.refusal);
    } else if (progress == HTTP1_MORE) {
        snprintf(result + written, size - written, "…");
    } else {
        snprintf(result + written, size - written, "|%.*s", SLICE_FORMAT(slice_after(input, at)));
    }
}

static const struct {
    http1_framing framing;
    uint64_t length;
    const char *input;
    const char *wanted;
} bodies[] = {
    {HTTP1_NO_BODY, 0, "next", "|next"},
    {HTTP1_NO_BODY, 0, "", "|"},
    {HTTP1_LENGTH, 0, "next", "|next"},
    {HTTP1_LENGTH, 4, "bodynext", "body|next"},
    {HTTP1_LENGTH, 4, "bod", "bod…"},
    {HTTP1_UNTIL_CLOSE, 0, "all of it", "all of it…"},
    {HTTP1_UNTIL_CLOSE, 0, "more than twenty bytes", "!413"},
    {HTTP1_CHUNKED, 0, "4\r\nbody\r\n0\r\n\r\nnext", "body|next"},
    {HTTP1_CHUNKED, 0, "4\r\nbody\r\n00A\r\n0123456789\r\n000\r\n\r\n", "body0123456789|"},
    {HTTP1_CHUNKED, 0, "0\r\nName: value\r\nOther:\r\n\r\nnext", "|next"},
    {HTTP1_CHUNKED, 0, "4\r\nbo", "bo…"},
    {HTTP1_CHUNKED, 0, "4\r\nbody\r\n0\r\n\r", "body…"},
    {HTTP1_CHUNKED, 0, "15\r\n", "!413"},
    {HTTP1_CHUNKED, 0, "ffffffffffffffff\r\n", "!413"},
    {HTTP1_CHUNKED, 0, "f\r\n123456789012345\r\n6\r\n123456\r\n", "!413"},
    {HTTP1_CHUNKED, 0, "00000000000000004\r\nbody\r\n", "!400"},
    {HTTP1_CHUNKED, 0, "4;a=b\r\nbody\r\n", "!400"},
    {HTTP1_CHUNKED, 0, "4 \r\nbody\r\n", "!400"},
    {HTTP1_CHUNKED, 0, " 4\r\nbody\r\n", "!400"},
    {HTTP1_CHUNKED, 0, "0x4\r\nbody\r\n", "!400"},
    {HTTP1_CHUNKED, 0, "-1\r\nbody\r\n", "!400"},
    {HTTP1_CHUNKED, 0, "\r\n", "!400"},
    {HTTP1_CHUNKED, 0, "4\nbody\r\n", "!400"},
    {HTTP1_CHUNKED, 0, "4\rbody\r\n", "!400"},
    {HTTP1_CHUNKED, 0, "4\r\nbodyx\r\n", "!400"},
    {HTTP1_CHUNKED, 0, "4\r\nbody\n", "!400"},
    {HTTP1_CHUNKED, 0, "4\r\nbody\r0\r\n\r\n", "!400"},
    {HTTP1_CHUNKED, 0, "0\r\n\n", "!400"},
    {HTTP1_CHUNKED, 0, "0\r\nname\r\n\r\n", "!400"},
    {HTTP1_CHUNKED, 0, "0\r\n folded: x\r\n\r\n", "!400"},
    {HTTP1_CHUNKED, 0, "0\r\nname : x\r\n\r\n", "!400"},
    {HTTP1_CHUNKED, 0, "0\r\nname: \x01\r\n\r\n", "!400"},
    {HTTP1_CHUNKED, 0, "0\r\nname: a\n\r\n", "!400"},
    {HTTP1_CHUNKED, 0, "0\r\n\rx", "!400"},
};

static void test_bodies_are_decoded_however_they_are_split(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        slice input = slice_of_text(bodies[i].input);
        for (size_t step = 1; step <= input.length + 1; step++) {
            char result[256];
            decode(bodies[i].framing, bodies[i].length, input, step, result, sizeof result);
            assert_string_equal(result, bodies[i].wanted);
        }
    }
}

static void test_trailers_are_bounded(void **state) {
    (void)state;
    buffer text = buffer_make(10000);
    buffer_append_text(&text, "0\r\nA: ");
    while (buffer_length(&text) < 5000) {
        buffer_append_byte(&text, 'a');
    }
    char result[32];
    decode(HTTP1_CHUNKED, 0, buffer_slice(&text), 7, result, sizeof result);
    assert_string_equal(result, "!431");
    buffer_free(&text);
}

static void test_what_is_written_is_what_is_read(void **state) {
    (void)state;
    buffer out = buffer_make(4096);
    http1_write_status(&out, 429);
    http1_write_field(&out, SLICE_LITERAL("Retry-After"), SLICE_LITERAL("1"));
    http1_write_field(&out, SLICE_LITERAL("Empty"), SLICE_LITERAL(""));
    http1_write_field_u64(&out, SLICE_LITERAL("Number"), UINT64_MAX);
    http1_write_head_end(&out);
    http1_write_chunk(&out, SLICE_LITERAL(""));
    http1_write_chunk(&out, SLICE_LITERAL("seventeen  bytes!"));
    http1_write_chunk_start(&out, 2);
    buffer_append_text(&out, "ab");
    http1_write_chunk_end(&out);
    http1_write_last_chunk(&out);
    assert_false(buffer_failed(&out));
    assert_text(buffer_slice(&out), "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nEmpty: \r\n"
                                    "Number: 18446744073709551615\r\n\r\n"
                                    "11\r\nseventeen  bytes!\r\n2\r\nab\r\n0\r\n\r\n");
    buffer_clear(&out);
    http1_write_request(&out, SLICE_LITERAL("GET"), SLICE_LITERAL("/v1/worker?a=b"));
    assert_text(buffer_slice(&out), "GET /v1/worker?a=b HTTP/1.1\r\n");
    buffer_free(&out);
}

static void test_a_writer_refuses_what_would_break_the_line(void **state) {
    (void)state;
    static const struct {
        const char *name;
        const char *value;
    } cases[] = {{"A", "x\r\nB: y"}, {"A", "x\ny"}, {"A", "x\x01"}, {"A B", "x"},
                 {"A:", "x"},        {"", "x"},     {"A\r\n", "x"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        buffer out = buffer_make(4096);
        http1_write_field(&out, slice_of_text(cases[i].name), slice_of_text(cases[i].value));
        assert_true(buffer_failed(&out));
        assert_int_equal(buffer_length(&out), 0);
        buffer_free(&out);
    }
    buffer out = buffer_make(4096);
    http1_write_status(&out, 99);
    assert_true(buffer_failed(&out));
    buffer_clear(&out);
    http1_write_request(&out, SLICE_LITERAL("GET"), SLICE_LITERAL("/a b"));
    assert_true(buffer_failed(&out));
    buffer_clear(&out);
    http1_write_chunk_start(&out, 0);
    assert_true(buffer_failed(&out));
    buffer_free(&out);
}

static void test_writers_fail_the_buffer_when_memory_is_out(void **state) {
    (void)state;
    buffer out = buffer_make(4096);
    fault_fail_nth(0);
    http1_write_status(&out, 200);
    http1_write_head_end(&out);
    bool reached = fault_stop();
    assert_int_equal(buffer_failed(&out), reached);
    buffer_free(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_heads_are_taken_or_refused_as_listed),
        cmocka_unit_test(test_a_trickled_head_comes_out_like_a_whole_one),
        cmocka_unit_test(test_nul_is_refused_everywhere),
        cmocka_unit_test(test_the_pieces_of_a_request_are_found),
        cmocka_unit_test(test_keep_alive_follows_version_and_connection),
        cmocka_unit_test(test_a_head_is_bounded_in_bytes_and_fields),
        cmocka_unit_test(test_pipelined_requests_are_taken_one_at_a_time),
        cmocka_unit_test(test_responses_are_parsed_for_clients),
        cmocka_unit_test(test_bodies_are_decoded_however_they_are_split),
        cmocka_unit_test(test_trailers_are_bounded),
        cmocka_unit_test(test_what_is_written_is_what_is_read),
        cmocka_unit_test(test_a_writer_refuses_what_would_break_the_line),
        cmocka_unit_test(test_writers_fail_the_buffer_when_memory_is_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
