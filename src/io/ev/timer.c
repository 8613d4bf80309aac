#include "ev_internal.h"

void ev_timer_init(ev_timer *timer, void (*run)(void *argument), void *argument) {
    *timer = (ev_timer){.run = run, .argument = argument};
    list_init(&timer->node);
}

void wheel_init(wheel *w, uint64_t now) {
    w->now = now;
    list_init(&w->due);
    for (size_t level = 0; level < WHEEL_LEVELS; level++) {
        w->occupied[level] = 0;
        for (size_t slot = 0; slot < WHEEL_SLOTS; slot++) {
            list_init(&w->slots[level][slot]);
        }
    }
}

static void wheel_insert(wheel *w, ev_timer *timer) {
    list_remove(&timer->node);
    if (timer->deadline <= w->now) {
        list_append(&w->due, &timer->node);
        return;
    }
    unsigned level = (63U - (unsigned)__builtin_clzll(timer->deadline ^ w->now)) / WHEEL_BITS;
    uint64_t slot = 0;
    if (level < WHEEL_LEVELS) {
        slot = (timer->deadline >> (WHEEL_BITS * level)) % WHEEL_SLOTS;
    } else { /* beyond the wheel: in its farthest slot, from where it is put in again */
        level = WHEEL_LEVELS - 1;
        slot = ((w->now >> (WHEEL_BITS * level)) + WHEEL_SLOTS - 1) % WHEEL_SLOTS;
    }
    list_append(&w->slots[level][slot], &timer->node);
    w->occupied[level] |= UINT64_C(1) << slot;
}

/* When the first occupied slot of `level` begins; UINT64_MAX if there is none. */
static uint64_t first_slot(wheel *w, unsigned level) {
    unsigned shift = WHEEL_BITS * level;
    uint64_t current = (w->now >> shift) % WHEEL_SLOTS;
    for (uint64_t step = 1; step < WHEEL_SLOTS && w->occupied[level] != 0; step++) {
        uint64_t slot = (current + step) % WHEEL_SLOTS;
        uint64_t bit = UINT64_C(1) << slot;
        if ((w->occupied[level] & bit) == 0) {
            continue;
        }
        if (!list_is_empty(&w->slots[level][slot])) {
            return ((w->now >> shift) + step) << shift;
        }
        w->occupied[level] &= ~bit;
    }
    return UINT64_MAX;
}

uint64_t wheel_next(wheel *w) {
    if (!list_is_empty(&w->due)) {
        return 0;
    }
    uint64_t first = UINT64_MAX;
    for (unsigned level = 0; level < WHEEL_LEVELS; level++) {
        uint64_t begin = first_slot(w, level);
        first = begin < first ? begin : first;
    }
    return first == UINT64_MAX ? UINT64_MAX : first - w->now;
}

static void take_all(list_node *from, list_node *to) {
    for (list_node *node = list_first(from); node != NULL; node = list_first(from)) {
        list_remove(node);
        list_append(to, node);
    }
}

void wheel_advance(wheel *w, uint64_t now) {
    list_node passed;
    list_init(&passed);
    for (unsigned level = 0; level < WHEEL_LEVELS && now > w->now; level++) {
        unsigned shift = WHEEL_BITS * level;
        uint64_t from = w->now >> shift;
        uint64_t steps = (now >> shift) - from;
        if (steps == 0) {
            break;
        }
        steps = steps > WHEEL_SLOTS ? WHEEL_SLOTS : steps;
        for (uint64_t step = 1; step <= steps; step++) {
            uint64_t slot = (from + step) % WHEEL_SLOTS;
            if ((w->occupied[level] & (UINT64_C(1) << slot)) != 0) {
                take_all(&w->slots[level][slot], &passed);
                w->occupied[level] &= ~(UINT64_C(1) << slot);
            }
        }
    }
    w->now = now > w->now ? now : w->now;
    for (list_node *node = list_first(&passed); node != NULL; node = list_first(&passed)) {
        wheel_insert(w, LIST_ENTRY(node, ev_timer, node));
    }
    list_node running; /* apart from `due`: what is started meanwhile waits for the next turn */
    list_init(&running);
    take_all(&w->due, &running);
    for (list_node *node = list_first(&running); node != NULL; node = list_first(&running)) {
        ev_timer *timer = LIST_ENTRY(node, ev_timer, node);
        list_remove(node);
        if (timer->interval > 0) {
            timer->deadline = w->now + timer->interval;
            wheel_insert(w, timer);
        }
        timer->run(timer->argument);
    }
}

static void start(ev_loop *loop, ev_timer *timer, uint64_t delay, uint64_t interval) {
    uint64_t now = ev_now_ms(loop);
    timer->interval = interval;
    timer->deadline = delay > UINT64_MAX - now ? UINT64_MAX : now + delay;
    wheel_insert(&loop->wheel, timer);
}

void ev_timer_start(ev_loop *loop, ev_timer *timer, uint64_t delay_ms) {
    start(loop, timer, delay_ms, 0);
}

void ev_timer_start_repeating(ev_loop *loop, ev_timer *timer, uint64_t interval_ms) {
    uint64_t interval = interval_ms == 0 ? 1 : interval_ms;
    start(loop, timer, interval, interval);
}

void ev_timer_stop(ev_timer *timer) {
    timer->interval = 0;
    list_remove(&timer->node);
}

bool ev_timer_is_running(const ev_timer *timer) {
    return !list_is_empty(&timer->node);
}
