#ifndef EV_LOOP_H
#define EV_LOOP_H

#include "base/error.h"
#include "base/list.h"

#include <stdint.h>

/* The event loop (libuv, which stays behind this module): one thread runs it and owns all that hangs on it.
 * Only ev_post may be called from other threads. Callbacks never run inside the call that asked for them. */
typedef struct ev_loop ev_loop;

/* Makes room for as many descriptors as the process may open now (at most 131,072): raise RLIMIT_NOFILE
 * before. SIGPIPE is ignored from here on. */
MUST_CHECK ev_loop *ev_loop_new(error *err);
/* Returns after ev_loop_stop; may then be run again. */
void ev_loop_run(ev_loop *loop);
void ev_loop_stop(ev_loop *loop);
/* Runs until no work is under way in the thread pool (ev_work), for an owner whose parts end one after the
 * other: what the work's end uses is still there then. */
void ev_loop_settle(ev_loop *loop);
/* Waits for the work in the thread pool, runs what was posted, frees. Watches, signals and processes are to
 * be freed before. NULL is allowed. */
void ev_loop_free(ev_loop *loop);
/* Milliseconds of the monotonic clock, read once per turn. */
uint64_t ev_now_ms(const ev_loop *loop);

/* A timer lives inside its owner: no allocation, start and stop in O(1) (hierarchical wheel, Varghese and
 * Lauck 1987), resolution 1 ms, so a deadline may be moved on every event. */
typedef struct ev_timer {
    list_node node;
    uint64_t deadline;
    uint64_t interval;
    void (*run)(void *argument);
    void *argument;
} ev_timer;

void ev_timer_init(ev_timer *timer, void (*run)(void *argument), void *argument);
/* Runs once, `delay_ms` from now (0: next turn). A running timer is moved. */
void ev_timer_start(ev_loop *loop, ev_timer *timer, uint64_t delay_ms);
/* Runs each `interval_ms` (at least 1) until stopped; turns that were missed are not made up for. */
void ev_timer_start_repeating(ev_loop *loop, ev_timer *timer, uint64_t interval_ms);
/* At once, also from the timer's own callback. Harmless when not running. */
void ev_timer_stop(ev_timer *timer);
bool ev_timer_is_running(const ev_timer *timer);

/* Something to do once the events that are ready now have been handled, before the loop sleeps. Lives inside
 * its owner; deferring it twice runs it once. One that is deferred from a deferred call runs in the next
 * round. */
typedef struct ev_deferred {
    list_node node;
    void (*run)(void *argument);
    void *argument;
} ev_deferred;

void ev_deferred_init(ev_deferred *deferred, void (*run)(void *argument), void *argument);
void ev_defer(ev_loop *loop, ev_deferred *deferred);
void ev_defer_cancel(ev_deferred *deferred);

/* Hands a call to the loop thread, in order. Any thread, also while the loop is not running. False: 65,536
 * are waiting, or memory is out, and nothing was queued. What was accepted is run, at the latest by
 * ev_loop_free; nobody may post once that has been called. */
MUST_CHECK bool ev_post(ev_loop *loop, void (*run)(void *argument), void *argument);

/* Runs `work` in libuv's thread pool, then `done` on the loop thread. At most 1,024 are under way;
 * ERROR_LIMIT beyond. */
MUST_CHECK bool ev_work(ev_loop *loop, void (*work)(void *argument), void (*done)(void *argument),
                        void *argument, error *err);

/* A signal (SIGTERM, SIGINT, SIGHUP), delivered on the loop thread. */
typedef struct ev_signal ev_signal;
MUST_CHECK ev_signal *ev_signal_new(ev_loop *loop, int number, void (*run)(void *argument), void *argument,
                                    error *err);
void ev_signal_free(ev_signal *signal); /* NULL is allowed */

/* A descriptor's readiness, level-triggered. */
typedef struct ev_watch ev_watch;
enum {
    EV_READABLE = 1,
    EV_WRITABLE = 2,
    EV_HANGUP = 4, /* the peer has shut down its side; told even while not reading */
    EV_ERROR = 8   /* always told; the watch has stopped */
};
/* Nothing is watched until ev_watch_set. The descriptor becomes non-blocking and stays the caller's. */
MUST_CHECK ev_watch *ev_watch_new(ev_loop *loop, int descriptor, void (*run)(void *argument, unsigned events),
                                  void *argument, error *err);
/* `events`: what to wait for from now on; 0 for nothing. */
void ev_watch_set(ev_watch *watch, unsigned events);
/* No call comes after it; the descriptor may then be closed. NULL is allowed. */
void ev_watch_free(ev_watch *watch);

#endif
