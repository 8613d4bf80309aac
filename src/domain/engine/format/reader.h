#ifndef ENGINE_READER_H
#define ENGINE_READER_H

#include "base/error.h"
#include "base/slice.h"

/* Taking numbers and strings off the front of what is left of a file. False: there isn't as much. */
static inline uint64_t load_number(const uint8_t *bytes, size_t size) {
    uint64_t value = 0;
    for (size_t i = 0; i < size; i++) {
        value |= (uint64_t)bytes[i] << (8 * i);
    }
    return value;
}

static inline bool take_bytes(slice *rest, uint64_t length, slice *taken) {
    if (length > rest->length) {
        return false;
    }
    *taken = slice_of(rest->data, (size_t)length);
    *rest = (slice){rest->data == NULL ? NULL : rest->data + length, rest->length - (size_t)length};
    return true;
}

static inline bool take_u32(slice *rest, uint32_t *value) {
    slice bytes;
    if (!take_bytes(rest, 4, &bytes)) {
        return false;
    }
    *value = (uint32_t)load_number(bytes.data, 4);
    return true;
}

static inline bool take_u64(slice *rest, uint64_t *value) {
    slice bytes;
    if (!take_bytes(rest, 8, &bytes)) {
        return false;
    }
    *value = load_number(bytes.data, 8);
    return true;
}

static inline bool take_text(slice *rest, uint64_t most, slice *text) {
    uint64_t length = 0;
    return take_u64(rest, &length) && length <= most && take_bytes(rest, length, text);
}

static inline bool cut_short(error *err, const char *where) {
    return error_set(err, ERROR_CORRUPT,
                     "the GGUF file ends within %s, or a length there is too large: fetch it again", where);
}

#endif
