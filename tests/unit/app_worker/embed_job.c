#include "worker_job.h"

#include "crypto/start.h"
#include "proto/vector.h"

#include "unit.h"

#include <math.h>

/* The texts between a pool and an engine, both of which are this test. */
enum { DIMENSION = 3 };

typedef struct site {
    agent agent;
    backend engine;
    bool refuses;   /* the engine takes nothing */
    bool forgetful; /* allocations fail, and the test makes none */
    size_t engine_messages;
    pipe_type last_type;
    char last_text[16]; /* that the engine was given */
    size_t pool_messages;
    proto_type said;
    char code[PROTO_PROFILE_MAX + 1];
    uint32_t prompt_tokens;
    size_t vector_count;
    float vectors[PROTO_TEXTS_MAX][DIMENSION];
} site;

static site *now;
static const uint8_t job_id[PROTO_ID_SIZE] = {7, 8, 9};

bool agent_send(agent *a, const proto_message *message) {
    (void)a;
    now->pool_messages++;
    now->said = message->type;
    if (message->type == PROTO_FAIL) {
        snprintf(now->code, sizeof now->code, "%.*s", SLICE_FORMAT(message->fail.code));
    }
    if (message->type != PROTO_EMBEDDED || now->forgetful) {
        return true;
    }
    const proto_embedded *told = &message->embedded;
    buffer text = buffer_make(PROTO_MESSAGE_MAX);
    error err;
    assert_true(proto_encode(message, &text, &err));
    buffer_free(&text);
    assert_memory_equal(told->id, job_id, sizeof job_id);
    assert_int_equal(told->dimension, DIMENSION);
    now->prompt_tokens = told->prompt_tokens;
    now->vector_count = told->vector_count;
    for (size_t i = 0; i < told->vector_count; i++) {
        assert_true(proto_vector_read(told->vectors[i], now->vectors[i], DIMENSION));
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
    if (message->type == PIPE_EMBED) {
        assert_memory_equal(message->job, job_id, sizeof job_id);
        snprintf(now->last_text, sizeof now->last_text, "%.*s", SLICE_FORMAT(message->text));
    }
    return true;
}

static int set_up(void **state) {
    static site s;
    error err;
    s = (site){.engine = {.send = engine_takes}};
    agent *a = &s.agent;
    a->loop = ev_loop_new(&err);
    if (a->loop == NULL) {
        return -1;
    }
    a->engine = &s.engine;
    a->engine_ready = true;
    a->slots = 2;
    a->dimension = DIMENSION;
    memset(a->model_digest, 0x22, sizeof a->model_digest);
    snprintf(a->model_name, sizeof a->model_name, "words");
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
    return 0;
}

static proto_job make_job(const slice *texts, size_t count) {
    proto_job job = {.kind = PROTO_EMBED,
                     .model = SLICE_LITERAL("words"),
                     .texts = texts,
                     .text_count = count,
                     .deadline_ms = 60000};
    memcpy(job.id, job_id, sizeof job.id);
    memset(job.digest, 0x22, sizeof job.digest);
    return job;
}

static void answer(site *s, float first, size_t count) {
    const float values[DIMENSION + 1] = {first, 0.5F, -0.25F, 1};
    const pipe_embedded embedded = {.usage = {.prompt_tokens = 4}, .values = values, .count = count};
    embed_job_embedded(&s->agent, job_id, &embedded);
}

static void assert_failed(const site *s, const char *code) {
    assert_int_equal(s->pool_messages, 1);
    assert_int_equal(s->said, PROTO_FAIL);
    assert_string_equal(s->code, code);
    assert_int_equal(s->agent.job_count, 0);
}

static void test_texts_go_to_the_engine_one_by_one_and_their_vectors_to_the_pool_at_once(void **state) {
    site *s = *state;
    char texts[3][8] = {"one", "two", "three"};
    const slice list[] = {slice_of_text(texts[0]), slice_of_text(texts[1]), slice_of_text(texts[2])};
    proto_job job = make_job(list, 3);
    worker_job_start(&s->agent, &job);
    memset(texts, 'x', sizeof texts); /* the message is gone */
    assert_int_equal(s->last_type, PIPE_EMBED);
    assert_string_equal(s->last_text, "one");
    answer(s, 1, DIMENSION);
    assert_string_equal(s->last_text, "two");
    answer(s, 2, DIMENSION);
    assert_string_equal(s->last_text, "three");
    assert_int_equal(s->pool_messages, 0);
    answer(s, 3, DIMENSION);
    assert_int_equal(s->engine_messages, 3);
    assert_int_equal(s->pool_messages, 1);
    assert_int_equal(s->said, PROTO_EMBEDDED);
    assert_int_equal(s->vector_count, 3);
    assert_int_equal(s->prompt_tokens, 12);
    for (size_t i = 0; i < 3; i++) {
        assert_true(s->vectors[i][0] == (float)(i + 1) && s->vectors[i][2] == -0.25F);
    }
    assert_int_equal(s->agent.job_count, 0);
}

static void test_a_vector_of_another_length_fails_the_job(void **state) {
    site *s = *state;
    const slice text = SLICE_LITERAL("one");
    proto_job job = make_job(&text, 1);
    worker_job_start(&s->agent, &job);
    answer(s, 1, DIMENSION + 1);
    assert_failed(s, PROTO_FAIL_ENGINE);
    answer(s, 1, DIMENSION); /* of a job that is gone */
    assert_int_equal(s->pool_messages, 1);
}

static void test_a_cancelled_job_is_cancelled_in_the_engine_too(void **state) {
    site *s = *state;
    const slice texts[] = {SLICE_LITERAL("one"), SLICE_LITERAL("two")};
    proto_job job = make_job(texts, 2);
    worker_job_start(&s->agent, &job);
    answer(s, 1, DIMENSION);
    worker_job_cancel(&s->agent, job_id);
    assert_int_equal(s->last_type, PIPE_CANCEL);
    assert_failed(s, PROTO_FAIL_CANCELLED);
}

static void test_an_engine_that_takes_nothing_fails_the_job(void **state) {
    site *s = *state;
    const slice texts[] = {SLICE_LITERAL("one"), SLICE_LITERAL("two")};
    proto_job job = make_job(texts, 2);
    worker_job_start(&s->agent, &job);
    s->refuses = true;
    answer(s, 1, DIMENSION);
    assert_failed(s, PROTO_FAIL_ENGINE);
}

static void test_a_text_that_does_not_fit_the_model_is_bad_input(void **state) {
    site *s = *state;
    const slice text = SLICE_LITERAL("one");
    proto_job job = make_job(&text, 1);
    worker_job_start(&s->agent, &job);
    worker_job_fail(&s->agent, job_id,
                    &(pipe_fail){.code = ERROR_LIMIT, .text = SLICE_LITERAL("it has too many tokens")});
    assert_failed(s, PROTO_FAIL_INPUT);
}

static void test_jobs_that_the_model_does_not_do_are_refused(void **state) {
    site *s = *state;
    const slice text = SLICE_LITERAL("one");
    const proto_chat chat = {SLICE_LITERAL("user"), SLICE_LITERAL("Why?")};
    proto_job job = make_job(&text, 1);
    job.kind = PROTO_GENERATE;
    job.messages = &chat;
    job.message_count = 1;
    worker_job_start(&s->agent, &job);
    assert_failed(s, PROTO_OTHER);
    s->pool_messages = 0;
    s->agent.dimension = 0;
    s->agent.can_generate = true;
    job = make_job(&text, 1);
    worker_job_start(&s->agent, &job);
    assert_failed(s, PROTO_OTHER);
    assert_int_equal(s->engine_messages, 0);
}

static void test_memory_that_is_out_fails_the_job_and_leaves_nothing(void **state) {
    site *s = *state;
    const slice texts[] = {SLICE_LITERAL("one"), SLICE_LITERAL("two")};
    const proto_job job = make_job(texts, 2);
    bool reached = true;
    for (int nth = 0; reached; nth++) {
        s->pool_messages = 0;
        s->forgetful = true;
        fault_fail_nth(nth);
        worker_job_start(&s->agent, &job);
        answer(s, 1, DIMENSION);
        answer(s, 2, DIMENSION);
        reached = fault_stop();
        s->forgetful = false;
        assert_int_equal(s->pool_messages, 1);
        assert_int_equal(s->said, reached ? PROTO_FAIL : PROTO_EMBEDDED);
        assert_int_equal(s->agent.job_count, 0);
    }
}

static int start(void **state) {
    (void)state;
    error err;
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
        TEST(test_texts_go_to_the_engine_one_by_one_and_their_vectors_to_the_pool_at_once),
        TEST(test_a_vector_of_another_length_fails_the_job),
        TEST(test_a_cancelled_job_is_cancelled_in_the_engine_too),
        TEST(test_an_engine_that_takes_nothing_fails_the_job),
        TEST(test_a_text_that_does_not_fit_the_model_is_bad_input),
        TEST(test_jobs_that_the_model_does_not_do_are_refused),
        TEST(test_memory_that_is_out_fails_the_job_and_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
