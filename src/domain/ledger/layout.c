#include "ledger/layout.h"

#include <stdio.h>

enum { GROUP = 1000, ENTRY_MAX = 65535 };

/* 1234067 as "x001/x234/067". */
static void append_index(uint64_t index, char path[LAYOUT_PATH_SIZE]) {
    uint64_t unit = 1;
    while (index / unit >= GROUP) {
        unit *= GROUP;
    }
    for (; unit > 0; unit /= GROUP) {
        size_t length = strlen(path);
        snprintf(path + length, LAYOUT_PATH_SIZE - length, unit > 1 ? "x%03u/" : "%03u",
                 (unsigned)(index / unit % GROUP));
    }
}

static void append_count(size_t count, char path[LAYOUT_PATH_SIZE]) {
    size_t length = strlen(path);
    if (count < MERKLE_TILE_WIDTH) {
        snprintf(path + length, LAYOUT_PATH_SIZE - length, ".p/%u", (unsigned)count);
    }
}

void layout_tile_path(const merkle_tile_id *tile, char path[LAYOUT_PATH_SIZE]) {
    snprintf(path, LAYOUT_PATH_SIZE, "tile/%u/", tile->level);
    append_index(tile->index, path);
    append_count(tile->count, path);
}

void layout_bundle_path(uint64_t index, size_t count, char path[LAYOUT_PATH_SIZE]) {
    snprintf(path, LAYOUT_PATH_SIZE, "tile/entries/");
    append_index(index, path);
    append_count(count, path);
}

bool layout_bundle_append(buffer *bundle, slice entry) {
    if (entry.length > ENTRY_MAX) {
        return false;
    }
    const uint8_t length[] = {(uint8_t)(entry.length >> 8), (uint8_t)entry.length};
    return buffer_append(bundle, slice_of(length, sizeof length)) && buffer_append(bundle, entry);
}

bool layout_bundle_next(slice *rest, slice *entry) {
    if (rest->length < 2) {
        return false;
    }
    size_t length = (size_t)rest->data[0] << 8 | rest->data[1];
    if (length > rest->length - 2) {
        return false;
    }
    *entry = slice_part(*rest, 2, length);
    *rest = slice_after(*rest, 2 + length);
    return true;
}
