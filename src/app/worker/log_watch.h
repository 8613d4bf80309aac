#ifndef WORKER_LOG_WATCH_H
#define WORKER_LOG_WATCH_H

#include "base/buffer.h"
#include "ledger/checkpoint.h"
#include "ledger/merkle.h"
#include "proto/message.h"

/* What a worker remembers of its pool's audit log, so that nobody can rewrite it unseen: the last checkpoint
 * that it believed. The first one that it sees is believed; every later one must be shown to go on from it.
 * Pure; who uses it keeps `note` on disk. */
typedef struct log_watch {
    uint8_t pool_id[HASH_SIZE];
    bool has_key; /* of this connection: the pool has shown the key that its id is of */
    note_key key;
    checkpoint known; /* size 0: none yet */
    buffer note;      /* of `known` */
    uint64_t awaited; /* entries that the pool says it has: a proof must be of as many */
    buffer forked;    /* the note that contradicts it: with `note` it proves what the pool did */
} log_watch;

typedef enum log_verdict {
    LOG_UNCHANGED,
    LOG_BELIEVED, /* `known` is newer: keep `note` */
    LOG_GREW,     /* ask for the proof from known.size on */
    LOG_FORKED,   /* the pool showed others another log, or took back what it showed: `err` says which */
    LOG_UNKNOWN   /* it can't be told, as memory is out */
} log_verdict;

void log_watch_init(log_watch *w, const uint8_t pool_id[HASH_SIZE]);
void log_watch_free(log_watch *w);
/* Takes back what was kept of an earlier run, checked again once the pool shows its key; empty: nothing. */
MUST_CHECK bool log_watch_restore(log_watch *w, slice kept, error *err);

/* What the pool's welcome shows; `checkpoint` empty: no log. */
MUST_CHECK log_verdict log_watch_welcome(log_watch *w, const proto_welcome *welcome, error *err);
/* What the pool answers to the question for a proof. */
MUST_CHECK log_verdict log_watch_proof(log_watch *w, const proto_log_proof *proof, error *err);

#endif
