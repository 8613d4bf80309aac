#ifndef OS_CLOCK_H
#define OS_CLOCK_H

#include <stdint.h>

/* Milliseconds. The monotonic clock is for durations: it never goes back and starts anywhere. The Unix clock
 * is for dates: milliseconds since 1970-01-01 UTC, and may jump. Core and domain get times passed in; only
 * io and app call these. Any thread. */
enum { CLOCK_MINUTE_MS = 60 * 1000, CLOCK_DAY_MS = 24 * 60 * CLOCK_MINUTE_MS };

uint64_t clock_monotonic_ms(void);
uint64_t clock_monotonic_ns(void); /* the same clock, finer: for measuring */
uint64_t clock_unix_ms(void);

#endif
