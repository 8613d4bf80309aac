#include "worker_job.h"

#include "codec/json.h"
#include "crypto/start.h"
#include "ledger/finding.h"

#include "unit.h"

/* The jobs between a pool and an engine, both of which are this test. */
enum { VOCABULARY = 1000, NONE = -1 };

typedef struct site {
    agent agent;
    backend engine;
    bool refuses; /* the engine takes nothing */
    bool faulty;  /* allocations fail, and the test makes none */
    size_t engine_messages;
    pipe_type last_type;
    uint32_t answer[8]; /* that the engine was given */
    size_t answer_count;
    pipe_generate claim;
    size_t pool_messages;
    proto_message last; /* to the pool */
    char code[PROTO_PROFILE_MAX + 1];
} site;

static site *now;
static const uint32_t claimed[] = {5, 6, 7, 8};

bool agent_send(agent *a, const proto_message *message) {
    (void)a;
    if (!now->faulty) {
        buffer text = buffer_make(PROTO_MESSAGE_MAX);
        error err;
        assert_true(proto_encode(message, &text, &err));
        buffer_free(&text);
    }
    now->pool_messages++;
    now->last = *message;
    if (message->type == PROTO_FAIL) {
        snprintf(now->code, sizeof now->code, "%.*s", SLICE_FORMAT(message->fail.code));
    }
    return true;
}

void agent_check_stopped(agent *a) {
    (void)a;
}

static bool engine_takes(backend *self, const pipe_message *message) {
    (void)self;
    if (now->refuses) {
        return false;
    }
    now->engine_messages++;
    now->last_type = message->type;
    if (message->type == PIPE_SCORE) {
        assert_true(message->score.answer_count <= 8);
        memcpy(now->answer, message->score.answer, message->score.answer_count * sizeof *now->answer);
        now->answer_count = message->score.answer_count;
        now->claim = message->score.claim;
        assert_int_equal(message->score.claim.message_count, 1);
        assert_true(slice_equal_text(message->score.claim.messages[0].content, "Why?"));
    }
    return true;
}

static int set_up(void **state) {
    static site s;
    error err;
    s = (site){.engine = {.send = engine_takes}};
    agent *a = &s.agent;
    uint8_t seed[SIGN_SEED_SIZE] = {1};
    a->loop = ev_loop_new(&err);
    a->scratch = arena_new(1 << 20);
    a->home.key = sign_key_from_seed(seed, &err);
    if (a->loop == NULL || a->scratch == NULL || a->home.key == NULL ||
        !receipt_worker_id(sign_key_public(a->home.key), a->home.worker_id, &err)) {
        return -1;
    }
    a->engine = &s.engine;
    a->engine_ready = true;
    a->slots = 2;
    a->vocabulary = VOCABULARY;
    a->can_generate = true;
    memset(a->model_digest, 0x22, sizeof a->model_digest);
    memset(a->home.pool_id, 0x33, sizeof a->home.pool_id);
    snprintf(a->model_name, sizeof a->model_name, "demo");
    snprintf(a->profile, sizeof a->profile, "exact-2");
    list_init(&a->jobs);
    now = &s;
    *state = &s;
    return 0;
}

static int tear_down(void **state) {
    site *s = *state;
    worker_job_drop_all(&s->agent);
    ev_loop_free(s->agent.loop);
    arena_free(s->agent.scratch);
    sign_key_free(s->agent.home.key);
    return 0;
}

static proto_job make_job(const uint32_t *answer, size_t count) {
    static const proto_chat chat = {SLICE_LITERAL("user"), SLICE_LITERAL("Why?")};
    proto_job job = {.id = {1, 2, 3},
                     .kind = PROTO_SCORE,
                     .model = SLICE_LITERAL("demo"),
                     .messages = &chat,
                     .message_count = 1,
                     .temperature = 0.5F,
                     .top_p = 0.75F,
                     .max_tokens = 64,
                     .stop_count = 1,
                     .stop = {SLICE_LITERAL("END")},
                     .seed = UINT64_MAX,
                     .deadline_ms = 60000,
                     .credit = 1,
                     .answer = answer,
                     .answer_count = count};
    memset(job.digest, 0x22, sizeof job.digest);
    memset(job.nonce, 0x44, sizeof job.nonce);
    memset(job.salt, 0x55, sizeof job.salt);
    return job;
}

/* The engine's word, and what is to be said to the pool after it. */
static void answer_score(site *s, const uint32_t *tokens, size_t count, size_t agreed, bool complete) {
    pipe_scored scored = {.usage = {.prompt_tokens = 9},
                          .result = {tokens, count, agreed, complete, true, {0x77}}};
    static const uint8_t id[PIPE_JOB_SIZE] = {1, 2, 3};
    memset(scored.commitment, 0x66, sizeof scored.commitment);
    score_job_scored(&s->agent, id, &scored);
}

/* The signature is of just this finding. */
static void assert_signed(const site *s, const proto_job *job) {
    error err;
    const proto_scored *said = &s->last.scored;
    const agent *a = &s->agent;
    signed_finding made = {.fields = {.version = FINDING_VERSION,
                                      .engine_profile = "exact-2",
                                      .temperature = 0.5F,
                                      .top_p = 0.75F,
                                      .max_tokens = 64,
                                      .seed = UINT64_MAX,
                                      .claimed_tokens = (uint32_t)job->answer_count,
                                      .prompt_tokens = said->prompt_tokens,
                                      .agreed = said->agreed,
                                      .complete = said->complete,
                                      .has_expected = said->has_expected,
                                      .expected = said->expected,
                                      .started_ms = said->started_ms,
                                      .finished_ms = said->finished_ms}};
    finding *f = &made.fields;
    const receipt_message message = {job->messages[0].role, job->messages[0].content};
    memcpy(f->pool_id, a->home.pool_id, sizeof f->pool_id);
    memcpy(f->check_id, job->id, sizeof f->check_id);
    memcpy(f->worker_id, a->home.worker_id, sizeof f->worker_id);
    memcpy(f->model_digest, a->model_digest, sizeof f->model_digest);
    memcpy(f->commitment, said->commitment, sizeof f->commitment);
    assert_true(receipt_hash_prompt(job->salt, &message, 1, f->prompt_hash, &err));
    assert_true(receipt_hash_stop(job->stop, job->stop_count, f->stop_hash, &err));
    assert_true(receipt_hash_tokens(job->answer, job->answer_count, f->token_hash, &err));
    buffer bytes = buffer_make(FINDING_ENCODED_LIMIT);
    assert_true(finding_encode(f, &bytes, &err));
    made.length = buffer_length(&bytes);
    memcpy(made.bytes, buffer_slice(&bytes).data, made.length);
    memcpy(made.worker_key, sign_key_public(a->home.key), sizeof made.worker_key);
    memcpy(made.worker_signature, said->signature, sizeof made.worker_signature);
    assert_true(finding_verify_worker(&made, &err));
    buffer_free(&bytes);
}

/* `expected` NONE: nothing. */
static void assert_scored(const site *s, uint32_t agreed, bool complete, int expected) {
    assert_int_equal(s->pool_messages, 1);
    assert_int_equal(s->last.type, PROTO_SCORED);
    assert_int_equal(s->last.scored.id[2], 3);
    assert_int_equal(s->last.scored.prompt_tokens, 9);
    assert_int_equal(s->last.scored.agreed, agreed);
    assert_int_equal(s->last.scored.complete, complete);
    assert_int_equal(s->last.scored.has_expected, expected != NONE);
    assert_int_equal(s->last.scored.expected, expected == NONE ? 0 : expected);
    static const uint8_t text_hash[HASH_SIZE] = {0x77};
    uint8_t chain[HASH_SIZE];
    uint8_t commitment[HASH_SIZE];
    error err;
    memset(chain, 0x66, sizeof chain);
    assert_true(receipt_commit(chain, text_hash, 9, true, commitment, &err));
    assert_memory_equal(s->last.scored.commitment, commitment, sizeof commitment);
    assert_int_equal(s->agent.job_count, 0);
}

static void test_the_engine_is_given_the_whole_claim(void **state) {
    site *s = *state;
    proto_job job = make_job(claimed, 4);
    worker_job_start(&s->agent, &job);
    assert_int_equal(s->last_type, PIPE_SCORE);
    assert_int_equal(s->answer_count, 4);
    assert_memory_equal(s->answer, claimed, sizeof claimed);
    assert_true(s->claim.seed == UINT64_MAX && s->claim.nonce[0] == 0x44 && !s->claim.has_salt);
    assert_true(s->claim.parameters.temperature == 0.5F && s->claim.parameters.top_p == 0.75F);
    assert_int_equal(s->claim.parameters.max_tokens, 64);
    assert_int_equal(s->claim.parameters.stop_count, 1);
    assert_int_equal(s->pool_messages, 0);
    assert_int_equal(s->agent.job_count, 1);
}

static void test_an_answer_that_agrees_is_found_complete(void **state) {
    site *s = *state;
    proto_job job = make_job(claimed, 4);
    worker_job_start(&s->agent, &job);
    answer_score(s, claimed, 4, 4, true);
    assert_scored(s, 4, true, NONE);
    assert_signed(s, &job);
}

static void test_the_token_expected_instead_is_told(void **state) {
    site *s = *state;
    static const uint32_t drawn[] = {5, 6, 70, 8};
    proto_job job = make_job(claimed, 4);
    worker_job_start(&s->agent, &job);
    answer_score(s, drawn, 4, 2, false);
    assert_scored(s, 2, false, 70);
    assert_signed(s, &job);
}

static void test_nothing_is_expected_where_generation_would_have_ended(void **state) {
    site *s = *state;
    static const uint32_t drawn[] = {5, 6, ENGINE_NO_TOKEN, ENGINE_NO_TOKEN};
    proto_job job = make_job(claimed, 4);
    worker_job_start(&s->agent, &job);
    answer_score(s, drawn, 4, 2, false);
    assert_scored(s, 2, false, NONE);
    assert_signed(s, &job);
}

static void test_an_answer_broken_off_agrees_but_is_not_complete(void **state) {
    site *s = *state;
    proto_job job = make_job(claimed, 4);
    worker_job_start(&s->agent, &job);
    answer_score(s, claimed, 4, 4, false);
    assert_scored(s, 4, false, NONE);
    assert_signed(s, &job);
}

/* Whoever claims a token that the model doesn't have is found out, not excused: the engine would refuse it.
 */
static void test_a_token_that_the_model_lacks_can_not_agree(void **state) {
    site *s = *state;
    static const uint32_t bad[] = {5, 6, VOCABULARY, 8};
    for (uint32_t draw = 0; draw < 2; draw++) { /* also if what stands in for it is drawn */
        const uint32_t drawn[] = {5, 6, draw};
        proto_job job = make_job(bad, 4);
        worker_job_start(&s->agent, &job);
        assert_int_equal(s->answer_count, 3);
        assert_memory_equal(s->answer, ((const uint32_t[]){5, 6, 0}), 3 * sizeof(uint32_t));
        answer_score(s, drawn, 3, draw == 0 ? 3 : 2, draw == 0);
        assert_scored(s, 2, false, (int)draw);
        assert_signed(s, &job);
        s->pool_messages = 0;
    }
    static const uint32_t first[] = {UINT32_MAX / 2};
    proto_job job = make_job(first, 1);
    worker_job_start(&s->agent, &job);
    answer_score(s, claimed, 1, 0, false);
    assert_scored(s, 0, false, 5);
}

static void assert_failed(const site *s, const char *code, bool retryable) {
    assert_int_equal(s->pool_messages, 1);
    assert_int_equal(s->last.type, PROTO_FAIL);
    assert_string_equal(s->code, code);
    assert_int_equal(s->last.fail.retryable, retryable);
    assert_int_equal(s->agent.job_count, 0);
}

static void test_a_score_of_another_length_is_the_engine_s_failure(void **state) {
    site *s = *state;
    proto_job job = make_job(claimed, 4);
    worker_job_start(&s->agent, &job);
    answer_score(s, claimed, 3, 3, true);
    assert_failed(s, PROTO_FAIL_ENGINE, true);
}

static void test_what_an_answer_would_bring_is_ignored(void **state) {
    site *s = *state;
    proto_job job = make_job(claimed, 4);
    worker_job_start(&s->agent, &job);
    generate_job_delta(&s->agent, job.id,
                       &(pipe_delta){.tokens = claimed, .token_count = 1, .text = SLICE_LITERAL("a")});
    generate_job_done(&s->agent, job.id, &(pipe_done){.finish = ENGINE_STOP});
    proto_credit credit = {.tokens = 5};
    memcpy(credit.id, job.id, sizeof credit.id);
    generate_job_credit(&s->agent, &credit);
    assert_int_equal(s->pool_messages, 0);
    answer_score(s, claimed, 4, 4, true);
    assert_scored(s, 4, true, NONE);
    answer_score(s, claimed, 4, 4, true); /* gone by now */
    assert_int_equal(s->pool_messages, 1);
}

static void test_a_cancel_is_passed_on_and_confirmed(void **state) {
    site *s = *state;
    proto_job job = make_job(claimed, 4);
    worker_job_start(&s->agent, &job);
    worker_job_cancel(&s->agent, job.id);
    assert_int_equal(s->last_type, PIPE_CANCEL);
    assert_failed(s, PROTO_FAIL_CANCELLED, true);
}

static void stop_loop(void *loop) {
    ev_loop_stop(loop);
}

static void test_a_deadline_ends_the_check(void **state) {
    site *s = *state;
    proto_job job = make_job(claimed, 4);
    ev_timer after;
    job.deadline_ms = 1;
    worker_job_start(&s->agent, &job);
    ev_timer_init(&after, stop_loop, s->agent.loop);
    ev_timer_start(s->agent.loop, &after, 50);
    ev_loop_run(s->agent.loop);
    assert_int_equal(s->last_type, PIPE_CANCEL);
    assert_failed(s, PROTO_FAIL_DEADLINE, false);
}

static void test_a_lost_engine_fails_the_check(void **state) {
    site *s = *state;
    proto_job job = make_job(claimed, 4);
    worker_job_start(&s->agent, &job);
    s->agent.engine_ready = false;
    worker_job_fail_all(&s->agent, "the engine was ended by signal 9");
    assert_failed(s, PROTO_FAIL_ENGINE, true);
    s->pool_messages = 0;
    worker_job_start(&s->agent, &job);
    assert_failed(s, PROTO_FAIL_BUSY, true);
}

static void test_an_engine_that_can_not_score_fails_the_check(void **state) {
    site *s = *state;
    proto_job job = make_job(claimed, 4);
    s->refuses = true;
    worker_job_start(&s->agent, &job);
    assert_failed(s, PROTO_FAIL_ENGINE, true);
    s->refuses = false;
    s->pool_messages = 0;
    worker_job_start(&s->agent, &job);
    worker_job_fail(&s->agent, job.id, &(pipe_fail){.code = ERROR_LIMIT, .text = SLICE_LITERAL("too long")});
    assert_failed(s, PROTO_FAIL_INPUT, false);
}

static void test_a_check_takes_a_slot_and_needs_the_model(void **state) {
    site *s = *state;
    proto_job job = make_job(claimed, 4);
    s->agent.slots = 1;
    worker_job_start(&s->agent, &job);
    proto_job second = make_job(claimed, 4);
    second.id[0] = 9;
    worker_job_start(&s->agent, &second);
    assert_int_equal(s->last.type, PROTO_FAIL);
    assert_string_equal(s->code, PROTO_FAIL_BUSY);
    worker_job_drop_all(&s->agent);
    assert_int_equal(s->agent.job_count, 0);
    s->pool_messages = 0;
    second.digest[0] ^= 1;
    worker_job_start(&s->agent, &second);
    assert_failed(s, PROTO_FAIL_MODEL, true);
}

static void test_each_failed_allocation_fails_the_check_alone(void **state) {
    site *s = *state;
    static const uint32_t bad[] = {5, VOCABULARY};
    proto_job job = make_job(bad, 2);
    bool reached = true;
    s->faulty = true;
    for (int nth = 0; reached; nth++) {
        arena_reset(s->agent.scratch);
        s->pool_messages = 0;
        fault_fail_nth(nth);
        worker_job_start(&s->agent, &job);
        answer_score(s, claimed, 2, 1, false);
        reached = fault_stop();
        assert_int_equal(s->pool_messages, 1);
        assert_true(s->last.type == PROTO_SCORED || (reached && s->last.type == PROTO_FAIL));
        assert_int_equal(s->agent.job_count, 0);
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
        TEST(test_the_engine_is_given_the_whole_claim),
        TEST(test_an_answer_that_agrees_is_found_complete),
        TEST(test_the_token_expected_instead_is_told),
        TEST(test_nothing_is_expected_where_generation_would_have_ended),
        TEST(test_an_answer_broken_off_agrees_but_is_not_complete),
        TEST(test_a_token_that_the_model_lacks_can_not_agree),
        TEST(test_a_score_of_another_length_is_the_engine_s_failure),
        TEST(test_what_an_answer_would_bring_is_ignored),
        TEST(test_a_cancel_is_passed_on_and_confirmed),
        TEST(test_a_deadline_ends_the_check),
        TEST(test_a_lost_engine_fails_the_check),
        TEST(test_an_engine_that_can_not_score_fails_the_check),
        TEST(test_a_check_takes_a_slot_and_needs_the_model),
        TEST(test_each_failed_allocation_fails_the_check_alone),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
