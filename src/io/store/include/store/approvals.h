#ifndef STORE_APPROVALS_H
#define STORE_APPROVALS_H

#include "store/store.h"

/* What one person asks for and another has to approve: the exact bytes of the request, and what became of
 * it. Never deleted. Writes are synced to the disk before they are answered. Dates are Unix milliseconds. */
enum {
    STORE_APPROVAL_KIND_MAX = 32,
    STORE_APPROVAL_REQUEST_MAX = 4096, /* bytes */
    STORE_APPROVALS_WAITING_MAX = 50   /* of one person */
};

typedef struct store_approval {
    uint64_t id;
    slice kind;    /* "enrolment" */
    slice request; /* the exact bytes */
    uint8_t request_hash[STORE_HASH_SIZE];
    slice state; /* "waiting", "approved", "refused" or "used"; one that has expired stays what it was */
    uint64_t requested_by;
    slice requester; /* that user's name */
    uint64_t requested_ms;
    uint64_t expires_ms; /* it must be approved and used before */
    uint64_t decided_by; /* 0: nobody yet */
    slice decider;
    uint64_t decided_ms;
    uint64_t used_ms; /* 0: not used */
} store_approval;

/* Which one of the fields above, and by whom, when. */
typedef struct store_approval_act {
    uint64_t id;
    slice request; /* the bytes that it is about: others, and nothing is done */
    uint64_t user_id;
    uint64_t now_ms;
} store_approval_act;

typedef void store_approval_given(void *context, const store_approval *approval, const error *failure);

/* Of `a`: kind, request, request_hash, requested_by, requested_ms and expires_ms are taken. Gives it back
 * with its id. ERROR_LIMIT: too many of this person's wait. */
MUST_CHECK bool store_approval_add(store *s, const store_approval *a, store_approval_given *done,
                                   void *context, error *err);
/* ERROR_NOT_FOUND: there is none. */
MUST_CHECK bool store_approval_get(store *s, uint64_t id, store_approval_given *done, void *context,
                                   error *err);
/* Approves or refuses one that waits. ERROR_CONFLICT: it doesn't wait any more, has expired, or its bytes are
 * not those. ERROR_DENIED: who approves is who asked. */
MUST_CHECK bool store_approval_decide(store *s, const store_approval_act *act, bool approve,
                                      store_approval_given *done, void *context, error *err);
/* Uses an approved one up. ERROR_CONFLICT: it isn't approved, was used, has expired, or its bytes are not
 * those. ERROR_DENIED: another person asked for it, or who approved it was shut out since. */
MUST_CHECK bool store_approval_use(store *s, const store_approval_act *act, store_approval_given *done,
                                   void *context, error *err);

/* In order of their ids from the newest on, below `before` (0: from the newest), at most `limit`
 * (1..STORE_LIST_MAX). `requested_by` 0: anybody's. `waiting_ms` 0: all; else those that wait then. */
typedef void store_approvals_listed(void *context, const store_approval *approvals, size_t count,
                                    const error *failure);
MUST_CHECK bool store_approval_list(store *s, uint64_t requested_by, uint64_t waiting_ms, uint64_t before,
                                    size_t limit, store_approvals_listed *done, void *context, error *err);

#endif
