#include "cheat.h"

#include "codec/json.h"
#include "crypto/start.h"

#include "unit.h"

/* Two engines and an agent, all of them this test. */
enum { ENGINES = 2, MESSAGES_MAX = 16, TOKENS_MAX = 8 };

typedef struct fake_engine {
    backend base;
    const backend_handlers *handlers;
    void *context;
    bool other_model;
    size_t count; /* messages that it was given */
    pipe_message last;
} fake_engine;

typedef struct told {
    pipe_type type;
    uint8_t job;
    size_t token_count;
    uint32_t tokens[TOKENS_MAX];
    char text[32];
    uint8_t commitment;
} told;

static fake_engine engines[ENGINES];
static size_t engine_count;
static told heard[MESSAGES_MAX];
static size_t heard_count;
static size_t lost_count;
static ev_loop *loop;

static bool take(backend *self, const pipe_message *message) {
    fake_engine *e = (fake_engine *)(void *)self;
    e->count++;
    e->last = *message;
    return true;
}

static void end(backend *self) {
    ((fake_engine *)(void *)self)->handlers = NULL;
}

static backend *make(void *plan, const char *model, const backend_handlers *handlers, void *context,
                     error *err) {
    assert_ptr_equal(plan, engines);
    if (engine_count == ENGINES) {
        error_set(err, ERROR_LIMIT, "no more engines");
        return NULL;
    }
    fake_engine *e = &engines[engine_count++];
    *e = (fake_engine){.base = {.send = take, .free = end},
                       .handlers = handlers,
                       .context = context,
                       .other_model = model != NULL};
    assert_true(model == NULL || strcmp(model, "/small.gguf") == 0);
    return &e->base;
}

static void on_message(void *context, const pipe_message *message) {
    assert_ptr_equal(context, heard);
    assert_true(heard_count < MESSAGES_MAX);
    told *t = &heard[heard_count++];
    *t = (told){.type = message->type, .job = message->job[0]};
    if (message->type == PIPE_DELTA) {
        assert_true(message->delta.token_count <= TOKENS_MAX);
        t->token_count = message->delta.token_count;
        memcpy(t->tokens, message->delta.tokens, t->token_count * sizeof t->tokens[0]);
        snprintf(t->text, sizeof t->text, "%.*s", SLICE_FORMAT(message->delta.text));
    } else if (message->type == PIPE_DONE) {
        t->commitment = message->done.commitment[0];
    }
}

static void on_lost(void *context, const char *reason) {
    (void)context;
    (void)reason;
    lost_count++;
}

static backend *cheat(const char *way, error *err) {
    static const backend_handlers handlers = {.on_message = on_message, .on_lost = on_lost};
    engine_count = heard_count = lost_count = 0;
    return cheat_new(loop, way, make, engines, &handlers, heard, err);
}

static backend *must_cheat(const char *way) {
    error err = {.text = ""};
    backend *b = cheat(way, &err);
    assert_non_null(b);
    return b;
}

static pipe_message generate(uint8_t job, uint32_t max_tokens) {
    pipe_message m = {.type = PIPE_GENERATE, .generate = {.parameters = {.max_tokens = max_tokens}}};
    m.job[0] = job;
    return m;
}

static pipe_message of_job(pipe_type type, uint8_t job) {
    pipe_message m = {.type = type};
    m.job[0] = job;
    return m;
}

static void say(fake_engine *e, const pipe_message *message) {
    e->handlers->on_message(e->context, message);
}

static void say_token(fake_engine *e, uint8_t job, uint32_t token, const char *text) {
    pipe_message m = of_job(PIPE_DELTA, job);
    m.delta = (pipe_delta){.tokens = &token, .token_count = 1, .text = slice_of_text(text)};
    say(e, &m);
}

static void say_done(fake_engine *e, uint8_t job, uint8_t commitment) {
    pipe_message m = of_job(PIPE_DONE, job);
    m.done.commitment[0] = commitment;
    say(e, &m);
}

static void stop_loop(void *context) {
    ev_loop_stop(context);
}

static void run_timers(void) {
    ev_timer after;
    ev_timer_init(&after, stop_loop, loop);
    ev_timer_start(loop, &after, 5);
    ev_loop_run(loop);
}

static void test_an_edit_changes_one_token_and_a_letter(void **state) {
    (void)state;
    backend *b = must_cheat("edit:1");
    pipe_message ask = generate(1, 9);
    assert_true(backend_send(b, &ask));
    say_token(&engines[0], 1, 10, "one");
    say_token(&engines[0], 1, 11, " two");
    say_token(&engines[0], 1, 12, " three");
    say_done(&engines[0], 1, 7);
    assert_int_equal(heard_count, 4);
    assert_int_equal(heard[0].tokens[0], 10);
    assert_string_equal(heard[0].text, "one");
    assert_int_equal(heard[1].tokens[0], 10);
    assert_string_equal(heard[1].text, " Two");
    assert_int_equal(heard[2].tokens[0], 12);
    assert_string_equal(heard[2].text, " three");
    assert_int_equal(heard[3].commitment, 7);
    backend_free(b);
}

static void test_a_share_of_nothing_is_honest(void **state) {
    (void)state;
    backend *b = must_cheat("edit:0,share=0");
    pipe_message ask = generate(1, 9);
    assert_true(backend_send(b, &ask));
    say_token(&engines[0], 1, 10, "one");
    assert_int_equal(heard[0].tokens[0], 10);
    assert_string_equal(heard[0].text, "one");
    backend_free(b);
}

static void test_checks_are_passed_on_as_they_are(void **state) {
    (void)state;
    backend *b = must_cheat("edit:0");
    pipe_message check = of_job(PIPE_SCORE, 1);
    assert_true(backend_send(b, &check));
    assert_int_equal(engines[0].last.type, PIPE_SCORE);
    pipe_message scored = of_job(PIPE_SCORED, 1);
    say(&engines[0], &scored);
    assert_int_equal(heard[0].type, PIPE_SCORED);
    backend_free(b);
}

static void test_a_replay_gives_the_first_answer_again(void **state) {
    (void)state;
    backend *b = must_cheat("replay");
    pipe_message first = generate(1, 9);
    pipe_message same = generate(2, 9);
    pipe_message longer = generate(3, 10);
    assert_true(backend_send(b, &first));
    say_token(&engines[0], 1, 10, "one");
    say_token(&engines[0], 1, 11, " two");
    say_done(&engines[0], 1, 7);
    assert_int_equal(heard_count, 3);
    assert_true(backend_send(b, &same));
    assert_int_equal(engines[0].count, 1);
    assert_int_equal(heard_count, 3); /* never inside the call */
    run_timers();
    assert_int_equal(heard_count, 5);
    assert_int_equal(heard[3].job, 2);
    assert_int_equal(heard[3].token_count, 2);
    assert_int_equal(heard[3].tokens[1], 11);
    assert_string_equal(heard[3].text, "one two");
    assert_int_equal(heard[4].type, PIPE_DONE);
    assert_int_equal(heard[4].commitment, 7);
    assert_true(backend_send(b, &longer));
    assert_int_equal(engines[0].count, 2);
    backend_free(b);
}

static void test_an_answer_broken_off_is_not_replayed(void **state) {
    (void)state;
    backend *b = must_cheat("replay");
    pipe_message ask = generate(1, 9);
    pipe_message stop = of_job(PIPE_CANCEL, 1);
    assert_true(backend_send(b, &ask));
    say_token(&engines[0], 1, 10, "half");
    assert_true(backend_send(b, &stop));
    assert_int_equal(engines[0].last.type, PIPE_CANCEL);
    assert_true(backend_send(b, &ask));
    say_token(&engines[0], 1, 20, "whole");
    say_done(&engines[0], 1, 8);
    assert_true(backend_send(b, &ask));
    assert_true(backend_send(b, &stop)); /* before it came */
    run_timers();
    assert_int_equal(heard_count, 3);
    assert_true(backend_send(b, &ask));
    run_timers();
    assert_int_equal(heard_count, 5);
    assert_string_equal(heard[3].text, "whole");
    backend_free(b);
}

static void test_another_model_answers_under_the_first_one_s_name(void **state) {
    (void)state;
    backend *b = must_cheat("model:/small.gguf");
    pipe_message ready = {.type = PIPE_READY};
    pipe_message ask = generate(1, 9);
    pipe_message check = of_job(PIPE_SCORE, 2);
    pipe_message stop = of_job(PIPE_CANCEL, 1);
    assert_int_equal(engine_count, 1);
    assert_true(engines[0].other_model);
    assert_false(backend_send(b, &ask));
    say(&engines[0], &ready);
    assert_int_equal(heard_count, 0);
    assert_int_equal(engine_count, 2);
    assert_false(engines[1].other_model);
    say(&engines[1], &ready);
    assert_int_equal(heard[0].type, PIPE_READY);
    assert_true(backend_send(b, &ask) && backend_send(b, &check) && backend_send(b, &stop));
    assert_int_equal(engines[0].count, 2);
    assert_int_equal(engines[0].last.type, PIPE_CANCEL);
    assert_int_equal(engines[1].count, 1);
    assert_int_equal(engines[1].last.type, PIPE_SCORE);
    assert_true(backend_send(b, &ask));
    say_token(&engines[0], 1, 10, "other");
    assert_string_equal(heard[1].text, "other");
    engines[0].handlers->on_lost(engines[0].context, "gone");
    assert_int_equal(heard[2].type, PIPE_FAIL);
    assert_int_equal(lost_count, 0);
    engines[1].handlers->on_lost(engines[1].context, "gone");
    assert_int_equal(lost_count, 1);
    backend_free(b);
}

static void test_ways_that_are_none_are_refused(void **state) {
    (void)state;
    static const char *const bad[] = {
        "",       "edit",          "edit:",          "edit:x",          "edit:1x",           "replays",
        "model:", "edit:1,share=", "edit:1,share=2", "edit:1,share=-1", "edit:1,share=0.1x", "replay,half"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        error err = {0};
        assert_null(cheat(bad[i], &err));
        assert_int_equal(err.code, ERROR_INVALID);
    }
}

static void test_each_failed_allocation_is_an_error_and_leaks_nothing(void **state) {
    (void)state;
    bool reached = true;
    for (int nth = 0; reached; nth++) {
        error err = {0};
        fault_fail_nth(nth);
        backend *b = cheat("model:/small.gguf,share=0.5", &err);
        reached = fault_stop();
        assert_true(b != NULL || (reached && err.code == ERROR_MEMORY));
        backend_free(b);
    }
}

static int start(void **state) {
    (void)state;
    error err;
    loop = ev_loop_new(&err);
    return loop != NULL && crypto_start(&err) ? 0 : -1;
}

static int stop(void **state) {
    (void)state;
    ev_loop_free(loop);
    crypto_stop();
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_edit_changes_one_token_and_a_letter),
        cmocka_unit_test(test_a_share_of_nothing_is_honest),
        cmocka_unit_test(test_checks_are_passed_on_as_they_are),
        cmocka_unit_test(test_a_replay_gives_the_first_answer_again),
        cmocka_unit_test(test_an_answer_broken_off_is_not_replayed),
        cmocka_unit_test(test_another_model_answers_under_the_first_one_s_name),
        cmocka_unit_test(test_ways_that_are_none_are_refused),
        cmocka_unit_test(test_each_failed_allocation_is_an_error_and_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
