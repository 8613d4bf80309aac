#ifndef POOL_PROOF_CHECK_H
#define POOL_PROOF_CHECK_H

#include "dispatch/job.h"
#include "proof/proof_internal.h"
#include "proof/record.h"
#include "store/verifications.h"
#include "verify/choice.h"
#include "verify/verification.h"
#include "work.h"

/* Of the next free slot of a worker (dispatch_worker_reserve). */
typedef struct check_claim {
    bool holds;
    uint8_t worker_id[STORE_WORKER_ID_SIZE];
    uint64_t since_ms; /* loop */
} check_claim;

/* One check of one answer, from the draw to the verdict. What is secret of the answer is sealed, but while a
 * worker computes it. Invariants: `handle` is not NULL exactly while it is in proof.running, and then
 * `opened` is; it is in proof.checks from when it is made until it is over. */
typedef struct check {
    work work; /* first; its id is the score job's, another for each attempt */
    list_node node;
    proof *proof;
    uint8_t id[STORE_VERIFICATION_ID_SIZE];
    uint8_t job_id[STORE_JOB_ID_SIZE];
    uint8_t worker_id[STORE_WORKER_ID_SIZE];
    uint64_t user_id;
    uint64_t created_ms;    /* Unix; of the answer */
    uint64_t not_before_ms; /* loop */
    verify_mode mode;
    verification v;
    bool recheck;
    bool quiet;      /* a dispute that puts nobody into quarantine */
    uint64_t due_ms; /* loop; since when it could begin; 0: nobody has looked yet */
    check_claim claimed;
    uint64_t disputed_ms; /* loop; since when it waits for who settles it; 0: nobody has looked yet */
    bool warned;          /* that nobody does */
    verify_independence independence;
    int64_t position; /* of the first token that differs; -1: none */
    char model[STORE_MODEL_MAX + 1];
    uint8_t digest[HASH_SIZE]; /* of the model file */
    char profile[RECEIPT_PROFILE_LIMIT + 1];
    verify_claim claim;
    uint8_t tried[VERIFICATION_ATTEMPTS_MAX][STORE_WORKER_ID_SIZE]; /* lost it: others first */
    size_t tried_count;
    bool has_verifier, has_referee;
    uint8_t verifier_id[STORE_WORKER_ID_SIZE];
    uint8_t referee_id[STORE_WORKER_ID_SIZE];
    finding_list *findings; /* NULL: none. The verifier's, then the referees' */
    buffer sealed;
    fleet_worker *counted; /* whose share of the room it takes; NULL: nobody's */
    /* While a worker has it. */
    dispatch_job *handle;
    struct opened_answer *opened;
    bool unable; /* the worker says so, and it isn't held against it */
    uint8_t runner[STORE_WORKER_ID_SIZE];
    verify_independence runner_independence;
} check;

/* An answer whose seal is open, in memory of its own that is wiped. */
typedef struct opened_answer {
    arena *memory;
    buffer plain;
    answer_record record;
    uint8_t nonce[HASH_SIZE]; /* of the commitment */
} opened_answer;

MUST_CHECK opened_answer *check_open(const check *c, error *err);
void opened_free(opened_answer *opened); /* NULL is allowed */

/* Not in any list or map. Takes `sealed` over if it succeeds. */
MUST_CHECK check *check_new(proof *f, const uint8_t id[STORE_VERIFICATION_ID_SIZE], const receipt *fields,
                            slice model, buffer *sealed, error *err);
/* What the store gave. ERROR_CORRUPT. */
MUST_CHECK check *check_from_stored(proof *f, const store_verification *stored, error *err);
/* A dispute that comes from the store: is anybody in quarantine for it? */
void check_resume_dispute(check *c);
void check_free(check *c);
/* Who is what in its dispute. */
verify_bench check_bench(const check *c);

/* Into proof.checks and proof.pending. False: there is no room, or no memory; it is still the caller's. */
MUST_CHECK bool check_enter(check *c, error *err);
/* Out of both, and freed: it is over, or no longer of interest. */
void check_leave(check *c);
/* For one more of this worker's answers: nobody's may take the room of all others'. */
bool check_has_room(const proof *f, const uint8_t worker_id[STORE_WORKER_ID_SIZE], size_t sealed_bytes);
bool check_has_any_room(const proof *f);

/* A new row of the store, in this state; `payload` is sealed. */
MUST_CHECK bool check_store_new(check *c, slice payload, error *err);
/* Its row, as it is now; wiped if it is over. */
void check_store_change(check *c);
/* The same for who has to know when that is done. */
MUST_CHECK bool check_store_change_then(check *c, store_done *done, void *context, error *err);

/* Moves it; a move that isn't allowed is logged, and false. */
bool check_move(check *c, verification_event event);

#endif
