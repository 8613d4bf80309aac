#ifndef VERIFY_PAIR_INTERNAL_H
#define VERIFY_PAIR_INTERNAL_H

#include "base/buffer.h"
#include "verify/pair.h"

/* Shared by pair.c (who is there, what may be released) and pair_compare.c (what two have said). */

#define NOBODY SIZE_MAX

enum { PAIR_STATE_COUNT = PAIR_FAILED + 1 };

/* So many tokens, and so many bytes of text. */
typedef struct pair_mark {
    size_t tokens;
    size_t text;
} pair_mark;

typedef struct pair_side {
    pair_standing standing;
    buffer text;
    buffer tokens; /* uint32_t */
    buffer marks;  /* pair_mark: one for each piece with text */
    bool ended;
    bool silent; /* lost before its end */
    size_t held; /* bytes of its text that are known to equal what was released */
    pair_ending ending;
} pair_side;

struct pair {
    pair_state state;
    size_t tokens_limit;
    size_t text_limit;
    pair_side sides[PAIR_SIDES];
    size_t members[2]; /* or NOBODY */
    size_t judge;      /* in PAIR_JUDGING, else NOBODY */
    unsigned judged;
    pair_difference difference;
    pair_mark same[PAIR_SIDES][PAIR_SIDES]; /* of two sides: the equal beginning that is known so far */
    buffer released;
};

static inline const uint32_t *side_tokens(const pair_side *s) {
    return (const uint32_t *)(const void *)buffer_slice(&s->tokens).data;
}

static inline size_t side_token_count(const pair_side *s) {
    return buffer_length(&s->tokens) / sizeof(uint32_t);
}

/* Follows what was said, until nothing moves any more. */
void pair_settle(pair *p);

/* Whether two sides differ in what both have said so far, and where; remembers how far they are equal. */
MUST_CHECK bool pair_compare(pair *p, size_t a, size_t b, pair_difference *difference);

typedef enum pair_verdict { PAIR_OPEN, PAIR_WITH, PAIR_AGAINST } pair_verdict;
/* Whether the judge says the same as a member, up to the place of the difference and there. */
pair_verdict pair_stands_with(pair *p, size_t judge, size_t member);

#endif
