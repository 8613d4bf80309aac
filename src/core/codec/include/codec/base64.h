#ifndef CODEC_BASE64_H
#define CODEC_BASE64_H

#include "base/buffer.h"
#include "base/error.h"
#include "base/slice.h"

/* base64url without padding (RFC 4648 §5). Decoding is strict: one text for each byte string. No padding, no
 * white space, no leftover bits. */
#define BASE64URL_LENGTH(byte_count) (((byte_count)*4 + 2) / 3)

/* Appends; false when the buffer has failed. */
bool base64url_append(buffer *out, slice bytes);
/* Writes BASE64URL_LENGTH(bytes.length) characters and a closing zero. */
void base64url_encode(slice bytes, char *text);
/* At most `capacity` bytes; false if `text` is not base64url or too long. */
MUST_CHECK bool base64url_decode(slice text, uint8_t *bytes, size_t capacity, size_t *length);
/* False unless it decodes to exactly `length` bytes. */
MUST_CHECK bool base64url_decode_exact(slice text, uint8_t *bytes, size_t length);

/* base64 with padding (RFC 4648 §4), for formats of others; as strict. */
#define BASE64_LENGTH(byte_count) (((byte_count) + 2) / 3 * 4)

/* Writes BASE64_LENGTH(bytes.length) characters and a closing zero. */
void base64_encode(slice bytes, char *text);
/* At most `capacity` bytes; false if `text` is not base64 or too long. */
MUST_CHECK bool base64_decode(slice text, uint8_t *bytes, size_t capacity, size_t *length);

#endif
