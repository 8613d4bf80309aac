#include "codec/base64.h"

#define COMMON "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

/* Without padding; the end of the text. */
static char *encode(slice bytes, const char *alphabet, char *text) {
    uint32_t bits = 0;
    unsigned held = 0;
    for (size_t i = 0; i < bytes.length; i++) {
        bits = bits << 8 | bytes.data[i];
        held += 8;
        while (held >= 6) {
            held -= 6;
            *text++ = alphabet[bits >> held & 63];
        }
    }
    if (held > 0) {
        *text++ = alphabet[bits << (6 - held) & 63];
    }
    return text;
}

void base64url_encode(slice bytes, char *text) {
    *encode(bytes, COMMON "-_", text) = '\0';
}

void base64_encode(slice bytes, char *text) {
    char *end = encode(bytes, COMMON "+/", text);
    while ((end - text) % 4 != 0) {
        *end++ = '=';
    }
    *end = '\0';
}

bool base64url_append(buffer *out, slice bytes) {
    if (bytes.length > (SIZE_MAX - 2) / 4) {
        out->failed = true;
        return false;
    }
    size_t length = BASE64URL_LENGTH(bytes.length);
    /* In pieces that a small array holds, since the encoder writes a zero behind its text. */
    enum { PIECE = 192 };
    char text[BASE64URL_LENGTH(PIECE) + 1];
    if (buffer_reserve(out, length) == NULL) {
        return false;
    }
    for (size_t i = 0; i < bytes.length; i += PIECE) {
        slice piece = slice_part(bytes, i, PIECE);
        base64url_encode(piece, text);
        buffer_append(out, slice_of(text, BASE64URL_LENGTH(piece.length)));
    }
    return !buffer_failed(out);
}

/* Of each character, one more than its value; 0 for what is not in the alphabet. */
static const uint8_t digits[256] = {
    ['A'] = 1,  ['B'] = 2,  ['C'] = 3,  ['D'] = 4,  ['E'] = 5,  ['F'] = 6,  ['G'] = 7,  ['H'] = 8,
    ['I'] = 9,  ['J'] = 10, ['K'] = 11, ['L'] = 12, ['M'] = 13, ['N'] = 14, ['O'] = 15, ['P'] = 16,
    ['Q'] = 17, ['R'] = 18, ['S'] = 19, ['T'] = 20, ['U'] = 21, ['V'] = 22, ['W'] = 23, ['X'] = 24,
    ['Y'] = 25, ['Z'] = 26, ['a'] = 27, ['b'] = 28, ['c'] = 29, ['d'] = 30, ['e'] = 31, ['f'] = 32,
    ['g'] = 33, ['h'] = 34, ['i'] = 35, ['j'] = 36, ['k'] = 37, ['l'] = 38, ['m'] = 39, ['n'] = 40,
    ['o'] = 41, ['p'] = 42, ['q'] = 43, ['r'] = 44, ['s'] = 45, ['t'] = 46, ['u'] = 47, ['v'] = 48,
    ['w'] = 49, ['x'] = 50, ['y'] = 51, ['z'] = 52, ['0'] = 53, ['1'] = 54, ['2'] = 55, ['3'] = 56,
    ['4'] = 57, ['5'] = 58, ['6'] = 59, ['7'] = 60, ['8'] = 61, ['9'] = 62, ['-'] = 63, ['_'] = 64,
    ['+'] = 63, ['/'] = 64};

/* `last`: the characters for 62 and 63. */
static bool decode(slice text, const char last[2], uint8_t *bytes, size_t capacity, size_t *length) {
    *length = 0;
    size_t size = text.length / 4 * 3 + text.length % 4 * 3 / 4;
    if (text.length % 4 == 1 || size > capacity) {
        return false;
    }
    uint32_t bits = 0;
    unsigned held = 0;
    size_t done = 0;
    for (size_t i = 0; i < text.length; i++) {
        uint8_t c = text.data[i];
        uint32_t value = digits[c];
        if (value == 0 || (value > 62 && c != (uint8_t)last[value - 63])) {
            return false;
        }
        bits = bits << 6 | (value - 1);
        held += 6;
        if (held >= 8) {
            held -= 8;
            bytes[done++] = (uint8_t)(bits >> held);
        }
    }
    /* Leftover bits must be zero, else two texts would stand for the same bytes. */
    if ((bits & ((1U << held) - 1)) != 0) {
        return false;
    }
    *length = done;
    return true;
}

bool base64url_decode(slice text, uint8_t *bytes, size_t capacity, size_t *length) {
    return decode(text, "-_", bytes, capacity, length);
}

bool base64_decode(slice text, uint8_t *bytes, size_t capacity, size_t *length) {
    size_t padding = 0;
    *length = 0;
    while (padding < 2 && padding < text.length && text.data[text.length - 1 - padding] == '=') {
        padding++;
    }
    return text.length % 4 == 0 &&
           decode(slice_part(text, 0, text.length - padding), "+/", bytes, capacity, length);
}

bool base64url_decode_exact(slice text, uint8_t *bytes, size_t length) {
    size_t got = 0;
    return base64url_decode(text, bytes, length, &got) && got == length;
}
