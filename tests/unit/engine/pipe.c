#include "engine/pipe.h"

#include "unit.h"

#include <stdlib.h>

static const engine_message messages[] = {{SLICE_LITERAL("system"), SLICE_LITERAL("")},
                                          {SLICE_LITERAL("user"), SLICE_LITERAL("caf\xc3\xa9?")}};
static const uint32_t tokens[] = {0, 7, UINT32_MAX};

/* One of each type, every field set. */
static size_t make_all(pipe_message all[9]) {
    size_t n = 0;
    for (pipe_type type = 0; type < 256; type++) {
        pipe_message m = {.type = type, .job = {1, 2, 3}};
        switch (type) {
        case PIPE_GENERATE:
            m.generate = (pipe_generate){.messages = messages,
                                         .message_count = 2,
                                         .parameters = {.temperature = 0.5f,
                                                        .top_p = 0.9f,
                                                        .max_tokens = 12,
                                                        .stops = {SLICE_LITERAL("a"), SLICE_LITERAL("bc")},
                                                        .stop_count = 2},
                                         .seed = UINT64_MAX - 1,
                                         .nonce = {9}};
            break;
        case PIPE_READY:
            m.ready = (pipe_ready){SLICE_LITERAL("name"), {5}, 4096, 3, 50000, SLICE_LITERAL(ENGINE_PROFILE)};
            break;
        case PIPE_DELTA:
            m.delta = (pipe_delta){tokens, 3, SLICE_LITERAL("text")};
            break;
        case PIPE_DONE:
            m.done = (pipe_done){ENGINE_LENGTH, {17, 18}, {4}};
            break;
        case PIPE_FAIL:
            m.fail = (pipe_fail){ERROR_LIMIT, SLICE_LITERAL("why"), true};
            break;
        case PIPE_LOADING:
            m.percent = 99;
            break;
        case PIPE_PING:
        case PIPE_PONG:
            m.nonce = 0xfedcba98;
            break;
        case PIPE_CANCEL:
            break;
        default:
            continue;
        }
        all[n++] = m;
    }
    return n;
}

static void encode(const pipe_message *m, buffer *out) {
    error err;
    *out = buffer_make(PIPE_FRAME_MAX + 4);
    assert_true(pipe_append(out, m, &err));
}

static void assert_generate_equal(const pipe_generate *a, const pipe_generate *b) {
    assert_int_equal(a->message_count, b->message_count);
    for (size_t i = 0; i < a->message_count; i++) {
        assert_true(slice_equal(a->messages[i].role, b->messages[i].role));
        assert_true(slice_equal(a->messages[i].content, b->messages[i].content));
    }
    assert_true(a->parameters.temperature == b->parameters.temperature);
    assert_true(a->parameters.top_p == b->parameters.top_p);
    assert_int_equal(a->parameters.max_tokens, b->parameters.max_tokens);
    assert_int_equal(a->parameters.stop_count, b->parameters.stop_count);
    for (size_t i = 0; i < a->parameters.stop_count; i++) {
        assert_true(slice_equal(a->parameters.stops[i], b->parameters.stops[i]));
    }
    assert_int_equal(a->seed, b->seed);
    assert_memory_equal(a->nonce, b->nonce, sizeof a->nonce);
}

static void assert_equal(const pipe_message *a, const pipe_message *b) {
    assert_int_equal(a->type, b->type);
    switch (a->type) {
    case PIPE_GENERATE:
        assert_generate_equal(&a->generate, &b->generate);
        break;
    case PIPE_READY:
        assert_true(slice_equal(a->ready.model, b->ready.model) &&
                    slice_equal(a->ready.profile, b->ready.profile));
        assert_memory_equal(a->ready.digest, b->ready.digest, sizeof a->ready.digest);
        assert_int_equal(a->ready.context, b->ready.context);
        assert_int_equal(a->ready.slots, b->ready.slots);
        assert_int_equal(a->ready.vocabulary, b->ready.vocabulary);
        return;
    case PIPE_DELTA:
        assert_int_equal(a->delta.token_count, b->delta.token_count);
        assert_memory_equal(a->delta.tokens, b->delta.tokens, a->delta.token_count * sizeof(uint32_t));
        assert_true(slice_equal(a->delta.text, b->delta.text));
        break;
    case PIPE_DONE:
        assert_int_equal(a->done.finish, b->done.finish);
        assert_int_equal(a->done.usage.prompt_tokens, b->done.usage.prompt_tokens);
        assert_int_equal(a->done.usage.completion_tokens, b->done.usage.completion_tokens);
        assert_memory_equal(a->done.commitment, b->done.commitment, sizeof a->done.commitment);
        break;
    case PIPE_FAIL:
        assert_int_equal(a->fail.code, b->fail.code);
        assert_true(slice_equal(a->fail.text, b->fail.text));
        assert_int_equal(a->fail.retryable, b->fail.retryable);
        break;
    case PIPE_LOADING:
        assert_int_equal(a->percent, b->percent);
        return;
    case PIPE_PING:
    case PIPE_PONG:
        assert_int_equal(a->nonce, b->nonce);
        return;
    case PIPE_CANCEL:
        break;
    }
    assert_memory_equal(a->job, b->job, PIPE_JOB_SIZE);
}

static void test_every_message_comes_back_as_it_went(void **state) {
    (void)state;
    error err;
    pipe_message all[9];
    pipe_message got;
    size_t taken = 0;
    arena *memory = arena_new(1 << 16);
    assert_int_equal(make_all(all), 9);
    for (size_t i = 0; i < 9; i++) {
        buffer frame;
        encode(&all[i], &frame);
        buffer_append_text(&frame, "next");
        assert_true(pipe_read(buffer_slice(&frame), memory, &got, &taken, &err));
        assert_int_equal(taken, buffer_length(&frame) - 4);
        assert_equal(&all[i], &got);
        buffer_free(&frame);
    }
    arena_free(memory);
}

static void test_a_frame_that_is_not_whole_yet_takes_nothing(void **state) {
    (void)state;
    error err;
    pipe_message all[9];
    pipe_message got;
    arena *memory = arena_new(1 << 16);
    make_all(all);
    for (size_t i = 0; i < 9; i++) {
        buffer frame;
        encode(&all[i], &frame);
        for (size_t length = 0; length < buffer_length(&frame); length++) {
            size_t taken = 1;
            assert_true(pipe_read(slice_part(buffer_slice(&frame), 0, length), memory, &got, &taken, &err));
            assert_int_equal(taken, 0);
        }
        buffer_free(&frame);
    }
    arena_free(memory);
}

static void test_a_frame_too_short_or_too_long_for_its_type_is_malformed(void **state) {
    (void)state;
    error err;
    pipe_message all[9];
    pipe_message got;
    size_t taken = 0;
    arena *memory = arena_new(1 << 16);
    make_all(all);
    for (size_t i = 0; i < 9; i++) {
        buffer frame;
        encode(&all[i], &frame);
        uint8_t *length = &frame.bytes[frame.start + 3]; /* all are shorter than 256 */
        (*length)--;
        assert_false(pipe_read(buffer_slice(&frame), memory, &got, &taken, &err));
        assert_int_equal(err.code, ERROR_INVALID);
        *length = (uint8_t)(*length + 2);
        buffer_append_byte(&frame, 0);
        assert_false(pipe_read(buffer_slice(&frame), memory, &got, &taken, &err));
        assert_int_equal(err.code, ERROR_INVALID);
        buffer_free(&frame);
    }
    arena_free(memory);
}

static void assert_malformed(const void *bytes, size_t length, error_code code) {
    error err;
    pipe_message got;
    size_t taken = 0;
    arena *memory = arena_new(1 << 16);
    assert_false(pipe_read(slice_of(bytes, length), memory, &got, &taken, &err));
    assert_int_equal(err.code, code);
    assert_int_equal(taken, 0);
    arena_free(memory);
}

static void test_wrong_lengths_types_and_values_are_malformed(void **state) {
    (void)state;
    assert_malformed("\0\0\0\0", 4, ERROR_LIMIT);
    assert_malformed("\0\x40\0\1", 4, ERROR_LIMIT); /* told before the frame is there */
    assert_malformed("\0\0\0\1\0", 5, ERROR_INVALID);
    assert_malformed("\0\0\0\1\x63", 5, ERROR_INVALID);
    assert_malformed("\0\0\0\5\x11\0\0\0\x65", 9, ERROR_INVALID); /* 101 % */
    /* a delta that claims more tokens than its frame holds */
    assert_malformed("\0\0\0\x19\x12"
                     "0123456789abcdef"
                     "\0\0\x10\0"
                     "\0\0\0\0",
                     29, ERROR_INVALID);
}

static void test_a_message_past_its_bounds_is_not_written(void **state) {
    (void)state;
    error err;
    buffer out = buffer_make(2 * PIPE_FRAME_MAX);
    uint8_t *large = calloc(1, PIPE_FRAME_MAX);
    assert_non_null(large);
    engine_message pair[] = {{SLICE_LITERAL("user"), slice_of(large, PIPE_FRAME_MAX / 2)},
                             {SLICE_LITERAL("user"), slice_of(large, PIPE_FRAME_MAX / 2)}};
    pipe_message m = {.type = PIPE_GENERATE, .generate = {.messages = pair, .message_count = 2}};
    assert_false(pipe_append(&out, &m, &err));
    assert_int_equal(err.code, ERROR_LIMIT);
    m.generate.message_count = 1;
    m.generate.parameters.stop_count = 1;
    m.generate.parameters.stops[0] = slice_of(large, ENGINE_STOP_LENGTH_MAX + 1);
    assert_false(pipe_append(&out, &m, &err));
    m.generate.parameters.stop_count = 0;
    assert_int_equal(buffer_length(&out), 0);
    assert_true(pipe_append(&out, &m, &err));
    buffer_free(&out);
    free(large);
}

static void test_every_failed_allocation_is_an_error(void **state) {
    (void)state;
    pipe_message all[9];
    make_all(all);
    bool reached = true;
    for (int nth = 0; reached; nth++) {
        error err = {0};
        pipe_message got;
        size_t taken = 0;
        buffer out = buffer_make(PIPE_FRAME_MAX);
        fault_fail_nth(nth);
        arena *memory = arena_new(1 << 16);
        bool good = memory != NULL && pipe_append(&out, &all[0], &err) &&
                    pipe_read(buffer_slice(&out), memory, &got, &taken, &err);
        reached = fault_stop();
        assert_int_equal(good, !reached);
        assert_true(good || memory == NULL || err.code == ERROR_MEMORY);
        arena_free(memory);
        buffer_free(&out);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_message_comes_back_as_it_went),
        cmocka_unit_test(test_a_frame_that_is_not_whole_yet_takes_nothing),
        cmocka_unit_test(test_a_frame_too_short_or_too_long_for_its_type_is_malformed),
        cmocka_unit_test(test_wrong_lengths_types_and_values_are_malformed),
        cmocka_unit_test(test_a_message_past_its_bounds_is_not_written),
        cmocka_unit_test(test_every_failed_allocation_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
