#include "utf8.h"

/* RFC 3629, section 4: what the second byte may be depends on the first. */
static bool second_byte_bounds(uint8_t first, uint8_t *low, uint8_t *high) {
    *low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    *high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    return first >= 0xc2 && first <= 0xf4;
}

utf8_kind utf8_next(slice text, size_t *length, uint32_t *character) {
    uint8_t first = text.data[0];
    *length = 1;
    *character = first;
    if (first < 0x80) {
        return UTF8_WHOLE;
    }
    uint8_t low = 0;
    uint8_t high = 0;
    if (!second_byte_bounds(first, &low, &high)) {
        return UTF8_INVALID;
    }
    size_t whole = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    *character = first & (0xffU >> (whole + 1));
    for (size_t i = 1; i < whole; i++) {
        if (i == text.length) {
            *length = i;
            return UTF8_PARTIAL;
        }
        uint8_t byte = text.data[i];
        if (byte < (i == 1 ? low : 0x80) || byte > (i == 1 ? high : 0xbf)) {
            *length = i;
            return UTF8_INVALID;
        }
        *character = *character << 6 | (byte & 0x3fU);
    }
    *length = whole;
    return UTF8_WHOLE;
}

size_t utf8_write(uint32_t character, uint8_t bytes[4]) {
    if (character < 0x80) {
        bytes[0] = (uint8_t)character;
        return 1;
    }
    size_t length = character < 0x800 ? 2 : character < 0x10000 ? 3 : 4;
    for (size_t i = length - 1; i > 0; i--) {
        bytes[i] = (uint8_t)(0x80 | (character & 0x3f));
        character >>= 6;
    }
    static const uint8_t marks[5] = {0, 0, 0xc0, 0xe0, 0xf0};
    bytes[0] = (uint8_t)(marks[length] | character);
    return length;
}
