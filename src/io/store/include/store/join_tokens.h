#ifndef STORE_JOIN_TOKENS_H
#define STORE_JOIN_TOKENS_H

#include "store/approvals.h"
#include "store/workers.h"

enum { STORE_JOIN_TOKEN_ID_SIZE = 8 };

/* The right to enrol one machine, once. The store never sees the secret, only its SHA-256. Without
 * an approval, whoever makes the token both asks for the worker and approves it. Both operations are synced
 * to the disk before they are answered. */
typedef struct store_join_token {
    uint8_t id[STORE_JOIN_TOKEN_ID_SIZE];
    uint8_t secret_hash[STORE_HASH_SIZE];
    slice owner; /* of the machine */
    slice tiers; /* at most STORE_TIERS_MAX bytes of UTF-8; may be empty */
    uint64_t expires_ms;
    uint64_t worker_expires_ms; /* when the worker's right to serve ends; 0: never */
    uint64_t created_by;        /* user id */
    bool referee;               /* enrols a machine of the pool's operator that judges others */
    slice class_name;           /* "cpu", "gpu" or "npu", which the machine must then say; empty: any */
    bool contractor;            /* the owner is none of the company's own */
    uint64_t approval;          /* the approved request that it is made of, which it uses up; 0: none */
    slice request;              /* then: the bytes of that request */
    uint64_t now_ms;            /* then: today */
} store_join_token;

/* ERROR_CONFLICT: the id exists. ERROR_INVALID: no such user. Of the approval: store_approval_use. */
MUST_CHECK bool store_join_token_add(store *s, const store_join_token *token, store_done *done, void *context,
                                     error *err);

/* A machine that presents a join token. */
typedef struct store_enrolment {
    uint8_t token_id[STORE_JOIN_TOKEN_ID_SIZE];
    uint8_t secret_hash[STORE_HASH_SIZE];
    uint8_t worker_id[STORE_WORKER_ID_SIZE];
    uint8_t public_key[STORE_KEY_SIZE];
    slice name;
    slice class_name;
    uint64_t now_ms;
    bool needs_approval; /* a token that nobody else has approved gives no right */
} store_enrolment;

/* Uses the token up and adds the worker, both or neither, and gives the worker as stored. A public key that
 * is enrolled already is updated and keeps its first date. ERROR_DENIED: the token is unknown, its secret is
 * wrong (compared in constant time; these two can't be told apart), it has expired or was used, it is for
 * another class or not approved, or the public key is revoked, suspected or somebody else's. */
typedef void store_worker_enrolled(void *context, const store_worker *worker, const error *failure);
MUST_CHECK bool store_join_token_consume(store *s, const store_enrolment *enrolment,
                                         store_worker_enrolled *done, void *context, error *err);

#endif
