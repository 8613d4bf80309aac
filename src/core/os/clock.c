#include "os/clock.h"

#include <time.h>

static uint64_t read_clock(clockid_t clock) {
    struct timespec now = {0};
    clock_gettime(clock, &now); /* fails only for an unknown clock */
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

uint64_t clock_monotonic_ms(void) {
    return read_clock(CLOCK_MONOTONIC) / 1000000;
}

uint64_t clock_monotonic_ns(void) {
    return read_clock(CLOCK_MONOTONIC);
}

uint64_t clock_unix_ms(void) {
    return read_clock(CLOCK_REALTIME) / 1000000;
}
