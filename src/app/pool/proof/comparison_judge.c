#include "base/log.h"
#include "proof/comparison.h"
#include "proof/standings.h"

enum { RETRY_MS = 2000, PATIENCE_MS = 60000 /* until a third has time */ };

/* What the answers say about their workers, and about what is usual. The rules are verify/learning.h's. */

static double score_of(const side *one, const side *other) {
    const agreement_text texts[] = {
        {buffer_slice(&one->text), one->limit, one->tokens, one->was_cut},
        {buffer_slice(&other->text), other->limit, other->tokens, other->was_cut},
    };
    return agreement_of_texts(&texts[0], &texts[1]);
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

static void learn(const comparison *c, const side *one, const side *other, double score) {
    const proof *f = c->all->proof;
    const standing_rules rules = policy_rules(&f->pool->settings);
    const agreement_calibration *known = calibrations_find(c->all->calibrations, &c->key);
    learning_party a;
    learning_party b;
    if (!party_of(f, one, &a) || !party_of(f, other, &b)) {
        return;
    }
    learning_lesson lesson = learning_of_pair(known, &rules, &a, &b);
    if (calibrations_learn(c->all->calibrations, f->pool->store, &c->key, lesson, score)) {
        log_info("it is known how alike a runtime's honest answers are", LOG_SLICE("model", c->model),
                 LOG_TEXT("profile", c->profile),
                 LOG_TEXT("from", lesson == LESSON_OF_REFEREES ? "referees" : "workers"));
    }
}

void comparison_settle(comparison *c) {
    proof *f = c->all->proof;
    const agreement_calibration *known = calibrations_find(c->all->calibrations, &c->key);
    const side *claimed = &c->sides[CLAIMED];
    const side *repeated = &c->sides[REPEATED];
    const side *third = &c->sides[THIRD];
    double ratio = agreement_ratio(known, c->score);
    if (third->is_known) {
        double of_others = score_of(repeated, third);
        ratio = agreement_ratio_of_three(known, c->score, score_of(claimed, third), of_others);
        if (c->teaches) {
            learn(c, repeated, third, of_others);
        }
    }
    learn(c, claimed, repeated, c->score);
    f->statistics.compared++;
    f->statistics.deviated += ratio > 0;
    c->is_settled = true;
    log_debug("answers of a runtime were compared", LOG_TEXT("profile", c->profile),
              LOG_U64("alike_permille", c->score * 1000),
              LOG_TEXT("result", ratio > 0 ? "deviates" : "agrees"));
    standings_move(f, claimed->worker_id, STANDING_DEVIATED, ratio);
    comparison_free(c);
}

void comparison_find_third(comparison *c) {
    bool deviates = agreement_ratio(calibrations_find(c->all->calibrations, &c->key), c->score) > 0;
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
    c->score = score_of(&c->sides[CLAIMED], &c->sides[REPEATED]);
    c->is_judged = true;
    c->give_up_at = ev_now_ms(c->all->proof->pool->loop) + PATIENCE_MS;
    comparison_find_third(c);
}
