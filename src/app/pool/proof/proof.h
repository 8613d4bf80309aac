#ifndef POOL_PROOF_H
#define POOL_PROOF_H

#include "job.h"
#include "proof/policy.h"
#include "session.h"
#include "store/verifications.h"

/* Answers are computed again by other workers, and who is wrong is shut out. The README of this folder says
 * how; domain/verify decides. */
typedef struct proof proof;

/* Reads verify.key (makes it if the site has none), standings, blacklist and checks that wait. Before the
 * loop runs; `database` is the store opened without one. */
MUST_CHECK bool proof_load(pool *p, store *database, error *err);
/* The loop and the store are there. */
void proof_start(pool *p);
/* Before the dispatcher is freed. */
void proof_stop(pool *p);

/* Every minute or so: deletes what was kept for long enough, fetches what found no room. */
void proof_keep_house(pool *p);

/* The strictest of site, model, key and the request's header X-Cellule-Verify; the worker's tiers are added
 * when the worker is known. False: the header says what no mode is called, and the request was answered with
 * 400. */
MUST_CHECK bool proof_mode_of(pool *p, const account *who, slice model, http_request *request,
                              verify_mode *mode);

/* A worker has committed to its answer: decides whether it is checked and puts that down, before the receipt
 * is stored. False: it could not be put down, and the answer must not be completed. */
MUST_CHECK bool proof_answer_done(pool *p, const job *j, const fleet_worker *worker,
                                  const signed_receipt *entry, error *err);

/* Whether its answer could be checked at all. */
bool proof_can_check(const receipt *fields);
/* This worker has said the same as another at once (required), which is as good as a check. But two can lie
 * alike, so that a share of such answers is checked as in `spot`. False: as proof_answer_done. */
MUST_CHECK bool proof_two_agreed(pool *p, const job *j, const fleet_worker *worker,
                                 const signed_receipt *entry, error *err);
/* Another, or with VERIFY_REQUIRED two, contradict what it said, and it never came to sign it; or it called a
 * question impossible that another has answered: nothing can be proved by that, but it is an evasion. */
void proof_evaded(pool *p, const fleet_worker *worker);
/* Two workers have said the same at once, and nothing is left to be checked: puts it down under the job's id,
 * before anything else about it, so that it can be shown. `entry` is the receipt that the client gets,
 * `other` the partner's, which is stored under its own id. False: as proof_answer_done. */
MUST_CHECK bool proof_pair_agreed(pool *p, const job *j, const signed_receipt *entry,
                                  const signed_receipt *other, bool weak, error *err);
/* Whether the row is one of these; then its partner's receipt has this id. */
bool proof_read_pair(const store_verification *row, uint8_t other_job_id[STORE_JOB_ID_SIZE]);
/* The least that its tiers ask for; VERIFY_OFF for none. */
verify_mode proof_mode_of_worker(const pool *p, const fleet_worker *worker);

/* It is convicted, or it, its owner or its machine (NULL: not known) is on the blacklist: it may not serve,
 * whatever else is known of it. */
bool proof_shuts_out(const pool *p, const fleet_worker *worker, const uint8_t *machine);
/* It, its owner or its machine (NULL: not known) is on the blacklist. */
bool proof_lists(const pool *p, const fleet_worker *worker, const uint8_t *machine);
/* The same, with the machine that it last came from. */
bool proof_is_blacklisted(const pool *p, const fleet_worker *worker);
bool proof_owner_is_blacklisted(const pool *p, slice owner);

/* A welcomed session may check answers; one that ends no longer. Quarantine is put on it. */
MUST_CHECK bool proof_worker_ready(session *s, error *err);
void proof_worker_left(session *s);

/* The oldest thing that this user is still to be told, for the header X-Cellule-Notice: an answer was wrong.
 * It counts as told. False: nothing. */
enum { PROOF_NOTICE_SIZE = 513 };
MUST_CHECK bool proof_take_notice(pool *p, uint64_t user_id, char text[PROOF_NOTICE_SIZE]);

/* It agreed, but who agreed was convicted since: that proves nothing, and can't be checked again, for what is
 * needed was deleted when it agreed. */
bool proof_is_doubtful(const pool *p, const store_verification *row);

typedef struct proof_statistics {
    uint64_t answers;  /* that were decided about */
    uint64_t drawn;    /* of these, to be checked */
    uint64_t agreed;   /* checks, by what came out */
    uint64_t disputed; /* differed first */
    uint64_t worker_wrong, verifier_wrong, open, given_up;
    uint64_t expired; /* of those given up: nobody came to check them within recheck_hours */
    uint64_t lost;    /* attempts */
    uint64_t convicted;
    uint64_t honeytokens, leaks;
    uint64_t compared;   /* answers of runtimes, with another worker's */
    uint64_t deviated;   /* of these, more than honest ones do */
    uint64_t uncompared; /* drawn, and nothing came of it */
    size_t learning;     /* runtimes of which too little is known yet */
    size_t waiting, running;
    size_t disputed_now;  /* of those that wait */
    uint64_t open_now;    /* disputes that wait for a human */
    size_t quarantined;   /* connected workers that get no prompt */
    size_t convicted_now; /* of those enrolled, not cleared since */
} proof_statistics;
void proof_read_statistics(const pool *p, proof_statistics *statistics);

/* Workers with this model are connected, and all of them are in quarantine. */
bool proof_is_all_in_quarantine(const pool *p, slice model);
/* At least one is. */
bool proof_is_some_in_quarantine(const pool *p, slice model);
/* What who asks is told then. */
extern const char proof_quarantine_text[];

#endif
