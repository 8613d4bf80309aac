#ifndef VERIFY_LEARNING_H
#define VERIFY_LEARNING_H

#include "verify/agreement.h"
#include "verify/standing.h"

/* Who says what honest pairs of a runtime look like (agreement.h). Whoever may teach can make its own cheat
 * usual, so:
 *   - until AGREEMENT_PAIRS_MIN pairs are known: two referees. Any two workers of different owners only where
 *     no two referees have taught yet: a site without them has nobody better, and without a beginning nobody
 *     would ever be in regular standing;
 *   - from then on: referees, and workers in regular standing of different owners, whose answers have agreed
 *     twenty times and aren't halfway to quarantine.
 * What a pair scores plays no part in whether it teaches: to leave out those that differ would make honest
 * pairs look better than they are. */

typedef struct learning_party {
    const standing *standing;
    slice owner; /* empty: not known, as of everybody */
    bool referee;
} learning_party;

typedef enum learning_lesson {
    LESSON_NONE,
    LESSON_OF_WORKERS,
    LESSON_OF_REFEREES /* what workers taught before is forgotten */
} learning_lesson;

/* What a pair of these two is worth to the calibration. Standing before the pair counts. */
learning_lesson learning_of_pair(const agreement_calibration *c, const standing_rules *rules,
                                 const learning_party *first, const learning_party *second);
/* Puts the score down, if it is worth something. */
void learning_take(agreement_calibration *c, learning_lesson lesson, double score);

/* What honest pairs look like isn't known from referees yet: a check asks two of them, where two have time,
 * beside the worker that is checked, and theirs is the pair that teaches. */
bool learning_wants_referees(const agreement_calibration *c);

#endif
