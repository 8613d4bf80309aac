#include "verify/learning.h"

static bool is_suspect(const standing *s, const standing_rules *rules) {
    return s->cusum > rules->cusum_limit / 2;
}

static bool is_fit(const learning_party *p, const standing_rules *rules) {
    bool good = p->standing->state == STANDING_NEW || p->standing->state == STANDING_REGULAR;
    return good && !is_suspect(p->standing, rules);
}

static bool is_proven(const learning_party *p) {
    return p->referee || p->standing->state == STANDING_REGULAR;
}

static bool have_different_owners(const learning_party *first, const learning_party *second) {
    return first->owner.length > 0 && second->owner.length > 0 && !slice_equal(first->owner, second->owner);
}

learning_lesson learning_of_pair(const agreement_calibration *c, const standing_rules *rules,
                                 const learning_party *first, const learning_party *second) {
    if (!is_fit(first, rules) || !is_fit(second, rules)) {
        return LESSON_NONE;
    }
    if (first->referee && second->referee) {
        return LESSON_OF_REFEREES;
    }
    bool may = agreement_is_calibrated(c) ? is_proven(first) && is_proven(second) : c->by_referees == 0;
    return may && have_different_owners(first, second) ? LESSON_OF_WORKERS : LESSON_NONE;
}

void learning_take(agreement_calibration *c, learning_lesson lesson, double score) {
    if (lesson == LESSON_OF_REFEREES && c->by_referees == 0) {
        *c = (agreement_calibration){.by_referees = 1};
    }
    if (lesson != LESSON_NONE) {
        agreement_calibrate(c, score);
    }
}

bool learning_wants_referees(const agreement_calibration *c) {
    return c->by_referees == 0 || !agreement_is_calibrated(c);
}
