#include "ev/loop.h"

#include "unit.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

static ev_loop *new_loop(void) {
    error err;
    ev_loop *loop = ev_loop_new(&err);
    assert_non_null(loop);
    return loop;
}

static void stop_loop(void *argument) {
    ev_loop_stop(argument);
}

/* Writes down who ran, in order. */
typedef struct note {
    ev_loop *loop;
    char *text;
    char letter;
    ev_timer timer;
    ev_deferred deferred;
    struct note *other;
    int left;
} note;

static void write_note(void *argument) {
    note *n = argument;
    size_t length = strlen(n->text);
    n->text[length] = n->letter;
    n->text[length + 1] = '\0';
}

static void test_timers_run_in_the_order_of_their_deadlines(void **state) {
    (void)state;
    ev_loop *loop = new_loop();
    char text[16] = "";
    note notes[4];
    static const uint64_t delays[4] = {70, 5, 0, 30};
    for (size_t i = 0; i < 4; i++) {
        notes[i] = (note){.loop = loop, .text = text, .letter = (char)('a' + i)};
        ev_timer_init(&notes[i].timer, write_note, &notes[i]);
        ev_timer_start(loop, &notes[i].timer, delays[i]);
        assert_true(ev_timer_is_running(&notes[i].timer));
    }
    ev_timer end;
    ev_timer_init(&end, stop_loop, loop);
    ev_timer_start(loop, &end, 90);
    uint64_t before = ev_now_ms(loop);
    ev_loop_run(loop);
    assert_true(ev_now_ms(loop) - before >= 90);
    assert_string_equal(text, "cbda");
    assert_false(ev_timer_is_running(&notes[0].timer));
    ev_loop_free(loop);
}

static void count_down(void *argument) {
    note *n = argument;
    write_note(n);
    if (--n->left == 0) {
        ev_timer_stop(&n->timer);
        ev_loop_stop(n->loop);
    }
}

static void test_a_repeating_timer_runs_until_it_stops_itself(void **state) {
    (void)state;
    ev_loop *loop = new_loop();
    char text[16] = "";
    note n = {.loop = loop, .text = text, .letter = 'x', .left = 3};
    ev_timer_init(&n.timer, count_down, &n);
    ev_timer_start_repeating(loop, &n.timer, 2);
    ev_loop_run(loop);
    assert_string_equal(text, "xxx");
    assert_false(ev_timer_is_running(&n.timer));
    ev_loop_free(loop);
}

static void stop_other(void *argument) {
    note *n = argument;
    write_note(n);
    ev_timer_stop(&n->other->timer);
}

static void test_a_stopped_timer_does_not_run_even_if_it_was_due(void **state) {
    (void)state;
    ev_loop *loop = new_loop();
    char text[16] = "";
    note a = {.loop = loop, .text = text, .letter = 'a'};
    note b = {.loop = loop, .text = text, .letter = 'b', .other = &a};
    a.other = &b;
    ev_timer_init(&a.timer, stop_other, &a);
    ev_timer_init(&b.timer, stop_other, &b);
    ev_timer_start(loop, &a.timer, 3);
    ev_timer_start(loop, &b.timer, 3);
    ev_timer end;
    ev_timer_init(&end, stop_loop, loop);
    ev_timer_start(loop, &end, 10);
    ev_loop_run(loop);
    assert_string_equal(text, "a");
    ev_loop_free(loop);
}

static void test_far_deadlines_stay_where_they_belong(void **state) {
    (void)state;
    ev_loop *loop = new_loop();
    char text[16] = "";
    note far[3];
    static const uint64_t delays[3] = {UINT64_MAX, UINT64_C(1) << 40, 600000};
    for (size_t i = 0; i < 3; i++) {
        far[i] = (note){.text = text, .letter = 'f'};
        ev_timer_init(&far[i].timer, write_note, &far[i]);
        ev_timer_start(loop, &far[i].timer, delays[i]);
    }
    ev_timer end;
    ev_timer_init(&end, stop_loop, loop);
    ev_timer_start(loop, &end, 5);
    ev_loop_run(loop);
    assert_string_equal(text, "");
    for (size_t i = 0; i < 3; i++) {
        assert_true(ev_timer_is_running(&far[i].timer));
        ev_timer_stop(&far[i].timer);
    }
    ev_loop_free(loop);
}

static void defer_again(void *argument) {
    note *n = argument;
    write_note(n);
    if (--n->left > 0) {
        ev_defer(n->loop, &n->deferred);
    } else {
        ev_loop_stop(n->loop);
    }
}

static void test_deferred_calls_run_once_each_in_order_without_sleeping(void **state) {
    (void)state;
    ev_loop *loop = new_loop();
    char text[64] = "";
    note a = {.loop = loop, .text = text, .letter = 'a', .left = 20};
    note b = {.loop = loop, .text = text, .letter = 'b'};
    note c = {.loop = loop, .text = text, .letter = 'c'};
    ev_deferred_init(&a.deferred, defer_again, &a);
    ev_deferred_init(&b.deferred, write_note, &b);
    ev_deferred_init(&c.deferred, write_note, &c);
    ev_defer(loop, &a.deferred);
    ev_defer(loop, &b.deferred);
    ev_defer(loop, &b.deferred);
    ev_defer(loop, &c.deferred);
    ev_defer_cancel(&c.deferred);
    ev_loop_run(loop);
    assert_string_equal(text, "abaaaaaaaaaaaaaaaaaaa");
    ev_loop_free(loop);
}

/* --- other threads --- */

enum { POSTS = 20000 };

typedef struct poster {
    ev_loop *loop;
    uint64_t next;
    uint64_t wrong;
    uint64_t sent;
} poster;

static poster *current;

static void take_post(void *argument) {
    uint64_t number = (uint64_t)(uintptr_t)argument;
    current->wrong += number != current->next ? 1U : 0U;
    current->next++;
    if (current->next == POSTS) {
        ev_loop_stop(current->loop);
    }
}

static void *post_many(void *argument) {
    poster *p = argument;
    while (p->sent < POSTS) {
        if (ev_post(p->loop, take_post, (void *)(uintptr_t)p->sent)) {
            p->sent++;
        }
    }
    return NULL;
}

static void test_posts_of_a_thread_arrive_all_and_in_order(void **state) {
    (void)state;
    poster p = {.loop = new_loop()};
    current = &p;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, post_many, &p), 0);
    ev_loop_run(p.loop);
    pthread_join(thread, NULL);
    assert_int_equal(p.next, POSTS);
    assert_int_equal(p.wrong, 0);
    ev_loop_free(p.loop);
}

static void test_posts_are_bounded_and_run_at_the_latest_when_the_loop_is_freed(void **state) {
    (void)state;
    poster p = {.loop = new_loop()};
    current = &p;
    uint64_t accepted = 0;
    while (ev_post(p.loop, take_post, (void *)(uintptr_t)accepted)) {
        accepted++;
    }
    assert_int_equal(accepted, 65536);
    ev_loop_free(p.loop);
    assert_int_equal(p.next, accepted);
    assert_int_equal(p.wrong, 0);
}

typedef struct job {
    ev_loop *loop;
    pthread_t worked_on;
    bool done;
} job;

static void do_job(void *argument) {
    ((job *)argument)->worked_on = pthread_self();
}

static void job_done(void *argument) {
    job *j = argument;
    j->done = true;
    ev_loop_stop(j->loop);
}

static void test_work_runs_elsewhere_and_is_done_here(void **state) {
    (void)state;
    error err;
    job j = {.loop = new_loop()};
    assert_true(ev_work(j.loop, do_job, job_done, &j, &err));
    ev_loop_run(j.loop);
    assert_true(j.done);
    assert_false(pthread_equal(j.worked_on, pthread_self()));
    job last = {.loop = j.loop};
    assert_true(ev_work(j.loop, do_job, job_done, &last, &err));
    ev_loop_free(j.loop);
    assert_true(last.done);
}

static void test_work_can_be_waited_for_without_the_loop_s_end(void **state) {
    (void)state;
    error err;
    job jobs[3] = {{.loop = new_loop()}};
    ev_loop_settle(jobs[0].loop);
    for (size_t i = 0; i < 3; i++) {
        jobs[i].loop = jobs[0].loop;
        assert_true(ev_work(jobs[i].loop, do_job, job_done, &jobs[i], &err));
    }
    ev_loop_settle(jobs[0].loop); /* each end stops the loop, which changes nothing */
    assert_true(jobs[0].done && jobs[1].done && jobs[2].done);
    job last = {.loop = jobs[0].loop};
    assert_true(ev_work(last.loop, do_job, job_done, &last, &err));
    ev_loop_run(last.loop);
    assert_true(last.done);
    ev_loop_free(last.loop);
}

static void test_a_signal_arrives_on_the_loop(void **state) {
    (void)state;
    error err;
    ev_loop *loop = new_loop();
    ev_signal *signal = ev_signal_new(loop, SIGHUP, stop_loop, loop, &err);
    assert_non_null(signal);
    assert_int_equal(kill(getpid(), SIGHUP), 0);
    ev_loop_run(loop);
    ev_signal_free(signal);
    ev_loop_free(loop);
}

static void test_a_loop_is_made_whole_or_not_at_all(void **state) {
    (void)state;
    error err;
    bool reached = true;
    for (int nth = 0; reached && nth < 50; nth++) {
        fault_fail_nth(nth);
        ev_loop *loop = ev_loop_new(&err);
        reached = fault_stop();
        assert_true(loop != NULL || (reached && err.code == ERROR_MEMORY));
        ev_loop_free(loop);
    }
    assert_false(reached);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_timers_run_in_the_order_of_their_deadlines),
        cmocka_unit_test(test_a_repeating_timer_runs_until_it_stops_itself),
        cmocka_unit_test(test_a_stopped_timer_does_not_run_even_if_it_was_due),
        cmocka_unit_test(test_far_deadlines_stay_where_they_belong),
        cmocka_unit_test(test_deferred_calls_run_once_each_in_order_without_sleeping),
        cmocka_unit_test(test_posts_of_a_thread_arrive_all_and_in_order),
        cmocka_unit_test(test_posts_are_bounded_and_run_at_the_latest_when_the_loop_is_freed),
        cmocka_unit_test(test_work_runs_elsewhere_and_is_done_here),
        cmocka_unit_test(test_work_can_be_waited_for_without_the_loop_s_end),
        cmocka_unit_test(test_a_signal_arrives_on_the_loop),
        cmocka_unit_test(test_a_loop_is_made_whole_or_not_at_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
