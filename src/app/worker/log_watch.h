#ifndef WORKER_LOG_WATCH_H
#define WORKER_LOG_WATCH_H

#include "base/buffer.h"
#include "ledger/checkpoint.h"
#include "ledger/merkle.h"
#include "ledger/note.h"
#include "ledger/succession.h"
#include "proto/message.h"

/* What a worker remembers of its pool's audit log, so that nobody can rewrite it unseen: the last checkpoint
 * that it believed. The first one that it sees is believed; every later one must be shown to go on from it.
 * Pure; who uses it keeps `note` on disk. */
typedef struct log_watch {
    bool shown;       /* the pool has shown its log in this connection */
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

void log_watch_init(log_watch *w);
void log_watch_free(log_watch *w);
/* Takes back what was kept of an earlier run, checked again once the pool shows its log; empty: nothing. */
MUST_CHECK bool log_watch_restore(log_watch *w, slice kept, error *err);

/* What the pool's welcome shows; empty: no log. `keys` are of this pool. The last of them signs what is shown
 * now; what was kept may be of any, for it was the last one then. */
MUST_CHECK log_verdict log_watch_welcome(log_watch *w, const succession *keys, slice shown, error *err);
/* What the pool answers to the question for a proof. */
MUST_CHECK log_verdict log_watch_proof(log_watch *w, const succession *keys, const proto_log_proof *proof,
                                       error *err);

#endif
