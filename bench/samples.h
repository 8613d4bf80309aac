#ifndef BENCH_SAMPLES_H
#define BENCH_SAMPLES_H

#include "base/error.h"

#include <stdint.h>

/* Durations in microseconds, kept whole so that percentiles are exact. */
typedef struct samples {
    uint32_t *values;
    size_t count;
    size_t capacity;
} samples;

enum { SAMPLES_LIMIT = 16 * 1024 * 1024 };

/* False: memory is out, or SAMPLES_LIMIT is reached. */
MUST_CHECK bool samples_add(samples *all, uint64_t microseconds);
/* The value that `share` (0 to 1) of them don't exceed; 0 if there is none. Sorts them. */
uint32_t samples_percentile(samples *all, double share);
void samples_free(samples *all);

/* Nanoseconds of the monotonic clock, which all processes of a machine share. */
uint64_t bench_now_ns(void);
/* Nanoseconds of processor time that all threads of this process have used. */
uint64_t bench_processor_ns(void);
/* The same of this thread alone. */
uint64_t bench_thread_ns(void);

#endif
