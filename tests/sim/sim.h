#ifndef SIM_H
#define SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Simulated time: events in order of their time, then of their scheduling; and randomness from a seed, so
 * that a run can be repeated. */
typedef struct sim_event {
    uint64_t at;
    uint64_t order;
    unsigned kind;
    size_t subject; /* what it happens to: indices, since objects may be gone by then */
    size_t object;
    uint64_t a;
    uint64_t b;
} sim_event;

typedef struct sim {
    uint64_t now;
    uint64_t random;
    uint64_t order;
    sim_event *events;
    size_t count;
    size_t capacity;
} sim;

sim sim_make(uint64_t seed);
void sim_free(sim *s);
/* 0 to bound - 1; 0 if bound is 0. */
uint64_t sim_random(sim *s, uint64_t bound);
uint64_t sim_between(sim *s, uint64_t least, uint64_t most);
bool sim_chance(sim *s, unsigned per_mille);
/* Ends the process if memory is out. */
void sim_schedule(sim *s, uint64_t at, sim_event event);
/* When the next event is; UINT64_MAX: none. */
uint64_t sim_next_time(const sim *s);
/* Takes the next event. */
sim_event sim_take(sim *s);

/* The seeds to run: first .. first + count - 1; CELLULE_SIM_SEED=n asks for that one only. */
typedef struct sim_seeds {
    uint64_t first;
    uint64_t count;
} sim_seeds;

sim_seeds sim_seeds_to_run(uint64_t count);

#endif
