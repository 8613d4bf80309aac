#ifndef VERIFY_SITE_H
#define VERIFY_SITE_H

#include "sim.h"
#include "verify/choice.h"
#include "verify/learning.h"
#include "verify/standing.h"
#include "verify/verification.h"

#include <stdio.h>

/* A site whose workers cheat in every known way, on simulated time. What the pool decides is decided by
 * domain/verify alone; the simulation knows who is guilty, and keeps account. */

enum {
    REFEREES = 4,
    TICKETS_MAX = 2048,
    CHECKS_MAX = 16384,
    KEPT = 100,          /* answers of a worker kept for when it is convicted */
    ENROLMENTS = 8,      /* how often a cheat that was stopped comes back under a new name */
    SLOTS = 4,           /* checks that a worker does at once */
    ANSWER_TOKENS = 200, /* of a long answer; a short one has SHORT_TOKENS at most */
    SHORT_TOKENS = 16,
    ANSWER_GAP_MS = 10000, /* between two answers of one worker */
    DELAY_MS = 30000,      /* before a check starts, at most */
    DEADLINE_MS = 30000,   /* of a check */
    RETRY_MS = 5000,
    NOBODY = UINT32_MAX,
    NO_TOKEN = UINT32_MAX /* no token differs */
};

/* What is wrong with an answer. */
typedef enum deed {
    DEED_SMALLER_MODEL,
    DEED_CACHED,
    DEED_TRUNCATED,
    DEED_EDITED,
    DEED_QUANTISED,
    DEED_COPIED
} deed;

/* How a way of cheating is measured: in answers given, or in checks given to it. */
typedef enum measure { MEASURE_ANSWERS, MEASURE_CHECKS } measure;

typedef struct way {
    const char *name;
    deed deed;
    double share;     /* of its answers that are wrong */
    uint32_t sleep;   /* honest answers before the first wrong one */
    bool short_only;  /* only short answers are */
    unsigned friends; /* verifiers that agree with whatever it says */
    double refuses;   /* share of the checks it is given that it refuses, */
    double late;      /* answers after the deadline, */
    double leaves;    /* or leaves the site over */
    double accuses;   /* in which it says that an honest answer is wrong */
    bool idle;        /* does no check, and says that all is well */
    measure measure;
    unsigned seats;  /* of such workers, beside others */
    uint32_t weight; /* answers it is given, beside 1 of a small machine's */
} way;

typedef struct claim {
    uint64_t job;
    uint8_t commitment[32];
    uint32_t tokens;
    uint32_t differs; /* first token that isn't the model's; NO_TOKEN: none, the commitment alone is wrong */
    bool wrong;
} claim;

typedef enum ending { STILL_THERE, ENDED_CONVICTED, ENDED_HELD } ending;

typedef struct worker {
    uint8_t id[16];
    const way *way; /* NULL: honest */
    uint32_t seat;
    uint32_t ring; /* whom it agrees with; 0: nobody */
    bool referee;
    bool flaky; /* honest, but often gone */
    char owner[16];
    char network[24];
    uint64_t approver;
    const char *site;
    standing standing;
    uint32_t busy;
    ending ending;
    bool measured;                 /* it had room to be found out before the simulation's end */
    uint64_t answers, wrong, told; /* `told`: wrong ones that their users learned of */
    uint64_t given;                /* checks */
    uint64_t counted;              /* answers or checks since it began to cheat */
    uint64_t shown_after;          /* prompts it was given although convicted */
    claim kept[KEPT];
    uint32_t kept_count, kept_next;
} worker;

typedef struct check {
    bool used;
    bool quiet; /* the worker is convicted already: its verifier isn't suspected */
    bool again; /* of a convicted worker's last answers */
    verification state;
    uint64_t number;
    uint32_t worker, verifier, judge;
    uint32_t judges[VERIFICATION_REFEREES_MAX];
    claim claim;
    verify_finding finding;
} check;

typedef struct plan {
    uint32_t seats;   /* workers, without referees */
    uint64_t answers; /* of each seed */
    uint32_t seeds;
    verify_mode mode;
    bool exact;
    double noise; /* statistical: share of honest pairs that don't match */
    uint32_t referees;
    bool unjudged; /* only shown: no bars but those of honest workers */
} plan;

/* What one seed came to; add them up. */
typedef struct totals {
    uint64_t answers, honest_answers, checks, checks_of_regular, regular_answers;
    uint64_t false_convictions, false_holds, disputes, open, given_up, weak, wrong, told, wrong_of_convicted,
        shown_after;
} totals;

/* How long one cheat lasted. */
typedef struct spell {
    const way *way;
    uint64_t length;
    uint64_t wrong;
    ending ending;
    bool measured;
} spell;

typedef struct spells {
    spell *all;
    size_t count, capacity;
} spells;

typedef struct site {
    sim sim;
    uint64_t seed;
    const plan *plan;
    standing_rules rules;
    uint8_t secret[32];
    worker *workers;
    uint32_t worker_count, worker_limit;
    uint32_t *seats; /* the worker that sits there */
    uint32_t *enrolments;
    uint32_t tickets[TICKETS_MAX]; /* seats, as often as their machine is quick */
    uint32_t ticket_count;
    check *checks;
    uint32_t free_checks[CHECKS_MAX];
    uint32_t free_count;
    bool judging; /* it is a judge that is looked for */
    uint64_t jobs, numbers;
    agreement_calibration calibration;
    totals totals;
    spells *spells;
} site;

#define SITE_REQUIRE(s, condition) ((condition) ? (void)0 : site_broken((s), __FILE__, __LINE__, #condition))
_Noreturn void site_broken(const site *s, const char *file, int line, const char *condition);

/* verify_ways.c: the workers. */
extern const way ways[];
extern const size_t way_count;
double sim_share(sim *s); /* in [0, 1) */
/* Of all its answers, or of all its checks, those that are wrong. */
double way_rate(const way *w);
claim worker_answers(site *s, worker *w);
verify_claim claim_said(const claim *c); /* as its receipt has it */
typedef enum conduct { DOES_IT, REFUSES, IS_LATE, LEAVES } conduct;
conduct worker_conduct(site *s, const worker *w);
verify_finding worker_finds(site *s, const worker *w, const worker *claimant, const claim *c);
/* Statistical: what a worker answers to the claim's prompt. Equal kinds are equal texts; 0 is the model's.
 * `share` is how much of it is the model's. */
typedef struct spoken {
    uint64_t kind;
    double share;
} spoken;
spoken worker_speaks(site *s, const worker *w, const claim *c, bool wrong);
spoken worker_is_asked_again(site *s, const worker *w, const claim *c);
double spoken_likeness(const claim *c, const spoken *one, const spoken *other);

/* verify_pool.c: what the pool does, by domain/verify. */
void pool_answers(site *s);
void pool_event(site *s, const sim_event *event);

/* verify_seats.c: who sits where. */
void seats_fill(site *s);
/* At the end: adds up what each worker did. */
void seats_close(site *s);
/* Out of service: its account is closed, and it may come back under a new name. */
void seat_empty(site *s, uint32_t index, ending how);

/* verify_table.c */
void spells_add(spells *s, const spell *one);
bool table_print(FILE *out, const plan *p, const spells *s, const totals *t);

#endif
