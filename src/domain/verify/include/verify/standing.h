#ifndef VERIFY_STANDING_H
#define VERIFY_STANDING_H

#include "base/error.h"
#include "verify/policy.h"

#include <stdint.h>

/* What the pool thinks of a worker: plain values that the caller stores as they are. All zeros is a new
 * worker. The README has the table of moves. */
#define STANDING_STATES(X)                                                                                   \
    X(STANDING_NEW, "new")                 /* every answer is checked */                                     \
    X(STANDING_REGULAR, "regular")         /* fewer the longer it goes well */                               \
    X(STANDING_ALERT, "alert")             /* more, for a while: a mismatch, or a check evaded */            \
    X(STANDING_QUARANTINED, "quarantined") /* no new prompts until somebody has decided */                   \
    X(STANDING_CONVICTED, "convicted")     /* proved wrong; only a human takes it back */

typedef enum standing_state {
#define X(state, name) state,
    STANDING_STATES(X)
#undef X
} standing_state;

#define STANDING_EVENTS(X)                                                                                   \
    X(STANDING_ANSWERED, "answered") /* gave an answer whose mode isn't off; after its rate was asked */     \
    X(STANDING_AGREED, "agreed")     /* an answer of its was checked and agrees, exactly */                  \
    X(STANDING_VERIFIED, "verified") /* it did a check of another's answer, and in time */                   \
    X(STANDING_DISPUTED, "disputed") /* party to an exact mismatch, as worker or as verifier */              \
    X(STANDING_ABSOLVED, "absolved") /* that dispute ended well for it */                                    \
    X(STANDING_WAS_CONVICTED, "convicted") /* that dispute, or a human, found it wrong */                    \
    X(STANDING_DEVIATED, "deviated")       /* a statistical check: `score` is its log-likelihood ratio */    \
    X(STANDING_EVADED, "evaded")           /* refused a check, lost it, or answered too late */              \
    X(STANDING_REHABILITATED, "rehabilitated") /* a human lets it begin anew */

typedef enum standing_event {
#define X(event, name) event,
    STANDING_EVENTS(X)
#undef X
} standing_event;

typedef struct standing {
    standing_state state;
    uint64_t answers;         /* in modes that check */
    uint64_t checks;          /* of its answers that came to a result */
    uint64_t agreed;          /* of these */
    uint64_t mismatches;      /* of these; and of checks it did, when they were disputed */
    uint64_t evasions;        /* checks it was to do and didn't */
    uint64_t consecutive;     /* agreed since the last mismatch or evasion */
    uint32_t passed;          /* agreed while it was new */
    uint32_t evasions_in_row; /* since it last did a check */
    uint32_t alert_left;      /* answers still checked at the rate of alert */
    uint32_t disputes;        /* not decided yet */
    bool held; /* quarantined for evasions or deviation, not for a dispute: until a human decides */
    double cusum;
    double alpha; /* good and bad results, older ones counting less */
    double beta;
    uint64_t changed_ms; /* of the state; Unix */
} standing;

typedef struct standing_rules {
    double floor;           /* 0.03: no worker is checked less in `spot` */
    uint32_t first;         /* 20: checks of its own answers that must agree before it stops being new */
    double alert_rate;      /* 0.5 */
    uint32_t alert_answers; /* 30 */
    uint32_t evasion_limit; /* 8 in a row without doing one check, then quarantine */
    double cusum_limit;     /* 7: quarantine when the sum is above */
    double forgetting;      /* 0.995: what an older result counts, per newer one, in the score for display */
} standing_rules;

standing_rules standing_rules_default(void);

/* "alert", "evaded"; static text. Parsing: exactly one of the names. */
const char *standing_state_name(standing_state state);
const char *standing_event_name(standing_event event);
MUST_CHECK bool standing_state_parse(slice text, standing_state *state);

/* The share of its answers to be checked, 0 to 1: an answer is checked if its draw is below. */
double standing_rate(const standing *s, const standing_rules *rules, verify_mode mode);
/* May it be given new prompts, of users or of checks? */
bool standing_may_serve(const standing *s);
/* May a referee, or whoever is left, judge a dispute that it is no party to? Disputes of its own don't keep
 * it from that: a few wrong answers, each checked by another referee, would leave nobody to judge any of
 * them. */
bool standing_may_judge(const standing *s);

/* One move of the table. `score` matters for STANDING_DEVIATED only: above 0 speaks against the worker, below
 * for it, 0 says nothing (not calibrated); a single one counts at most half of the limit. ERROR_CONFLICT: not
 * allowed in this state; ERROR_INVALID: a score that is no number; ERROR_CORRUPT: `s` was not sound before.
 * Then nothing has changed. */
MUST_CHECK bool standing_move(standing *s, const standing_rules *rules, standing_event event, double score,
                              uint64_t now_ms, error *err);
/* The invariants; for what comes back from a store. ERROR_CORRUPT names the one that is broken. */
MUST_CHECK bool standing_check(const standing *s, error *err);

/* Mean of the Beta distribution of good results, 0 to 1 (0.5 knows nothing): for display and routing only, no
 * verdict depends on it. Jøsang and Ismail, The Beta Reputation System, 2002. */
double standing_score(const standing *s);

#endif
