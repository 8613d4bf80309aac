#ifndef EV_INTERNAL_H
#define EV_INTERNAL_H

#include "ev/loop.h"

#include <pthread.h>
#include <uv.h>

enum { WHEEL_LEVELS = 6, WHEEL_BITS = 6, WHEEL_SLOTS = 1 << WHEEL_BITS };

/* A hierarchical timing wheel: level n's slots are 64^n ms wide, a timer lies in the lowest level where its
 * deadline differs from now, and moves down as now comes nearer. */
typedef struct wheel {
    uint64_t now;
    uint64_t occupied[WHEEL_LEVELS]; /* a bit per slot; may be stale for a slot whose timers were stopped */
    list_node slots[WHEEL_LEVELS][WHEEL_SLOTS];
    list_node due;
} wheel;

void wheel_init(wheel *w, uint64_t now);
/* Milliseconds until something may be due; UINT64_MAX if no timer runs. */
uint64_t wheel_next(wheel *w);
/* Moves to `now` and runs what is due by then. */
void wheel_advance(wheel *w, uint64_t now);

typedef struct post {
    void (*run)(void *argument);
    void *argument;
} post;

struct ev_loop {
    uv_loop_t uv;
    uv_prepare_t prepare;
    uv_check_t check;
    uv_idle_t idle; /* active only when there is more to do: keeps the loop from sleeping */
    uv_timer_t alarm;
    uint64_t alarm_at;
    uv_async_t wake;
    wheel wheel;
    list_node deferred;
    size_t works;
    size_t processes; /* not reaped yet */
    int descriptor_limit;
    pthread_mutex_t post_lock; /* guards the three below */
    post *posts;
    size_t post_count;
    size_t post_capacity;
};

/* The error for a libuv return value. Always false. */
bool ev_error(error *err, int code, const char *what);

#endif
