#include "codec/sse.h"

#include "unit.h"

/* Events as "kind:text;", with the input given in pieces of `step` bytes. */
static void read_all(slice input, size_t limit, size_t step, char *result, size_t size) {
    sse_reader reader = sse_reader_make(limit);
    size_t at = 0;
    size_t written = 0;
    sse_kind kind = SSE_MORE;
    error err;
    result[0] = '\0';
    while (at < input.length && kind != SSE_BAD) {
        size_t consumed = 0;
        slice text;
        kind = sse_reader_feed(&reader, slice_part(input, at, step), &consumed, &text, &err);
        at += consumed;
        if (kind != SSE_MORE) {
            written += (size_t)snprintf(result + written, size - written, "%c:%.*s;", "mdcb"[kind],
                                        kind == SSE_BAD ? 0 : (int)text.length, (const char *)text.data);
        }
    }
    sse_reader_free(&reader);
}

static void test_streams_are_read_however_they_are_split(void **state) {
    (void)state;
    static const struct {
        const char *input;
        const char *wanted;
    } cases[] = {
        {"data: {\"a\":1}\n\n", "d:{\"a\":1};"},
        {": queued 3\n\ndata: x\n\ndata: [DONE]\n\n", "c:queued 3;d:x;d:[DONE];"},
        {"data: a\r\ndata: b\r\n\r\n", "d:a\nb;"},
        {"data: a\rdata:b\r\rdata: c\n\n", "d:a\nb;d:c;"},
        {"data:  two blanks\n\ndata\n\n", "d: two blanks;d:;"},
        {"event: error\nid: 1\nretry: 5\ndatax: no\nunknown\n\ndata: y\n\n", "d:y;"},
        {"\xEF\xBB\xBF"
         "data: x\n\n",
         "d:x;"},
        {"data: cut off\n", ""},
        {"data: cut off", ""},
        {"\n\n\r\n\n", ""},
        {"data: 0123456789012345678901234567890123456789\n\n", "b:;"},
        {"data: 012345678901234567\ndata: 012345678901234567\n\n", "b:;"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        slice input = slice_of_text(cases[i].input);
        for (size_t step = 1; step <= input.length; step++) {
            char result[256];
            read_all(input, 32, step, result, sizeof result);
            assert_string_equal(result, cases[i].wanted);
        }
    }
}

static void test_what_is_written_is_one_event(void **state) {
    (void)state;
    buffer out = buffer_make(4096);
    sse_write_comment(&out, SLICE_LITERAL("queued 3"));
    sse_write_data(&out, SLICE_LITERAL("{\"a\":\"b\"}"));
    sse_write_data(&out, SLICE_LITERAL(""));
    assert_false(buffer_failed(&out));
    assert_true(slice_equal_text(buffer_slice(&out), ": queued 3\n\ndata: {\"a\":\"b\"}\n\ndata: \n\n"));
    buffer_free(&out);
}

static void test_a_line_break_in_a_payload_fails_the_buffer(void **state) {
    (void)state;
    static const slice bad[] = {SLICE_LITERAL("a\nb"), SLICE_LITERAL("a\r"), SLICE_LITERAL("\n"),
                                SLICE_LITERAL("a\0b")};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        buffer out = buffer_make(4096);
        sse_write_data(&out, bad[i]);
        assert_true(buffer_failed(&out));
        assert_int_equal(buffer_length(&out), 0);
        buffer_clear(&out);
        sse_write_comment(&out, bad[i]);
        assert_true(buffer_failed(&out));
        buffer_free(&out);
    }
}

static void test_a_failed_allocation_is_told(void **state) {
    (void)state;
    bool reached = true;
    for (int nth = 0; reached; nth++) {
        sse_reader reader = sse_reader_make(4096);
        size_t consumed = 0;
        slice text;
        error err = {.code = ERROR_NONE};
        fault_fail_nth(nth);
        sse_kind kind = sse_reader_feed(&reader, SLICE_LITERAL("data: x\n\n"), &consumed, &text, &err);
        reached = fault_stop();
        assert_int_equal(kind, reached ? SSE_BAD : SSE_DATA);
        assert_int_equal(err.code, reached ? ERROR_MEMORY : ERROR_NONE);
        sse_reader_free(&reader);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_streams_are_read_however_they_are_split),
        cmocka_unit_test(test_what_is_written_is_one_event),
        cmocka_unit_test(test_a_line_break_in_a_payload_fails_the_buffer),
        cmocka_unit_test(test_a_failed_allocation_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
