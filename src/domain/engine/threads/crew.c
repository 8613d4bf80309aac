#include "threads/crew.h"

#include "arithmetic/arithmetic.h"
#include "base/memory.h"

#include <pthread.h>
#include <stdatomic.h>

/* A member that waits looks so many times before it goes to sleep: a phase of a pass takes microseconds, and
 * going to sleep takes longer than that. Few enough that a machine whose cores are busy loses little. */
enum { LOOKS = 4000 };

struct crew_member {
    crew *of;
    pthread_t thread;
    uint32_t index;
    uint32_t phase; /* barriers passed in this run */
    bool good;
};

struct crew {
    uint32_t count;
    uint32_t started; /* members that have a thread to join, and the caller */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    void (*work)(void *context, crew_member *self);
    void *context;
    bool closing;
    _Atomic uint64_t runs;     /* runs begun: members wait for it to move */
    _Atomic uint32_t arrived;  /* at the barrier at hand */
    _Atomic uint64_t barriers; /* passed in all */
    _Atomic size_t next[2];    /* the first thing not taken, by the phase's parity */
    crew_member *members;
};

static void relax(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static void announce(crew *c) {
    pthread_mutex_lock(&c->lock);
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->lock);
}

/* Until `*counter` isn't `seen` any more. */
static void wait_for_change(crew *c, _Atomic uint64_t *counter, uint64_t seen) {
    for (size_t i = 0; i < LOOKS; i++) {
        if (atomic_load_explicit(counter, memory_order_acquire) != seen) {
            return;
        }
        relax();
    }
    pthread_mutex_lock(&c->lock);
    while (atomic_load_explicit(counter, memory_order_acquire) == seen) {
        pthread_cond_wait(&c->changed, &c->lock);
    }
    pthread_mutex_unlock(&c->lock);
}

void crew_wait(crew_member *self) {
    crew *c = self->of;
    uint64_t seen = atomic_load_explicit(&c->barriers, memory_order_relaxed);
    self->phase++;
    if (atomic_fetch_add_explicit(&c->arrived, 1, memory_order_acq_rel) + 1 < c->count) {
        wait_for_change(c, &c->barriers, seen);
        return;
    }
    /* The last one here: nobody takes from the next phase's counter yet, and nobody from the one before any
     * more. */
    atomic_store_explicit(&c->arrived, 0, memory_order_relaxed);
    atomic_store_explicit(&c->next[(self->phase + 1) % 2], 0, memory_order_relaxed);
    atomic_fetch_add_explicit(&c->barriers, 1, memory_order_release);
    if (c->count > 1) {
        announce(c);
    }
}

bool crew_take(crew_member *self, size_t total, size_t grain, size_t *first, size_t *last) {
    _Atomic size_t *next = &self->of->next[self->phase % 2];
    *first = atomic_fetch_add_explicit(next, grain, memory_order_relaxed);
    if (*first >= total) {
        return false;
    }
    *last = total - *first > grain ? *first + grain : total;
    return true;
}

static void work_once(crew_member *self) {
    arithmetic_state saved;
    crew *c = self->of;
    self->phase = 0;
    self->good = arithmetic_enter(&saved);
    crew_wait(self);
    bool all_good = true;
    for (uint32_t i = 0; i < c->count; i++) {
        all_good = all_good && c->members[i].good;
    }
    if (all_good) {
        c->work(c->context, self);
    }
    if (self->good) {
        arithmetic_leave(&saved);
    }
    crew_wait(self);
}

static void *live(void *context) {
    crew_member *self = context;
    crew *c = self->of;
    for (uint64_t seen = 0;; seen++) {
        wait_for_change(c, &c->runs, seen);
        if (c->closing) {
            return NULL;
        }
        work_once(self);
    }
}

crew *crew_new(uint32_t count, error *err) {
    if (count == 0 || count > CREW_MAX) {
        error_set(err, ERROR_INVALID, "the number of threads must be from 1 to %d", CREW_MAX);
        return NULL;
    }
    crew *c = memory_allocate_zeroed(1, sizeof *c);
    crew_member *members = memory_allocate_zeroed(count, sizeof *members);
    if (c == NULL || members == NULL || pthread_mutex_init(&c->lock, NULL) != 0) {
        memory_free(c);
        memory_free(members);
        error_memory(err);
        return NULL;
    }
    if (pthread_cond_init(&c->changed, NULL) != 0) {
        pthread_mutex_destroy(&c->lock);
        memory_free(c);
        memory_free(members);
        error_memory(err);
        return NULL;
    }
    c->count = count;
    c->members = members;
    for (uint32_t i = 0; i < count; i++) {
        members[i] = (crew_member){.of = c, .index = i};
    }
    for (c->started = 1; c->started < count; c->started++) {
        if (pthread_create(&members[c->started].thread, NULL, live, &members[c->started]) != 0) {
            crew_free(c);
            error_set(err, ERROR_LIMIT, "the system gives no more than %u threads: use fewer", c->started);
            return NULL;
        }
    }
    return c;
}

static void begin(crew *c) {
    atomic_fetch_add_explicit(&c->runs, 1, memory_order_release);
    if (c->count > 1) {
        announce(c);
    }
}

void crew_free(crew *c) {
    if (c == NULL) {
        return;
    }
    c->closing = true;
    begin(c);
    for (uint32_t i = 1; i < c->started; i++) {
        pthread_join(c->members[i].thread, NULL);
    }
    pthread_cond_destroy(&c->changed);
    pthread_mutex_destroy(&c->lock);
    memory_free(c->members);
    memory_free(c);
}

uint32_t crew_count(const crew *c) {
    return c->count;
}

bool crew_run(crew *c, void (*work)(void *context, crew_member *self), void *context, error *err) {
    c->work = work;
    c->context = context;
    atomic_store_explicit(&c->next[0], 0, memory_order_relaxed);
    atomic_store_explicit(&c->next[1], 0, memory_order_relaxed);
    begin(c);
    work_once(&c->members[0]);
    bool good = true;
    for (uint32_t i = 0; i < c->count; i++) {
        good = good && c->members[i].good;
    }
    return good || error_set(err, ERROR_INTERNAL, "the processor's rounding mode can't be set");
}

uint32_t crew_index(const crew_member *self) {
    return self->index;
}
