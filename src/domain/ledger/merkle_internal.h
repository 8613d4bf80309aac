#ifndef LEDGER_MERKLE_INTERNAL_H
#define LEDGER_MERKLE_INTERNAL_H

#include "ledger/merkle.h"

/* The root over `count` adjacent hashes; a power of two, MERKLE_TILE_WIDTH at most. */
MUST_CHECK bool merkle_fold_complete(const uint8_t *hashes, size_t count, uint8_t root[HASH_SIZE],
                                     error *err);

#endif
