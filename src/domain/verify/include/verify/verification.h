#ifndef VERIFY_VERIFICATION_H
#define VERIFY_VERIFICATION_H

#include "base/error.h"
#include "base/slice.h"

#include <stdint.h>

/* One check, from the draw to the verdict: plain values that the caller stores. The README has the table. */
#define VERIFICATION_STATES(X)                                                                               \
    X(VERIFICATION_KEPT, "kept")                     /* not drawn: kept for a re-check */                    \
    X(VERIFICATION_WAITING, "waiting")               /* for a verifier */                                    \
    X(VERIFICATION_RUNNING, "running")               /* a verifier has it */                                 \
    X(VERIFICATION_DISPUTED, "disputed")             /* they differ; waiting for a referee */                \
    X(VERIFICATION_JUDGING, "judging")               /* a referee has it */                                  \
    X(VERIFICATION_AGREED, "agreed")                 /* the end */                                           \
    X(VERIFICATION_WORKER_WRONG, "worker_wrong")     /* the end */                                           \
    X(VERIFICATION_VERIFIER_WRONG, "verifier_wrong") /* the end */                                           \
    X(VERIFICATION_OPEN, "open")                     /* a human decides */                                   \
    X(VERIFICATION_GIVEN_UP, "given_up")             /* the end, without a result */

typedef enum verification_state {
#define X(state, name) state,
    VERIFICATION_STATES(X)
#undef X
} verification_state;

#define VERIFICATION_EVENTS(X)                                                                               \
    X(VERIFICATION_DRAWN, "drawn")       /* a kept one is to be checked after all */                         \
    X(VERIFICATION_ASSIGNED, "assigned") /* to a verifier */                                                 \
    X(VERIFICATION_LOST, "lost")         /* the verifier didn't do it */                                     \
    X(VERIFICATION_HAS_AGREED, "agreed") /* VERIFY_AGREES */                                                 \
    X(VERIFICATION_DIFFERED, "differed") /* VERIFY_DIFFERS */                                                \
    X(VERIFICATION_REFEREE_ASSIGNED, "referee_assigned")                                                     \
    X(VERIFICATION_REFEREE_LOST, "referee_lost")                                                             \
    X(VERIFICATION_REFEREE_FOR_VERIFIER, "referee_for_verifier")     /* VERDICT_WORKER_WRONG */              \
    X(VERIFICATION_REFEREE_FOR_WORKER, "referee_for_worker")         /* VERDICT_VERIFIER_WRONG */            \
    X(VERIFICATION_REFEREE_FOR_NEITHER, "referee_for_neither")       /* VERDICT_NEITHER */                   \
    X(VERIFICATION_EXPIRED, "expired")                               /* waited or was kept for too long */   \
    X(VERIFICATION_DECIDED_WORKER_WRONG, "decided_worker_wrong")     /* by a human */                        \
    X(VERIFICATION_DECIDED_VERIFIER_WRONG, "decided_verifier_wrong") /* by a human */                        \
    X(VERIFICATION_DECIDED_NEITHER, "decided_neither")               /* by a human: nobody's fault */        \
    X(VERIFICATION_RESUMED, "resumed")                               /* a human has it judged again */

typedef enum verification_event {
#define X(event, name) event,
    VERIFICATION_EVENTS(X)
#undef X
} verification_event;

enum {
    VERIFICATION_ATTEMPTS_MAX =
        5, /* verifiers that lost one check, or referees in a row that lost one dispute */
    VERIFICATION_REFEREES_MAX = 3 /* verdicts of one dispute */
};

typedef struct verification {
    verification_state state; /* begins as KEPT or WAITING, the rest 0 */
    uint32_t attempts;        /* assignments, since it began or since the last result */
    uint32_t referees;        /* that gave a verdict */
} verification;

const char *verification_state_name(verification_state state);
const char *verification_event_name(verification_event event);
MUST_CHECK bool verification_state_parse(slice text, verification_state *state);
/* Nothing more will happen to it: its payload can be wiped. */
bool verification_is_over(const verification *v);

/* One move of the table. ERROR_CONFLICT: not allowed in this state; ERROR_CORRUPT: `v` was not sound before.
 * Then nothing has changed. */
MUST_CHECK bool verification_move(verification *v, verification_event event, error *err);
/* The invariants; for what comes back from a store. ERROR_CORRUPT. */
MUST_CHECK bool verification_check(const verification *v, error *err);

/* What one who computed an answer again found. */
typedef struct verify_finding {
    uint32_t agreed;   /* tokens before the first that differs */
    uint32_t count;    /* of the claim, as it was told */
    bool complete;     /* all agree and the answer ends just there */
    bool has_expected; /* false: all agree, or the answer should have ended before */
    uint32_t expected; /* the token drawn where it first differs */
    uint32_t prompt_tokens;
    uint8_t commitment[32];
} verify_finding;

/* What the worker has signed about its answer. */
typedef struct verify_claim {
    uint32_t tokens;
    uint32_t prompt_tokens;
    uint8_t commitment[32];
} verify_claim;

typedef enum verify_comparison { VERIFY_DIFFERS, VERIFY_AGREES } verify_comparison;
/* Agrees only if all tokens agree, the answer ends there and the prompt's tokens and the commitments are
 * equal. */
verify_comparison verify_compare(const verify_claim *claim, const verify_finding *finding);

typedef enum verify_verdict { VERDICT_NEITHER, VERDICT_WORKER_WRONG, VERDICT_VERIFIER_WRONG } verify_verdict;
/* Who is wrong, when the verifier's finding differs from the claim: whom the referee contradicts while it
 * says exactly what the other said. It has to say one or the other to the bit; else neither is. */
verify_verdict verify_judge(const verify_claim *claim, const verify_finding *verifier,
                            const verify_finding *referee);
/* A dispute that a third worker, which is no referee, may be asked about. */
typedef struct verify_bench {
    bool site_has_referees; /* one was ever enrolled, connected or not; the two below say so too */
    bool worker_is_referee, verifier_is_referee;
} verify_bench;
/* Whether its word could decide anything. Else a referee is waited for. */
bool verify_worker_may_judge(const verify_bench *bench);
/* What such a verdict is worth when that worker gave it: it may be a friend of the accuser or of the accused.
 * So where the site has referees it only ever confirms what one of them said, and never against another. */
verify_verdict verify_verdict_of_worker(verify_verdict verdict, const verify_bench *bench);

#endif
