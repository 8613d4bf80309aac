#ifndef TRAIN_TOKENIZER_H
#define TRAIN_TOKENIZER_H

#include "base/arena.h"

/* Byte-level byte pair encoding as GPT-2 does it (Sennrich 2016; Radford 2019). Tokens 0..255 are the bytes,
 * then one token per merge in order of rank, then the control tokens. */
enum {
    TOKENIZER_BYTES = 256,
    TOKENIZER_VOCABULARY_MAX = 8192,
    TOKENIZER_CONTROLS = 3, /* end of text, turn start, turn end: the last three ids, in this order */
};

typedef struct tokenizer {
    uint32_t vocabulary; /* all tokens */
    uint32_t merges;
    uint32_t end_of_text; /* <|endoftext|> */
    uint32_t turn_start;  /* <|im_start|> */
    uint32_t turn_end;    /* <|im_end|> */
    slice *pieces;        /* bytes of each token; the control tokens' names */
    uint16_t (*pairs)[2]; /* merge i joins these two tokens into token 256 + i */
    uint16_t *joined;     /* [left * vocabulary + right]: the token they join into, or 0 */
} tokenizer;

/* A tokenizer whose merges come from elsewhere (a file). */
MUST_CHECK bool tokenizer_make(arena *a, const uint16_t (*pairs)[2], uint32_t merges, tokenizer *t,
                               error *err);
/* Learns merges from the texts until there are `vocabulary` tokens or no pair occurs twice. Ties: the lowest
 * pair of ids. */
MUST_CHECK bool tokenizer_train(arena *a, const slice *texts, size_t count, uint32_t vocabulary, tokenizer *t,
                                error *err);

/* Length of the first piece that GPT-2's pattern cuts off a non-empty text. ASCII: other bytes count as
 * letters. */
size_t tokenizer_split(slice text);

/* Appends tokens to ids[*count]; false if `capacity` doesn't suffice. Control tokens are never made from
 * text. */
MUST_CHECK bool tokenizer_encode(const tokenizer *t, slice text, uint32_t *ids, size_t *count,
                                 size_t capacity);

#endif
