#ifndef VERIFY_PAIR_H
#define VERIFY_PAIR_H

#include "base/error.h"
#include "base/slice.h"

#include <stdint.h>

/* One question answered by two workers at once: their answers are compared as they come, and only what both
 * have said may be released. Where they differ a third, the judge, computes from the start and takes the
 * place of the one that it contradicts at that place.
 *
 *   waiting ──a second joins──> running ──both ended, all equal──> agreed
 *      ^  └─────one is lost───────┘ │
 *      │                      they differ
 *      │                            v
 *      │                        different ──a third joins──> judging ──contradicts both──> failed
 *      │                            ^───────it is lost────────┘ │
 *      └─────the winner has been lost─── contradicts one of them ──> running
 *
 * Whoever joins computes from the first token. Pure; all memory is bounded by the limits given to pair_new:
 * PAIR_SIDES answers, and the text released. */
typedef struct pair pair;

enum {
    PAIR_SIDES = 5,     /* two, the judge, and those that were contradicted before */
    PAIR_JUDGES_MAX = 3 /* differences settled in one answer; after that it fails */
};

#define PAIR_STATES(X)                                                                                       \
    X(PAIR_WAITING, "waiting")     /* fewer than two: one more may join */                                   \
    X(PAIR_RUNNING, "running")     /* two, equal so far */                                                   \
    X(PAIR_DIFFERENT, "different") /* the judge may join; only what was equal before is released */          \
    X(PAIR_JUDGING, "judging")     /* the judge is on its way to the place */                                \
    X(PAIR_AGREED, "agreed")       /* the end: the answer is complete, and all of it may be released */      \
    X(PAIR_FAILED, "failed")       /* the end: there is no answer */

typedef enum pair_state {
#define X(name, text) name,
    PAIR_STATES(X)
#undef X
} pair_state;

/* What the two differ in. Text that differs though no token does is a difference as well, and so is a
 * commitment, which stands for the logits behind the tokens. */
#define PAIR_ASPECTS(X)                                                                                      \
    X(PAIR_TOKEN, "token")           /* position: of the first token that differs */                         \
    X(PAIR_LENGTH, "length")         /* position: where one has ended and the other goes on */               \
    X(PAIR_TEXT, "text")             /* position: byte */                                                    \
    X(PAIR_ENDING, "ending")         /* why it ended, or how long the prompt was */                          \
    X(PAIR_COMMITMENT, "commitment") /* nothing else */

typedef enum pair_aspect {
#define X(name, text) name,
    PAIR_ASPECTS(X)
#undef X
} pair_aspect;

typedef struct pair_difference {
    pair_aspect aspect;
    size_t position;
} pair_difference;

typedef struct pair_ending {
    uint32_t finish; /* any numbering */
    uint32_t prompt_tokens;
    uint8_t commitment[32];
} pair_ending;

MUST_CHECK pair *pair_new(size_t tokens_limit, size_t text_limit, error *err);
/* Wipes what was said. NULL is allowed. */
void pair_free(pair *p);

/* How many more are wanted at present: in PAIR_WAITING two less those that are there, in PAIR_DIFFERENT the
 * judge. */
size_t pair_wanted(const pair *p);
/* `side` is its number until pair_lose, or to the end. ERROR_CONFLICT: nobody is wanted. */
MUST_CHECK bool pair_join(pair *p, size_t *side, error *err);
/* The next piece of a side's answer. A contradicted side may go on, for its receipt. ERROR_LIMIT: longer than
 * the limits allow; ERROR_CONFLICT: it has ended, or isn't there; ERROR_MEMORY. Nothing has changed then. */
MUST_CHECK bool pair_say(pair *p, size_t side, const uint32_t *tokens, size_t count, slice text, error *err);
MUST_CHECK bool pair_end(pair *p, size_t side, const pair_ending *ending, error *err);
/* It will say no more. After its end this changes nothing; in a difference what it said still stands to be
 * contradicted, but it can't win any more; else it is forgotten and its number is free. */
void pair_lose(pair *p, size_t side);

/* Text that both have said and that hasn't been returned yet, in whole UTF-8 characters; valid until the next
 * call. A piece that came together with tokens is released when the other has said all of these tokens. */
MUST_CHECK bool pair_release(pair *p, slice *text, error *err);
/* Tokens that both have said. */
size_t pair_agreed_tokens(const pair *p);

pair_state pair_state_of(const pair *p);
const char *pair_state_name(pair_state state);    /* "judging"; static */
const char *pair_aspect_name(pair_aspect aspect); /* "token"; static */
/* Of PAIR_DIFFERENT, PAIR_JUDGING and what has followed from them: the latest. */
pair_difference pair_latest_difference(const pair *p);

typedef enum pair_standing {
    PAIR_ABSENT,
    PAIR_MEMBER,      /* one of the two */
    PAIR_JUDGE,       /* the third */
    PAIR_LOST,        /* one of the two in a difference, but it will say no more */
    PAIR_CONTRADICTED /* the judge has said otherwise, with the other of the two */
} pair_standing;
pair_standing pair_standing_of(const pair *p, size_t side);
/* What it has said, all of it; valid until the next call about this side. */
slice pair_text(const pair *p, size_t side);
const uint32_t *pair_tokens(const pair *p, size_t side, size_t *count);
bool pair_has_ended(const pair *p, size_t side);

/* Every invariant of the README; costs as much as all that was said. For tests. */
MUST_CHECK bool pair_check(const pair *p, error *err);

#endif
