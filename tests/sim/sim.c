#include "sim.h"

#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>

sim sim_make(uint64_t seed) {
    return (sim){.random = seed};
}

void sim_free(sim *s) {
    memory_free(s->events);
    s->events = NULL;
    s->count = 0;
    s->capacity = 0;
}

/* SplitMix64 (Steele, Lea, Flood 2014). */
uint64_t sim_random(sim *s, uint64_t bound) {
    s->random += 0x9e3779b97f4a7c15U;
    uint64_t z = s->random;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    z ^= z >> 31;
    return bound == 0 ? 0 : z % bound;
}

uint64_t sim_between(sim *s, uint64_t least, uint64_t most) {
    return least + sim_random(s, most - least + 1);
}

bool sim_chance(sim *s, unsigned per_mille) {
    return sim_random(s, 1000) < per_mille;
}

static bool before(const sim_event *a, const sim_event *b) {
    return a->at != b->at ? a->at < b->at : a->order < b->order;
}

static void swap(sim_event *a, sim_event *b) {
    sim_event kept = *a;
    *a = *b;
    *b = kept;
}

void sim_schedule(sim *s, uint64_t at, sim_event event) {
    if (s->count == s->capacity) {
        size_t capacity = s->capacity == 0 ? 64 : s->capacity * 2;
        sim_event *events = memory_resize(s->events, capacity * sizeof *events);
        if (events == NULL) {
            fputs("the simulation is out of memory\n", stderr);
            exit(1);
        }
        s->events = events;
        s->capacity = capacity;
    }
    event.at = at < s->now ? s->now : at;
    event.order = ++s->order;
    size_t place = s->count++;
    s->events[place] = event;
    for (; place > 0 && before(&s->events[place], &s->events[(place - 1) / 2]); place = (place - 1) / 2) {
        swap(&s->events[place], &s->events[(place - 1) / 2]);
    }
}

uint64_t sim_next_time(const sim *s) {
    return s->count == 0 ? UINT64_MAX : s->events[0].at;
}

sim_event sim_take(sim *s) {
    sim_event first = s->events[0];
    s->events[0] = s->events[--s->count];
    size_t place = 0;
    while (place * 2 + 1 < s->count) {
        size_t child = place * 2 + 1;
        if (child + 1 < s->count && before(&s->events[child + 1], &s->events[child])) {
            child++;
        }
        if (!before(&s->events[child], &s->events[place])) {
            break;
        }
        swap(&s->events[child], &s->events[place]);
        place = child;
    }
    return first;
}

sim_seeds sim_seeds_to_run(uint64_t count) {
    const char *asked = getenv("CELLULE_SIM_SEED");
    return asked == NULL ? (sim_seeds){1, count} : (sim_seeds){strtoull(asked, NULL, 10), 1};
}
