#ifndef BASE_MEMORY_INTERNAL_H
#define BASE_MEMORY_INTERNAL_H

#include <stdbool.h>

/* memory_wipe_freed was called. */
bool memory_is_wiping(void);

#endif
