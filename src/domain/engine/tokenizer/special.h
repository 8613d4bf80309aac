#ifndef ENGINE_SPECIAL_H
#define ENGINE_SPECIAL_H

#include "vocabulary.h"

/* Finds special tokens in text: longer spellings first, wherever they are, and of one length the leftmost, as
 * llama.cpp does. */
typedef struct special {
    const vocabulary *v;
    uint16_t lengths[TOKEN_LENGTH_MAX]; /* of spellings, falling */
    size_t length_count;
    bool takes_spaces;  /* white space behind a control token belongs to it (phi3), but */
    uint32_t leaves[3]; /* not behind these */
} special;

/* Where control tokens may be spelled. In order, not empty, not touching. */
typedef struct special_range {
    size_t start;
    size_t end;
} special_range;

/* `text`: between special tokens, not empty; or empty: `token`. */
typedef bool special_visit(void *context, slice text, uint32_t token, error *err);

void special_read(special *s, const vocabulary *v, const gguf *file);
/* Calls `visit` in order for all of the text. */
MUST_CHECK bool special_split(const special *s, slice text, const special_range *trusted,
                              size_t trusted_count, special_visit *visit, void *context, error *err);

#endif
