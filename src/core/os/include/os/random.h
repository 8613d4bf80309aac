#ifndef OS_RANDOM_H
#define OS_RANDOM_H

#include "base/error.h"

#include <stddef.h>

/* Fills `bytes` from the kernel's generator (getrandom(2)), fit for keys. On failure the bytes are zero and
 * must not be used. Any thread. */
MUST_CHECK bool random_bytes(void *bytes, size_t length, error *err);

#endif
