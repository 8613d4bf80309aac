#include "verify/standing.h"

#include <math.h>

static const char *const state_names[] = {
#define X(state, name) [state] = name,
    STANDING_STATES(X)
#undef X
};

static const char *const event_names[] = {
#define X(event, name) [event] = name,
    STANDING_EVENTS(X)
#undef X
};

enum {
    STATES = sizeof state_names / sizeof state_names[0],
    EVENTS = sizeof event_names / sizeof event_names[0],
    NEW = 1 << STANDING_NEW,
    REGULAR = 1 << STANDING_REGULAR,
    ALERT = 1 << STANDING_ALERT,
    QUARANTINED = 1 << STANDING_QUARANTINED,
    CONVICTED = 1 << STANDING_CONVICTED
};

/* The states that an event may lead to; none: not allowed. */
static const uint8_t allowed[STATES][EVENTS] = {
    [STANDING_NEW] = {[STANDING_ANSWERED] = NEW,
                      [STANDING_AGREED] = NEW | REGULAR,
                      [STANDING_VERIFIED] = NEW,
                      [STANDING_DISPUTED] = QUARANTINED,
                      [STANDING_WAS_CONVICTED] = CONVICTED,
                      [STANDING_DEVIATED] = NEW | REGULAR | QUARANTINED,
                      [STANDING_EVADED] = NEW | QUARANTINED},
    [STANDING_REGULAR] = {[STANDING_ANSWERED] = REGULAR,
                          [STANDING_AGREED] = REGULAR,
                          [STANDING_VERIFIED] = REGULAR,
                          [STANDING_DISPUTED] = QUARANTINED,
                          [STANDING_WAS_CONVICTED] = CONVICTED,
                          [STANDING_DEVIATED] = REGULAR | ALERT | QUARANTINED,
                          [STANDING_EVADED] = ALERT | QUARANTINED},
    [STANDING_ALERT] = {[STANDING_ANSWERED] = ALERT | REGULAR,
                        [STANDING_AGREED] = ALERT,
                        [STANDING_VERIFIED] = ALERT,
                        [STANDING_DISPUTED] = QUARANTINED,
                        [STANDING_WAS_CONVICTED] = CONVICTED,
                        [STANDING_DEVIATED] = ALERT | QUARANTINED,
                        [STANDING_EVADED] = ALERT | QUARANTINED},
    [STANDING_QUARANTINED] = {[STANDING_ANSWERED] = QUARANTINED,
                              [STANDING_AGREED] = QUARANTINED,
                              [STANDING_VERIFIED] = QUARANTINED,
                              [STANDING_DISPUTED] = QUARANTINED,
                              [STANDING_ABSOLVED] = QUARANTINED | ALERT | NEW,
                              [STANDING_WAS_CONVICTED] = CONVICTED,
                              [STANDING_DEVIATED] = QUARANTINED,
                              [STANDING_EVADED] = QUARANTINED,
                              [STANDING_REHABILITATED] = NEW},
    [STANDING_CONVICTED] = {[STANDING_ANSWERED] = CONVICTED,
                            [STANDING_AGREED] = CONVICTED,
                            [STANDING_VERIFIED] = CONVICTED,
                            [STANDING_DISPUTED] = CONVICTED,
                            [STANDING_ABSOLVED] = CONVICTED,
                            [STANDING_WAS_CONVICTED] = CONVICTED,
                            [STANDING_DEVIATED] = CONVICTED,
                            [STANDING_EVADED] = CONVICTED,
                            [STANDING_REHABILITATED] = NEW},
};

standing_rules standing_rules_default(void) {
    return (standing_rules){
        .floor = 0.03,
        .first = 20,
        .alert_rate = 0.5,
        .alert_answers = 30,
        .evasion_limit = 8,
        .cusum_limit = 7,
        .forgetting = 0.995,
    };
}

const char *standing_state_name(standing_state state) {
    return state_names[state];
}

const char *standing_event_name(standing_event event) {
    return event_names[event];
}

bool standing_state_parse(slice text, standing_state *state) {
    for (unsigned i = 0; i < STATES; i++) {
        if (slice_equal_text(text, state_names[i])) {
            *state = (standing_state)i;
            return true;
        }
    }
    *state = STANDING_QUARANTINED;
    return false;
}

static double regular_rate(const standing *s, const standing_rules *rules) {
    return s->consecutive == 0 ? 1 : fmax(rules->floor, 1 / (double)s->consecutive);
}

double standing_rate(const standing *s, const standing_rules *rules, verify_mode mode) {
    if (mode == VERIFY_OFF) {
        return 0;
    }
    if (mode != VERIFY_SPOT) {
        return 1;
    }
    switch (s->state) {
    case STANDING_REGULAR:
        return fmin(1, regular_rate(s, rules));
    case STANDING_ALERT:
        return fmin(1, fmax(rules->floor, rules->alert_rate));
    case STANDING_NEW:
    case STANDING_QUARANTINED:
    case STANDING_CONVICTED:
        break;
    }
    return 1;
}

bool standing_may_serve(const standing *s) {
    return s->state == STANDING_NEW || s->state == STANDING_REGULAR || s->state == STANDING_ALERT;
}

bool standing_may_judge(const standing *s) {
    return s->state != STANDING_CONVICTED && !s->held;
}

double standing_score(const standing *s) {
    return (s->alpha + 1) / (s->alpha + s->beta + 2); /* from a prior that is uniform */
}

#define REQUIRE(condition)                                                                                   \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            return error_set(err, ERROR_CORRUPT, "a worker's standing doesn't hold together: %s",            \
                             #condition);                                                                    \
        }                                                                                                    \
    } while (0)

bool standing_check(const standing *s, error *err) {
    REQUIRE((unsigned)s->state < STATES);
    REQUIRE(s->agreed <= s->checks);
    REQUIRE(s->consecutive <= s->agreed);
    REQUIRE(s->passed <= s->agreed);
    REQUIRE(s->evasions_in_row <= s->evasions);
    REQUIRE(s->disputes <= s->mismatches);
    REQUIRE((s->state == STANDING_ALERT) == (s->alert_left > 0));
    REQUIRE(s->state != STANDING_QUARANTINED || s->disputes > 0 || s->held);
    REQUIRE(!standing_may_serve(s) || s->disputes == 0);
    REQUIRE(!s->held || s->state == STANDING_QUARANTINED);
    REQUIRE(isfinite(s->cusum) && s->cusum >= 0);
    REQUIRE(isfinite(s->alpha) && s->alpha >= 0 && isfinite(s->beta) && s->beta >= 0);
    return true;
}

static bool is_uncalled_for(const standing *s, standing_event event) {
    return event == STANDING_ABSOLVED && s->state == STANDING_QUARANTINED && s->disputes == 0;
}

static void weigh(standing *s, const standing_rules *rules, double alpha, double beta) {
    s->alpha = s->alpha * rules->forgetting + alpha;
    s->beta = s->beta * rules->forgetting + beta;
}

static void count_good(standing *s, const standing_rules *rules) {
    s->checks++;
    s->agreed++;
    s->consecutive++;
    weigh(s, rules, 1, 0);
    if (s->state == STANDING_NEW && ++s->passed >= rules->first) {
        s->state = STANDING_REGULAR;
    }
}

static void be_alert(standing *s, const standing_rules *rules) {
    if (s->state == STANDING_REGULAR || s->state == STANDING_ALERT) {
        s->state = STANDING_ALERT;
        s->alert_left = rules->alert_answers > 0 ? rules->alert_answers : 1;
    }
}

static void quarantine(standing *s) {
    if (s->state != STANDING_CONVICTED) {
        s->state = STANDING_QUARANTINED;
    }
    s->alert_left = 0;
}

static void hold(standing *s) {
    quarantine(s);
    s->held = s->state == STANDING_QUARANTINED;
}

static void answer(standing *s) {
    s->answers++;
    if (s->state == STANDING_ALERT && --s->alert_left == 0) {
        s->state = STANDING_REGULAR;
    }
}

static void dispute(standing *s, const standing_rules *rules) {
    s->mismatches++;
    s->disputes++;
    s->consecutive = 0;
    weigh(s, rules, 0, 1);
    quarantine(s);
}

/* The mismatch wasn't its own, but it stays under watch: who disputes is never quite out of it. */
static void absolve(standing *s, const standing_rules *rules) {
    s->disputes -= s->disputes > 0 ? 1 : 0;
    s->beta = fmax(0, s->beta - 1);
    if (s->state == STANDING_QUARANTINED && s->disputes == 0 && !s->held) {
        s->state = s->passed < rules->first ? STANDING_NEW : STANDING_REGULAR;
        be_alert(s, rules);
    }
}

static void convict(standing *s) {
    s->disputes -= s->disputes > 0 ? 1 : 0;
    s->consecutive = 0;
    s->alert_left = 0;
    s->held = false;
    s->state = STANDING_CONVICTED;
}

static void deviate(standing *s, const standing_rules *rules, double score) {
    double bound = rules->cusum_limit / 2;
    s->cusum = fmax(0, s->cusum + fmax(-bound, fmin(bound, score)));
    if (score < 0) {
        count_good(s, rules);
    } else {
        s->checks++;
    }
    if (score > 0) {
        s->mismatches++;
        s->consecutive = 0;
        weigh(s, rules, 0, 1);
        be_alert(s, rules);
    }
    if (score > 0 && s->cusum > rules->cusum_limit) {
        hold(s);
    }
}

static void evade(standing *s, const standing_rules *rules) {
    s->evasions++;
    s->evasions_in_row++;
    s->consecutive = 0;
    weigh(s, rules, 0, 1);
    be_alert(s, rules);
    if (s->evasions_in_row >= rules->evasion_limit) {
        hold(s);
    }
}

/* The counts stay, for the record. */
static void rehabilitate(standing *s) {
    s->state = STANDING_NEW;
    s->held = false;
    s->disputes = 0;
    s->passed = 0;
    s->consecutive = 0;
    s->evasions_in_row = 0;
    s->cusum = 0;
    s->alpha = 0;
    s->beta = 0;
}

static void apply(standing *s, const standing_rules *rules, standing_event event, double score) {
    switch (event) {
    case STANDING_ANSWERED:
        answer(s);
        break;
    case STANDING_AGREED:
        count_good(s, rules);
        break;
    case STANDING_VERIFIED:
        s->evasions_in_row = 0;
        break;
    case STANDING_DISPUTED:
        dispute(s, rules);
        break;
    case STANDING_ABSOLVED:
        absolve(s, rules);
        break;
    case STANDING_WAS_CONVICTED:
        convict(s);
        break;
    case STANDING_DEVIATED:
        deviate(s, rules, score);
        break;
    case STANDING_EVADED:
        evade(s, rules);
        break;
    case STANDING_REHABILITATED:
        rehabilitate(s);
        break;
    }
}

bool standing_move(standing *s, const standing_rules *rules, standing_event event, double score,
                   uint64_t now_ms, error *err) {
    if (!standing_check(s, err)) {
        return false;
    }
    if (allowed[s->state][event] == 0 || is_uncalled_for(s, event)) {
        return error_set(err, ERROR_CONFLICT, "a worker that is %s can't be told \"%s\"",
                         state_names[s->state], event_names[event]);
    }
    if (event == STANDING_DEVIATED && !isfinite(score)) {
        return error_set(err, ERROR_INVALID, "the score of a statistical check is no number");
    }
    standing moved = *s;
    apply(&moved, rules, event, score);
    if ((allowed[s->state][event] & 1 << moved.state) == 0) {
        return error_set(err, ERROR_INTERNAL, "a worker that is %s went to %s on \"%s\"",
                         state_names[s->state], state_names[moved.state], event_names[event]);
    }
    if (!standing_check(&moved, err)) {
        return false;
    }
    if (moved.state != s->state) {
        moved.changed_ms = now_ms;
    }
    *s = moved;
    return true;
}
