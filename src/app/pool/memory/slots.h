#ifndef POOL_MEMORY_SLOTS_H
#define POOL_MEMORY_SLOTS_H

#include "base/error.h"

#include <stdint.h>

/* Places for short secrets, many to a page of secret memory (crypto/secret.h), which is for few. A place may
 * be used by another thread while its owner waits. Loop thread. */
enum { SLOT_SIZE = 64, SLOTS_MAX = 16384 };

typedef struct slots slots;

MUST_CHECK slots *slots_new(error *err);
/* Every slot was given back. NULL is allowed. */
void slots_free(slots *all);
/* SLOT_SIZE zeros. ERROR_LIMIT beyond SLOTS_MAX, or if the system locks no more memory. */
MUST_CHECK uint8_t *slots_take(slots *all, error *err);
/* Wipes it. NULL is allowed. */
void slots_give(slots *all, uint8_t *bytes);

#endif
