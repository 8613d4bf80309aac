#ifndef APP_ENGINE_BENCH_REPORT_H
#define APP_ENGINE_BENCH_REPORT_H

#include "base/buffer.h"
#include "bench_measure.h"

enum { BENCH_REPORT_MAX = 64 * 1024 };

typedef struct bench_report {
    const engine_information *model;
    uint32_t threads;
    uint64_t file_bytes;
    uint64_t resident_bytes; /* after the first token; 0: not known */
    double load_seconds;
    const bench_sizes *sizes;
    const bench_times *times;
} bench_report;

void bench_report_append_text(const bench_report *r, buffer *out);
void bench_report_append_json(const bench_report *r, buffer *out);

#endif
