#ifndef POOL_PROOF_COMPARISON_H
#define POOL_PROOF_COMPARISON_H

#include "dispatch/job.h"
#include "proof/calibrations.h"
#include "proof/parties.h"
#include "proof/statistical.h"
#include "session_internal.h"
#include "work.h"

/* One check of a runtime's answer: the same prompt, asked at temperature 0.
 *
 *   waiting ──somebody has time──> asked ──both are known──> judged ──a third is asked──> settled
 *      │  ^──────the other is lost───┘ │                        └──────────no need──────────┘
 *      └──────waited too long──────> dropped
 *
 * Files: statistical.c (taken up, kept, ended), comparison_ask.c (who is asked), comparison_answer.c (what
 * they say), comparison_judge.c (what follows). Invariants: `handle` is NULL exactly when the dispatcher has
 * let go; a comparison that is over is freed. */

enum {
    COMPARISON_TOKENS_MAX = 256, /* of what is asked again: the beginning says enough */
    COMPARISONS_MAX = 1024,      /* waiting or under way */
    COMPARISONS_RUNNING = 64,    /* under way */
    EVASIONS_REMEMBERED = 64
};

typedef struct comparison comparison;

/* One answer to the prompt. */
typedef struct side {
    work work; /* first; that of asking again */
    comparison *comparison;
    dispatch_job *handle; /* while a worker has it */
    uint8_t worker_id[STORE_WORKER_ID_SIZE];
    uint8_t salt[RECEIPT_SALT_SIZE];
    uint8_t nonce[HASH_SIZE];
    bool is_known; /* `text` is complete */
    bool was_cut;  /* its worker says that it ended for its length */
    bool unable;   /* it can't be done there */
    buffer text;
    uint64_t limit; /* tokens that it could have had */
    uint64_t tokens;
    agreement_logprobs logprobs;
    bool withholds; /* it gave logprobs with other answers, and none with this one */
} side;

/* The worker that is checked, the one it is compared with, and a third: where these two differ, or to learn
 * from two referees. */
enum { CLAIMED, REPEATED, THIRD, SIDES };

struct comparison {
    list_node node; /* in statistical.comparisons */
    statistical *all;
    ev_timer timer;
    arena *memory; /* wiped at the end */
    size_t held;   /* bytes, of prompt and answer */
    slice model;
    uint8_t digest[HASH_SIZE];
    calibration_key keys[CALIBRATION_KINDS];
    char profile[RECEIPT_PROFILE_LIMIT + 1];
    uint8_t commitment[HASH_SIZE];
    const receipt_message *messages;
    size_t message_count;
    slice stops[CHAT_STOPS_LIMIT];
    size_t stop_count;
    uint32_t prompt_tokens;
    uint32_t max_tokens;
    uint64_t seed;
    uint64_t give_up_at; /* if nobody has time until then */
    unsigned losses;
    bool is_running;   /* counted in statistical.running */
    bool teaches;      /* REPEATED is a referee, and another shall answer too, to learn from both */
    bool is_judged;    /* the first two are known: a third is looked for */
    bool is_settled;   /* it came to a result */
    bool has_logprobs; /* of the first two: their logprobs can be compared */
    double scores[CALIBRATION_KINDS]; /* how alike the first two are */
    side sides[SIDES];
};

struct statistical {
    proof *proof;
    calibrations *calibrations;
    list_node comparisons;
    size_t count, running, held;
    struct {
        uint8_t worker_id[STORE_WORKER_ID_SIZE];
        uint64_t at_ms; /* monotonic; 0: none */
    } evasions[EVASIONS_REMEMBERED];
    size_t next_evasion;
};

extern const work_kind comparison_kind;

/* statistical.c */
void comparison_free(comparison *c);

/* comparison_ask.c: waits, then asks. */
void comparison_wait(comparison *c, uint64_t milliseconds);
void comparison_time_has_come(void *context);
/* Another one who is independent of those who have answered. False: nobody was asked. */
bool comparison_ask_third(comparison *c);
/* Tokens that are asked for. */
uint32_t comparison_tokens(const comparison *c);

/* comparison_answer.c: its text is complete, and by whom it is. */
void comparison_note_logprobs(side *s, const fleet_worker *worker);

/* comparison_judge.c: the first two are known. */
void comparison_judge(comparison *c);
/* Then: asks a third where one is needed, or waits for one. */
void comparison_find_third(comparison *c);
/* All that will be known is. The comparison is gone. */
void comparison_settle(comparison *c);

#endif
