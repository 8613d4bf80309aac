#include "verify/verification.h"

static const char *const state_names[] = {
#define X(state, name) [state] = name,
    VERIFICATION_STATES(X)
#undef X
};

static const char *const event_names[] = {
#define X(event, name) [event] = name,
    VERIFICATION_EVENTS(X)
#undef X
};

enum {
    STATES = sizeof state_names / sizeof state_names[0],
    EVENTS = sizeof event_names / sizeof event_names[0]
};

/* Where an event leads, and where instead when that was the last attempt or the last referee there may be. */
typedef struct move {
    bool allowed;
    verification_state to;
    verification_state at_last;
} move;

#define TO(state)                                                                                            \
    { true, VERIFICATION_##state, VERIFICATION_##state }
#define TO_OR(state, last)                                                                                   \
    { true, VERIFICATION_##state, VERIFICATION_##last }

static const move moves[STATES][EVENTS] = {
    [VERIFICATION_KEPT] = {[VERIFICATION_DRAWN] = TO(WAITING), [VERIFICATION_EXPIRED] = TO(GIVEN_UP)},
    [VERIFICATION_WAITING] = {[VERIFICATION_ASSIGNED] = TO(RUNNING), [VERIFICATION_EXPIRED] = TO(GIVEN_UP)},
    [VERIFICATION_RUNNING] = {[VERIFICATION_LOST] = TO_OR(WAITING, GIVEN_UP),
                              [VERIFICATION_HAS_AGREED] = TO(AGREED),
                              [VERIFICATION_DIFFERED] = TO(DISPUTED)},
    [VERIFICATION_DISPUTED] =
        {[VERIFICATION_REFEREE_ASSIGNED] = TO(JUDGING), [VERIFICATION_EXPIRED] = TO(OPEN)},
    [VERIFICATION_JUDGING] = {[VERIFICATION_REFEREE_LOST] = TO_OR(DISPUTED, OPEN),
                              [VERIFICATION_REFEREE_FOR_VERIFIER] = TO(WORKER_WRONG),
                              [VERIFICATION_REFEREE_FOR_WORKER] = TO(VERIFIER_WRONG),
                              [VERIFICATION_REFEREE_FOR_NEITHER] = TO_OR(DISPUTED, OPEN)},
    [VERIFICATION_OPEN] = {[VERIFICATION_DECIDED_WORKER_WRONG] = TO(WORKER_WRONG),
                           [VERIFICATION_DECIDED_VERIFIER_WRONG] = TO(VERIFIER_WRONG),
                           [VERIFICATION_DECIDED_NEITHER] = TO(GIVEN_UP),
                           [VERIFICATION_RESUMED] = TO(DISPUTED)},
};

const char *verification_state_name(verification_state state) {
    return state_names[state];
}

const char *verification_event_name(verification_event event) {
    return event_names[event];
}

bool verification_state_parse(slice text, verification_state *state) {
    for (unsigned i = 0; i < STATES; i++) {
        if (slice_equal_text(text, state_names[i])) {
            *state = (verification_state)i;
            return true;
        }
    }
    *state = VERIFICATION_OPEN;
    return false;
}

bool verification_is_over(const verification *v) {
    return v->state == VERIFICATION_AGREED || v->state == VERIFICATION_WORKER_WRONG ||
           v->state == VERIFICATION_VERIFIER_WRONG || v->state == VERIFICATION_GIVEN_UP;
}

#define REQUIRE(condition)                                                                                   \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            return error_set(err, ERROR_CORRUPT, "a verification doesn't hold together: %s", #condition);    \
        }                                                                                                    \
    } while (0)

bool verification_check(const verification *v, error *err) {
    REQUIRE((unsigned)v->state < STATES);
    REQUIRE(v->attempts <= VERIFICATION_ATTEMPTS_MAX && v->referees <= VERIFICATION_REFEREES_MAX);
    switch (v->state) {
    case VERIFICATION_KEPT:
        REQUIRE(v->attempts == 0 && v->referees == 0);
        break;
    case VERIFICATION_WAITING:
        REQUIRE(v->attempts < VERIFICATION_ATTEMPTS_MAX && v->referees == 0);
        break;
    case VERIFICATION_RUNNING:
        REQUIRE(v->attempts > 0 && v->referees == 0);
        break;
    case VERIFICATION_DISPUTED:
        REQUIRE(v->attempts < VERIFICATION_ATTEMPTS_MAX && v->referees < VERIFICATION_REFEREES_MAX);
        break;
    case VERIFICATION_JUDGING:
        REQUIRE(v->attempts > 0 && v->referees < VERIFICATION_REFEREES_MAX);
        break;
    case VERIFICATION_AGREED:
        REQUIRE(v->attempts == 0 && v->referees == 0);
        break;
    case VERIFICATION_WORKER_WRONG:
    case VERIFICATION_VERIFIER_WRONG:
        REQUIRE(v->attempts == 0 || v->referees < VERIFICATION_REFEREES_MAX);
        break;
    case VERIFICATION_OPEN:
        REQUIRE(v->referees < VERIFICATION_REFEREES_MAX || v->attempts == 0);
        break;
    case VERIFICATION_GIVEN_UP:
        break;
    }
    return true;
}

/* Counts, and says whether this was the last there may be. */
static bool count(verification *v, verification_event event) {
    switch (event) {
    case VERIFICATION_ASSIGNED:
    case VERIFICATION_REFEREE_ASSIGNED:
        v->attempts++;
        return false;
    case VERIFICATION_LOST:
    case VERIFICATION_REFEREE_LOST:
        return v->attempts >= VERIFICATION_ATTEMPTS_MAX;
    case VERIFICATION_HAS_AGREED:
    case VERIFICATION_DIFFERED:
    case VERIFICATION_RESUMED:
        v->attempts = 0;
        return false;
    case VERIFICATION_REFEREE_FOR_VERIFIER:
    case VERIFICATION_REFEREE_FOR_WORKER:
    case VERIFICATION_REFEREE_FOR_NEITHER:
        v->attempts = 0;
        v->referees++;
        return v->referees >= VERIFICATION_REFEREES_MAX;
    case VERIFICATION_DRAWN:
    case VERIFICATION_EXPIRED:
    case VERIFICATION_DECIDED_WORKER_WRONG:
    case VERIFICATION_DECIDED_VERIFIER_WRONG:
    case VERIFICATION_DECIDED_NEITHER:
        break;
    }
    return false;
}

bool verification_move(verification *v, verification_event event, error *err) {
    if (!verification_check(v, err)) {
        return false;
    }
    const move *m = &moves[v->state][event];
    bool all_have_judged = event == VERIFICATION_RESUMED && v->referees >= VERIFICATION_REFEREES_MAX;
    if (!m->allowed || all_have_judged) {
        return error_set(err, ERROR_CONFLICT, "a verification that is %s can't be told \"%s\"",
                         state_names[v->state], event_names[event]);
    }
    verification moved = *v;
    bool last = count(&moved, event);
    moved.state = last ? m->at_last : m->to;
    if (!verification_check(&moved, err)) {
        return false;
    }
    *v = moved;
    return true;
}
