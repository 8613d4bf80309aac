#include "base/slice.h"

static uint8_t lower(uint8_t c) {
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c;
}

bool slice_equal_ignore_case(slice a, slice b) {
    if (a.length != b.length) {
        return false;
    }
    for (size_t i = 0; i < a.length; i++) {
        if (lower(a.data[i]) != lower(b.data[i])) {
            return false;
        }
    }
    return true;
}

size_t slice_find(slice a, uint8_t byte) {
    const uint8_t *found = a.length == 0 ? NULL : memchr(a.data, byte, a.length);
    return found == NULL ? SIZE_MAX : (size_t)(found - a.data);
}

size_t slice_find_slice(slice a, slice needle) {
    if (needle.length == 0) {
        return 0;
    }
    const uint8_t *found = a.length == 0 ? NULL : memmem(a.data, a.length, needle.data, needle.length);
    return found == NULL ? SIZE_MAX : (size_t)(found - a.data);
}

static bool is_blank(uint8_t c) {
    return c == ' ' || c == '\t';
}

slice slice_trim(slice a) {
    while (a.length > 0 && is_blank(a.data[0])) {
        a = slice_after(a, 1);
    }
    while (a.length > 0 && is_blank(a.data[a.length - 1])) {
        a.length--;
    }
    return a;
}

bool slice_to_u64(slice a, uint64_t *value) {
    if (a.length == 0 || (a.length > 1 && a.data[0] == '0')) {
        return false;
    }
    uint64_t sum = 0;
    for (size_t i = 0; i < a.length; i++) {
        if (a.data[i] < '0' || a.data[i] > '9') {
            return false;
        }
        uint64_t digit = (uint64_t)(a.data[i] - '0');
        if (sum > (UINT64_MAX - digit) / 10) {
            return false;
        }
        sum = sum * 10 + digit;
    }
    *value = sum;
    return true;
}

/* Length of the sequence that `lead` opens and the range of its second byte; 0 if it opens none. */
static size_t utf8_sequence(uint8_t lead, uint8_t *low, uint8_t *high) {
    *low = 0x80;
    *high = 0xBF;
    if (lead >= 0xC2 && lead <= 0xDF) {
        return 2;
    }
    if (lead >= 0xE0 && lead <= 0xEF) {
        *low = lead == 0xE0 ? 0xA0 : 0x80;
        *high = lead == 0xED ? 0x9F : 0xBF;
        return 3;
    }
    if (lead >= 0xF0 && lead <= 0xF4) {
        *low = lead == 0xF0 ? 0x90 : 0x80;
        *high = lead == 0xF4 ? 0x8F : 0xBF;
        return 4;
    }
    return 0;
}

size_t slice_utf8_length(slice a) {
    if (a.length == 0 || a.data[0] < 0x80) {
        return a.length == 0 ? 0 : 1;
    }
    uint8_t low = 0;
    uint8_t high = 0;
    size_t length = utf8_sequence(a.data[0], &low, &high);
    if (length == 0 || a.length < length || a.data[1] < low || a.data[1] > high) {
        return 0;
    }
    for (size_t i = 2; i < length; i++) {
        if ((a.data[i] & 0xC0) != 0x80) {
            return 0;
        }
    }
    return length;
}

size_t slice_utf8_first(slice a, uint32_t *character) {
    static const uint8_t bits_of_first[] = {0, 0x7F, 0x1F, 0x0F, 0x07};
    size_t length = slice_utf8_length(a);
    if (length == 0) {
        return 0;
    }
    *character = a.data[0] & bits_of_first[length];
    for (size_t i = 1; i < length; i++) {
        *character = *character << 6 | (a.data[i] & 0x3FU);
    }
    return length;
}

/* Nearly all text is ASCII: eight bytes at a time. */
static slice skip_ascii(slice a) {
    uint64_t word = 0;
    while (a.length >= sizeof word) {
        memcpy(&word, a.data, sizeof word);
        if ((word & 0x8080808080808080U) != 0) {
            break;
        }
        a = slice_of(a.data + sizeof word, a.length - sizeof word);
    }
    return a;
}

bool slice_is_utf8(slice a) {
    for (a = skip_ascii(a); a.length > 0; a = skip_ascii(a)) {
        size_t length = slice_utf8_length(a);
        if (length == 0) {
            return false;
        }
        a = slice_of(a.data + length, a.length - length);
    }
    return true;
}
