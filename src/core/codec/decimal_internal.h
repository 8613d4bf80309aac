#ifndef DECIMAL_INTERNAL_H
#define DECIMAL_INTERNAL_H

#include "base/slice.h"

enum { DECIMAL_MAX = 20 };

/* The digits stand at the end of `text`. Many times faster than printf, which both hot paths would feel. */
static inline slice decimal_of(uint64_t value, uint8_t text[DECIMAL_MAX]) {
    size_t at = DECIMAL_MAX;
    do {
        text[--at] = (uint8_t)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    return slice_of(text + at, DECIMAL_MAX - at);
}

#endif
