#ifndef ENGINE_GOLDEN_H
#define ENGINE_GOLDEN_H

#include "base/error.h"

#include <stdint.h>

/* Hashes of what the kernels compute from inputs that are the same everywhere, one per operation. Every form
 * of this build, every compiler and every machine must give the same ones. Needs no other library than the C
 * library's fmaf and sqrtf. */
enum { GOLDEN_FORMS_MAX = 8, GOLDEN_OPERATIONS_MAX = 48 };

typedef struct golden_operation {
    const char *name; /* "multiply", "exponentials"; static text */
    const char *type; /* of the matrix, "Q4_K"; or NULL */
    uint64_t hash;    /* FNV-1a of the results' bytes, little-endian */
} golden_operation;

/* The names of the kernels that this build has and this processor can run, for engine_options.kernels: the
 * fastest first, "plain" last. Gives their number. */
size_t golden_forms(const char *names[GOLDEN_FORMS_MAX]);

/* Bytes that golden_run works in, of any alignment. */
size_t golden_memory(void);
/* Runs every operation by that form, whatever rounding the caller has set; the same operations in the same
 * order for each form. Gives their number, 0 when there is no such form here. Takes a fraction of a second;
 * any thread. */
MUST_CHECK size_t golden_run(const char *form, void *memory,
                             golden_operation operations[GOLDEN_OPERATIONS_MAX]);

#endif
