#include "proto/message.h"
#include "proto/vector.h"

#include "codec/base64.h"
#include "codec/json.h"
#include "crypto/start.h"
#include "examples.h"

#include <math.h>

#define ID "0123456789abcdef0123456789abcdef"
#define B32 "ERERERERERERERERERERERERERERERERERERERERERE"
#define EMBED(members)                                                                                       \
    "{\"type\":\"job\",\"id\":\"" ID "\",\"kind\":\"embed\",\"model\":\"m\",\"digest\":\"" B32 "\"," members \
    "\"deadline_ms\":5}"
#define EMBEDDED(members) "{\"type\":\"embedded\",\"id\":\"" ID "\",\"prompt_tokens\":3," members "}"

static bool decode(const char *text, proto_message *out, error *err) {
    return proto_decode(slice_of_text(text), memory_of_test, out, err);
}

static void assert_refused(const char *text, const char *because) {
    proto_message message;
    error err = {.text = ""};
    assert_false(decode(text, &message, &err));
    assert_int_equal(err.code, ERROR_INVALID);
    if (strstr(err.text, because) == NULL) {
        fail_msg("%s: %s", text, err.text);
    }
}

static void test_the_texts_of_a_job_come_out_and_nothing_of_a_question_is_asked_for(void **state) {
    (void)state;
    static const char text[] = EMBED("\"texts\":[\"one\",\"zw\xC3\xB6lf\"],");
    proto_message message;
    error err;
    memset(&message, 0xff, sizeof message);
    assert_true(decode(text, &message, &err));
    assert_int_equal(message.job.kind, PROTO_EMBED);
    assert_int_equal(message.job.text_count, 2);
    assert_true(slice_equal_text(message.job.texts[1], "zw\xC3\xB6lf"));
    assert_int_equal(message.job.message_count, 0);
    assert_int_equal(message.job.answer_count, 0);
    assert_encodes_to(&message, slice_of_text(text));
    assert_true(decode(EMBED("\"texts\":[\"one\"],\"messages\":7,\"credit\":\"much\","), &message, &err));
}

static void test_a_job_for_vectors_has_texts_in_their_bounds(void **state) {
    (void)state;
    assert_refused(EMBED(""), "texts");
    assert_refused(EMBED("\"texts\":[],"), "texts");
    assert_refused(EMBED("\"texts\":[\"\"],"), "texts");
    assert_refused(EMBED("\"texts\":[1],"), "texts");
    assert_refused(EMBED("\"texts\":\"one\","), "texts");
    assert_refused(EMBED("\"texts\":[\"a\\u0000b\"],"), "");
    assert_refused(EMBED("\"texts\":[\"one\"],\"answer\":[1],"), "answer");
    assert_refused(EMBED("\"texts\":[\"one\"],\"logprobs\":true,"), "logprobs");
}

static bool encodes(const slice *texts, size_t count, error *err) {
    proto_message message = {.type = PROTO_JOB,
                             .job = {.kind = PROTO_EMBED,
                                     .model = SLICE_LITERAL("m"),
                                     .texts = texts,
                                     .text_count = count,
                                     .deadline_ms = 1}};
    buffer out = buffer_make(PROTO_JOB_MAX);
    bool good = proto_encode(&message, &out, err);
    buffer_free(&out);
    return good;
}

/* U+0001 is six bytes as JSON. */
static void test_the_longest_texts_fit_a_message_however_they_are_escaped(void **state) {
    (void)state;
    char *bytes = test_malloc(PROTO_TEXT_SIZE_MAX + 1);
    slice texts[PROTO_TEXTS_MAX + 1];
    error err;
    memset(bytes, 1, PROTO_TEXT_SIZE_MAX + 1);
    texts[0] = slice_of(bytes, PROTO_TEXT_SIZE_MAX);
    texts[1] = texts[0];
    assert_true(encodes(texts, 2, &err));
    texts[2] = slice_of(bytes, 1);
    assert_false(encodes(texts, 3, &err));
    assert_int_equal(err.code, ERROR_INVALID);
    texts[0] = slice_of(bytes, PROTO_TEXT_SIZE_MAX + 1);
    assert_false(encodes(texts, 1, &err));
    for (size_t i = 0; i <= PROTO_TEXTS_MAX; i++) {
        texts[i] = slice_of(bytes, 1);
    }
    assert_true(encodes(texts, PROTO_TEXTS_MAX, &err));
    assert_false(encodes(texts, PROTO_TEXTS_MAX + 1, &err));
    test_free(bytes);
}

static void test_a_vector_keeps_every_bit_and_is_finite(void **state) {
    (void)state;
    const uint32_t bits[] = {0, 0x80000000U, 1, 0x3f800001U, 0xff7fffffU, 0x00800000U};
    const uint32_t broken[] = {0x7f800000U, 0xff800000U, 0x7fc00000U, 0x7f800001U};
    float values[6];
    float back[6];
    buffer text = buffer_make(1024);
    memcpy(values, bits, sizeof values);
    assert_true(proto_vector_append(values, 6, &text));
    assert_int_equal(buffer_length(&text), BASE64URL_LENGTH(24));
    assert_true(proto_vector_read(buffer_slice(&text), back, 6));
    assert_memory_equal(back, bits, sizeof bits);
    assert_false(proto_vector_read(buffer_slice(&text), back, 5));
    buffer_clear(&text);
    values[0] = 1;
    assert_true(proto_vector_append(values, 1, &text));
    assert_true(slice_equal_text(buffer_slice(&text), "AACAPw")); /* little-endian */
    for (size_t i = 0; i < 4; i++) {
        memcpy(&values[0], &broken[i], sizeof broken[i]);
        buffer_clear(&text);
        assert_true(proto_vector_append(values, 1, &text));
        assert_false(proto_vector_read(buffer_slice(&text), back, 1));
    }
    assert_false(proto_vector_append(values, PROTO_DIMENSION_MAX + 1, &text));
    buffer_free(&text);
}

static void test_vectors_come_out_and_must_be_what_they_say(void **state) {
    (void)state;
    static const char text[] = EMBEDDED("\"dimension\":1,\"vectors\":[\"AACAPw\",\"AAAAAA\"]");
    proto_message message;
    error err;
    assert_true(decode(text, &message, &err));
    assert_int_equal(message.embedded.vector_count, 2);
    assert_int_equal(message.embedded.prompt_tokens, 3);
    assert_encodes_to(&message, slice_of_text(text));
    assert_refused(EMBEDDED("\"dimension\":2,\"vectors\":[\"AACAPw\"]"), "vectors");
    assert_refused(EMBEDDED("\"dimension\":1,\"vectors\":[\"AACAPw\",\"AACAfw\"]"), "vectors");
    assert_refused(EMBEDDED("\"dimension\":1,\"vectors\":[\"AACAPw==\"]"), "vectors");
    assert_refused(EMBEDDED("\"dimension\":1,\"vectors\":[[1.0]]"), "vectors");
    assert_refused(EMBEDDED("\"dimension\":1,\"vectors\":[]"), "vectors");
    assert_refused(EMBEDDED("\"dimension\":0,\"vectors\":[\"AACAPw\"]"), "dimension");
    assert_refused(EMBEDDED("\"dimension\":8193,\"vectors\":[\"AACAPw\"]"), "dimension");
    assert_refused(EMBEDDED("\"vectors\":[\"AACAPw\"]"), "dimension");
}

static void test_the_most_vectors_of_the_most_values_fit_a_message(void **state) {
    (void)state;
    float *values = test_malloc(PROTO_DIMENSION_MAX * sizeof *values);
    slice vectors[PROTO_TEXTS_MAX];
    error err;
    proto_message back;
    buffer one = buffer_make(PROTO_MESSAGE_MAX);
    buffer out = buffer_make(PROTO_MESSAGE_MAX);
    for (size_t i = 0; i < PROTO_DIMENSION_MAX; i++) {
        values[i] = -(float)i / 3;
    }
    assert_true(proto_vector_append(values, PROTO_DIMENSION_MAX, &one));
    for (size_t i = 0; i < PROTO_TEXTS_MAX; i++) {
        vectors[i] = buffer_slice(&one);
    }
    proto_message message = {
        .type = PROTO_EMBEDDED,
        .embedded = {.dimension = PROTO_DIMENSION_MAX, .vectors = vectors, .vector_count = PROTO_TEXTS_MAX}};
    assert_true(proto_encode(&message, &out, &err));
    assert_true(proto_decode(buffer_slice(&out), memory_of_test, &back, &err));
    assert_int_equal(back.embedded.vector_count, PROTO_TEXTS_MAX);
    buffer_free(&one);
    buffer_free(&out);
    test_free(values);
}

/* Of the documented hello's two models the second embeds. */
static void test_a_model_does_what_it_says_and_one_that_is_silent_generates_and_scores(void **state) {
    (void)state;
    example examples[64];
    proto_message message = {.type = PROTO_TYPE_COUNT};
    error err;
    size_t count = read_examples(examples, 64);
    for (size_t i = 0; i < count && message.type != PROTO_HELLO; i++) {
        assert_true(proto_decode(examples[i].text, memory_of_test, &message, &err));
    }
    assert_int_equal(message.type, PROTO_HELLO);
    assert_int_equal(message.hello.model_count, 2);
    const proto_model *old = &message.hello.models[0];
    proto_model *encoder = &message.hello.models[1];
    assert_true(proto_model_does(old, PROTO_GENERATE) && proto_model_does(old, PROTO_SCORE));
    assert_false(proto_model_does(old, PROTO_EMBED));
    assert_true(proto_model_does(encoder, PROTO_EMBED));
    assert_false(proto_model_does(encoder, PROTO_GENERATE) || proto_model_does(encoder, PROTO_SCORE));
    assert_int_equal(encoder->dimension, 4);
    buffer out = buffer_make(PROTO_MESSAGE_MAX);
    encoder->has_dimension = false;
    assert_false(proto_encode(&message, &out, &err));
    encoder->kinds[0] = PROTO_GENERATE;
    assert_true(proto_encode(&message, &out, &err));
    encoder->has_dimension = true;
    assert_false(proto_encode(&message, &out, &err));
    encoder->kinds[0] = PROTO_KIND_COUNT;
    assert_false(proto_encode(&message, &out, &err));
    buffer_free(&out);
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
        TEST(test_the_texts_of_a_job_come_out_and_nothing_of_a_question_is_asked_for),
        TEST(test_a_job_for_vectors_has_texts_in_their_bounds),
        TEST(test_the_longest_texts_fit_a_message_however_they_are_escaped),
        TEST(test_a_vector_keeps_every_bit_and_is_finite),
        TEST(test_vectors_come_out_and_must_be_what_they_say),
        TEST(test_the_most_vectors_of_the_most_values_fit_a_message),
        TEST(test_a_model_does_what_it_says_and_one_that_is_silent_generates_and_scores),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
