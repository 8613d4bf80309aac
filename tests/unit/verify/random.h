#ifndef UNIT_VERIFY_RANDOM_H
#define UNIT_VERIFY_RANDOM_H

#include "unit.h"

#include <stdlib.h>
#include <time.h>

/* Another walk each time. CELLULE_VERIFY_SEED=n repeats the one that was printed. */
static inline uint64_t random_seed(void) {
    const char *wish = getenv("CELLULE_VERIFY_SEED");
    uint64_t seed = wish == NULL ? (uint64_t)time(NULL) : strtoull(wish, NULL, 10);
    print_message("# CELLULE_VERIFY_SEED=%llu\n", (unsigned long long)seed);
    return seed;
}

static inline uint64_t random_next(uint64_t *state) {
    *state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = *state;
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static inline uint64_t random_below(uint64_t *state, uint64_t bound) {
    return random_next(state) % bound;
}

/* In [0, 1). */
static inline double random_share(uint64_t *state) {
    return (double)(random_next(state) >> 11) / 9007199254740992.0;
}

#endif
