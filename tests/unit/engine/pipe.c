#include "engine/pipe.h"

#include "unit.h"

#include <stdlib.h>

enum { TYPES = 15 };
static const engine_message messages[] = {
    {.role = SLICE_LITERAL("system"), .content = SLICE_LITERAL("")},
    {.role = SLICE_LITERAL("user"), .content = SLICE_LITERAL("caf\xc3\xa9?"), .name = SLICE_LITERAL("Ann")},
    {.role = SLICE_LITERAL("assistant"), .tool_calls = SLICE_LITERAL("[{}]")},
    {.role = SLICE_LITERAL("tool"), .content = SLICE_LITERAL("7"), .tool_call_id = SLICE_LITERAL("call_1")}};
static const uint32_t tokens[] = {0, 7, UINT32_MAX};
static const engine_bias biases[] = {{3, -1.5f}, {UINT32_MAX, 100}};
static const engine_logprob top[] = {{5, -0.5f}, {6, -1.5f}};
static const pipe_logprobs logprobs[] = {{-0.5f, top, 2}, {-7.25f, top, 1}, {0, NULL, 0}};
static const float values[] = {0.5f, -0.25f};
static const uint8_t somewhere[ENGINE_DIGEST_SIZE] = {4};

static pipe_generate make_generate(void) {
    return (pipe_generate){.messages = messages,
                           .message_count = sizeof messages / sizeof messages[0],
                           .tools = SLICE_LITERAL("[]"),
                           .parameters = {.temperature = 0.5f,
                                          .top_p = 0.9f,
                                          .min_p = 0.01f,
                                          .top_k = 77,
                                          .repetition_penalty = 1.1f,
                                          .presence_penalty = -0.5f,
                                          .frequency_penalty = 0.75f,
                                          .max_tokens = 12,
                                          .logprobs = 4,
                                          .with_logprob = true,
                                          .stops = {SLICE_LITERAL("a"), SLICE_LITERAL("bc")},
                                          .stop_count = 2,
                                          .biases = biases,
                                          .bias_count = 2,
                                          .schema = SLICE_LITERAL("{}"),
                                          .grammar = SLICE_LITERAL("root ::= [a]")},
                           .seed = UINT64_MAX - 1,
                           .nonce = {9},
                           .has_salt = true,
                           .salt = {8, 1}};
}

/* One of each type, every field set. */
static void make_all(pipe_message all[TYPES]) {
    static const pipe_type types[TYPES] = {PIPE_GENERATE, PIPE_CANCEL, PIPE_PING,    PIPE_SCORE,
                                           PIPE_EMBED,    PIPE_READY,  PIPE_LOADING, PIPE_DELTA,
                                           PIPE_DONE,     PIPE_FAIL,   PIPE_PONG,    PIPE_SCORED,
                                           PIPE_EMBEDDED, PIPE_WIPE,   PIPE_WIPED};
    for (size_t i = 0; i < TYPES; i++) {
        all[i] = (pipe_message){.type = types[i], .job = {1, 2, 3}};
    }
    all[0].generate = make_generate();
    all[2].nonce = 0xfedcba98;
    all[3].score = (pipe_score){make_generate(), tokens, 3};
    all[3].score.claim.has_salt = false;
    all[4].text = SLICE_LITERAL("what is it about?");
    all[5].ready = (pipe_ready){SLICE_LITERAL("name"),        {5}, 4096, 3, 50000, 64, true, false,
                                SLICE_LITERAL(ENGINE_PROFILE)};
    all[6].percent = 99;
    all[7].delta = (pipe_delta){tokens, 3, SLICE_LITERAL("text"), logprobs};
    all[8].done = (pipe_done){ENGINE_LENGTH, {17, 18, 16}, {4}};
    all[9].fail = (pipe_fail){ERROR_LIMIT, SLICE_LITERAL("why"), true};
    all[10].nonce = 7;
    all[11].scored = (pipe_scored){{1, 3, 0}, {4}, {tokens, 3, 2, false, true, {6, 7}}};
    all[12].embedded = (pipe_embedded){{5, 0, 0}, values, 2};
}

static void encode(const pipe_message *m, buffer *out) {
    error err;
    *out = buffer_make(PIPE_FRAME_MAX + 4);
    assert_true(pipe_append(out, m, &err));
}

static void assert_parameters_equal(const engine_parameters *a, const engine_parameters *b) {
    assert_true(a->temperature == b->temperature && a->top_p == b->top_p && a->min_p == b->min_p);
    assert_true(a->repetition_penalty == b->repetition_penalty &&
                a->presence_penalty == b->presence_penalty && a->frequency_penalty == b->frequency_penalty);
    assert_int_equal(a->top_k, b->top_k);
    assert_int_equal(a->max_tokens, b->max_tokens);
    assert_int_equal(a->logprobs, b->logprobs);
    assert_int_equal(a->with_logprob, b->with_logprob);
    assert_int_equal(a->stop_count, b->stop_count);
    for (size_t i = 0; i < a->stop_count; i++) {
        assert_true(slice_equal(a->stops[i], b->stops[i]));
    }
    assert_int_equal(a->bias_count, b->bias_count);
    assert_memory_equal(a->biases, b->biases, a->bias_count * sizeof *a->biases);
    assert_true(slice_equal(a->schema, b->schema) && slice_equal(a->grammar, b->grammar));
}

static void assert_generate_equal(const pipe_generate *a, const pipe_generate *b) {
    assert_int_equal(a->message_count, b->message_count);
    for (size_t i = 0; i < a->message_count; i++) {
        const engine_message *x = &a->messages[i];
        const engine_message *y = &b->messages[i];
        assert_true(slice_equal(x->role, y->role) && slice_equal(x->content, y->content));
        assert_true(slice_equal(x->tool_calls, y->tool_calls) &&
                    slice_equal(x->tool_call_id, y->tool_call_id));
        assert_true(slice_equal(x->name, y->name));
    }
    assert_true(slice_equal(a->tools, b->tools));
    assert_parameters_equal(&a->parameters, &b->parameters);
    assert_int_equal(a->seed, b->seed);
    assert_memory_equal(a->nonce, b->nonce, sizeof a->nonce);
    assert_int_equal(a->has_salt, b->has_salt);
    assert_memory_equal(a->salt, b->has_salt ? b->salt : a->salt, sizeof a->salt);
}

static void assert_ready_equal(const pipe_ready *a, const pipe_ready *b) {
    assert_true(slice_equal(a->model, b->model) && slice_equal(a->profile, b->profile));
    assert_memory_equal(a->digest, b->digest, sizeof a->digest);
    assert_int_equal(a->context, b->context);
    assert_int_equal(a->slots, b->slots);
    assert_int_equal(a->vocabulary, b->vocabulary);
    assert_int_equal(a->width, b->width);
    assert_int_equal(a->can_generate, b->can_generate);
    assert_int_equal(a->can_embed, b->can_embed);
}

static void assert_delta_equal(const pipe_delta *a, const pipe_delta *b) {
    assert_int_equal(a->token_count, b->token_count);
    assert_memory_equal(a->tokens, b->tokens, a->token_count * sizeof(uint32_t));
    assert_true(slice_equal(a->text, b->text));
    assert_int_equal(a->logprobs == NULL, b->logprobs == NULL);
    for (size_t i = 0; a->logprobs != NULL && i < a->token_count; i++) {
        assert_true(a->logprobs[i].logprob == b->logprobs[i].logprob);
        assert_int_equal(a->logprobs[i].top_count, b->logprobs[i].top_count);
        for (size_t k = 0; k < a->logprobs[i].top_count; k++) {
            assert_int_equal(a->logprobs[i].top[k].token, b->logprobs[i].top[k].token);
            assert_true(a->logprobs[i].top[k].logprob == b->logprobs[i].top[k].logprob);
        }
    }
}

static void assert_usage_equal(const engine_usage *a, const engine_usage *b) {
    assert_int_equal(a->prompt_tokens, b->prompt_tokens);
    assert_int_equal(a->completion_tokens, b->completion_tokens);
    assert_int_equal(a->reused_tokens, b->reused_tokens);
}

static void assert_body_equal(const pipe_message *a, const pipe_message *b) {
    switch (a->type) {
    case PIPE_GENERATE:
        assert_generate_equal(&a->generate, &b->generate);
        break;
    case PIPE_SCORE:
        assert_generate_equal(&a->score.claim, &b->score.claim);
        assert_int_equal(a->score.answer_count, b->score.answer_count);
        assert_memory_equal(a->score.answer, b->score.answer, a->score.answer_count * sizeof(uint32_t));
        break;
    case PIPE_EMBED:
        assert_true(slice_equal(a->text, b->text));
        break;
    case PIPE_READY:
        assert_ready_equal(&a->ready, &b->ready);
        break;
    case PIPE_DELTA:
        assert_delta_equal(&a->delta, &b->delta);
        break;
    case PIPE_DONE:
        assert_int_equal(a->done.finish, b->done.finish);
        assert_usage_equal(&a->done.usage, &b->done.usage);
        assert_memory_equal(a->done.commitment, b->done.commitment, sizeof a->done.commitment);
        break;
    case PIPE_SCORED:
        assert_usage_equal(&a->scored.usage, &b->scored.usage);
        assert_memory_equal(a->scored.commitment, somewhere, sizeof somewhere);
        assert_int_equal(a->scored.result.agreed, b->scored.result.agreed);
        assert_int_equal(a->scored.result.complete, b->scored.result.complete);
        assert_int_equal(a->scored.result.count, b->scored.result.count);
        assert_memory_equal(a->scored.result.tokens, b->scored.result.tokens, sizeof tokens);
        assert_int_equal(a->scored.result.stopped, b->scored.result.stopped);
        assert_memory_equal(a->scored.result.text_digest, b->scored.result.text_digest, ENGINE_DIGEST_SIZE);
        break;
    case PIPE_EMBEDDED:
        assert_usage_equal(&a->embedded.usage, &b->embedded.usage);
        assert_int_equal(a->embedded.count, b->embedded.count);
        assert_memory_equal(a->embedded.values, b->embedded.values, sizeof values);
        break;
    case PIPE_FAIL:
        assert_int_equal(a->fail.code, b->fail.code);
        assert_true(slice_equal(a->fail.text, b->fail.text));
        assert_int_equal(a->fail.retryable, b->fail.retryable);
        break;
    case PIPE_LOADING:
        assert_int_equal(a->percent, b->percent);
        break;
    case PIPE_PING:
    case PIPE_PONG:
        assert_int_equal(a->nonce, b->nonce);
        break;
    case PIPE_CANCEL:
    case PIPE_WIPE:
    case PIPE_WIPED:
        break;
    }
}

static void assert_equal(const pipe_message *a, const pipe_message *b) {
    assert_int_equal(a->type, b->type);
    assert_body_equal(a, b);
    if (a->type != PIPE_PING && a->type != PIPE_PONG && a->type != PIPE_READY && a->type != PIPE_LOADING &&
        a->type != PIPE_WIPE && a->type != PIPE_WIPED) {
        assert_memory_equal(a->job, b->job, PIPE_JOB_SIZE);
    }
}

static void test_every_message_comes_back_as_it_went(void **state) {
    (void)state;
    error err;
    pipe_message all[TYPES];
    pipe_message got;
    size_t taken = 0;
    arena *memory = arena_new(1 << 16);
    make_all(all);
    for (size_t i = 0; i < TYPES; i++) {
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
    pipe_message all[TYPES];
    pipe_message got;
    arena *memory = arena_new(1 << 16);
    make_all(all);
    for (size_t i = 0; i < TYPES; i++) {
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
    pipe_message all[TYPES];
    pipe_message got;
    size_t taken = 0;
    arena *memory = arena_new(1 << 16);
    make_all(all);
    for (size_t i = 0; i < TYPES; i++) {
        buffer frame;
        encode(&all[i], &frame);
        uint8_t *length = &frame.bytes[frame.start + 2]; /* all are shorter than 65536 */
        uint32_t stated = (uint32_t)length[0] << 8 | length[1];
        length[0] = (uint8_t)((stated - 1) >> 8);
        length[1] = (uint8_t)(stated - 1);
        assert_false(pipe_read(buffer_slice(&frame), memory, &got, &taken, &err));
        assert_int_equal(err.code, stated == 1 ? ERROR_LIMIT : ERROR_INVALID); /* not even a type */
        buffer_append_byte(&frame, 0);
        length = &frame.bytes[frame.start + 2];
        length[0] = (uint8_t)((stated + 1) >> 8);
        length[1] = (uint8_t)(stated + 1);
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
    engine_message pair[] = {{.role = SLICE_LITERAL("user"), .content = slice_of(large, PIPE_FRAME_MAX / 2)},
                             {.role = SLICE_LITERAL("user"), .content = slice_of(large, PIPE_FRAME_MAX / 2)}};
    pipe_message m = {.type = PIPE_GENERATE, .generate = {.messages = pair, .message_count = 2}};
    assert_false(pipe_append(&out, &m, &err));
    assert_int_equal(err.code, ERROR_LIMIT);
    m.generate.message_count = 1;
    m.generate.parameters.stop_count = 1;
    m.generate.parameters.stops[0] = slice_of(large, ENGINE_STOP_LENGTH_MAX + 1);
    assert_false(pipe_append(&out, &m, &err));
    m.generate.parameters.stop_count = 0;
    m.generate.parameters.schema = slice_of(large, ENGINE_SCHEMA_MAX + 1);
    assert_false(pipe_append(&out, &m, &err));
    m.generate.parameters.schema = (slice){NULL, 0};
    m.generate.parameters.bias_count = ENGINE_BIASES_MAX + 1;
    assert_false(pipe_append(&out, &m, &err));
    m.generate.parameters.bias_count = 0;
    pipe_message scored = {.type = PIPE_SCORED,
                           .scored = {.result = {.tokens = tokens, .count = PIPE_ANSWER_MAX + 1}}};
    assert_false(pipe_append(&out, &scored, &err));
    pipe_message embedded = {.type = PIPE_EMBEDDED,
                             .embedded = {.values = values, .count = PIPE_WIDTH_MAX + 1}};
    assert_false(pipe_append(&out, &embedded, &err));
    assert_int_equal(err.code, ERROR_LIMIT);
    assert_int_equal(buffer_length(&out), 0);
    assert_true(pipe_append(&out, &m, &err));
    buffer_free(&out);
    free(large);
}

static void test_every_failed_allocation_is_an_error(void **state) {
    (void)state;
    pipe_message all[TYPES];
    make_all(all);
    for (size_t i = 0; i < TYPES; i++) {
        bool reached = true;
        for (int nth = 0; reached; nth++) {
            error err = {0};
            pipe_message got;
            size_t taken = 0;
            buffer out = buffer_make(PIPE_FRAME_MAX);
            fault_fail_nth(nth);
            arena *memory = arena_new(1 << 16);
            bool good = memory != NULL && pipe_append(&out, &all[i], &err) &&
                        pipe_read(buffer_slice(&out), memory, &got, &taken, &err);
            reached = fault_stop();
            assert_int_equal(good, !reached);
            assert_true(good || memory == NULL || err.code == ERROR_MEMORY);
            arena_free(memory);
            buffer_free(&out);
        }
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
