#ifndef STORE_WORKERS_H
#define STORE_WORKERS_H

#include "store/store.h"

enum { STORE_WORKER_ID_SIZE = 16, STORE_MACHINE_SIZE = 32 };

/* Enrolled machines (join_tokens.h adds them). Never deleted, only revoked. */
typedef struct store_worker {
    uint8_t id[STORE_WORKER_ID_SIZE]; /* the first bytes of SHA-256(public_key) */
    uint8_t public_key[STORE_KEY_SIZE];
    slice name;
    slice owner;
    slice class_name; /* "cpu", "gpu", "npu" */
    slice tiers;
    uint64_t requested_by; /* user ids */
    uint64_t approved_by;
    uint64_t approval; /* the request that was approved; 0: nobody else was asked */
    uint64_t created_ms;
    uint64_t expires_ms;   /* 0: never */
    uint64_t revoked_ms;   /* 0: approved; otherwise revoked then */
    uint64_t last_seen_ms; /* 0: never */
    uint64_t suspected_ms; /* its key was seen where it doesn't belong; 0: never, or cleared since */
    bool contractor;       /* its owner is none of the company's own */
    bool referee;          /* run by the pool's operator; it may judge others */
    bool has_machine;      /* `machine` is set: it has said hello since it is asked for */
    uint8_t machine[STORE_MACHINE_SIZE];
} store_worker;

typedef void store_workers_listed(void *context, const store_worker *workers, size_t count,
                                  const error *failure);

/* Workers with an id above `after` (NULL: from the first), in order of id, at most `limit`
 * (1..STORE_LIST_MAX). Revoked ones too. */
MUST_CHECK bool store_worker_list(store *s, const uint8_t *after, size_t limit, store_workers_listed *done,
                                  void *context, error *err);

/* Every worker, revoked and expired ones too, so that a refusal can say why. */
MUST_CHECK bool store_load_workers(store *s, store_workers_listed *done, void *context, error *err);

/* Synced to the disk before it is answered. ERROR_NOT_FOUND: no such worker. Revoking twice is no error and
 * keeps the first date. */
MUST_CHECK bool store_worker_revoke(store *s, const uint8_t worker_id[STORE_WORKER_ID_SIZE], uint64_t now_ms,
                                    store_done *done, void *context, error *err);

/* Its key was seen on another machine. Synced to the disk before it is answered. ERROR_NOT_FOUND: no such
 * worker. Keeps the first date. */
MUST_CHECK bool store_worker_suspect(store *s, const uint8_t worker_id[STORE_WORKER_ID_SIZE], uint64_t now_ms,
                                     store_done *done, void *context, error *err);

/* Takes a suspicion back, as a person decided: it may come from any machine next. As store_worker_suspect. */
MUST_CHECK bool store_worker_trust(store *s, const uint8_t worker_id[STORE_WORKER_ID_SIZE], store_done *done,
                                   void *context, error *err);

/* Undoes a revocation and a suspicion, as a person decided. Synced to the disk before it is answered.
 * ERROR_NOT_FOUND: no such worker. One that is neither is no error. */
MUST_CHECK bool store_worker_restore(store *s, const uint8_t worker_id[STORE_WORKER_ID_SIZE],
                                     store_done *done, void *context, error *err);

/* Which machine it runs on, as its hello says. ERROR_NOT_FOUND: no such worker. */
MUST_CHECK bool store_worker_set_machine(store *s, const uint8_t worker_id[STORE_WORKER_ID_SIZE],
                                         const uint8_t machine[STORE_MACHINE_SIZE], store_done *done,
                                         void *context, error *err);

/* Notes that the worker was there. Notes are gathered, the last one of each worker counts, and they are
 * written together at most every 30 s of `now_ms` and on closing; there is no answer, and a crash loses the
 * last ones. May be called at every beat. */
MUST_CHECK bool store_worker_seen(store *s, const uint8_t worker_id[STORE_WORKER_ID_SIZE], uint64_t now_ms,
                                  error *err);

#endif
