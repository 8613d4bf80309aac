#include "threads/crew.h"

#include "arithmetic/arithmetic.h"
#include "base/fault.h"
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
    uint32_t phase; /* of the run, as far as this member got */
    size_t held;    /* things taken and not yet done */
};

/* The gate of a run: its number, whether members may still come in, and how many are inside. */
enum { GATE_OPEN_BIT = 31, GATE_RUN_BIT = 32 };
static const uint64_t gate_open = UINT64_C(1) << GATE_OPEN_BIT;
static const uint64_t gate_inside = (UINT64_C(1) << GATE_OPEN_BIT) - 1;

struct crew {
    uint32_t count;
    uint32_t made; /* members that have a thread to join, and the caller */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    _Atomic uint32_t sleepers;
    void (*work)(void *context, crew_member *self);
    void *context;
    _Atomic bool closing;
    _Atomic uint64_t living; /* members whose thread has begun */
    _Atomic uint64_t gate;
    _Atomic uint64_t ticket; /* the phase, and the first thing in it that nobody has taken */
    _Atomic uint64_t done;   /* things done in the phase */
    crew_member *members;
};

static void relax(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* After a change that somebody may wait for. */
static void announce(crew *c) {
    if (atomic_load(&c->sleepers) > 0) {
        pthread_mutex_lock(&c->lock);
        pthread_cond_broadcast(&c->changed);
        pthread_mutex_unlock(&c->lock);
    }
}

/* Until the upper half of `*word` isn't `seen`, or with `lower` its lower half is 0. Gives the word. */
static bool still_the_same(uint64_t word, uint32_t seen, bool lower) {
    return lower ? (word & gate_inside) != 0 : (uint32_t)(word >> 32) == seen;
}

static uint64_t wait_for(crew *c, _Atomic uint64_t *word, uint32_t seen, bool lower) {
    uint64_t now = atomic_load(word);
    for (size_t i = 0; i < LOOKS && still_the_same(now, seen, lower); i++) {
        relax();
        now = atomic_load(word);
    }
    if (!still_the_same(now, seen, lower)) {
        return now;
    }
    pthread_mutex_lock(&c->lock);
    atomic_fetch_add(&c->sleepers, 1);
    while (still_the_same(now = atomic_load(word), seen, lower)) {
        pthread_cond_wait(&c->changed, &c->lock);
    }
    atomic_fetch_sub(&c->sleepers, 1);
    pthread_mutex_unlock(&c->lock);
    return now;
}

static uint64_t ticket_of(uint32_t phase, size_t next) {
    return (uint64_t)phase << 32 | next;
}

/* The last one done opens the next phase. */
static void end_phase(crew_member *self) {
    crew *c = self->of;
    atomic_store(&c->done, 0);
    atomic_store(&c->ticket, ticket_of(self->phase + 1, 0));
    announce(c);
}

static void hand_in(crew_member *self, size_t total) {
    size_t held = self->held;
    self->held = 0;
    if (held > 0 && atomic_fetch_add(&self->of->done, held) + held == total) {
        end_phase(self);
    }
}

bool crew_take(crew_member *self, size_t total, size_t grain, size_t *first, size_t *last) {
    crew *c = self->of;
    hand_in(self, total);
    uint64_t ticket = atomic_load(&c->ticket);
    for (;;) {
        size_t next = (uint32_t)ticket;
        if (ticket >> 32 != self->phase || next >= total) {
            return false;
        }
        size_t end = total - next > grain ? next + grain : total;
        if (atomic_compare_exchange_weak(&c->ticket, &ticket, ticket_of(self->phase, end))) {
            *first = next;
            *last = end;
            self->held = end - next;
            return true;
        }
    }
}

void crew_wait(crew_member *self) {
    if ((uint32_t)(atomic_load(&self->of->ticket) >> 32) == self->phase) {
        (void)wait_for(self->of, &self->of->ticket, self->phase, false);
    }
    self->phase++;
}

static void work_once(crew_member *self) {
    crew *c = self->of;
    self->phase = 0;
    self->held = 0;
    c->work(c->context, self);
}

/* Goes into run `number` unless it is over. */
static bool enter(crew *c, uint32_t number) {
    uint64_t gate = atomic_load(&c->gate);
    while ((uint32_t)(gate >> GATE_RUN_BIT) == number && (gate & gate_open) != 0) {
        if (atomic_compare_exchange_weak(&c->gate, &gate, gate + 1)) {
            return true;
        }
    }
    return false;
}

static void leave(crew *c) {
    if (((atomic_fetch_sub(&c->gate, 1) - 1) & (gate_open | gate_inside)) == 0) {
        announce(c);
    }
}

static void *live(void *context) {
    crew_member *self = context;
    crew *c = self->of;
    arithmetic_state inherited;
    bool able = arithmetic_enter(&inherited); /* for good: the thread does nothing else */
    atomic_fetch_add(&c->living, UINT64_C(1) << 32);
    announce(c);
    for (uint32_t seen = 0;;) {
        seen = (uint32_t)(wait_for(c, &c->gate, seen, false) >> GATE_RUN_BIT);
        if (c->closing) {
            return NULL;
        }
        if (able && enter(c, seen)) {
            work_once(self);
            leave(c);
        }
    }
}

static bool make_threads(crew *c) {
    for (c->made = 1; c->made < c->count; c->made++) {
        if (fault_here("thread") ||
            pthread_create(&c->members[c->made].thread, NULL, live, &c->members[c->made]) != 0) {
            return false;
        }
    }
    for (uint32_t living = 0; living < c->count - 1;) {
        living = (uint32_t)(wait_for(c, &c->living, living, false) >> 32);
    }
    return true;
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
    if (!make_threads(c)) {
        uint32_t made = c->made;
        crew_free(c);
        error_set(err, ERROR_LIMIT, "the system gives no more than %u threads: use fewer", made);
        return NULL;
    }
    return c;
}

/* The caller is inside from the beginning. */
static void begin(crew *c) {
    uint32_t number = (uint32_t)(atomic_load(&c->gate) >> GATE_RUN_BIT) + 1;
    atomic_store(&c->ticket, 0);
    atomic_store(&c->done, 0);
    atomic_store(&c->gate, (uint64_t)number << GATE_RUN_BIT | gate_open | 1);
    announce(c);
}

void crew_free(crew *c) {
    if (c == NULL) {
        return;
    }
    c->closing = true;
    begin(c);
    for (uint32_t i = 1; i < c->made; i++) {
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

uint32_t crew_index(const crew_member *self) {
    return self->index;
}

bool crew_run(crew *c, void (*work)(void *context, crew_member *self), void *context, error *err) {
    arithmetic_state saved;
    if (!arithmetic_enter(&saved)) {
        return error_set(err, ERROR_INTERNAL, "the processor's rounding mode can't be set");
    }
    c->work = work;
    c->context = context;
    begin(c);
    work_once(&c->members[0]);
    /* Nobody else comes in; those inside find nothing more to take. */
    atomic_fetch_sub(&c->gate, gate_open + 1);
    (void)wait_for(c, &c->gate, 0, true);
    arithmetic_leave(&saved);
    return true;
}
