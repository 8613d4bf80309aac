#ifndef ENGINE_UTF8_H
#define ENGINE_UTF8_H

#include "base/slice.h"

/* What stands at the front of `text` (RFC 3629, as strict as slice_is_utf8). */
typedef enum utf8_kind {
    UTF8_WHOLE,   /* a character of `length` bytes */
    UTF8_PARTIAL, /* the text ends within what may be a character; `length` is all of it */
    UTF8_INVALID  /* `length` (one or more) bytes that no character begins with */
} utf8_kind;

/* `text` is not empty. `character` gets the code point of a whole one. */
utf8_kind utf8_next(slice text, size_t *length, uint32_t *character);
/* Writes 1 to 4 bytes for a code point up to U+10FFFF, returns how many. */
size_t utf8_write(uint32_t character, uint8_t bytes[4]);

#endif
