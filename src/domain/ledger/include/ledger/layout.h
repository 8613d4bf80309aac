#ifndef LEDGER_LAYOUT_H
#define LEDGER_LAYOUT_H

#include "base/buffer.h"
#include "ledger/merkle.h"

/* A log as files, as C2SP tlog-tiles lays it out: `checkpoint`, `tile/LEVEL/INDEX`, `tile/entries/INDEX`; of
 * what isn't full yet `INDEX.p/COUNT`. */
enum { LAYOUT_PATH_SIZE = 64, LAYOUT_BUNDLE_MAX = MERKLE_TILE_WIDTH * (2 + 65535) };

/* "tile/0/x001/234". `count` of its hashes: MERKLE_TILE_WIDTH if it is full. */
void layout_tile_path(const merkle_tile_id *tile, char path[LAYOUT_PATH_SIZE]);
/* Of the bundle of entries that the level-0 tile `index` is over. */
void layout_bundle_path(uint64_t index, size_t count, char path[LAYOUT_PATH_SIZE]);

/* A bundle is its entries, each behind its length as two bytes. Appends one; false if it is longer than that
 * says, or the buffer has failed. */
MUST_CHECK bool layout_bundle_append(buffer *bundle, slice entry);
/* Takes the next one off; false: what is left is none. */
MUST_CHECK bool layout_bundle_next(slice *rest, slice *entry);

#endif
