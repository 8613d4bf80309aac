#ifndef HTTP1_INTERNAL_H
#define HTTP1_INTERNAL_H

#include "codec/http1.h"

/* What a byte may be part of. */
enum {
    HTTP1_TOKEN = 0x01, /* RFC 9110 §5.6.2 */
    HTTP1_VALUE = 0x02, /* field content: visible, blank, tab, and bytes from 0x80 on */
    HTTP1_PATH = 0x04,  /* RFC 3986 pchar and '/' */
    HTTP1_QUERY = 0x08, /* that, '?', and the brackets and bars that browsers leave unescaped there */
    HTTP1_HOST = 0x10,  /* names, addresses, port; no user, no percent sign */
    HTTP1_HEX = 0x20
};

extern const uint8_t http1_bytes[256];

static inline bool http1_is(uint8_t byte, uint8_t what) {
    return (http1_bytes[byte] & what) != 0;
}

/* Value of a digit that is HTTP1_HEX. */
static inline unsigned http1_hex_value(uint8_t digit) {
    return digit <= '9' ? (unsigned)(digit - '0') : (unsigned)((digit | 0x20) - 'a' + 10);
}

/* Index of the first byte that isn't `what`, or text.length. */
static inline size_t http1_span_of(slice text, uint8_t what) {
    size_t i = 0;
    while (i < text.length && http1_is(text.data[i], what)) {
        i++;
    }
    return i;
}

/* Whether all bytes are HTTP1_VALUE. */
bool http1_value_is_clean(slice value);

#endif
