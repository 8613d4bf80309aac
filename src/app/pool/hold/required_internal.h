#ifndef POOL_REQUIRED_INTERNAL_H
#define POOL_REQUIRED_INTERNAL_H

#include "dispatch/job.h"
#include "hold/release.h"
#include "hold/required.h"
#include "receipts.h"
#include "verify/pair.h"

/* Shared by required.c (the whole: what is released, who else is wanted), required_end.c (what comes of it)
 * and required_part.c (one worker's part of it). What happens to a part is only put down; required_follow
 * then looks at all of it, once the events of this turn are over, and is the only one that submits, releases
 * and ends. */
enum { PARTS_MAX = 8, KEPT_MAX = 3 };

typedef struct part {
    work work; /* first */
    required *whole;
    dispatch_job *handle; /* NULL: the dispatcher has let go */
    fleet_worker *worker; /* NULL: it waits for one */
    bool joined;          /* it is, or was, side `side` of the pair */
    size_t side;
    bool judges;       /* it is to settle a difference */
    bool referee_only; /* then: there is a referee */
    bool strictly;     /* there is somebody with another network and approver, too */
    bool over;
} part;

/* A receipt on its way to the store. */
typedef struct kept {
    required *whole;
    receipt_storing *storing;
} kept;

struct required {
    job *job;
    pair *pair;
    part parts[PARTS_MAX]; /* never used twice */
    size_t part_count;
    bool has_model; /* the first worker's file and profile: the others have the same */
    uint8_t digest[HASH_SIZE];
    char profile[RECEIPT_PROFILE_LIMIT + 1];
    part *speakers[PAIR_SIDES];
    signed_receipt entries[PAIR_SIDES]; /* of sides that have ended */
    unsigned refusals;
    unsigned failure_status; /* 0: none */
    const char *failure_code;
    const char *failure_text;
    release release;
    bool behind; /* credit waits for the client */
    bool completing;
    kept kept[KEPT_MAX];
    size_t storing; /* of these, not stored yet */
    ev_deferred follow;
};

/* Looks at it soon. */
void required_soon(required *r);
/* Gets the next worker that is wanted: at once when the first has begun, so that its partner stands before
 * other firsts in the queue. Else two questions could each hold what the other waits for. */
void required_recruit(required *r);
/* It can't go on: the first reason counts. The texts are static. */
void required_fail(required *r, unsigned status, const char *code, const char *text);
/* Nobody else is there to answer. */
void required_fail_alone(required *r);

/* The two have agreed, to the end: stores their receipts; the rest of the answer follows. */
void required_complete(required *r);
/* It ends while somebody is known to lie, and it isn't settled who: what they signed will be checked, though
 * the client gets nothing. */
void required_leave_dispute(required *r);

/* One more worker is wanted. False: see required_start. */
MUST_CHECK bool part_submit(required *r, error *err);
/* Takes it away from its worker or out of the queue. */
void part_cancel(part *t);
/* Whether what it said still counts. */
bool part_counts(const part *t);

/* Whether two different workers with different owners have the model, the same file in an exact profile. */
bool partners_exist(const pool *p, slice model);
/* Whether they have neither owner nor network nor approver in common, as far as is known. */
bool partners_are_independent(const fleet_worker *a, const fleet_worker *b);
/* Notes how independent of the others it can be, by who is connected now. */
void partners_look(part *t);
/* Whether this worker may answer together with those whose parts count. */
bool partners_allow(const part *t, const session *s);

#endif
