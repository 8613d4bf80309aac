#include "ev/process.h"

#include "base/buffer.h"
#include "unit.h"

#include <signal.h>

typedef struct child {
    ev_loop *loop;
    ev_process *process;
    buffer output;
    int64_t status;
    int signal;
    size_t wanted; /* stops the loop once that much has come */
    bool exited;
    bool drained;
} child;

static void on_output(void *context, slice bytes) {
    child *c = context;
    assert_true(buffer_append(&c->output, bytes));
    if (c->wanted > 0 && buffer_length(&c->output) >= c->wanted) {
        ev_loop_stop(c->loop);
    }
}

static void on_drained(void *context) {
    ((child *)context)->drained = true;
}

static void on_exit_of_it(void *context, int64_t status, int signal) {
    child *c = context;
    c->exited = true;
    c->status = status;
    c->signal = signal;
    ev_loop_stop(c->loop);
}

static const ev_process_handlers handlers = {
    .on_output = on_output, .on_drained = on_drained, .on_exit = on_exit_of_it};

static void start(child *c, const char *const *arguments) {
    error err;
    static const char *const environment[] = {"ONLY=this", NULL};
    *c = (child){.output = buffer_make(SIZE_MAX / 2)};
    c->loop = ev_loop_new(&err);
    assert_non_null(c->loop);
    ev_process_options options = {
        .arguments = arguments, .environment = environment, .input_limit = 2 * 1024 * 1024};
    c->process = ev_process_start(c->loop, &options, &handlers, c, &err);
    assert_non_null(c->process);
}

static void stop(child *c) {
    ev_process_free(c->process);
    ev_loop_free(c->loop);
    buffer_free(&c->output);
}

static void test_a_child_gets_its_input_and_its_output_comes_back(void **state) {
    (void)state;
    static uint8_t piece[1000000];
    child c;
    memset(piece, 'q', sizeof piece);
    start(&c, (const char *const[]){"/bin/cat", NULL});
    c.wanted = 2 * sizeof piece;
    assert_true(ev_process_write(c.process, slice_of(piece, sizeof piece)));
    assert_true(ev_process_write(c.process, slice_of(piece, sizeof piece)));
    assert_false(ev_process_write(c.process, slice_of(piece, sizeof piece))); /* bounded */
    ev_loop_run(c.loop);
    assert_int_equal(buffer_length(&c.output), 2 * sizeof piece);
    ev_process_close_input(c.process);
    assert_false(ev_process_write(c.process, SLICE_LITERAL("late")));
    ev_loop_run(c.loop);
    assert_true(c.exited);
    assert_true(c.drained);
    assert_int_equal(c.status, 0);
    assert_int_equal(c.signal, 0);
    stop(&c);
}

static void test_a_child_sees_the_environment_it_was_given_and_no_other(void **state) {
    (void)state;
    child c;
    start(&c, (const char *const[]){"/usr/bin/env", NULL});
    ev_loop_run(c.loop);
    assert_true(slice_equal_text(buffer_slice(&c.output), "ONLY=this\n"));
    stop(&c);
}

static void test_the_status_and_the_signal_of_the_end_are_told(void **state) {
    (void)state;
    child c;
    start(&c, (const char *const[]){"/bin/sh", "-c", "exit 7", NULL});
    ev_loop_run(c.loop);
    assert_int_equal(c.status, 7);
    stop(&c);
    start(&c, (const char *const[]){"/bin/cat", NULL});
    ev_process_kill(c.process, SIGTERM);
    ev_loop_run(c.loop);
    assert_int_equal(c.signal, SIGTERM);
    stop(&c);
}

static void test_a_freed_child_is_killed_and_not_heard_of_again(void **state) {
    (void)state;
    child c;
    start(&c, (const char *const[]){"/bin/cat", NULL});
    int id = ev_process_id(c.process);
    ev_process_free(c.process);
    ev_loop_free(c.loop);
    assert_false(c.exited);
    assert_int_equal(kill(id, 0), -1); /* reaped */
    buffer_free(&c.output);
}

static void test_a_program_that_is_not_there_is_an_error(void **state) {
    (void)state;
    error err;
    ev_loop *loop = ev_loop_new(&err);
    ev_process_options options = {.arguments = (const char *const[]){"/nonexistent/program", NULL}};
    child c = {.loop = loop};
    assert_null(ev_process_start(loop, &options, &handlers, &c, &err));
    assert_int_equal(err.code, ERROR_IO);
    ev_loop_free(loop);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_child_gets_its_input_and_its_output_comes_back),
        cmocka_unit_test(test_a_child_sees_the_environment_it_was_given_and_no_other),
        cmocka_unit_test(test_the_status_and_the_signal_of_the_end_are_told),
        cmocka_unit_test(test_a_freed_child_is_killed_and_not_heard_of_again),
        cmocka_unit_test(test_a_program_that_is_not_there_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
