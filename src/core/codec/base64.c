#include "codec/base64.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

void base64url_encode(slice bytes, char *text) {
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
    *text = '\0';
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

/* 0 to 63, or 64 for what is not in the alphabet. */
static uint32_t digit(uint8_t c) {
    if (c >= 'A' && c <= 'Z') {
        return (uint32_t)(c - 'A');
    }
    if (c >= 'a' && c <= 'z') {
        return (uint32_t)(c - 'a') + 26;
    }
    if (c >= '0' && c <= '9') {
        return (uint32_t)(c - '0') + 52;
    }
    return c == '-' ? 62 : c == '_' ? 63 : 64;
}

bool base64url_decode(slice text, uint8_t *bytes, size_t capacity, size_t *length) {
    *length = 0;
    size_t size = text.length / 4 * 3 + text.length % 4 * 3 / 4;
    if (text.length % 4 == 1 || size > capacity) {
        return false;
    }
    uint32_t bits = 0;
    unsigned held = 0;
    size_t done = 0;
    for (size_t i = 0; i < text.length; i++) {
        uint32_t value = digit(text.data[i]);
        if (value > 63) {
            return false;
        }
        bits = bits << 6 | value;
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

bool base64url_decode_exact(slice text, uint8_t *bytes, size_t length) {
    size_t got = 0;
    return base64url_decode(text, bytes, length, &got) && got == length;
}
