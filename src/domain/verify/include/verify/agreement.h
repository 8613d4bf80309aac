#ifndef VERIFY_AGREEMENT_H
#define VERIFY_AGREEMENT_H

#include "base/error.h"
#include "base/slice.h"

#include <stdint.h>

/* Statistical checks, for runtimes that don't give the same bits everywhere: the same prompt again at
 * temperature 0 on another worker of the same runtime and model. How alike are two answers, how alike are
 * those of honest pairs, and how much more likely is this one under a cheat? */

/* Tokens, or bytes of whole UTF-8 characters, that two answers begin with in common. */
size_t agreement_common_tokens(const uint32_t *a, size_t a_count, const uint32_t *b, size_t b_count);
size_t agreement_common_text(slice a, slice b);

typedef struct agreement_pair {
    size_t claimed;  /* length of the answer; tokens if both have them, else bytes */
    size_t repeated; /* of the second one */
    size_t common;
    /* Natural logarithms, of the first `logprob_count` tokens of the common beginning, as each of the two
     * runtimes gave them for its own; 0: not given. */
    const float *claimed_logprobs;
    const float *repeated_logprobs;
    size_t logprob_count;
    /* Where they part: how much more likely the second runtime found its own token than the claimed one, if
     * the claimed one is among those it lists. 0 is a tie, which rounding decides. */
    bool has_gap;
    double gap;
} agreement_pair;

/* 1: the same. closeness · (share + (1 - share) · tie) with share = common / longer length, tie = e^-gap (0
 * when not known), closeness = mean of e^-|difference of logprobs| (1 when not given). A logprob that is no
 * number counts as closeness 0. */
double agreement_score(const agreement_pair *pair);

/* What a worker tells of its tokens beside the text: plain values, all zeros is an empty one. Of tokens only
 * their number is known, and that a text grew by so much with so many of them. */
enum { AGREEMENT_LOGPROBS_MAX = 256 }; /* of the beginning; what follows is let go */
typedef struct agreement_logprobs {
    uint32_t count;
    bool incomplete; /* not of every token: they say nothing */
    float values[AGREEMENT_LOGPROBS_MAX];
    uint32_t ends[AGREEMENT_LOGPROBS_MAX]; /* of the text, about */
} agreement_logprobs;
/* The text has grown from `before` to `after` bytes with `tokens` tokens, and these came with them, one of
 * each or none. */
void agreement_logprobs_add(agreement_logprobs *l, const float *values, size_t count, size_t tokens,
                            size_t before, size_t after);
/* NULL is allowed: false. */
bool agreement_logprobs_given(const agreement_logprobs *l);

/* An answer as it was given under `limit` tokens. */
typedef struct agreement_text {
    slice text;
    uint64_t limit;
    uint64_t tokens;                    /* as its worker counted them */
    bool was_cut;                       /* its worker says that it ended because the limit was reached */
    const agreement_logprobs *logprobs; /* NULL: not to be looked at */
} agreement_text;

/* The score of two texts. If one was cut at its limit where the other was allowed more, only as much of the
 * other is compared; but who says that it was cut must have said about as much as the other in so many
 * tokens, at least an eighth of it (a runtime may say several tokens at once): else it could say one word and
 * be right.
 * With logprobs of both, those of the common beginning count too, token by token; the score is 0 if one of
 * them tells of less than half as many tokens there as the other: else it could tell of one. Such scores are
 * lower than those of texts alone, so they need a calibration of their own. */
double agreement_of_texts(const agreement_text *one, const agreement_text *other);

/* How honest pairs of one (runtime, model) score: plain values that the caller stores. All zeros is an empty
 * one. Who may feed it is in learning.h. */
enum {
    AGREEMENT_BINS = 128,
    AGREEMENT_PAIRS_MIN = 200,  /* before that it says nothing */
    AGREEMENT_PAIRS_MAX = 4096, /* then all counts are halved: it follows a runtime that changes */
};
typedef struct agreement_calibration {
    uint32_t pairs;
    uint32_t by_referees; /* 1: it was begun by pairs of referees */
    uint32_t bins[AGREEMENT_BINS];
} agreement_calibration;

void agreement_calibrate(agreement_calibration *c, double score);
bool agreement_is_calibrated(const agreement_calibration *c);
/* Scores below it are deviations: at most one honest pair in a hundred. 0: nothing is. */
double agreement_limit(const agreement_calibration *c);
/* ln(P(score | a tenth of the answers are not the model's) / P(score | honest)): the score of
 * STANDING_DEVIATED. 0 while not calibrated. */
double agreement_ratio(const agreement_calibration *c, double score);
/* The same where a third has answered, since the first two deviate. Which of them was it? The score that
 * counts is how alike the claim is to whichever it is more alike to, and honest ones stand alone half as
 * often as pairs differ. Where the other two differ as well, of three answers, nothing is said (0): two that
 * are wrong prove nothing about one. Nothing is held against the other: it would get the blame of its
 * deviations and no credit for answers that agree. */
double agreement_ratio_of_three(const agreement_calibration *c, double with_other, double with_third,
                                double of_others);
/* For what comes back from a store: ERROR_CORRUPT. */
MUST_CHECK bool agreement_check(const agreement_calibration *c, error *err);

#endif
