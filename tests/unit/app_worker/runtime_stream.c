#include "runtime_stream.h"
#include "runtime_logprobs.h"

#include "unit.h"

#define TEXT(content) "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"" content "\"}}]}\n\n"
#define FINISH(reason) "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"" reason "\"}]}\n\n"

enum { MAX_TOKENS = 100 };

typedef struct heard {
    char text[8192]; /* "+text" of each part, "?" for a thought, "." for the end, "!" for bad */
    size_t length;
    error cause;
    runtime_stream stream;
} heard;

static void note(heard *h, const char *mark, slice text) {
    h->length +=
        (size_t)snprintf(h->text + h->length, sizeof h->text - h->length, "%s%.*s", mark, SLICE_FORMAT(text));
}

/* Reads `input` in pieces of `step` bytes. The caller frees the stream. */
static void listen(heard *h, slice input, size_t step) {
    *h = (heard){.stream = runtime_stream_make(MAX_TOKENS)};
    for (size_t at = 0; at < input.length; at += step) {
        slice rest = slice_part(input, at, step);
        while (rest.length > 0) {
            slice text = {0};
            runtime_event event = runtime_stream_next(&h->stream, &rest, &text, &h->cause);
            if (event == RUNTIME_BAD) {
                note(h, "!", SLICE_LITERAL(""));
                return;
            }
            if (event != RUNTIME_MORE) {
                note(h, event == RUNTIME_TEXT ? "+" : event == RUNTIME_HIDDEN ? "?" : ".", text);
            }
        }
    }
}

static void test_streams_are_understood_however_they_are_cut(void **state) {
    (void)state;
    static const struct {
        const char *input;
        const char *wanted;
    } cases[] = {
        {TEXT("a") TEXT(" b") FINISH("stop") "data: [DONE]\n\n", "+a+ b."},
        {": ping\n\n" TEXT("a") FINISH("length") "data: [DONE] \n\n" TEXT("ignored"), "+a."},
        {"data: {\"choices\":[{\"delta\":{\"content\":\"a\"},\"finish_reason\":\"stop\"}]}\n\ndata: "
         "[DONE]\n\n",
         "+a."},
        {"data: {\"choices\":[]}\n\ndata: {}\n\ndata: {\"choices\":null,\"error\":null}\n\n", ""},
        {"data: {\"choices\":7}\n\ndata: {\"choices\":[7]}\n\ndata: {\"choices\":{\"index\":0}}\n\n", ""},
        {"data: {\"choices\":[{\"index\":1,\"delta\":{\"content\":\"other\"}}]}\n\n", ""},
        {"data: "
         "{\"choices\":[{\"index\":1,\"delta\":{\"content\":\"other\"}},{\"index\":0,\"delta\":{\"content\":"
         "\"a\"}}]}\n\n",
         "+a"},
        {"data: {\"choices\":[{\"delta\":{\"content\":null,\"reasoning\":\"hm\"}}]}\n\n", "?"},
        {"data: {\"choices\":[{\"delta\":{\"reasoning_content\":\"hm\",\"content\":\"a\"}}]}\n\n", "+a"},
        {"data: {\"choices\":[{\"delta\":{\"content\":7}}]}\n\n", ""},
        {TEXT("a") "data: [DONE]\n\n", "+a!"},
        {FINISH("stop") TEXT("a"), "!"},
        {FINISH("tool_calls"), "!"},
        {"data: {\"error\":{\"message\":\"no\"}}\n\n", "!"},
        {"data: {\"error\":\"no\"}\n\n", "!"},
        {"data: [1]\n\n", "!"},
        {"data: {\n\n", "!"},
        {"data: \"\xff\"\n\n", "!"},
        {"data: {\"choices\":[{\"delta\":{\"content\":\"\\u0000\"}}]}\n\n", "!"},
        {TEXT("\\ud83d\\ude00 \xE4\xB8\x96"), "+\xF0\x9F\x98\x80 \xE4\xB8\x96"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        slice input = slice_of_text(cases[i].input);
        for (size_t step = 1; step <= input.length; step += step < 8 ? 1 : 7) {
            heard h;
            listen(&h, input, step);
            assert_string_equal(h.text, cases[i].wanted);
            runtime_stream_free(&h.stream);
        }
    }
}

static void test_usage_and_finish_are_kept(void **state) {
    (void)state;
    static const struct {
        const char *usage;
        bool has;
        uint32_t prompt;
        uint32_t completion;
    } cases[] = {
        {"{\"prompt_tokens\":5,\"completion_tokens\":7,\"total_tokens\":12}", true, 5, 7},
        {"null", false, 0, 0},
        {"{\"prompt_tokens\":-1,\"completion_tokens\":7}", false, 0, 0},
        {"{\"prompt_tokens\":5,\"completion_tokens\":99999999999}", false, 0, 0},
        {"{\"prompt_tokens\":\"5\",\"completion_tokens\":7}", false, 0, 0},
        {"[5,7]", false, 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char input[512];
        heard h;
        snprintf(input, sizeof input,
                 FINISH("length") "data: {\"choices\":[],\"usage\":%s}\n\ndata: [DONE]\n\n", cases[i].usage);
        listen(&h, slice_of_text(input), SIZE_MAX / 2);
        assert_string_equal(h.text, ".");
        assert_int_equal(h.stream.finish, ENGINE_LENGTH);
        assert_int_equal(h.stream.has_usage, cases[i].has);
        assert_int_equal(h.stream.prompt_tokens, cases[i].prompt);
        assert_int_equal(h.stream.completion_tokens, cases[i].completion);
        runtime_stream_free(&h.stream);
    }
}

static void test_what_is_too_much_is_refused(void **state) {
    (void)state;
    heard h;
    buffer input = buffer_make(SIZE_MAX / 2);
    for (size_t i = 0; i < 2 * MAX_TOKENS + RUNTIME_EVENTS_SPARE; i++) {
        buffer_append_text(&input, "data: {}\n\n");
    }
    listen(&h, buffer_slice(&input), 4096);
    assert_string_equal(h.text, "");
    runtime_stream_free(&h.stream);
    buffer_append_text(&input, "data: {}\n\n");
    listen(&h, buffer_slice(&input), 4096);
    assert_string_equal(h.text, "!");
    assert_string_equal(h.cause.text, "the runtime sends more events than the answer can have tokens");
    runtime_stream_free(&h.stream);

    buffer_clear(&input);
    buffer_append_text(&input, "data: ");
    for (size_t i = 0; i < RUNTIME_EVENT_MAX; i++) {
        buffer_append_byte(&input, 'x');
    }
    listen(&h, buffer_slice(&input), 4096);
    assert_string_equal(h.text, "!");
    assert_string_equal(h.cause.text, "the runtime sent an event that is too large");
    runtime_stream_free(&h.stream);

    buffer_clear(&input);
    buffer_append_text(&input, "data: {\"a\":[0");
    for (size_t i = 0; i < RUNTIME_VALUES_MAX; i++) {
        buffer_append_text(&input, ",0");
    }
    buffer_append_text(&input, "]}\n\n");
    listen(&h, buffer_slice(&input), 4096);
    assert_string_equal(h.text, "!");
    runtime_stream_free(&h.stream);
    buffer_free(&input);
}

/* "text=logprob" of each part, of one event with this text and these logprobs. */
static void read_logprobs(const char *text, const char *content, char *parts_text, size_t size) {
    char event[4096];
    runtime_part parts[RUNTIME_PARTS_MAX];
    error err;
    size_t length = 0;
    snprintf(event, sizeof event,
             "data: {\"choices\":[{\"delta\":{\"content\":\"%s\"},\"logprobs\":%s}]}\n\n", text, content);
    runtime_stream stream = runtime_stream_make(MAX_TOKENS);
    slice rest = slice_of_text(event);
    slice part = {0};
    parts_text[0] = '\0';
    assert_int_equal(runtime_stream_next(&stream, &rest, &part, &err), RUNTIME_TEXT);
    size_t count = runtime_logprobs_read(stream.choice, part, parts);
    for (size_t i = 0; i < count; i++) {
        length += (size_t)snprintf(parts_text + length, size - length, "%.*s=%g ",
                                   SLICE_FORMAT(parts[i].text), (double)parts[i].logprob);
    }
    runtime_stream_free(&stream);
}

static void test_logprobs_are_those_of_what_each_token_wrote_or_none(void **state) {
    (void)state;
    static const struct {
        const char *text;
        const char *logprobs;
        const char *wanted;
    } cases[] = {
        {"ab", "{\"content\":[{\"token\":\"ab\",\"logprob\":-0.25,\"bytes\":[97,98]}]}", "ab=-0.25 "},
        {"ab", "{\"content\":[{\"token\":\"?\",\"logprob\":-0.0}]}", "ab=0 "},
        {"ab", "{\"content\":[{\"token\":\"ab\",\"logprob\":-0.00001}]}", "ab=0 "},
        {"ab", "{\"content\":[{\"token\":\"a\",\"logprob\":-1},{\"token\":\"b\",\"logprob\":-2}]}",
         "a=-1 b=-2 "},
        {"a\xC3\xA4",
         "{\"content\":[{\"token\":\"a\",\"logprob\":-1},{\"token\":\"x\",\"bytes\":[195],\"logprob\":-2},"
         "{\"token\":\"x\",\"bytes\":[164],\"logprob\":-3}]}",
         "a=-1 \xC3\xA4=-3 "},
        {"ab", "{\"content\":[{\"token\":\"a\",\"logprob\":-1},{\"token\":\"bc\",\"logprob\":-2}]}", ""},
        {"ab", "{\"content\":[{\"token\":\"a\",\"logprob\":-1},{\"token\":\"\",\"logprob\":-2}]}", ""},
        {"ab", "{\"content\":[{\"token\":\"a\",\"logprob\":-1},{\"token\":\"b\"}]}", ""},
        {"ab", "{\"content\":[{\"token\":\"ab\",\"logprob\":0.5}]}", ""},
        {"ab", "{\"content\":[{\"token\":\"ab\",\"logprob\":\"-1\"}]}", ""},
        {"ab", "{\"content\":[{\"token\":\"ab\",\"logprob\":null}]}", ""},
        {"ab", "{\"content\":[{\"token\":\"ab\",\"logprob\":-10001}]}", ""},
        {"ab", "{\"content\":[{\"token\":\"ab\",\"logprob\":-3.4e38}]}", ""},
        {"ab", "{\"content\":[7]}", ""},
        {"ab", "{\"content\":[]}", ""},
        {"ab", "{\"content\":{}}", ""},
        {"ab", "[-1]", ""},
        {"ab", "null", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char parts[256];
        read_logprobs(cases[i].text, cases[i].logprobs, parts, sizeof parts);
        assert_string_equal(parts, cases[i].wanted);
    }
    char many[4096] = "{\"content\":[{\"logprob\":-1}";
    for (int i = 0; i < RUNTIME_PARTS_MAX; i++) {
        strcat(many, ",{\"logprob\":-1}");
    }
    strcat(many, "]}");
    char parts[256];
    read_logprobs("ab", many, parts, sizeof parts);
    assert_string_equal(parts, "");
}

static void test_memory_that_runs_out_is_told_as_that(void **state) {
    (void)state;
    slice input = SLICE_LITERAL(TEXT("a") "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":5}}\n\n" FINISH(
        "stop") "data: [DONE]\n\n");
    bool reached = true;
    for (int nth = 0; reached; nth++) {
        heard h;
        fault_fail_nth(nth);
        listen(&h, input, 50);
        reached = fault_stop();
        if (reached) {
            assert_int_equal(h.text[h.length - 1], '!');
            assert_int_equal(h.cause.code, ERROR_MEMORY);
        } else {
            assert_string_equal(h.text, "+a.");
        }
        runtime_stream_free(&h.stream);
    }
}

int main(void) {
    json_start(7);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_streams_are_understood_however_they_are_cut),
        cmocka_unit_test(test_usage_and_finish_are_kept),
        cmocka_unit_test(test_what_is_too_much_is_refused),
        cmocka_unit_test(test_logprobs_are_those_of_what_each_token_wrote_or_none),
        cmocka_unit_test(test_memory_that_runs_out_is_told_as_that),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
