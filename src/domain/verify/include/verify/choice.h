#ifndef VERIFY_CHOICE_H
#define VERIFY_CHOICE_H

#include "base/slice.h"

#include <stdbool.h>
#include <stdint.h>

/* A worker as the choice sees it. What isn't known (an empty owner, network or site, approver 0) counts as
 * equal to everything: independence has to be known. */
typedef struct verify_party {
    uint8_t worker[16];
    slice owner;
    slice network; /* "192.0.2.0/24", "2001:db8:1::/48" */
    uint64_t approver;
    slice site;
    bool referee; /* run by the pool's operator on a trusted host */
    bool able;    /* right model and profile, a free slot, may serve */
} verify_party;

typedef enum verify_independence {
    VERIFY_NONE, /* of an owner of a subject: allowed to referees only */
    VERIFY_WEAK, /* other owner, but the same network, approver, or site where there are several */
    VERIFY_FULL  /* nothing in common with any subject */
} verify_independence;
/* "full"; static text. */
const char *verify_independence_name(verify_independence independence);

/* Those who could do it: the referees are 0 to referees - 1, the other workers come behind them. `get` fills
 * in one; what its slices point to lives until verify_choose returns. */
typedef struct verify_candidates {
    size_t referees;
    size_t workers;
    bool several_sites; /* they are not all of one site: then another site is part of full independence */
    bool one_network;   /* nobody is of another network: nothing better is looked for (a hint) */
    bool one_approver;
    void (*get)(void *context, size_t index, verify_party *party);
    void *context;
} verify_candidates;

typedef struct verify_choice {
    size_t index;
    bool referee;
    verify_independence independence;
} verify_choice;

/* Picks who computes again what the `subjects` did: never one of them, never of their owners unless it is a
 * referee. A referee with probability 1/3, or always for `referee_only`; among equals each with the same
 * probability. First the fully independent ones, then those that share a site, a network, an approver, both.
 * `draw` in [0, 1) decides everything (verify_draw with VERIFY_DRAW_VERIFIER). Asks for VERIFY_PROBES random
 * candidates and, when none of these is as independent as can be, for each of them once, or for VERIFY_PASS
 * in a row from a random one on if there are more. False: nobody of those fits; ask again with another draw.
 */
enum { VERIFY_PROBES = 128, VERIFY_PASS = 512 };
bool verify_choose(const verify_party *subjects, size_t subject_count, const verify_candidates *candidates,
                   bool referee_only, double draw, verify_choice *choice);

#endif
