#ifndef BASE_FAULT_H
#define BASE_FAULT_H

#include <stdbool.h>

/* A named place where a test may make the program fail (libfiu). In builds without faults it is `false` and
 * costs nothing. Names in use: "memory" (every allocation), "write" (each step of file_write_atomic,
 * file_replace and file_remove),
 * "thread" (each start of one that computes). */
#ifdef CELLULE_FAULTS
bool fault_here(const char *name);
#else
static inline bool fault_here(const char *name) {
    (void)name;
    return false;
}
#endif

#endif
