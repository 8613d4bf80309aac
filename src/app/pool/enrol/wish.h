#ifndef POOL_ENROL_WISH_H
#define POOL_ENROL_WISH_H

#include "codec/json.h"
#include "state.h"

/* What somebody says of a machine that is to be enrolled. */
typedef struct machine_wish {
    slice owner;
    slice class_name; /* "cpu", "gpu" or "npu"; empty: any */
    slice tiers;
    uint64_t expires_ms; /* Unix: its right to serve ends then */
    bool contractor;     /* the owner is none of the company's own: the end is mandatory, and near */
    bool referee;
} machine_wish;

enum { MACHINE_WISH_MAX = 4096 /* bytes of its text */ };

/* From a request's body: {owner, class, tiers, days, contractor, referee}. Slices live in the request's
 * arena. False: the request was answered with why not. */
MUST_CHECK bool machine_wish_read(pool *p, http_request *request, machine_wish *wish);

/* The text that one person writes and another approves: canonical JSON, members in the order of their names,
 * no blanks. `requester` and `now` make each one another. Appends; check buffer_failed. */
void machine_wish_write(const machine_wish *wish, slice requester, uint64_t now, buffer *out);
/* What machine_wish_write gave. Slices live as long as `root`, which the caller frees. ERROR_CORRUPT. */
MUST_CHECK bool machine_wish_parse(slice text, machine_wish *wish, json_value **root, error *err);

#endif
