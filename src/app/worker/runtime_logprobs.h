#ifndef WORKER_RUNTIME_LOGPROBS_H
#define WORKER_RUNTIME_LOGPROBS_H

#include "base/slice.h"
#include "codec/json.h"

/* The logprobs that a runtime gives with a part of its answer (OpenAI's `logprobs.content`). Pure. */
enum { RUNTIME_PARTS_MAX = 64 /* tokens of one event */ };

/* What one token wrote. */
typedef struct runtime_part {
    slice text; /* whole characters */
    float logprob;
} runtime_part;

/* Cuts `text` into what each token wrote, with its logprob, in steps of 1/1024. A token that ends inside a
 * character belongs to the one that completes it. Returns how many; 0 where the runtime gives none, or not
 * one of each token, or what can't be true: it then counts as having given none. */
size_t runtime_logprobs_read(const json_value *choice, slice text, runtime_part parts[RUNTIME_PARTS_MAX]);

#endif
