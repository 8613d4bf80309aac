#include "proto/message.h"

#include "codec/json.h"
#include "crypto/start.h"
#include "examples.h"

#include <math.h>

#define ID "0123456789abcdef0123456789abcdef"
#define B32 "ERERERERERERERERERERERERERERERERERERERERERE"

static bool decode(const char *text, proto_message *out, error *err) {
    return proto_decode(slice_of_text(text), memory_of_test, out, err);
}

/* As the longest chain of keys is sent, and one byte more. */
static void test_keys_of_any_length_fit_their_message_and_no_more(void **state) {
    (void)state;
    char *text = test_malloc(PROTO_KEYS_MAX + 1);
    memset(text, '"', PROTO_KEYS_MAX + 1); /* twice that long when escaped */
    proto_message both[] = {{.type = PROTO_KEYS}, {.type = PROTO_WELCOME}};
    both[1].welcome = (proto_welcome){.lease_ms = 1, .beat_ms = 1};
    slice *keys[] = {&both[0].keys.keys, &both[1].welcome.keys};
    for (size_t i = 0; i < 2; i++) {
        proto_message back;
        error err;
        buffer out = buffer_make(PROTO_MESSAGE_MAX);
        *keys[i] = slice_of(text, PROTO_KEYS_MAX);
        assert_true(proto_encode(&both[i], &out, &err));
        assert_true(proto_decode(buffer_slice(&out), memory_of_test, &back, &err));
        assert_true(slice_equal(i == 0 ? back.keys.keys : back.welcome.keys, *keys[i]));
        buffer_clear(&out);
        keys[i]->length++;
        assert_false(proto_encode(&both[i], &out, &err));
        keys[i]->length = 0; /* no worker can do without */
        assert_false(proto_encode(&both[i], &out, &err));
        buffer_free(&out);
    }
    test_free(text);
}

static void test_the_fields_of_a_job_come_out(void **state) {
    (void)state;
    proto_message message;
    error err;
    assert_true(decode(
        "{\"credit\":3,\"deadline_ms\":5,\"future\":[{}],\"type\":\"job\",\"id\":\"" ID
        "\",\"kind\":\"generate\",\"model\":\"m\",\"digest\":\"" B32
        "\",\"messages\":[{\"role\":\"user\",\"content\":\"\\u00e9\"}],\"params\":{\"temperature\":0.1,"
        "\"top_p\":1.0,\"max_tokens\":7,\"stop\":[\"a\",\"b\"]},\"seed\":\"18446744073709551615\","
        "\"nonce\":\"" B32 "\",\"salt\":\"" B32 "\"}",
        &message, &err));
    const proto_job *job = &message.job;
    assert_int_equal(message.type, PROTO_JOB);
    assert_int_equal(job->id[1], 0x23);
    assert_int_equal(job->digest[31], 0x11);
    assert_int_equal(job->message_count, 1);
    assert_true(slice_equal_text(job->messages[0].content, "\xC3\xA9"));
    assert_true(job->temperature == 0.1F && job->top_p == 1.0F);
    assert_int_equal(job->stop_count, 2);
    assert_true(slice_equal_text(job->stop[1], "b"));
    assert_true(job->seed == UINT64_MAX);
    assert_int_equal(job->credit, 3);
}

#define JOB(kind, more)                                                                                      \
    "{\"type\":\"job\",\"id\":\"" ID "\"," kind "\"model\":\"m\",\"digest\":\"" B32                          \
    "\",\"messages\":[{\"role\":\"user\",\"content\":\"\"}],\"params\":{\"temperature\":0,\"top_p\":1,"      \
    "\"max_tokens\":7,\"stop\":[]},\"seed\":\"0\",\"nonce\":\"" B32 "\",\"salt\":\"" B32                     \
    "\",\"deadline_ms\":5,\"credit\":1" more "}"
#define SCORE "\"kind\":\"score\","
#define SCORED(members)                                                                                      \
    "{\"type\":\"scored\",\"id\":\"" ID "\",\"prompt_tokens\":3," members "\"commitment\":\"" B32            \
    "\",\"started_ms\":1,\"finished_ms\":2,\"signature\":"                                                   \
    "\"EREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREREQ\"}"

static void test_an_answer_to_be_scored_comes_out(void **state) {
    (void)state;
    proto_message message;
    error err;
    assert_true(decode(JOB(SCORE, ",\"answer\":[5,0,2147483647]"), &message, &err));
    assert_int_equal(message.job.kind, PROTO_SCORE);
    assert_int_equal(message.job.answer_count, 3);
    assert_int_equal(message.job.answer[2], PROTO_TOKEN_ID_MAX);
    assert_true(decode(JOB("\"kind\":\"generate\",", ""), &message, &err));
    assert_int_equal(message.job.kind, PROTO_GENERATE);
    assert_int_equal(message.job.answer_count, 0);
}

static void assert_scored(const char *text, uint32_t agreed, bool complete, bool has_expected) {
    proto_message message;
    error err = {.text = ""};
    if (!decode(text, &message, &err)) {
        fail_msg("%s: %s", text, err.text);
    }
    assert_int_equal(message.scored.agreed, agreed);
    assert_int_equal(message.scored.complete, complete);
    assert_int_equal(message.scored.has_expected, has_expected);
    assert_encodes_to(&message, slice_of_text(text));
}

static void test_what_is_expected_instead_comes_out_or_is_missing(void **state) {
    (void)state;
    assert_scored(SCORED("\"agreed\":2,\"complete\":false,\"expected\":0,"), 2, false, true);
    assert_scored(SCORED("\"agreed\":2,\"complete\":false,"), 2, false, false);
    assert_scored(SCORED("\"agreed\":131072,\"complete\":true,"), PROTO_ANSWER_MAX, true, false);
}

static void test_a_machine_without_an_id_says_nothing_of_it(void **state) {
    (void)state;
    static const uint8_t zeros[PROTO_MACHINE_SIZE];
    example examples[64];
    size_t count = read_examples(examples, 64);
    proto_message message;
    error err;
    size_t hello = 0;
    while (slice_find_slice(examples[hello].text, SLICE_LITERAL("\"machine\"")) == SIZE_MAX) {
        assert_true(++hello < count);
    }
    assert_true(proto_decode(examples[hello].text, memory_of_test, &message, &err));
    assert_memory_not_equal(message.hello.machine, zeros, sizeof zeros);
    memset(message.hello.machine, 0, sizeof message.hello.machine);
    buffer out = buffer_make(PROTO_MESSAGE_MAX);
    assert_true(proto_encode(&message, &out, &err));
    assert_true(slice_find_slice(buffer_slice(&out), SLICE_LITERAL("machine")) == SIZE_MAX);
    memset(&message, 0xff, sizeof message);
    assert_true(proto_decode(buffer_slice(&out), memory_of_test, &message, &err));
    assert_memory_equal(message.hello.machine, zeros, sizeof zeros);
    buffer_free(&out);
}

static void test_a_welcome_says_what_the_pool_runs_or_nothing_of_it(void **state) {
    (void)state;
    static const uint8_t zeros[PROTO_DIGEST_SIZE];
    proto_message message = {.type = PROTO_WELCOME,
                             .welcome = {.lease_ms = 1, .beat_ms = 1, .keys = SLICE_LITERAL("{}")}};
    proto_message back;
    error err;
    buffer out = buffer_make(PROTO_MESSAGE_MAX);
    assert_true(proto_encode(&message, &out, &err));
    assert_true(slice_find_slice(buffer_slice(&out), SLICE_LITERAL("build")) == SIZE_MAX);
    assert_true(slice_find_slice(buffer_slice(&out), SLICE_LITERAL("release")) == SIZE_MAX);
    memset(&back, 0xff, sizeof back);
    assert_true(proto_decode(buffer_slice(&out), memory_of_test, &back, &err));
    assert_memory_equal(back.welcome.build, zeros, sizeof zeros);
    assert_int_equal(back.welcome.release.length, 0);
    memset(message.welcome.build, 7, sizeof message.welcome.build);
    message.welcome.release = SLICE_LITERAL("a note\n\n\xE2\x80\x94 ann Zg==\n");
    buffer_clear(&out);
    assert_true(proto_encode(&message, &out, &err));
    assert_true(proto_decode(buffer_slice(&out), memory_of_test, &back, &err));
    assert_memory_equal(back.welcome.build, message.welcome.build, sizeof back.welcome.build);
    assert_true(slice_equal(back.welcome.release, message.welcome.release));
    char *text = test_malloc(PROTO_RELEASE_MAX + 1);
    memset(text, 'a', PROTO_RELEASE_MAX + 1);
    message.welcome.release = slice_of(text, PROTO_RELEASE_MAX);
    buffer_clear(&out);
    assert_true(proto_encode(&message, &out, &err));
    message.welcome.release.length++;
    assert_false(proto_encode(&message, &out, &err));
    test_free(text);
    buffer_free(&out);
}

/* The longest text that leaves a job of that kind no room for one byte more. */
static size_t fill_question(proto_message *message, proto_chat *chat, char *text, buffer *out) {
    error err;
    message->job.messages = chat;
    chat->content = slice_of(text, 0);
    buffer_clear(out);
    assert_true(proto_encode(message, out, &err));
    size_t length = PROTO_MESSAGE_MAX - buffer_length(out);
    chat->content = slice_of(text, length);
    buffer_clear(out);
    assert_true(proto_encode(message, out, &err));
    assert_int_equal(buffer_length(out), PROTO_MESSAGE_MAX);
    chat->content = slice_of(text, length + 1);
    buffer_clear(out);
    assert_false(proto_encode(message, out, &err));
    assert_int_equal(err.code, ERROR_LIMIT);
    return length;
}

/* The longest answer to the longest question, in tokens and in bytes: it can be checked. */
static void test_whatever_was_answered_fits_a_score_job(void **state) {
    (void)state;
    proto_message message;
    proto_message back;
    proto_chat chat = {.role = SLICE_LITERAL("user")};
    error err;
    uint32_t *answer = test_malloc((PROTO_ANSWER_MAX + 1) * sizeof *answer);
    char *text = test_malloc(PROTO_MESSAGE_MAX);
    for (size_t i = 0; i <= PROTO_ANSWER_MAX; i++) {
        answer[i] = PROTO_TOKEN_ID_MAX;
    }
    memset(text, 'q', PROTO_MESSAGE_MAX);
    buffer out = buffer_make(PROTO_JOB_MAX);
    assert_true(decode(JOB("\"kind\":\"generate\",", ""), &message, &err));
    chat.content = slice_of(text, fill_question(&message, &chat, text, &out));
    message.job.kind = PROTO_SCORE;
    message.job.answer = answer;
    message.job.answer_count = PROTO_ANSWER_MAX;
    message.job.deadline_ms = PROTO_DEADLINE_MAX_MS; /* what else may be longer in it */
    message.job.credit = PROTO_COUNT_MAX;
    buffer_clear(&out);
    assert_true(proto_encode(&message, &out, &err));
    assert_true(proto_decode(buffer_slice(&out), memory_of_test, &back, &err));
    assert_true(slice_equal(back.job.messages[0].content, chat.content));
    assert_int_equal(back.job.answer_count, PROTO_ANSWER_MAX);
    assert_memory_equal(back.job.answer, answer, PROTO_ANSWER_MAX * sizeof *answer);
    message.job.answer_count++;
    buffer_clear(&out);
    assert_false(proto_encode(&message, &out, &err));
    assert_int_equal(err.code, ERROR_INVALID);
    buffer_free(&out);
    test_free(answer);
    test_free(text);
}

/* What only a check may be. */
static void test_a_question_as_long_as_a_check_is_refused(void **state) {
    (void)state;
    proto_message message;
    error err;
    buffer text = buffer_make(PROTO_JOB_MAX);
    buffer_append_text(&text, JOB("\"kind\":\"generate\",", ""));
    while (buffer_length(&text) <= PROTO_MESSAGE_MAX) {
        buffer_append_byte(&text, ' ');
    }
    assert_false(proto_decode(buffer_slice(&text), memory_of_test, &message, &err));
    assert_int_equal(err.code, ERROR_INVALID);
    buffer_clear(&text);
    buffer_append_text(&text, JOB(SCORE, ",\"answer\":[5]"));
    while (buffer_length(&text) <= PROTO_MESSAGE_MAX) {
        buffer_append_byte(&text, ' ');
    }
    assert_true(proto_decode(buffer_slice(&text), memory_of_test, &message, &err));
    buffer_free(&text);
}

#define DELTA(members) "{\"type\":\"delta\",\"id\":\"" ID "\"" members "}"

static void test_deltas_come_out_the_same_in_any_form(void **state) {
    (void)state;
    static const char *const forms[] = {
        DELTA(",\"seq\":9007199254740991,\"text\":\"a\\n\\\"\\\\\\t\xC3\xA9\",\"tokens\":[0,2147483647]"),
        DELTA(",\"seq\":9007199254740991,\"text\":\"a\\u000a\\u0022\\u005c\\t\\u00e9\",\"tokens\":[0,"
              "2147483647]"),
        DELTA(", \"seq\":9007199254740991,\"text\":\"a\\n\\\"\\\\\\t\xC3\xA9\",\"tokens\":[0,2147483647]"),
        DELTA(",\"tokens\":[0,2147483647],\"seq\":9007199254740991,\"text\":\"a\\n\\\"\\\\\\t\xC3\xA9\""),
        DELTA(",\"seq\":9007199254740991,\"text\":\"a\\n\\\"\\\\\\t\xC3\xA9\",\"tokens\":[0,2147483647],"
              "\"new\":0"),
    };
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        proto_message message;
        error err;
        assert_true(decode(forms[i], &message, &err));
        assert_true(message.delta.seq == PROTO_INTEGER_MAX);
        assert_true(slice_equal_text(message.delta.text, "a\n\"\\\t\xC3\xA9"));
        assert_int_equal(message.delta.token_count, 2);
        assert_int_equal(message.delta.tokens[1], 2147483647);
    }
}

static void test_logprobs_are_asked_for_and_come_with_each_token_or_not_at_all(void **state) {
    (void)state;
    static const char *const forms[] = {
        DELTA(",\"seq\":1,\"text\":\"a\",\"tokens\":[0,0,0],\"logprobs\":[-0.1259765625,0,-10000]"),
        DELTA(",\"seq\":1,\"text\":\"a\",\"logprobs\":[-0.1259765625,-0.0,-1e4],\"tokens\":[0,0,0]"),
        DELTA(",\"seq\":1,\"text\":\"a\",\"tokens\":[0,0,0],\"logprobs\":[-0.1259765625,-0,-10000.0]"),
    };
    proto_message message;
    error err;
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        assert_true(decode(forms[i], &message, &err));
        assert_int_equal(message.delta.logprob_count, 3);
        assert_true(message.delta.logprobs[0] == -0.1259765625F && message.delta.logprobs[2] == -10000);
        assert_encodes_to(&message, slice_of_text(forms[0]));
    }
    const char *without = DELTA(",\"seq\":1,\"text\":\"a\",\"tokens\":[0,0,0]");
    assert_true(decode(without, &message, &err)); /* over what was there before */
    assert_int_equal(message.delta.logprob_count, 0);
    assert_encodes_to(&message, slice_of_text(without));
    assert_true(decode(JOB("\"kind\":\"generate\",", ",\"logprobs\":true"), &message, &err));
    assert_true(message.job.logprobs);
    assert_true(decode(JOB("\"kind\":\"generate\",", ",\"logprobs\":false"), &message, &err));
    assert_false(message.job.logprobs);
    assert_encodes_to(&message, slice_of_text(JOB("\"kind\":\"generate\",", "")));
    static const float strange[] = {0.5F, NAN, INFINITY, -INFINITY, -10001};
    const uint32_t token = 0;
    for (size_t i = 0; i < sizeof strange / sizeof strange[0]; i++) {
        buffer out = buffer_make(4096);
        message = (proto_message){
            .type = PROTO_DELTA,
            .delta = {.tokens = &token, .token_count = 1, .logprobs = &strange[i], .logprob_count = 1}};
        assert_false(proto_encode(&message, &out, &err));
        assert_int_equal(buffer_length(&out), 0);
        buffer_free(&out);
    }
}

static void test_what_is_out_of_bounds_is_refused(void **state) {
    (void)state;
    static const char *const bad[] = {
        "",
        "{",
        "[]",
        "1",
        "{}",
        "{\"type\":1}",
        "{\"type\":\"ping\"}",
        "{\"type\":\"drain\",\"type\":\"drain\"}",
        "{\"type\":\"drain\"} x",
        "{\"type\":\"drain\",\"x\":[[[[[[[[[1]]]]]]]]]}",
        "{\"type\":\"cancel\"}",
        "{\"type\":\"cancel\",\"id\":null}",
        "{\"type\":\"cancel\",\"id\":\"0123456789ABCDEF0123456789ABCDEF\"}",
        "{\"type\":\"cancel\",\"id\":\"0123456789abcdef\"}",
        "{\"type\":\"credit\",\"id\":\"" ID "\",\"tokens\":0}",
        "{\"type\":\"credit\",\"id\":\"" ID "\",\"tokens\":16777217}",
        "{\"type\":\"credit\",\"id\":\"" ID "\",\"tokens\":-1}",
        "{\"type\":\"credit\",\"id\":\"" ID "\",\"tokens\":1.5}",
        "{\"type\":\"credit\",\"id\":\"" ID "\",\"tokens\":\"1\"}",
        "{\"type\":\"proof\",\"signature\":\"" B32 "\"}",
        "{\"type\":\"challenge\",\"pool_id\":\"" ID "\",\"nonce\":\"" B32 "\"}",
        "{\"type\":\"refuse\",\"code\":\"Bad Code\",\"text\":\"\"}",
        "{\"type\":\"refuse\",\"code\":\"\",\"text\":\"\"}",
        "{\"type\":\"welcome\",\"session\":\"" ID "\",\"lease_ms\":60000,\"beat_ms\":10000}",
        "{\"type\":\"welcome\",\"session\":\"" ID "\",\"lease_ms\":60000,\"beat_ms\":10000,\"keys\":{}}",
        "{\"type\":\"keys\"}",
        "{\"type\":\"keys\",\"keys\":\"\"}",
        "{\"type\":\"keys\",\"keys\":{\"object\":\"cellule.succession\"}}",
        "{\"type\":\"beat\",\"load\":1.1,\"running\":0,\"slots\":1,\"state\":\"available\"}",
        "{\"type\":\"beat\",\"load\":-0.1,\"running\":0,\"slots\":1,\"state\":\"available\"}",
        "{\"type\":\"beat\",\"load\":0,\"running\":0,\"slots\":1,\"state\":\"idle\"}",
        "{\"type\":\"fail\",\"id\":\"" ID "\",\"code\":\"x\",\"text\":\"\",\"retryable\":0}",
        JOB("", ""),
        JOB("\"kind\":\"embed\",", ""),
        JOB(SCORE, ""),
        JOB(SCORE, ",\"answer\":null"),
        JOB(SCORE, ",\"answer\":[]"),
        JOB(SCORE, ",\"answer\":[2147483648]"),
        JOB(SCORE, ",\"answer\":[-1]"),
        JOB(SCORE, ",\"answer\":[\"1\"]"),
        JOB("\"kind\":\"generate\",", ",\"answer\":[1]"),
        SCORED("\"agreed\":2,"),
        SCORED("\"complete\":false,"),
        SCORED("\"agreed\":131073,\"complete\":false,"),
        SCORED("\"agreed\":2,\"complete\":true,\"expected\":7,"),
        SCORED("\"agreed\":2,\"complete\":false,\"expected\":null,"),
        SCORED("\"agreed\":2,\"complete\":false,\"expected\":2147483648,"),
        DELTA(",\"seq\":0,\"text\":\"\""),
        DELTA(",\"seq\":-1,\"text\":\"\",\"tokens\":[]"),
        DELTA(",\"seq\":01,\"text\":\"\",\"tokens\":[]"),
        DELTA(",\"seq\":9007199254740992,\"text\":\"\",\"tokens\":[]"),
        DELTA(",\"seq\":99999999999999999999,\"text\":\"\",\"tokens\":[]"),
        DELTA(",\"seq\":0,\"text\":\"\\u0000\",\"tokens\":[]"),
        DELTA(",\"seq\":0,\"text\":\"\n\",\"tokens\":[]"),
        DELTA(",\"seq\":0,\"text\":\"\xC3\",\"tokens\":[]"),
        DELTA(",\"seq\":0,\"text\":\"\\x\",\"tokens\":[]"),
        DELTA(",\"seq\":0,\"text\":\"\\ud800\",\"tokens\":[]"),
        DELTA(",\"seq\":0,\"text\":\"\",\"tokens\":[2147483648]"),
        DELTA(",\"seq\":0,\"text\":\"\",\"tokens\":[1,]"),
        DELTA(",\"seq\":0,\"text\":\"\",\"tokens\":[,1]"),
        DELTA(",\"seq\":0,\"text\":\"\",\"tokens\":[1 2]"),
        DELTA(",\"seq\":0,\"text\":\"\",\"tokens\":[\"1\"]"),
        DELTA(",\"seq\":0,\"text\":\"\",\"tokens\":[[]]"),
        DELTA(",\"seq\":0,\"text\":\"\",\"tokens\":[1]]"),
        DELTA(",\"seq\":0,\"text\":\"\",\"tokens\":[1]}"),
        JOB(SCORE, ",\"answer\":[1],\"logprobs\":true"),
        JOB("\"kind\":\"generate\",", ",\"logprobs\":1"),
        DELTA(",\"seq\":0,\"text\":\"\",\"tokens\":[1],\"logprobs\":[]"),
        DELTA(",\"seq\":0,\"text\":\"\",\"tokens\":[],\"logprobs\":[]"),
        DELTA(",\"seq\":0,\"text\":\"\",\"tokens\":[1],\"logprobs\":[-1,-1]"),
        DELTA(",\"seq\":0,\"text\":\"\",\"tokens\":[1,1],\"logprobs\":[-1]"),
        DELTA(",\"seq\":0,\"text\":\"\",\"tokens\":[1],\"logprobs\":[0.5]"),
        DELTA(",\"seq\":0,\"text\":\"\",\"tokens\":[1],\"logprobs\":[-10001]"),
        DELTA(",\"seq\":0,\"text\":\"\",\"tokens\":[1],\"logprobs\":[-1e400]"),
        DELTA(",\"seq\":0,\"text\":\"\",\"tokens\":[1],\"logprobs\":[\"-1\"]"),
        DELTA(",\"seq\":0,\"text\":\"\",\"tokens\":[1],\"logprobs\":[null]"),
        DELTA(",\"seq\":0,\"text\":\"\",\"tokens\":[1],\"logprobs\":[--1]"),
        DELTA(",\"seq\":0,\"text\":\"\",\"tokens\":[1],\"logprobs\":-1"),
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        proto_message message;
        error err = {.code = ERROR_NONE};
        if (decode(bad[i], &message, &err)) {
            fail_msg("taken: %s", bad[i]);
        }
        assert_true(err.code == ERROR_INVALID || err.code == ERROR_LIMIT);
    }
}

static void test_counts_and_sizes_are_bounded(void **state) {
    (void)state;
    buffer text = buffer_make(4 << 20);
    for (size_t count = PROTO_TOKENS_MAX; count <= PROTO_TOKENS_MAX + 1; count++) {
        buffer_clear(&text);
        buffer_append_text(&text,
                           "{\"type\":\"delta\",\"id\":\"" ID "\",\"seq\":0,\"text\":\"\",\"tokens\":[1");
        for (size_t i = 1; i < count; i++) {
            buffer_append_text(&text, ",1");
        }
        buffer_append_text(&text, "]}");
        proto_message message;
        error err;
        assert_int_equal(proto_decode(buffer_slice(&text), memory_of_test, &message, &err),
                         count == PROTO_TOKENS_MAX);
    }
    for (size_t size = PROTO_MESSAGE_MAX; size <= PROTO_MESSAGE_MAX + 1; size++) {
        buffer_clear(&text);
        buffer_append_text(&text, "{\"type\":\"delta\",\"id\":\"" ID "\",\"seq\":0,\"text\":\"");
        while (buffer_length(&text) < size - 14) {
            buffer_append_byte(&text, 'a');
        }
        buffer_append_text(&text, "\",\"tokens\":[]}");
        assert_int_equal(buffer_length(&text), size);
        proto_message message;
        error err;
        assert_int_equal(proto_decode(buffer_slice(&text), memory_of_test, &message, &err),
                         size == PROTO_MESSAGE_MAX);
    }
    buffer_free(&text);
}

static void assert_not_encoded(const proto_message *message, error_code code) {
    buffer out = buffer_make(8 << 20);
    buffer_append_text(&out, "before");
    error err;
    assert_false(proto_encode(message, &out, &err));
    assert_int_equal(err.code, code);
    assert_true(slice_equal_text(buffer_slice(&out), "before"));
    buffer_free(&out);
}

static void test_what_could_not_be_decoded_is_not_encoded(void **state) {
    (void)state;
    proto_message message = {.type = PROTO_TYPE_COUNT};
    assert_not_encoded(&message, ERROR_INVALID);
    message = (proto_message){.type = PROTO_CREDIT, .credit = {.tokens = 0}};
    assert_not_encoded(&message, ERROR_INVALID);
    message = (proto_message){.type = PROTO_HELLO};
    assert_not_encoded(&message, ERROR_INVALID);
    message =
        (proto_message){.type = PROTO_BEAT, .beat = {.load = 0.0 / 1.0, .state = (proto_availability)3}};
    assert_not_encoded(&message, ERROR_INVALID);
    message = (proto_message){.type = PROTO_DELTA, .delta = {.text = SLICE_LITERAL("a\0b")}};
    assert_not_encoded(&message, ERROR_INVALID);
    message.delta.text = SLICE_LITERAL("\xC3");
    assert_not_encoded(&message, ERROR_INVALID);
    message = (proto_message){.type = PROTO_SCORED, .scored = {.complete = true, .has_expected = true}};
    assert_not_encoded(&message, ERROR_INVALID);
    message.scored = (proto_scored){.has_expected = true, .expected = 2147483648U};
    assert_not_encoded(&message, ERROR_INVALID);
    message = (proto_message){.type = PROTO_DELTA};
    uint32_t token = 2147483648U;
    message.delta = (proto_delta){.tokens = &token, .token_count = 1};
    assert_not_encoded(&message, ERROR_INVALID);
    message = (proto_message){.type = PROTO_REFUSE, .refuse = {.code = SLICE_LITERAL("Not a code")}};
    assert_not_encoded(&message, ERROR_INVALID);
    char *large = test_malloc(PROTO_MESSAGE_MAX);
    memset(large, '"', PROTO_MESSAGE_MAX); /* twice that long when escaped */
    message = (proto_message){.type = PROTO_DELTA, .delta = {.text = slice_of(large, PROTO_MESSAGE_MAX)}};
    assert_not_encoded(&message, ERROR_LIMIT);
    test_free(large);
}

static void test_a_failed_allocation_is_an_error_and_leaks_nothing(void **state) {
    (void)state;
    example examples[64];
    size_t count = read_examples(examples, 64);
    for (size_t i = 0; i < count; i++) {
        bool reached = true;
        for (int nth = 0; reached; nth++) {
            arena *a = arena_new(ARENA_MAX);
            buffer out = buffer_make(2 << 20);
            proto_message message;
            error err = {.code = ERROR_NONE};
            fault_fail_nth(nth);
            bool decoded = proto_decode(examples[i].text, a, &message, &err);
            bool encoded = decoded && proto_encode(&message, &out, &err);
            reached = fault_stop();
            assert_true(encoded || reached);
            assert_true(encoded || err.code == ERROR_MEMORY || err.code == ERROR_LIMIT);
            buffer_free(&out);
            arena_free(a);
        }
    }
}

static int start(void **state) {
    (void)state;
    error err;
    json_start(1);
    return crypto_start(&err) ? 0 : -1;
}

static int stop(void **state) {
    (void)state;
    crypto_stop();
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_keys_of_any_length_fit_their_message_and_no_more),
        TEST(test_the_fields_of_a_job_come_out),
        TEST(test_an_answer_to_be_scored_comes_out),
        TEST(test_what_is_expected_instead_comes_out_or_is_missing),
        TEST(test_a_machine_without_an_id_says_nothing_of_it),
        TEST(test_a_welcome_says_what_the_pool_runs_or_nothing_of_it),
        TEST(test_whatever_was_answered_fits_a_score_job),
        TEST(test_a_question_as_long_as_a_check_is_refused),
        TEST(test_deltas_come_out_the_same_in_any_form),
        TEST(test_logprobs_are_asked_for_and_come_with_each_token_or_not_at_all),
        TEST(test_what_is_out_of_bounds_is_refused),
        TEST(test_counts_and_sizes_are_bounded),
        TEST(test_what_could_not_be_decoded_is_not_encoded),
        TEST(test_a_failed_allocation_is_an_error_and_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
