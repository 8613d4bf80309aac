#ifndef VERIFY_DRAW_H
#define VERIFY_DRAW_H

#include "base/error.h"

#include <stdint.h>

enum { VERIFY_SECRET_SIZE = 32, VERIFY_JOB_SIZE = 16, VERIFY_COMMITMENT_SIZE = 32 };

/* A label for each decision, so that one draw tells nothing about another. */
#define VERIFY_DRAW_CHECK "cellule draw v1" /* is the answer checked */
#define VERIFY_DRAW_VERIFIER                                                                                 \
    "cellule verifier v1"                    /* by whom; of a further attempt: the check's new id as `job` */
#define VERIFY_DRAW_DELAY "cellule delay v1" /* when the check starts */
#define VERIFY_DRAW_HONEYTOKEN "cellule honeytoken v1" /* does a honeytoken follow */

/* HMAC-SHA-256(secret, envelope(label, job, commitment)) as a number of 53 bits in [0, 1): nobody without the
 * secret foresees it, and it depends on what the worker has committed to. Something with probability p
 * happens if draw < p. On failure (memory) `draw` is 0, so what was to be drawn happens. */
MUST_CHECK bool verify_draw(const uint8_t secret[VERIFY_SECRET_SIZE], const char *label,
                            const uint8_t job[VERIFY_JOB_SIZE],
                            const uint8_t commitment[VERIFY_COMMITMENT_SIZE], double *draw, error *err);

#endif
