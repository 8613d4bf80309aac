#include "base/log.h"
#include "proof/comparison.h"
#include "proof/standings.h"

enum { RETRY_MS = 2000, PATIENCE_MS = 60000 /* until a third has time */ };

/* What the answers say about their workers, and about what is usual. The rules are verify/learning.h's. */

static bool gives(const side *s) {
    return agreement_logprobs_given(&s->logprobs);
}

/* Whoever is checked and keeps back what it gives at other times is taken for one whose logprobs differ:
 * else it would give them when it is honest alone. What that weighs is learnt as everything is: where honest
 * runtimes sometimes give none, it is usual. Of the others it counts for nothing. */
static bool are_comparable(const side *one, const side *other) {
    bool withheld = one == &one->comparison->sides[CLAIMED] && one->withholds;
    return (gives(one) || withheld) && gives(other);
}

static double score_of(const side *one, const side *other, calibration_kind kind) {
    bool with = kind == CALIBRATION_LOGPROBS;
    const agreement_text texts[] = {
        {buffer_slice(&one->text), one->limit, one->tokens, one->was_cut, with ? &one->logprobs : NULL},
        {buffer_slice(&other->text), other->limit, other->tokens, other->was_cut,
         with ? &other->logprobs : NULL},
    };
    return with && !(gives(one) && gives(other)) ? 0 : agreement_of_texts(&texts[0], &texts[1]);
}

static const agreement_calibration *known_of(const comparison *c, calibration_kind kind) {
    return calibrations_find(c->all->calibrations, &c->keys[kind]);
}

/* By logprobs where enough is known of them, and from no worse teachers than of the texts. */
static calibration_kind kind_of(const comparison *c) {
    agreement_calibration texts = *known_of(c, CALIBRATION_TEXTS);
    const agreement_calibration *logprobs = known_of(c, CALIBRATION_LOGPROBS);
    bool better = agreement_is_calibrated(logprobs) && logprobs->by_referees >= texts.by_referees;
    return c->has_logprobs && better ? CALIBRATION_LOGPROBS : CALIBRATION_TEXTS;
}

static double ratio_of_three(const comparison *c, calibration_kind kind) {
    const side *claimed = &c->sides[CLAIMED];
    const side *repeated = &c->sides[REPEATED];
    const side *third = &c->sides[THIRD];
    return agreement_ratio_of_three(known_of(c, kind), c->scores[kind], score_of(claimed, third, kind),
                                    score_of(repeated, third, kind));
}

/* A third without logprobs can say which of two texts is the model's, but not which of two logprobs. */
static double ratio_of(const comparison *c) {
    calibration_kind kind = kind_of(c);
    double ratio = agreement_ratio(known_of(c, kind), c->scores[kind]);
    if (!c->sides[THIRD].is_known) {
        return ratio;
    }
    if (kind == CALIBRATION_TEXTS || gives(&c->sides[THIRD])) {
        return ratio_of_three(c, kind);
    }
    bool texts_differ = agreement_ratio(known_of(c, CALIBRATION_TEXTS), c->scores[CALIBRATION_TEXTS]) > 0;
    return ratio > 0 && texts_differ ? ratio_of_three(c, CALIBRATION_TEXTS) : ratio;
}

/* False: it is not enrolled any more. */
static bool party_of(const proof *f, const side *s, learning_party *party) {
    const fleet_worker *worker = fleet_find(f->pool->fleet, s->worker_id);
    if (worker == NULL) {
        return false;
    }
    *party = (learning_party){standings_of(f->standings, worker->id), slice_of_text(worker->owner),
                              worker->referee};
    return true;
}

static void learn_kind(const comparison *c, const side *one, const side *other, calibration_kind kind) {
    const proof *f = c->all->proof;
    const standing_rules rules = policy_rules(&f->pool->settings);
    learning_party a;
    learning_party b;
    if (!party_of(f, one, &a) || !party_of(f, other, &b)) {
        return;
    }
    learning_lesson lesson = learning_of_pair(known_of(c, kind), &rules, &a, &b);
    if (calibrations_learn(c->all->calibrations, f->pool->store, &c->keys[kind], lesson,
                           score_of(one, other, kind))) {
        log_info("it is known how alike a runtime's honest answers are", LOG_SLICE("model", c->model),
                 LOG_TEXT("profile", c->profile),
                 LOG_TEXT("of", kind == CALIBRATION_TEXTS ? "texts" : "logprobs"),
                 LOG_TEXT("from", lesson == LESSON_OF_REFEREES ? "referees" : "workers"));
    }
}

static void learn(const comparison *c, const side *one, const side *other) {
    learn_kind(c, one, other, CALIBRATION_TEXTS);
    if (are_comparable(one, other)) {
        learn_kind(c, one, other, CALIBRATION_LOGPROBS);
    }
}

void comparison_settle(comparison *c) {
    proof *f = c->all->proof;
    const side *claimed = &c->sides[CLAIMED];
    const side *repeated = &c->sides[REPEATED];
    const side *third = &c->sides[THIRD];
    calibration_kind kind = kind_of(c);
    double ratio = ratio_of(c);
    if (third->is_known && c->teaches) {
        learn(c, repeated, third);
    }
    learn(c, claimed, repeated);
    f->statistics.compared++;
    f->statistics.deviated += ratio > 0;
    c->is_settled = true;
    log_debug("answers of a runtime were compared", LOG_TEXT("profile", c->profile),
              LOG_TEXT("by", kind == CALIBRATION_TEXTS ? "texts" : "logprobs"),
              LOG_U64("alike_permille", c->scores[kind] * 1000),
              LOG_TEXT("result", ratio > 0 ? "deviates" : "agrees"));
    standings_move(f, claimed->worker_id, STANDING_DEVIATED, ratio);
    comparison_free(c);
}

void comparison_find_third(comparison *c) {
    calibration_kind kind = kind_of(c);
    bool deviates = agreement_ratio(known_of(c, kind), c->scores[kind]) > 0;
    if ((!deviates && !c->teaches) || c->all->proof->stopping) {
        comparison_settle(c);
    } else if (!comparison_ask_third(c)) {
        if (!deviates || ev_now_ms(c->all->proof->pool->loop) >= c->give_up_at) {
            comparison_settle(c);
        } else {
            comparison_wait(c, RETRY_MS);
        }
    }
}

void comparison_judge(comparison *c) {
    const side *claimed = &c->sides[CLAIMED];
    const side *repeated = &c->sides[REPEATED];
    for (calibration_kind kind = CALIBRATION_TEXTS; kind < CALIBRATION_KINDS; kind++) {
        c->scores[kind] = score_of(claimed, repeated, kind);
    }
    c->has_logprobs = are_comparable(claimed, repeated);
    c->is_judged = true;
    c->give_up_at = ev_now_ms(c->all->proof->pool->loop) + PATIENCE_MS;
    comparison_find_third(c);
}
