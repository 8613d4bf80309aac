#ifndef POOL_RECOVERY_REQUESTS_H
#define POOL_RECOVERY_REQUESTS_H

#include "memory/keyring.h"
#include "recovery/officers.h"
#include "store/recovery.h"

/* What users ask the officers for, and the shares that have come for it: in secret memory, for a day, and
 * until the pool stops. Loop thread. */
enum {
    RECOVERIES_MAX = 64,
    RECOVERY_CHANGES_MAX = 8, /* of one user's request for one with another key; each is in the audit log */
    RECOVERY_LONGEST_MS = 24 * 60 * 60 * 1000
};

typedef struct recoveries recoveries;

/* What an officer has of the set that was stored when it was asked for. */
typedef struct recovery_expected {
    char officer[RECOVERY_NAME_MAX + 1];
    uint8_t public_key[BOX_KEY_SIZE];
    uint8_t digest[HASH_SIZE];
    uint8_t sealed[RECOVERY_SEALED_MAX];
    size_t sealed_length;
} recovery_expected;

typedef struct recovery_given {
    uint64_t user_id; /* who gave it */
    uint8_t point;
    uint8_t *bytes; /* a slot */
} recovery_given;

typedef struct recovery {
    list_node node;
    recoveries *all;
    uint8_t id[RECOVERY_ID_SIZE];
    uint64_t user_id;
    uint64_t key_id; /* which is to open the vault */
    unsigned changes;
    char user_name[STORE_NAME_MAX + 1];
    uint64_t asked_ms; /* Unix */
    uint64_t since_ms; /* monotonic */
    uint8_t public_key[BOX_KEY_SIZE];
    uint8_t *private_key; /* a slot */
    recovery_set set;     /* the check comes with the first share */
    recovery_expected expected[RECOVERY_OFFICERS_MAX];
    recovery_given given[RECOVERY_OFFICERS_MAX];
    size_t given_count;
    uint8_t *data_key; /* a slot; NULL: not yet put together */
} recovery;

MUST_CHECK recoveries *recoveries_new(pool *p, error *err);
/* Wipes all. NULL is allowed. */
void recoveries_free(recoveries *all);
/* Ends what is over; every minute. */
void recoveries_keep_house(recoveries *all);
/* A user's, or everybody's (0). `all` may be NULL. */
void recoveries_end(recoveries *all, uint64_t user_id);

/* Not among the others yet: recovery_enter, or recovery_end. ERROR_LIMIT beyond RECOVERIES_MAX or
 * RECOVERY_CHANGES_MAX. */
MUST_CHECK recovery *recovery_make(recoveries *all, const account *who, const store_recovery *set,
                                   error *err);
/* In the place of any other of this user's. */
void recovery_enter(recovery *r);
/* Wipes it. */
void recovery_end(recovery *r);

/* NULL where there is none, or it is over. */
recovery *recovery_find(recoveries *all, const uint8_t id[RECOVERY_ID_SIZE]);
recovery *recovery_of(recoveries *all, uint64_t user_id);
/* Any but this user's, which is behind `last` (NULL: the first). */
recovery *recovery_next(recoveries *all, const recovery *last, uint64_t but_user_id);

/* What this person was sealed, if he is an officer now and not the one who asks. NULL and ERROR_DENIED: he
 * isn't; ERROR_CONFLICT: he has no share of this set for the key that he has now. */
MUST_CHECK const recovery_expected *recovery_expect(const recovery *r, const account *who, error *err);
/* A share that is sealed to the request's key. With the last that is needed the data key is put together.
 * ERROR_DENIED, ERROR_CONFLICT as above, and if he gave his already; ERROR_INVALID: it isn't his share of
 * this set. ERROR_CORRUPT: the shares don't give the key; the request has ended. */
MUST_CHECK bool recovery_give(recovery *r, const account *who, slice sealed, error *err);

/* The data key that this key is to open the vault with, if it was put together. */
const uint8_t *recovery_ready(pool *p, uint64_t user_id, uint64_t key_id, const uint8_t salt[WRAP_SALT_SIZE]);

#endif
