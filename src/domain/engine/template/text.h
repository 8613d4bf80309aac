#ifndef TEMPLATE_TEXT_H
#define TEMPLATE_TEXT_H

#include "base/arena.h"

/* Text that knows, byte by byte, whether the template wrote it. Immutable; parts share memory. A byte that is
 * derived from what the template didn't write is not trusted. Private to the room. */
typedef struct text {
    slice bytes;
    const uint8_t *marks; /* 1 for each trusted byte; NULL: all are as `trusted` says */
    bool trusted;
} text;

text text_trusted(slice bytes);
text text_untrusted(slice bytes);
bool text_trusted_at(const text *t, size_t index);
bool text_is_trusted(const text *t); /* each byte; true of the empty text */
text text_part(const text *t, size_t start, size_t length);

/* Python's characters: code points; a byte that isn't UTF-8 is one by itself. */
size_t text_character_size(slice bytes);
size_t text_character_count(slice bytes);
uint32_t text_first_character(slice bytes);
/* Bytes of the whitespace, in Python's sense, that `bytes` begins with; 0: none. */
size_t text_space_at_start(slice bytes);
/* Without whitespace at the ends, or without the characters of `characters` when that isn't NULL. */
text text_strip(const text *t, const slice *characters, bool left, bool right);
/* Bytes of the line end that `bytes` begins with, as Python's splitlines sees it; 0: none. */
size_t text_line_end(slice bytes);

/* Text being built in an arena. Failure is sticky. */
typedef struct text_builder {
    arena *memory;
    size_t memory_limit; /* of the arena's use */
    size_t length_limit;
    uint8_t *bytes;
    uint8_t *marks; /* from the first byte on whose trust differs from that of the bytes before it */
    size_t length;
    size_t capacity;
    bool trusted; /* without marks: what all bytes are */
    bool failed;
} text_builder;

void text_append(text_builder *b, const text *t);
void text_append_bytes(text_builder *b, slice bytes, bool trusted);
void text_append_literal(text_builder *b, const char *words, bool trusted);
text text_finish(const text_builder *b);

#endif
