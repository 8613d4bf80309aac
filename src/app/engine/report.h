#ifndef APP_ENGINE_REPORT_H
#define APP_ENGINE_REPORT_H

#include "app_model/answer.h"
#include "app_model/tool.h"

/* What is told of an answer: a line for people, or one JSON object that has the answer too. */
enum { REPORT_MAX = 256 * 1024 * 1024 };

typedef struct report_of {
    const answer *answer;
    const tool *tool;
    uint64_t seed;
} report_of;

void report_append_text(const report_of *r, buffer *out);
void report_append_json(const report_of *r, buffer *out);

#endif
