#include "samples.h"

#include "base/memory.h"

#include <stdlib.h>
#include <time.h>

enum { FIRST_CAPACITY = 65536 };

bool samples_add(samples *all, uint64_t microseconds) {
    if (all->count == all->capacity) {
        size_t capacity = all->capacity == 0 ? FIRST_CAPACITY : all->capacity * 2;
        uint32_t *larger =
            capacity > SAMPLES_LIMIT ? NULL : memory_resize(all->values, capacity * sizeof *larger);
        if (larger == NULL) {
            return false;
        }
        all->values = larger;
        all->capacity = capacity;
    }
    all->values[all->count++] = microseconds > UINT32_MAX ? UINT32_MAX : (uint32_t)microseconds;
    return true;
}

static int compare(const void *a, const void *b) {
    uint32_t first = *(const uint32_t *)a;
    uint32_t second = *(const uint32_t *)b;
    return first < second ? -1 : first > second;
}

uint32_t samples_percentile(samples *all, double share) {
    if (all->count == 0) {
        return 0;
    }
    qsort(all->values, all->count, sizeof all->values[0], compare);
    size_t at = (size_t)(share * (double)all->count);
    return all->values[at < all->count ? at : all->count - 1];
}

void samples_free(samples *all) {
    memory_free(all->values);
    *all = (samples){0};
}

static uint64_t read_clock(clockid_t which) {
    struct timespec now;
    clock_gettime(which, &now);
    return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

uint64_t bench_now_ns(void) {
    return read_clock(CLOCK_MONOTONIC);
}

uint64_t bench_processor_ns(void) {
    return read_clock(CLOCK_PROCESS_CPUTIME_ID);
}

uint64_t bench_thread_ns(void) {
    return read_clock(CLOCK_THREAD_CPUTIME_ID);
}
